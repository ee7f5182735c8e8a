"""C2DSR: contrastive cross-domain sequential recommendation."""

from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from recbole.config import Config
from recbole.data.interaction import Interaction
from torch import Tensor, nn

from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.models.layers import Packing, init_weights
from recbole_tema.models.query import Candidates, QueryRecommender
from recbole_tema.models.settings import at_least, sequence_encoder
from recbole_tema.models.transitions import TransitionGraph, transitions
from recbole_tema.models.views import MERGED, Events, View, X, Y, seen


class C2DSR(QueryRecommender):
    """Graph and attention encoders of three views, and an infomax (Cao et al., CIKM 2022).

    Each view has its own item vectors E^X, E^Y, E, spread over the graph of its transitions, and
    its own attention encoder. The items of a domain have output vectors W^X, W^Y. A target is
    predicted from the merged view alone and from its sum with the view of the target's domain;
    scores are the latter's. The infomax lets a discriminator tell, from what a domain's own view
    says, whether the merged view's states at the other domain's items had seen this domain's true
    items or random ones.

    The graphs hold the transitions of the training histories, those that are being trained on
    among them, as the paper has it: in training the vector of an item has a part of its follower's.

    Deviations: the blocks are those of our own models, with the norm behind and GELU; a target is
    predicted from the merged state just before it, as in scoring, where the public code takes the
    one of the domain's last item; the softmax has no bias and no class for padding; no dropout and
    no bias in the graph. Histories without items of both domains do not count for the infomax.

    Args:
        config: see ``properties/model/C2DSR.yaml``.
        dataset: domains and training histories.
    """

    def __init__(self, config: Config, dataset: CrossDomainDataset) -> None:
        super().__init__(config, dataset)
        dim = int(at_least(config, "embedding_size", 1))
        self.prediction_weight = float(at_least(config, "prediction_weight", 0))
        if self.prediction_weight > 1:
            raise ValueError(
                f"prediction_weight: expected a number from 0 to 1, got {self.prediction_weight}"
            )
        n_graph_layers = int(at_least(config, "n_graph_layers", 0))

        self.own_items = nn.Embedding(self.n_items, dim, padding_idx=0)  # E^X and E^Y
        self.merged_items = nn.Embedding(self.n_items, dim, padding_idx=0)  # E
        self.outputs = nn.Embedding(self.n_items, dim, padding_idx=0)  # W^X and W^Y
        histories = dataset.split()[0]
        of_domain = [self.item_domain.cpu().numpy() == domain for domain in (X, Y)]
        # A^X and A^Y in one matrix: no edge leads from the one domain to the other.
        self.own_graph = TransitionGraph(
            transitions(histories, of_domain), self.n_items, n_graph_layers
        )
        self.merged_graph = TransitionGraph(
            transitions(histories, [None]), self.n_items, n_graph_layers
        )
        # Of the views X, Y and X+Y.
        self.encoders = nn.ModuleList(sequence_encoder(config, dim) for _ in range(3))
        self.discriminators = nn.ModuleList(nn.Bilinear(dim, dim, 1) for _ in range(2))

        self.apply(partial(init_weights, std=float(config["initializer_range"])))
        for module in self.modules():
            if isinstance(module, nn.Bilinear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    @property
    def item_vectors(self) -> Tensor:
        return self.outputs.weight

    def encode(self, interaction: Interaction, events: Events) -> dict[int, View]:
        """H^X, H^Y and H."""
        vectors = self.own_graph(self.own_items.weight, events.items)
        domains = self.item_domain[events.items]
        views = {}
        for view in (X, Y):
            packing, last = events.packing.view(domains == view)
            views[view] = View([self.encoders[view](vectors[domains == view], packing)], last, [])
        merged = self._merged(events.items, events.packing)
        views[MERGED] = View([merged], torch.arange(len(merged), device=merged.device), [])
        return views

    def _merged(self, items: Tensor, packing: Packing) -> Tensor:
        """(T, d) H of the merged view of some histories."""
        vectors = self.merged_graph(self.merged_items.weight, items)
        return self.encoders[MERGED](vectors, packing)

    def queries(self, states: dict[int, View], domain: int, at: Tensor) -> Tensor:
        """h_t + h^D_t, with zero for h^D before the first event in the domain."""
        own = states[domain]
        return states[MERGED].at(at)[0] + seen(own.states[0], own.last[at])

    def target_weights(self, events: Events, domains: Tensor) -> Tensor:
        """λ: of the prediction's losses, beside 1 - λ of the infomax."""
        return self.outputs.weight.new_full((len(domains),), self.prediction_weight)

    def domain_loss(
        self,
        states: dict[int, View],
        domain: int,
        at: Tensor,
        targets: Tensor,
        candidates: Candidates,
        weights: Tensor,
    ) -> Tensor:
        """λ · (prediction from the sum of the views + prediction from the merged view alone)."""
        queries = [self.queries(states, domain, at), states[MERGED].at(at)[0]]
        twice = replace(candidates, targets=candidates.targets.repeat(2))
        return self.cross_entropy(torch.cat(queries), twice, weights.repeat(2))

    def auxiliary_loss(
        self,
        interaction: Interaction,
        events: Events,
        targets: Tensor,
        states: dict[int, View],
    ) -> Tensor:
        """(1 - λ) · infomax of both domains."""
        return (1 - self.prediction_weight) * self.infomax(events, states)

    def infomax(self, events: Events, states: dict[int, View]) -> Tensor:
        """Σ over domains of the mean over histories of -log D(r, z) - log(1 - D(r, ẑ)), a scalar.

        r is the mean of H^D, z that of H at the other domain's items, ẑ likewise where the items of
        D were random ones.
        """
        row, n_rows = events.packing.row, events.packing.n_rows
        domains = self.item_domain[events.items]
        of = [domains == each for each in (X, Y)]
        counts = [torch.bincount(row[kept], minlength=n_rows) for kept in of]
        both = (counts[X] > 0) & (counts[Y] > 0)
        changed = self._changed(events, both)

        def mean(states: Tensor, rows: Tensor, domain: int) -> Tensor:
            """(R, d) of the states of a domain's items, for the histories that have both."""
            total = states.new_zeros(n_rows, states.shape[1]).index_add(0, rows, states)
            return total[both] / counts[domain][both][:, None]

        merged = states[MERGED].states[0]
        loss = merged.new_zeros(())
        for domain, other in ((X, Y), (Y, X)):
            own = mean(states[domain].states[0], row[of[domain]], domain)
            true = mean(merged[of[other]], row[of[other]], other)
            for told, sign in ((true, 1), (mean(*changed[domain], other), -1)):
                loss = loss - F.logsigmoid(sign * self.discriminators[domain](own, told)).sum()
        return loss / both.sum().clamp(min=1)

    def _changed(self, events: Events, both: Tensor) -> list[tuple[Tensor, Tensor]]:
        """For each domain H at the other's items where its own were random ones, and their rows.

        Only of the histories that have ``both`` (B,) domains, and these end with the other domain's
        last item here: none of its states sees what comes behind.
        """
        packing, domains = events.packing, self.item_domain[events.items]
        row, position = packing.row, packing.position
        parts, wanted = [], []
        for domain, items in zip((X, Y), self.corrupted(events.items), strict=True):
            others = domains == 1 - domain
            latest = row.new_full((packing.n_rows,), -1)
            latest.scatter_reduce_(0, row[others], position[others], "amax")
            kept = both[row] & (position <= latest[row])
            parts.append((items[kept], row[kept] + domain * packing.n_rows, position[kept]))
            wanted.append(others[kept])
        items, rows, positions = map(torch.cat, zip(*parts, strict=True))
        changed = self._merged(items, Packing(rows, positions, 2 * packing.n_rows))
        at = torch.cat(wanted).nonzero().squeeze(1)
        sizes = [int(each.sum()) for each in wanted]
        return list(
            zip(
                changed.index_select(0, at).split(sizes),
                (rows % packing.n_rows)[at].split(sizes),
                strict=True,
            )
        )

    def corrupted(self, items: Tensor) -> Tensor:
        """(2, T) the items with those of X, and with those of Y, replaced by random ones of it."""
        domains = self.item_domain[items]
        drawn = [
            torch.randint(*self.candidate_ranges[domain], items.shape, device=items.device)
            for domain in (X, Y)
        ]
        return torch.stack([drawn[each].where(domains == each, items) for each in (X, Y)])
