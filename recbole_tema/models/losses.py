"""The mixture of softmaxes (LLM-EMF eq. 5-9): log-probabilities and the training loss.

Modality m has similarities z_m = q_m · e_m between a position and the candidates. With mixture
weights a_m, P(i) = Σ_m a_m exp(z_m(i)) / Σ_j exp(z_m(j)), so that only two numbers a modality are
needed for a position: the target's z_m and the log-sum-exp over the candidates,

    -log P(target) = -logsumexp_m(log a_m + z_m(target) - LSE_m).

One modality makes it the plain cross-entropy, and a weighted sum of similarities is one modality of
concatenated vectors. Queries come divided by the temperature, and vectors of unit length where the
similarity is the cosine, so that a dot product is all that is left here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recbole_tema.models.chunked_loss import ChunkedMixture

IMPLEMENTATIONS = ("auto", "plain", "chunked")


@dataclass(frozen=True)
class Negatives:
    """Items that stand for all candidates but the target: a uniform sample, or all of them.

    Attributes:
        rows: (n,) rows of the item vectors; all positions share them.
        n_candidates: for each modality how many candidates have it.
    """

    rows: Tensor
    n_candidates: Sequence[int]


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
    log_weights = _log_weights(weights, _usable(present, None))
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
    negatives: Negatives | None = None,
    position_weights: Tensor | None = None,
    implementation: str = "auto",
) -> Tensor:
    """Σ -log P(target) over the positions (eq. 9), a scalar.

    Over all items, or estimated from negatives: those of a modality stand for all its candidates
    but the target, so each counts (n_candidates - 1) / (negatives that are not the target) times,
    which is the log-probability correction of sampled softmax.

    A position whose target has no modality at all carries nothing to learn from and adds 0.

    Args:
        queries: for each modality m the positions' vectors, (P, d_m).
        items: for each modality (U, d_m): all candidates, or with ``negatives`` the vectors that
            targets and negatives are rows of.
        targets: (P,) row of each position's target.
        weights: (M,) mixture weights, not negative.
        present: for each modality (U,) bool; as for :func:`mixture_log_probability`. None: all.
        negatives: the sample to compare with; None: all items.
        position_weights: (P,) factors of the summands; None: 1. No gradient is computed for them.
        implementation: ``plain`` writes the formula out and lets autograd keep every (P, C) matrix
            of it; ``chunked`` takes some positions at a time and finds the gradients on the way, so
            memory is that of the vectors (first derivatives only). Both give the same up to
            rounding. ``auto`` is ``chunked``, the faster one wherever there is enough to compute
            (0.3 to 0.6 of the time from 200 positions x 500 candidates on).

    Raises:
        ValueError: an unknown implementation.
    """
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(f"implementation: expected one of {IMPLEMENTATIONS}, got {implementation}")
    if position_weights is None:
        position_weights = torch.ones_like(targets, dtype=weights.dtype)
    if implementation == "plain":
        log_p = log_probability_of_targets(queries, items, targets, weights, present, negatives)
        return (position_weights * -log_p.masked_fill(log_p == -torch.inf, 0)).sum()
    log_weights = _log_weights(weights, _usable(present, negatives))
    loss: Tensor = ChunkedMixture.apply(
        log_weights, targets, present, negatives, position_weights, len(queries), *queries, *items
    )
    return loss


def log_probability_of_targets(
    queries: Sequence[Tensor],
    items: Sequence[Tensor],
    targets: Tensor,
    weights: Tensor,
    present: Sequence[Tensor] | None = None,
    negatives: Negatives | None = None,
) -> Tensor:
    """(P,) log P(target), -inf where the target has no modality; the formula as it stands.

    The arguments are those of :func:`mixture_cross_entropy`.
    """
    log_weights = _log_weights(weights, _usable(present, negatives))
    terms = []
    for m, (query, item) in enumerate(zip(queries, items, strict=True)):
        candidates = item if negatives is None else item.index_select(0, negatives.rows)
        z = query @ candidates.T
        z_target = (query * item.index_select(0, targets)).sum(dim=1)
        if present is not None:
            mask = present[m] if negatives is None else present[m][negatives.rows]
            z = z.masked_fill(~mask, -torch.inf)
            z_target = z_target.masked_fill(~present[m][targets], -torch.inf)
        if negatives is None:
            log_sum = _logsumexp(z, dim=1)
        else:
            z = z.masked_fill(targets[:, None] == negatives.rows, -torch.inf)
            counted = (z > -torch.inf).sum(dim=1).clamp(min=1).to(z.dtype)
            correction = math.log(max(negatives.n_candidates[m] - 1, 1)) - counted.log()
            log_sum = torch.logaddexp(z_target, _logsumexp(z, dim=1) + correction)
        # Neither the target nor a negative has the modality: it says nothing here.
        log_sum = log_sum.masked_fill(log_sum == -torch.inf, 0)
        terms.append(log_weights[m] + (z_target - log_sum))
    return _logsumexp(torch.stack(terms))


def _usable(
    present: Sequence[Tensor] | None, negatives: Negatives | None
) -> list[bool | Tensor] | None:
    """For each modality whether any candidate has it; None: all of them."""
    if negatives is not None:
        return [count > 0 for count in negatives.n_candidates]
    return None if present is None else [each.any() for each in present]


def _log_weights(weights: Tensor, usable: Sequence[bool | Tensor] | None) -> Tensor:
    """(M,) log of the normalised weights of the modalities that some candidate has."""
    kept = weights > 0
    if usable is not None:
        kept = kept & torch.stack([torch.as_tensor(each) for each in usable]).to(weights.device)
    # The others are put at 1 before the logarithm, whose gradient at 0 would be infinite.
    total = (weights * kept).sum().clamp(min=torch.finfo(weights.dtype).tiny)
    return (weights.where(kept, 1) / total).log().masked_fill(~kept, -torch.inf)


def _logsumexp(values: Tensor, dim: int = 0) -> Tensor:
    """logsumexp whose gradient is 0, not NaN, where all values are -inf."""
    impossible = (values == -torch.inf).all(dim=dim, keepdim=True)
    safe = values.masked_fill(impossible, 0)
    result = safe.logsumexp(dim=dim)
    return result.masked_fill(impossible.squeeze(dim), -torch.inf)
