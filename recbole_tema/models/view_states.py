"""Three views of a history in several modalities: their states, and candidates to compare with."""

from collections.abc import Iterable
from functools import partial
from typing import cast

import torch
from recbole.config import Config
from torch import Tensor, nn

from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.data.sequences import Floats
from recbole_tema.models.calendar import CalendarTime
from recbole_tema.models.cross_domain import CrossDomainRecommender
from recbole_tema.models.items import IdModality, Modality, Stream, TagModality
from recbole_tema.models.layers import Packing, init_weights
from recbole_tema.models.settings import ModelSettings
from recbole_tema.models.similarity import unit_vectors
from recbole_tema.models.views import MERGED, Events, Tables, View


class ViewStates(CrossDomainRecommender):
    """The parts of LLM-EMF and TEMA-LLM up to the similarity (eq. 1-4) and its fusion (eq. 8).

    A subclass builds the streams (:meth:`build_streams`): one for each modality, or a single one
    for their sum. Each view of a history runs through an encoder per stream.

    Args:
        config: see ``properties/model/LLMEMF.yaml`` for every key.
        dataset: domains and item features.
    """

    has_sliced_items = False
    """Whether each process has a slice of the item tables (:mod:`recbole_tema.models.sharding`)."""

    def __init__(self, config: Config, dataset: CrossDomainDataset) -> None:
        super().__init__(config, dataset)
        self.settings = settings = ModelSettings.from_config(config)
        streams = self.build_streams(config, dataset)
        self.streams = nn.ModuleDict(streams)
        if not settings.untrained_negatives:
            self._spare_untrained_items(dataset)
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
        self.reads_times = times is not None
        if settings.torch_compile:
            for encoders in self.encoders:
                for encoder in cast(nn.ModuleList, encoders):
                    encoder.compile(backend=settings.torch_compile, dynamic=True)
        # Of all items of each range, how many each term of the loss can score.
        self.n_present = [
            [int(present.sum()) for present in self._present(slice(start, stop))]
            for start, stop in self.candidate_ranges
        ]
        self.apply(partial(init_weights, std=settings.initializer_range))
        for module in self.modules():
            if isinstance(module, TagModality):
                module.load_tag_vectors()
        # Keys that never change, made once.
        self._fixed_keys: dict[int, tuple[Tensor, Tensor]] = {}

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

    def _spare_untrained_items(self, dataset: CrossDomainDataset) -> None:
        """Tell targets from no item that training lacks and that has more than an id."""
        described = torch.zeros(self.n_items, dtype=torch.bool)
        for stream in self.stream_list:
            for each in [*stream.members, *filter(None, [stream.gate])]:
                if not isinstance(each, IdModality):
                    described |= each.present
        compared = ~described
        compared[dataset.trained_items()] = True
        for start, stop in dataset.domain_ranges:
            if not compared[start:stop].any():
                # A domain that training lacks has no targets: any of its items will do.
                compared[start:stop] = True
        self.compare_with(compared[1:].nonzero().squeeze(1) + 1)

    def _calendars(self, times: Floats | None) -> nn.ModuleList:
        """One calendar a stream; none where they are switched off or the data has no times."""
        if times is None:
            return nn.ModuleList()
        knots = self.settings.time_knots
        return nn.ModuleList(CalendarTime(times, knots, each.dim) for each in self.stream_list)

    # ---- states: H and h of eq. 2 ------------------------------------------------------------

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
