"""The mixture of softmaxes (LLM-EMF eq. 5-9): log-probabilities and the training loss.

Modality m has similarities z_m = q_m · e_m between a position and the candidates. With mixture
weights a_m, P(i) = Σ_m a_m exp(z_m(i)) / Σ_j exp(z_m(j)), so that only two numbers a modality are
needed for a position: the target's z_m and the log-sum-exp over the candidates,

    -log P(target) = -logsumexp_m(log a_m + z_m(target) - LSE_m).

One modality makes it the plain cross-entropy. Queries come divided by the temperature, and vectors
of unit length where the similarity is the cosine, so that a dot product is all that is left here.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def mixture_log_probability(
    queries: Sequence[Tensor],
    items: Sequence[Tensor],
    weights: Tensor,
    present: Sequence[Tensor] | None = None,
) -> Tensor:
    """log P of every candidate (eq. 8).

    Args:
        queries: for each modality m the positions' vectors, (P, d_m).
        items: for each modality the candidates' vectors, (C, d_m).
        weights: (M,) mixture weights, not negative.
        present: for each modality (C,) bool, whether a candidate has it. A candidate without it
            gets no probability from it; a modality that no candidate has gives its weight to the
            others. None: all present.

    Returns:
        (P, C); -inf for a candidate that has no modality at all.
    """
    log_weights = _log_weights(weights, present)
    terms = []
    for m, (query, item) in enumerate(zip(queries, items, strict=True)):
        z = query @ item.T
        if present is not None:
            z = z.masked_fill(~present[m], -torch.inf)
        # A modality that nobody has is all -inf, where log_softmax would give NaN.
        log_p = z if log_weights[m] == -torch.inf else z.log_softmax(dim=1)
        terms.append(log_weights[m] + log_p)
    return terms[0] if len(terms) == 1 else _logsumexp(torch.stack(terms))


def mixture_cross_entropy(
    queries: Sequence[Tensor],
    items: Sequence[Tensor],
    targets: Tensor,
    weights: Tensor,
    present: Sequence[Tensor] | None = None,
) -> Tensor:
    """-log P(target) of each position over all candidates (eq. 9), (P,).

    Args:
        targets: (P,) index of each position's target among the candidates.

    The other arguments are those of :func:`mixture_log_probability`. A position whose target has
    no modality at all carries nothing to learn from and gets the loss 0.
    """
    log_p = mixture_log_probability(queries, items, weights, present)
    return _zero_where_impossible(-log_p.gather(1, targets[:, None]).squeeze(1))


def sampled_mixture_cross_entropy(
    queries: Sequence[Tensor],
    target_items: Sequence[Tensor],
    negatives: Sequence[Tensor],
    is_target: Tensor,
    weights: Tensor,
    n_candidates: Sequence[int],
    target_present: Sequence[Tensor] | None = None,
    negative_present: Sequence[Tensor] | None = None,
) -> Tensor:
    """An estimate of :func:`mixture_cross_entropy` from negatives that all positions share, (P,).

    The negatives are drawn uniformly with replacement. Those of a modality stand for all its
    candidates but the target: each counts (n_candidates - 1) / (negatives that are not the target)
    times, which is the log-probability correction of sampled softmax.

    Args:
        queries: for each modality (P, d_m).
        target_items: for each modality the targets' vectors, (P, d_m).
        negatives: for each modality the negatives' vectors, (n, d_m).
        is_target: (P, n) bool, whether a negative happens to be the position's target.
        weights: (M,) mixture weights.
        n_candidates: for each modality how many candidates have it.
        target_present: for each modality (P,) bool. None: all.
        negative_present: for each modality (n,) bool. None: all.
    """
    usable = [torch.tensor([count > 0]) for count in n_candidates]
    log_weights = _log_weights(weights, usable)
    terms = []
    for m, (query, target, negative) in enumerate(
        zip(queries, target_items, negatives, strict=True)
    ):
        if n_candidates[m] == 0:
            continue
        z_target = (query * target).sum(dim=1)
        left_out = is_target
        if target_present is not None and negative_present is not None:
            z_target = z_target.masked_fill(~target_present[m], -torch.inf)
            left_out = is_target | ~negative_present[m]
        z = (query @ negative.T).masked_fill(left_out, -torch.inf)
        counted = (left_out.shape[1] - left_out.sum(dim=1)).clamp(min=1).to(z.dtype)
        correction = math.log(max(n_candidates[m] - 1, 1)) - counted.log()
        over_negatives = z.logsumexp(dim=1) if negative_present is None else _logsumexp(z, dim=1)
        log_sum = torch.logaddexp(z_target, over_negatives + correction)
        # Neither the target nor a negative has the modality: it says nothing here.
        log_sum = log_sum.masked_fill(log_sum == -torch.inf, 0)
        terms.append(log_weights[m] + z_target - log_sum)
    log_p = terms[0] if len(terms) == 1 else _logsumexp(torch.stack(terms))
    return _zero_where_impossible(-log_p)


def _log_weights(weights: Tensor, present: Sequence[Tensor] | None) -> Tensor:
    """(M,) log of the normalised weights of the modalities that some candidate has."""
    usable = weights > 0
    if present is not None:
        usable = usable & torch.stack([each.any() for each in present]).to(weights.device)
    # The others are put at 1 before the logarithm, whose gradient at 0 would be infinite.
    total = (weights * usable).sum().clamp(min=torch.finfo(weights.dtype).tiny)
    return (weights.where(usable, 1) / total).log().masked_fill(~usable, -torch.inf)


def _logsumexp(values: Tensor, dim: int = 0) -> Tensor:
    """logsumexp whose gradient is 0, not NaN, where all values are -inf."""
    impossible = (values == -torch.inf).all(dim=dim, keepdim=True)
    safe = values.masked_fill(impossible, 0)
    result = safe.logsumexp(dim=dim)
    return result.masked_fill(impossible.squeeze(dim), -torch.inf)


def _zero_where_impossible(loss: Tensor) -> Tensor:
    return loss.masked_fill(loss == torch.inf, 0)
