"""What LLM-EMF and TEMA-LLM share: how three views of a history are trained and scored."""

from collections.abc import Callable
from typing import Any

import torch
from recbole.config import Config
from recbole.data.interaction import Interaction
from torch import Tensor

from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.models.losses import (
    Negatives,
    mixture_cross_entropy,
    mixture_log_probability,
)
from recbole_tema.models.settings import sample_size
from recbole_tema.models.slices import needed_by_any
from recbole_tema.models.view_states import ViewStates
from recbole_tema.models.views import MERGED, Events, Positions, Tables, View, X, Y


class MultiViewRecommender(ViewStates):
    """Base of LLM-EMF and TEMA-LLM.

    The state that a view has reached is compared with items of the target's domain: in training
    with those that the target is told from, when scoring with all of them. Each view has its loss
    (eq. 9, 10), and when scoring the views are added (eq. 11).
    """

    def __init__(self, config: Config, dataset: CrossDomainDataset) -> None:
        super().__init__(config, dataset)
        # The one loss of joined vectors is over the target's domain, see ViewStates.
        joined = self.settings.view_join == "vectors"
        self.among_all = self.settings.merged_candidates == "all" and not joined
        self.n_negatives = sample_size(config, max(map(len, self.compared_items())))
        # For the loss: of the items compared in each range, how many each term of it can score.
        self.n_compared = [
            [int(present.sum()) for present in self._present(items)]
            for items in self.compared_items()
        ]
        # Of all items for scoring, kept between train() or eval() and the next loss.
        self._may_keep = True
        self._scoring: tuple[Any, Tables, list[Tensor]] | None = None

    # ---- training (eq. 9, 10) ----------------------------------------------------------------

    def calculate_loss(self, interaction: Interaction) -> Tensor:
        """L = λ_X L^X + λ_Y L^Y + λ_M L^{X+Y} over all positions of the rows, a scalar.

        Each L^v is the sum over its targets (eq. 9), divided by the number of targets of the
        merged view, which is the same for all: the weights keep their meaning.
        """
        # Weights are about to change, and a fused optimizer leaves no trace in their versions.
        self._scoring, self._may_keep = None, False
        events = self.events_of(interaction)
        targets = self.targets_of(interaction)

        pools = self.draw_negatives()
        tables = self._tables_of(events.items, targets, pools)
        views = self.encode(events, tables)
        by_range: dict[int, list[Positions]] = {}
        for domain in (X, Y):
            before = (self.item_domain[targets] == domain).nonzero().squeeze(1)
            for positions in self._training_positions(domain, before, views):
                by_range.setdefault(positions.among, []).append(positions)
        keys = self._keys_by_range(tables)
        loss = tables.vectors[0].new_zeros(())
        for among, parts in by_range.items():
            loss = loss + self._cross_entropy(among, parts, targets, keys[among], tables, pools)
        return loss / len(targets)

    def _training_positions(
        self, domain: int, events: Tensor, views: dict[int, View]
    ) -> list[Positions]:
        """For each loss of a target domain the positions that have a query."""
        weights = self.settings.train_view_weights
        if self.settings.view_join == "vectors":
            joined, reached = self._joined(domain, events, views, weights)
            queries = [query[reached] for query in joined]
            return [Positions(queries, events[reached], 1.0, domain)]
        result = []
        for view in (domain, MERGED):
            if view in views and weights[view]:
                seeing = events[views[view].last[events] >= 0]
                queries = [self._to_query(state) for state in views[view].at(seeing)]
                among = self._candidates_of(view, domain)
                result.append(Positions(queries, seeing, weights[view], among))
        return result

    def _joined(
        self,
        domain: int,
        events: Tensor,
        views: dict[int, View],
        weights: tuple[float, float, float],
    ) -> tuple[list[Tensor], Tensor]:
        """Σ_v weight_v h^v for each stream, (P, d), and which events any view has reached."""
        some_view = next(iter(views.values()))
        totals = [state.new_zeros(len(events), state.shape[1]) for state in some_view.states]
        reached = torch.zeros_like(events, dtype=torch.bool)
        for view, weight in zip((domain, 1 - domain, MERGED), weights, strict=True):
            if view not in views or not weight or not len(views[view].states[0]):
                continue
            sees = views[view].last[events] >= 0
            reached = reached | sees
            # Where a view has nothing yet, what is read of it is left out.
            totals = [
                total + weight * torch.where(sees[:, None], state, 0)
                for total, state in zip(totals, views[view].at(events), strict=True)
            ]
        return [self._to_query(total) for total in totals], reached

    def _candidates_of(self, view: int, domain: int) -> int:
        """The candidate range of a view's loss: the target's domain, for the merged view maybe all.

        Eq. 9 for X+Y reads as a softmax over the items of both domains; the candidates of a test
        case are those of its target's domain.
        """
        both = view == MERGED and self.among_all
        return MERGED if both else domain

    def _tables_of(self, items: Tensor, targets: Tensor, pools: list[Tensor]) -> Tables:
        """Vectors of the items that this step needs, each made once."""
        if not pools:
            return Tables([stream.vectors() for stream in self.stream_list])
        needed = torch.cat([items, targets, *pools]).unique()
        if self.has_sliced_items:
            needed = needed_by_any(needed, self.n_items)
        rows = torch.zeros(self.n_items, dtype=torch.long, device=self.device)
        rows[needed] = torch.arange(len(needed), device=self.device)
        return Tables([stream.vectors(needed) for stream in self.stream_list], rows, needed)

    def _keys_by_range(self, tables: Tables) -> list[list[Tensor]]:
        """For each candidate range what targets and negatives are rows of, fused.

        All items of the range, or with negatives the vectors of all items that are needed.
        """
        keys = self.keys(tables)
        if tables.items is not None:
            return [keys] * len(self.candidate_ranges)
        # One split, not slices, of which each would have a whole table for its gradient.
        sizes = [1, *(stop - start for start, stop in self.candidate_ranges[:MERGED])]
        parts = list(zip(*(key.split(sizes) for key in keys), strict=True))
        both = [key[1:] for key in keys] if self.among_all else []
        return [list(parts[1]), list(parts[2]), both]

    def _cross_entropy(
        self,
        among: int,
        parts: list[Positions],
        targets: Tensor,
        keys: list[Tensor],
        tables: Tables,
        pools: list[Tensor],
    ) -> Tensor:
        """Σ λ -log P(target) of all positions whose candidates are one range, a scalar."""
        queries = [torch.cat(each) for each in zip(*(part.queries for part in parts), strict=True)]
        exact = torch.promote_types(queries[0].dtype, torch.float32)
        counts = torch.tensor([len(part.events) for part in parts], device=self.device)
        of_parts = torch.tensor([part.weight for part in parts], device=self.device, dtype=exact)
        wanted = targets[torch.cat([part.events for part in parts])]
        start, stop = self.candidate_ranges[among]
        complete = all(count == stop - start for count in self.n_present[among])
        if tables.items is not None:
            rows, negatives = tables.row_of(wanted), tables.row_of(pools[among])
            sample = Negatives(negatives, self.n_compared[among])
            present = None if complete else self._present(tables.items)
        else:
            rows, sample = wanted - start, None
            present = None if complete else self._present(slice(start, stop))
        return mixture_cross_entropy(
            self._fused(queries, True),
            keys,
            rows,
            self._loss_weights(),
            present,
            sample,
            of_parts.repeat_interleave(counts),
            self.settings.loss_implementation,
        )

    # ---- scoring (eq. 11, 12) ----------------------------------------------------------------

    def domain_scores(self, interaction: Interaction, domain: int) -> Tensor:
        """Scores of one domain's items for each history, (B, items of the domain).

        Σ_v weight_v P^v (eq. 11) with the own, the other domain's and the merged view, or with
        ``view_join: log_probabilities`` Σ_v weight_v log P^v; a view without items contributes
        nothing. Higher is better.
        """
        tables, keys = self._item_tables()
        events = self.events_of(interaction)
        views = self.encode(events, tables)
        start, stop = self.candidate_ranges[domain]
        return self.weighted_scores(
            events,
            domain,
            views,
            (start, stop),
            lambda queries, among: self._log_probability(queries, keys, domain, among),
        )

    def weighted_scores(
        self,
        events: Events,
        domain: int,
        views: dict[int, View],
        items: tuple[int, int],
        log_probability: Callable[[list[Tensor], int], Tensor],
    ) -> Tensor:
        """Σ_v weight_v P^v, or of log P^v, (B, items).

        Args:
            events: of the histories.
            domain: of the items.
            views: of the histories.
            items: half-open range of item ids.
            log_probability: log P^v of those items for the queries of a view and its candidate
                range.
        """
        latest = events.packing.latest
        weights = self.settings.score_view_weights
        if self.settings.view_join == "vectors":
            queries, reached = self._joined(domain, latest, views, weights)
            return reached[:, None] * log_probability(queries, domain).exp()
        in_logs = self.settings.view_join == "log_probabilities"
        total = self.log_temperature.new_zeros(len(latest), items[1] - items[0])
        for view, weight in zip((domain, 1 - domain, MERGED), weights, strict=True):
            if view in views and weight:
                sees = views[view].last[latest] >= 0
                queries = [self._to_query(state) for state in views[view].at(latest[sees])]
                among = self._candidates_of(view, domain)
                log_p = log_probability(queries, among)
                total[sees] += weight * (log_p if in_logs else log_p.exp())
        return total

    def _log_probability(
        self, queries: list[Tensor], keys: list[Tensor], domain: int, among: int
    ) -> Tensor:
        """log P of the items of ``domain`` (P, items) under a softmax over a candidate range."""
        first, last = self.candidate_ranges[among]
        start, stop = self.candidate_ranges[domain]
        log_p = mixture_log_probability(
            self._fused(queries, True),
            [key[first:last] for key in keys],
            self._loss_weights(),
            self._present(slice(first, last)),
        )
        return log_p[:, start - first : stop - first]

    def train(self, mode: bool = True) -> "MultiViewRecommender":
        self._scoring, self._may_keep = None, True
        return super().train(mode)

    def _apply(self, *args: Any, **kwargs: Any) -> "MultiViewRecommender":
        self._scoring = None  # to another device or dtype
        return super()._apply(*args, **kwargs)

    def _item_tables(self) -> tuple[Tables, list[Tensor]]:
        """Vectors and keys of all items, made once and again after a parameter changed."""
        version = [(id(each), each._version) for each in self.streams.parameters()]
        if self._scoring is None or self._scoring[0] != version or torch.is_grad_enabled():
            tables = Tables([stream.vectors() for stream in self.stream_list])
            keys = self.keys(tables)
            if torch.is_grad_enabled() or not self._may_keep:
                return tables, keys
            self._scoring = (version, tables, keys)
        return self._scoring[1:]
