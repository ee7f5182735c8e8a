"""Our models with their item tables in slices: what is cut, and scores of the own slice's items."""

from typing import Any

import torch
import torch.distributed as dist
from recbole.config import Config
from recbole.data.interaction import Interaction
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh

from recbole_tema.config import flag
from recbole_tema.distributed import rank, world_size
from recbole_tema.models.items import FrozenModality, IdModality
from recbole_tema.models.multi_view import MultiViewRecommender
from recbole_tema.models.slices import slice_bounds, sliced
from recbole_tema.models.views import Tables


def shards_items(config: Config, model: Any) -> bool:
    """Whether this model's item tables are to be cut: asked for, ours, and several processes."""
    ours = isinstance(model, MultiViewRecommender)
    return ours and flag(config, "shard_items") and world_size() > 1


def shard_items(config: Config, model: MultiViewRecommender) -> None:
    """Cut E_id, E_img and E_tex into a slice of rows for each process, in place.

    What an item has besides (its tags, what it lacks) stays whole: a few numbers an item.

    Raises:
        ValueError: settings with which every process needs the whole tables.
    """
    if not model.n_negatives:
        raise ValueError(
            "shard_items: takes a sampled loss, as the full one compares with all items in every "
            "process; set n_negatives, such as 4096"
        )
    if config["clip_grad_norm"]:
        raise ValueError(
            "shard_items: torch cannot clip gradients of sliced and whole tables together; leave "
            "clip_grad_norm at ~"
        )
    mesh = init_device_mesh(config["device"].type, (world_size(),))
    for module in model.modules():
        if isinstance(module, IdModality):
            module.embedding.weight = nn.Parameter(sliced(module.embedding.weight, mesh))
        elif isinstance(module, FrozenModality):
            module.frozen = sliced(module.frozen, mesh)
    model.has_sliced_items = True


class SliceScorer:
    """Scores of the items of this process's slice, by a model with sliced tables as it is now.

    All processes make one and score the same cases together.
    """

    def __init__(self, model: MultiViewRecommender) -> None:
        self._model = model
        bounds = slice_bounds(model.n_items)
        self._start, self._stop = bounds[rank()]
        # Everybody asks for the rows of one slice after the other and keeps the own ones.
        for number, (start, stop) in enumerate(bounds):
            items = torch.arange(start, stop, device=model.device)
            vectors = [stream.vectors(items) for stream in model.stream_list]
            if number == rank():
                self._keys = model.keys(Tables(vectors, items=items))

    def items(self, domain: int) -> tuple[int, int]:
        """The half-open range of the slice's items in ``domain``; it may be empty."""
        first, last = self._model.candidate_ranges[domain]
        start = min(max(self._start, first), last)
        return start, max(min(self._stop, last), start)

    def scores(self, interaction: Interaction, domain: int) -> Tensor:
        """(B, items of the slice in the domain), as ``domain_scores`` has them but for rounding."""
        model = self._model
        events = model.events_of(interaction)
        needed = events.items.unique()
        rows = torch.zeros(model.n_items, dtype=torch.long, device=needed.device)
        rows[needed] = torch.arange(len(needed), device=needed.device)
        tables = Tables([stream.vectors(needed) for stream in model.stream_list], rows, needed)
        views = model.encode(events, tables)
        start, stop = self.items(domain)
        return model.weighted_scores(
            events,
            domain,
            views,
            (start, stop),
            lambda queries, among: self._log_probability(queries, domain, among),
        )

    def _log_probability(self, queries: list[Tensor], domain: int, among: int) -> Tensor:
        """log P of the slice's items of ``domain`` under a softmax over all processes' items."""
        model = self._model
        first, last = self.items(among)
        start, stop = self.items(domain)
        keys = [key[first - self._start : last - self._start] for key in self._keys]
        present = model._present(slice(first, last))
        weights = model._loss_weights()
        weights = weights * torch.tensor(model.n_present[among], device=weights.device).sign()
        total = weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)
        log_weights = (weights / total).log()
        z = torch.stack(
            [
                (query @ key.T).masked_fill(~has, -torch.inf)
                for query, key, has in zip(model._fused(queries, True), keys, present, strict=True)
            ]
        )
        log_sums = _logsumexp_of_all(z)
        # Of a modality that nobody has, all are -inf and stay so.
        log_sums = log_sums.masked_fill(log_sums == -torch.inf, 0)
        log_p = z[..., start - first : stop - first] - log_sums[..., None]
        terms = log_p + log_weights[:, None, None]
        return terms.logsumexp(dim=0)


def _logsumexp_of_all(z: Tensor) -> Tensor:
    """(M, P) logsumexp over the last axis of every process's ``z`` (M, P, its candidates)."""
    own = z.logsumexp(dim=2) if z.shape[2] else z.new_full(z.shape[:2], -torch.inf)
    largest = own.clone()
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    shift = largest.masked_fill(largest == -torch.inf, 0)
    total = (own - shift).exp()
    dist.all_reduce(total)
    return total.log() + shift
