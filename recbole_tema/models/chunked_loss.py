"""The mixture loss some positions at a time, with its gradients found on the way.

With r_m = softmax_m(log a_m + z_m(target) - LSE_m), a modality's share in P(target), and p_m the
softmax over the candidates,

    d(-log P) / d z_m(j) = r_m (p_m(j) - [j = target]),    d(-log P) / d log a_m = -r_m.

So once a chunk's similarities are there, so are its gradients; only those of the vectors are kept.
The loss is their sum over positions: the one number that arrives from above scales all of them.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from recbole_tema.models.layers import spans

if TYPE_CHECKING:
    from recbole_tema.models.losses import Negatives

# Similarities held at once for each modality, but never fewer positions than a matrix product
# needs to be fast.
CHUNK_ELEMENTS = 1 << 22
CHUNK_POSITIONS = 128


class ChunkedMixture(torch.autograd.Function):
    """The scalar of :func:`recbole_tema.models.losses.mixture_cross_entropy`."""

    @staticmethod
    def forward(
        ctx: Any,
        log_weights: Tensor,
        targets: Tensor,
        present: Sequence[Tensor] | None,
        negatives: "Negatives | None",
        position_weights: Tensor,
        n_modalities: int,
        *vectors: Tensor,
    ) -> Tensor:
        queries, items = vectors[:n_modalities], vectors[n_modalities:]
        needed = ctx.needs_input_grad
        device = targets.device.type
        mixed = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        with torch.autocast(device, enabled=False):
            modalities = [
                _Modality(
                    m,
                    queries[m],
                    items[m],
                    None if present is None else present[m],
                    negatives,
                    mixed,
                    needed[-2 * n_modalities + m],
                    needed[-n_modalities + m],
                )
                for m in range(n_modalities)
            ]
            exact = modalities[0].exact
            loss = torch.zeros((), dtype=exact, device=targets.device)
            share = torch.zeros(n_modalities, dtype=exact, device=targets.device)
            size = max(CHUNK_ELEMENTS // max(modalities[0].n_candidates, 1), CHUNK_POSITIONS)
            for start in range(0, len(targets), size):
                chunk = slice(start, start + size)
                terms = torch.stack(
                    [each.log_probability(chunk, targets[chunk]) for each in modalities]
                )
                terms += log_weights.to(exact)[:, None]
                log_p = terms.logsumexp(dim=0)
                impossible = log_p == -torch.inf
                log_p.masked_fill_(impossible, 0)
                weight = position_weights[chunk].to(exact).masked_fill(impossible, 0)
                loss -= (weight * log_p).sum()
                if any(needed):
                    r = (terms - log_p).exp() * weight
                    share += r.sum(dim=1)
                    for modality, pull in zip(modalities, r, strict=True):
                        modality.add_gradients(chunk, pull)
            gradients: list[Tensor | None] = [-share.to(log_weights.dtype)]
            gradients += [each.query_gradient() for each in modalities]
            gradients += [each.item_gradient(targets) for each in modalities]
        ctx.save_for_backward(*gradients)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, factor: Tensor) -> tuple[Any, ...]:
        # In place: nobody else sees them, and a second backward pass is refused by torch.
        of_weights, *of_vectors = ctx.saved_tensors
        scaled = [each if each is None else each.mul_(factor) for each in of_vectors]
        return (of_weights * factor, None, None, None, None, None, *scaled)


class _Modality:
    """One modality's similarities for the chunk at hand, and its gradients so far.

    Attributes:
        product: the dtype of matrix products.
        exact: that of everything that is summed up.
        n_candidates: C.
    """

    def __init__(
        self,
        m: int,
        query: Tensor,
        item: Tensor,
        present: Tensor | None,
        negatives: "Negatives | None",
        mixed: torch.dtype | None,
        wants_query: bool,
        wants_item: bool,
    ) -> None:
        self.query, self.item, self.present = query, item, present
        self.product = mixed or torch.promote_types(query.dtype, item.dtype)
        self.exact = torch.promote_types(
            torch.promote_types(query.dtype, item.dtype), torch.float32
        )
        self.rows = None if negatives is None else negatives.rows
        candidates = item if self.rows is None else item.index_select(0, self.rows)
        self.candidates = candidates.to(self.product)
        self.n_candidates = len(candidates)
        self.absent = None
        if present is not None:
            among = present if self.rows is None else present[self.rows]
            self.absent = None if bool(among.all()) else ~among
        if negatives is not None:
            self.log_others = math.log(max(negatives.n_candidates[m] - 1, 1))
            self.sorted_rows, self.columns = negatives.rows.sort()
            n_absent = 0 if self.absent is None else self.absent.sum()
            self.n_usable = self.n_candidates - n_absent
        self.of_query = torch.empty_like(query, dtype=self.exact) if wants_query else None
        self.of_candidates = None
        if wants_item:
            self.of_candidates = torch.zeros_like(candidates, dtype=self.exact)
            self.of_targets = torch.empty_like(query, dtype=self.exact)
        self.buffer = query.new_empty(0, dtype=self.exact)

    def log_probability(self, chunk: slice, targets: Tensor) -> Tensor:
        """(B,) z(target) - LSE; -inf where the target lacks the modality."""
        query = self.query[chunk]
        target_vectors = self.item.index_select(0, targets)
        z_target = (query.to(self.exact) * target_vectors.to(self.exact)).sum(dim=1)
        if self.present is not None:
            z_target = z_target.masked_fill(~self.present[targets], -torch.inf)
        z = self._similarities(query)
        if self.absent is not None:
            z.masked_fill_(self.absent, -torch.inf)
        if self.rows is not None:
            counted = self.n_usable - self._leave_out_targets(z, targets)
            correction = self.log_others - counted.clamp(min=1).to(self.exact).log()
        highest = z.amax(dim=1, keepdim=True)
        none = highest.squeeze(1) == -torch.inf  # no negative that counts
        highest.masked_fill_(none[:, None], 0)
        z.sub_(highest).exp_()
        log_sum = z.sum(dim=1).log().add_(highest.squeeze(1))
        of_z = highest.squeeze(1)
        if self.rows is not None:
            log_sum = torch.logaddexp(z_target, log_sum + correction)
            of_z = of_z + correction
        lacking = z_target == -torch.inf
        # What turns the exponentials in z into a softmax; 0 where there is nothing to learn.
        self.scale = (of_z - log_sum).masked_fill_(lacking | none, -torch.inf).exp_()
        log_p = (z_target - log_sum).masked_fill_(lacking, -torch.inf)
        self.exponentials, self.target_vectors, self.p_target = z, target_vectors, log_p.exp()
        return log_p

    def _leave_out_targets(self, z: Tensor, targets: Tensor) -> Tensor:
        """Put z (B, C) to -inf where the negative is the target; (B,) how many usable ones it was.

        They are few, and found without a look at all of z.
        """
        first = torch.searchsorted(self.sorted_rows, targets)
        hits = torch.searchsorted(self.sorted_rows, targets, right=True) - first
        position, place = spans(first, hits)
        z[position, self.columns[place]] = -torch.inf
        # Of a target without the modality they were left out before.
        return hits if self.present is None else hits * self.present[targets]

    def add_gradients(self, chunk: slice, pull: Tensor) -> None:
        """Add the chunk's part. ``pull``: (B,) r_m times the position's weight."""
        onto_candidates = (pull * self.scale)[:, None]
        p = self.exponentials
        if self.product != self.exact:
            # Half precision holds probabilities, but not the sum of many exponentials.
            p, onto_candidates = p.mul_(self.scale[:, None]).to(self.product), pull[:, None]
        # Among the sampled the target stands apart, so its own probability is taken off here.
        onto_target = (pull if self.rows is None else pull * (1 - self.p_target))[:, None]
        query = self.query[chunk].to(self.exact)
        if self.of_query is not None:
            of_query = (p @ self.candidates).to(self.exact).mul_(onto_candidates)
            self.of_query[chunk] = of_query.sub_(onto_target * self.target_vectors)
        if self.of_candidates is not None:
            self._add_product(p.T, (query * onto_candidates).to(p.dtype))
            torch.mul(query, -onto_target, out=self.of_targets[chunk])

    def query_gradient(self) -> Tensor | None:
        """(P, d)."""
        return None if self.of_query is None else self.of_query.to(self.query.dtype)

    def item_gradient(self, targets: Tensor) -> Tensor | None:
        """(U, d)."""
        if self.of_candidates is None:
            return None
        total = self.of_candidates
        if self.rows is not None:
            total = torch.zeros_like(self.item, dtype=self.exact)
            total.index_add_(0, self.rows, self.of_candidates)
        total.index_add_(0, targets, self.of_targets)
        return total.to(self.item.dtype)

    def _similarities(self, query: Tensor) -> Tensor:
        """(B, C), in memory that the next chunk takes over."""
        query = query.to(self.product)
        if self.product != self.exact:
            return (query @ self.candidates.T).to(self.exact)
        if self.buffer.numel() < len(query) * self.n_candidates:
            self.buffer = self.buffer.new_empty(len(query) * self.n_candidates)
        z = self.buffer[: len(query) * self.n_candidates].view(len(query), self.n_candidates)
        return torch.mm(query, self.candidates.T, out=z)

    def _add_product(self, one: Tensor, other: Tensor) -> None:
        assert self.of_candidates is not None
        if one.dtype == self.exact:
            self.of_candidates.addmm_(one, other)
        else:
            self.of_candidates += one @ other
