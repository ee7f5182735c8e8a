"""What LLM-EMF and TEMA-LLM share: three views of a history, modalities, similarity and fusion."""

from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
import torch.nn.functional as F
from recbole.config import Config
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.utils import InputType
from torch import Tensor, nn

from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.data.sequences import Floats
from recbole_tema.models.calendar import CalendarTime
from recbole_tema.models.items import Modality, Stream, TagModality
from recbole_tema.models.layers import Packing
from recbole_tema.models.losses import (
    Negatives,
    mixture_cross_entropy,
    mixture_log_probability,
)
from recbole_tema.models.settings import ModelSettings
from recbole_tema.models.similarity import unit_vectors
from recbole_tema.models.slices import needed_by_any
from recbole_tema.models.views import MERGED, Events, Positions, Tables, View, X, Y


class MultiViewRecommender(SequentialRecommender):
    """Base of LLM-EMF and TEMA-LLM.

    A subclass builds the streams (:meth:`build_streams`): one for each modality, or a single one
    for their sum. Each view of a history runs through an encoder per stream, and the state that a
    view has reached is compared with the candidates, the items of the target's domain.

    Args:
        config: see ``properties/model/LLMEMF.yaml`` for every key.
        dataset: domains and item features.
    """

    input_type = InputType.POINTWISE
    trains_on_windows = True

    def __init__(self, config: Config, dataset: CrossDomainDataset) -> None:
        super().__init__(config, dataset)
        self.TIME_SEQ = config["TIME_FIELD"] + config["LIST_SUFFIX"]
        self.settings = settings = ModelSettings.from_config(config)
        # The items that targets of each view compete with: X, Y, and both for the merged view.
        self.candidate_ranges = [*dataset.domain_ranges, (1, self.n_items)]
        streams = self.build_streams(config, dataset)
        self.streams = nn.ModuleDict(streams)
        if unused := set(settings.modality_weights) - set(streams):
            self.logger.warning(
                f"modality_weights: those of {sorted(unused)} have no effect, as what is weighted "
                f"here is {list(streams)}"
            )
        if settings.view_join == "vectors" and settings.merged_candidates == "all":
            self.logger.warning(
                "merged_candidates: all has no effect with view_join: vectors, whose one loss is "
                "over the items of the target's domain"
            )
        weights = [settings.modality_weights.get(name, 1.0) for name in streams]
        self.modality_weights = nn.Parameter(
            torch.tensor(weights).log(), requires_grad=settings.learn_modality_weights
        )
        self.log_temperature = nn.Parameter(
            torch.tensor(settings.temperature).log(), requires_grad=settings.learn_temperature
        )
        # One encoder a stream for all views, or one for each view.
        self.encoders = nn.ModuleList(
            nn.ModuleList(settings.encoder(stream.dim) for stream in streams.values())
            for _ in range(1 if settings.share_encoder else 3)
        )
        times = dataset.training_times() if settings.time_knots else None
        self.times_before, self.times_behind = self._calendars(times), self._calendars(times)
        if settings.torch_compile:
            for encoders in self.encoders:
                for encoder in cast(nn.ModuleList, encoders):
                    encoder.compile(backend=settings.torch_compile, dynamic=True)
        self.register_buffer("item_domain", dataset.item_domain, persistent=False)
        # For each range how many of its items each term of the loss can score.
        self.n_present = [
            [int(present.sum()) for present in self._present(slice(start, stop))]
            for start, stop in self.candidate_ranges
        ]
        self.apply(self._init_weights)
        for module in self.modules():
            if isinstance(module, TagModality):
                module.load_tag_vectors()
        # Kept from step to step: of all items for scoring (between train() or eval() and the next
        # loss), and keys that never change.
        self._may_keep = True
        self._scoring: tuple[Any, Tables, list[Tensor]] | None = None
        self._fixed_keys: dict[int, tuple[Tensor, Tensor]] = {}

    item_domain: Tensor
    has_sliced_items = False
    """Whether each process has a slice of the item tables (:mod:`recbole_tema.models.sharding`)."""

    @property
    def stream_list(self) -> list[Stream]:
        """The streams in their order."""
        return list(cast(Iterable[Stream], self.streams.values()))

    def build_streams(self, config: Config, dataset: CrossDomainDataset) -> dict[str, Stream]:
        """The streams by name, in the order of ``modalities``."""
        raise NotImplementedError

    def streams_of(self, modalities: dict[str, Modality]) -> dict[str, Stream]:
        """One stream for each modality, or with ``fusion: early`` a single one for their sum."""
        if self.settings.fusion == "early":
            return {"early": Stream(list(modalities.values()))}
        return {name: Stream([modality]) for name, modality in modalities.items()}

    def _calendars(self, times: Floats | None) -> nn.ModuleList:
        """One calendar a stream; none where they are switched off or the data has no times."""
        if times is None:
            return nn.ModuleList()
        knots = self.settings.time_knots
        return nn.ModuleList(CalendarTime(times, knots, each.dim) for each in self.stream_list)

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=self.settings.initializer_range)
            if isinstance(module, nn.Embedding) and module.padding_idx is not None:
                with torch.no_grad():
                    module.weight[module.padding_idx].fill_(0)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

    # ---- states: H and h of eq. 2 ------------------------------------------------------------

    def events_of(self, interaction: Interaction) -> Events:
        """All input events of the rows."""
        padded = interaction[self.ITEM_SEQ]
        real = padded > 0
        times = interaction[self.TIME_SEQ][real] if len(self.times_before) else None
        return Events(padded[real], Packing.of(real), times)

    def encode(self, events: Events, tables: Tables) -> dict[int, View]:
        """Run every view of some histories through its encoders.

        Args:
            events: of the histories.
            tables: vectors of their items, maybe among others.
        """
        domain = self.item_domain[events.items]
        earlier = [calendar(events.times) for calendar in self.times_before]
        now = [calendar(events.times) for calendar in self.times_behind]
        views = {}
        for view in self.settings.encoded_views:
            keep = torch.ones_like(domain, dtype=torch.bool) if view == MERGED else domain == view
            packing, last = events.packing.view(keep)
            moments = [vectors[keep] for vectors in earlier]
            states = self._encode_view(view, events.items[keep], packing, moments, tables)
            views[view] = View(states, last, now)
        return views

    def _encode_view(
        self, view: int, items: Tensor, packing: Packing, moments: list[Tensor], tables: Tables
    ) -> list[Tensor]:
        encoders = cast(nn.ModuleList, self.encoders[0 if self.settings.share_encoder else view])
        rows = tables.row_of(items)
        states = []
        for m, (stream, table) in enumerate(zip(self.stream_list, tables.vectors, strict=True)):
            vectors = stream.in_history(table.index_select(0, rows), items)
            if moments:
                vectors = vectors + moments[m]
            states.append(encoders[m](vectors, packing))
        return states

    def _to_query(self, state: Tensor) -> Tensor:
        if self.settings.similarity == "cosine":
            state = unit_vectors(state)
        return state / self.log_temperature.exp()

    def _to_key(self, vectors: Tensor) -> Tensor:
        """Candidates' vectors such that query · key is the similarity (eq. 3) over τ."""
        return unit_vectors(vectors) if self.settings.similarity == "cosine" else vectors

    # ---- fusion of the streams (eq. 8) -------------------------------------------------------

    def _fused(self, vectors: list[Tensor], is_query: bool) -> list[Tensor]:
        """Streams as the loss takes them: kept apart for the mixture, joined for the sum.

        A sum of weighted similarities is the dot product of concatenated vectors.
        """
        if not self._adds_scores():
            return vectors
        if is_query:
            weights = self._mixture()
            vectors = [vector * weights[m] for m, vector in enumerate(vectors)]
        return [torch.cat(vectors, dim=-1)]

    def _adds_scores(self) -> bool:
        """Whether the streams' similarities are added: score, and early with tags apart."""
        fusion = self.settings.fusion
        return fusion == "score" or (fusion == "early" and len(self.streams) > 1)

    def _mixture(self) -> Tensor:
        """(M,) the weights of the streams: α, β, 1 - α - β of eq. 8."""
        if self.settings.fusion == "mixture":
            return self.modality_weights.softmax(dim=0)
        return self.modality_weights.exp()

    def _loss_weights(self) -> Tensor:
        if self.settings.fusion == "mixture":
            return self._mixture()
        return torch.ones(1, device=self.device)

    def _present(self, items: Tensor | slice) -> list[Tensor]:
        """For each term of the loss (C,) bool, whether it can score each of ``items``."""
        present = [stream.present[items] for stream in self.stream_list]
        if self.settings.fusion == "mixture" or len(present) == 1:
            return present
        # In a sum an absent vector is zero and adds nothing; only an item with none is unscorable.
        return [torch.stack(present).any(dim=0)]

    # ---- training (eq. 9, 10) ----------------------------------------------------------------

    def calculate_loss(self, interaction: Interaction) -> Tensor:
        """L = λ_X L^X + λ_Y L^Y + λ_M L^{X+Y} over all positions of the rows, a scalar.

        Each L^v is the sum over its targets (eq. 9), divided by the number of targets of the
        merged view, which is the same for all: the weights keep their meaning.
        """
        # Weights are about to change, and a fused optimizer leaves no trace in their versions.
        self._scoring, self._may_keep = None, False
        padded, lengths = interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]
        following = F.pad(padded[:, 1:], (0, 1))
        following.scatter_(1, lengths[:, None] - 1, interaction[self.ITEM_ID][:, None])
        events, targets = self.events_of(interaction), following[padded > 0]

        pools = self._draw_negatives()
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

    def loss_weight(self, interaction: Interaction) -> Tensor:
        """The number of targets over which :meth:`calculate_loss` takes the mean, a scalar."""
        return interaction[self.ITEM_SEQ_LEN].sum()

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
        both = view == MERGED and self.settings.merged_candidates == "all"
        return MERGED if both else domain

    def _draw_negatives(self) -> list[Tensor]:
        """For each range (n,) the item ids that stand for its candidates; none: all of them."""
        if not self.settings.n_negatives:
            return []
        used = 3 if self.settings.merged_candidates == "all" else 2
        number = (self.settings.n_negatives,)
        ranges = self.candidate_ranges[:used]
        return [torch.randint(*bounds, number, device=self.device) for bounds in ranges]

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

    def keys(self, tables: Tables) -> list[Tensor]:
        """The items of ``tables`` as candidates, fused: (U, d) for each term of the loss."""
        keys = []
        for m, (stream, table) in enumerate(zip(self.stream_list, tables.vectors, strict=True)):
            if tables.items is None and stream.fixed:
                if m not in self._fixed_keys or self._fixed_keys[m][0] is not table:
                    self._fixed_keys[m] = (table, self._to_key(table))
                keys.append(self._fixed_keys[m][1])
            else:
                keys.append(self._to_key(table))
        return self._fused(keys, False)

    def _keys_by_range(self, tables: Tables) -> list[list[Tensor]]:
        """For each candidate range what targets and negatives are rows of, fused.

        All candidates of the range, or with a sample the vectors of all items that are needed.
        """
        keys = self.keys(tables)
        if tables.items is not None:
            return [keys] * len(self.candidate_ranges)
        # One split, not slices, of which each would have a whole table for its gradient.
        sizes = [1, *(stop - start for start, stop in self.candidate_ranges[:MERGED])]
        parts = list(zip(*(key.split(sizes) for key in keys), strict=True))
        both = [key[1:] for key in keys] if self.settings.merged_candidates == "all" else []
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
            sample = Negatives(negatives, self.n_present[among])
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
        views = self.encode(self.events_of(interaction), tables)
        start, stop = self.candidate_ranges[domain]
        return self.weighted_scores(
            interaction,
            domain,
            views,
            stop - start,
            lambda queries, among: self._log_probability(queries, keys, domain, among),
        )

    def weighted_scores(
        self,
        interaction: Interaction,
        domain: int,
        views: dict[int, View],
        columns: int,
        log_probability: Callable[[list[Tensor], int], Tensor],
    ) -> Tensor:
        """Σ_v weight_v P^v, or of log P^v, (B, columns).

        ``log_probability`` has log P^v for the queries of a view and its candidate range.
        ``columns`` are items of ``domain``.
        """
        events = interaction[self.ITEM_SEQ_LEN].cumsum(dim=0) - 1
        weights = self.settings.score_view_weights
        if self.settings.view_join == "vectors":
            queries, reached = self._joined(domain, events, views, weights)
            return reached[:, None] * log_probability(queries, domain).exp()
        in_logs = self.settings.view_join == "log_probabilities"
        total = self.log_temperature.new_zeros(len(events), columns)
        for view, weight in zip((domain, 1 - domain, MERGED), weights, strict=True):
            if view in views and weight:
                sees = views[view].last[events] >= 0
                queries = [self._to_query(state) for state in views[view].at(events[sees])]
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

    def full_sort_predict(self, interaction: Interaction) -> Tensor:
        """Scores of all items, (B * (N + 1),): each domain's as if the target lay there.

        Scores of one domain's items are comparable with each other, not with the other domain's.
        """
        parts = [self.domain_scores(interaction, domain) for domain in (X, Y)]
        padding = parts[0].new_full((len(parts[0]), 1), -torch.inf)
        return torch.cat([padding, *parts], dim=1).flatten()

    def predict(self, interaction: Interaction) -> Tensor:
        """The score of each row's ``item_id``, (B,)."""
        scores = self.full_sort_predict(interaction).view(len(interaction), -1)
        return scores.gather(1, interaction[self.ITEM_ID][:, None]).squeeze(1)

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
