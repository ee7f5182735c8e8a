"""Models with one vector an item and one query for each target domain."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from recbole.config import Config
from recbole.data.interaction import Interaction
from torch import Tensor

from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.models.cross_domain import CrossDomainRecommender
from recbole_tema.models.losses import IMPLEMENTATIONS, Negatives, mixture_cross_entropy
from recbole_tema.models.settings import at_least, choice, sample_size
from recbole_tema.models.views import MERGED, Events, X, Y

CANDIDATES = ("domain", "all")


@dataclass(frozen=True)
class Candidates:
    """What the targets of some positions are to be told from.

    Attributes:
        vectors: (U, d) of items.
        targets: (P,) each position's target, as a row of them.
        negatives: the sample to compare with; None: all of them.
    """

    vectors: Tensor
    targets: Tensor
    negatives: Negatives | None


LossOf = Callable[[int, Tensor, Candidates, Tensor], Tensor]
"""Σ weight · loss, a scalar, of a domain's positions (P,), their candidates and weights (P,)."""


class QueryRecommender(CrossDomainRecommender):
    """Base of the other systems: the score of item i is query · e_i / τ.

    A subclass has item vectors (:attr:`item_vectors`), turns histories into states (:meth:`encode`)
    and states into queries for the items of a domain (:meth:`queries`). The loss is a softmax over
    the items of the target's domain, or over all items, whole or sampled, as for our own models.

    Args:
        config: ``n_negatives``, ``temperature``, ``loss_candidates`` and ``loss_implementation``
            are read here.
        dataset: domains.
    """

    def __init__(self, config: Config, dataset: CrossDomainDataset) -> None:
        super().__init__(config, dataset)
        self.temperature = float(at_least(config, "temperature", 1e-6))
        self.among_all = choice(config, "loss_candidates", CANDIDATES) == "all"
        self.implementation = choice(config, "loss_implementation", IMPLEMENTATIONS)
        self.n_negatives = sample_size(config, max(map(len, self.compared_items())))

    @property
    def item_vectors(self) -> Tensor:
        """(N + 1, d) e_i of all items; row 0 is padding."""
        raise NotImplementedError

    def encode(self, interaction: Interaction, events: Events) -> Any:
        """What :meth:`queries` needs of the rows, whose input events are ``events``."""
        raise NotImplementedError

    def queries(self, states: Any, domain: int, at: Tensor) -> Tensor:
        """(P, d) what follows each of the events ``at`` (P,), if it is of ``domain``."""
        raise NotImplementedError

    def target_weights(self, events: Events, domains: Tensor) -> Tensor:
        """(T,) weight of each position's loss; ``domains`` (T,) are those of the targets.

        One each, unless a system has it otherwise.
        """
        return torch.ones(len(domains), device=domains.device)

    def auxiliary_loss(
        self, interaction: Interaction, events: Events, targets: Tensor, states: Any
    ) -> Tensor:
        """What a system adds to the loss of its targets (T,), a scalar; nothing unless it has it.

        It is added as it is: not divided by :meth:`loss_weight`.
        """
        return torch.zeros((), device=targets.device)

    def calculate_loss(self, interaction: Interaction) -> Tensor:
        """Σ weight · -log P(target) of all positions, divided by :meth:`loss_weight`, a scalar.

        To this comes :meth:`auxiliary_loss`.
        """
        events, targets = self.events_of(interaction), self.targets_of(interaction)
        pools = self.draw_negatives()
        states = self.encode(interaction, events)
        loss = self.sum_over_domains(
            events,
            targets,
            pools,
            lambda domain, at, candidates, weights: self.domain_loss(
                states, domain, at, targets, candidates, weights
            ),
        )
        loss = loss / self.loss_weight(interaction)
        return loss + self.auxiliary_loss(interaction, events, targets, states)

    def domain_loss(
        self,
        states: Any,
        domain: int,
        at: Tensor,
        targets: Tensor,
        candidates: Candidates,
        weights: Tensor,
    ) -> Tensor:
        """Σ weight · -log P(target) of the positions ``at`` (P,), a scalar.

        Args:
            states: of :meth:`encode`.
            domain: of all their targets.
            at: (P,) events.
            targets: (T,) the item that follows each event.
            candidates: of the positions' targets.
            weights: (P,) of the positions.
        """
        return self.cross_entropy(self.queries(states, domain, at), candidates, weights)

    def cross_entropy(self, queries: Tensor, candidates: Candidates, weights: Tensor) -> Tensor:
        """Σ weight · -log P(target) for queries (P, d), a scalar."""
        return mixture_cross_entropy(
            [queries / self.temperature],
            [candidates.vectors],
            candidates.targets,
            candidates.vectors.new_ones(1),
            None,
            candidates.negatives,
            weights,
            self.implementation,
        )

    def sum_over_domains(
        self, events: Events, targets: Tensor, pools: list[Tensor], loss_of: LossOf
    ) -> Tensor:
        """``loss_of`` the positions whose targets (T,) lie in X, plus that of those in Y.

        ``pools``: of :meth:`draw_negatives`.
        """
        table, rows = self._table(targets, pools)
        compared = self.compared_items()
        domains = self.item_domain[targets]
        weights = self.target_weights(events, domains)
        loss = table.new_zeros(())
        for domain in (X, Y):
            at = (domains == domain).nonzero().squeeze(1)
            among = MERGED if self.among_all else domain
            start, stop = self.candidate_ranges[among]
            candidates = Candidates(table[start:stop], targets[at] - start, None)
            if pools:
                sample = Negatives(rows[pools[among]], [len(compared[among])])
                candidates = Candidates(table, rows[targets[at]], sample)
            loss = loss + loss_of(domain, at, candidates, weights[at])
        return loss

    def domain_scores(self, interaction: Interaction, domain: int) -> Tensor:
        """(B, items of the domain) query · e_i / τ."""
        events = self.events_of(interaction)
        states = self.encode(interaction, events)
        query = self.queries(states, domain, events.packing.latest)
        start, stop = self.candidate_ranges[domain]
        return query @ self.item_vectors[start:stop].T / self.temperature

    def _table(self, targets: Tensor, pools: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Vectors of the items that the loss needs (U, d), and each item's row in them (N + 1,)."""
        if not pools:
            return self.item_vectors, torch.arange(self.n_items, device=self.device)
        needed = torch.cat([targets, *pools]).unique()
        rows = torch.zeros(self.n_items, dtype=torch.long, device=self.device)
        rows[needed] = torch.arange(len(needed), device=self.device)
        return self.item_vectors.index_select(0, needed), rows
