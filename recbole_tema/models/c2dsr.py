"""C2DSR: contrastive cross-domain sequential recommendation."""

from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class Encoded:
    """What some histories have become.

    Attributes:
        views: H^X, H^Y and H.
        vectors: (T, d) of the items of the merged view, spread over its graph.
    """

    views: dict[int, View]
    vectors: Tensor


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

    def encode(self, interaction: Interaction, events: Events) -> Encoded:
        """H^X, H^Y and H."""
        vectors = self.own_graph(self.own_items.weight, events.items)
        domains = self.item_domain[events.items]
        views = {}
        for view in (X, Y):
            at = (domains == view).nonzero().squeeze(1)
            packing, last = events.packing.view(domains == view)
            own = self.encoders[view](vectors.index_select(0, at), packing)
            views[view] = View([own], last, [])
        vectors = self.merged_graph(self.merged_items.weight, events.items)
        merged = self.encoders[MERGED](vectors, events.packing)
        views[MERGED] = View([merged], torch.arange(len(merged), device=merged.device), [])
        return Encoded(views, vectors)

    def queries(self, states: Encoded, domain: int, at: Tensor) -> Tensor:
        """h_t + h^D_t, with zero for h^D before the first event in the domain."""
        own = states.views[domain]
        return states.views[MERGED].at(at)[0] + seen(own.states[0], own.last[at])

    def target_weights(self, events: Events, domains: Tensor) -> Tensor:
        """λ: of the prediction's losses, beside 1 - λ of the infomax."""
        return self.outputs.weight.new_full((len(domains),), self.prediction_weight)

    def domain_loss(
        self,
        states: Encoded,
        domain: int,
        at: Tensor,
        targets: Tensor,
        candidates: Candidates,
        weights: Tensor,
    ) -> Tensor:
        """Σ λ · -log P(target), from the sum of the views and from the merged view alone."""
        queries = [self.queries(states, domain, at), states.views[MERGED].at(at)[0]]
        twice = replace(candidates, targets=candidates.targets.repeat(2))
        return self.cross_entropy(torch.cat(queries), twice, weights.repeat(2))

    def auxiliary_loss(
        self, interaction: Interaction, events: Events, targets: Tensor, states: Encoded
    ) -> Tensor:
        """(1 - λ) · infomax of both domains."""
        return (1 - self.prediction_weight) * self.infomax(events, states)

    def infomax(self, events: Events, states: Encoded) -> Tensor:
        """Σ over domains of the mean over histories of -log D(r, z) - log(1 - D(r, ẑ)), a scalar.

        r is the mean of H^D, z that of H at the other domain's items, ẑ likewise where the items of
        D were random ones.
        """
        row, n_rows = events.packing.row, events.packing.n_rows
        domains = self.item_domain[events.items]
        of = [(domains == each).nonzero().squeeze(1) for each in (X, Y)]
        counts = [torch.bincount(row[at], minlength=n_rows) for at in of]
        both = (counts[X] > 0) & (counts[Y] > 0)

        def mean(states: Tensor, at: Tensor, domain: int) -> Tensor:
            """(R, d) of a domain's ``states`` at its events, for the histories that have both."""
            total = states.new_zeros(n_rows, states.shape[1]).index_add(0, row[at], states)
            return total[both] / counts[domain][both][:, None]

        merged = states.views[MERGED].states[0]
        changed = self._changed(events, states.vectors, both)
        loss = merged.new_zeros(())
        for domain, other in ((X, Y), (Y, X)):
            own = mean(states.views[domain].states[0], of[domain], domain)
            true = mean(merged.index_select(0, of[other]), of[other], other)
            false = mean(*changed[domain], other)
            for told, sign in ((true, 1), (false, -1)):
                loss = loss - F.logsigmoid(sign * self.discriminators[domain](own, told)).sum()
        return loss / both.sum().clamp(min=1)

    def _changed(
        self, events: Events, vectors: Tensor, both: Tensor
    ) -> list[tuple[Tensor, Tensor]]:
        """For each domain Ĥ, where its items were random ones, at the other's events, and these.

        Only of the histories that have ``both`` (B,) domains. These end with the other domain's
        last item here, as none of its states sees what comes behind, unless positions count from
        the end.
        """
        packing, domains = events.packing, self.item_domain[events.items]
        row, position = packing.row, packing.position
        # An item is replaced in one of the two; where it is not, its vector is there already.
        drawn = self.corrupted(events.items)
        replaced = self.merged_graph(
            self.merged_items.weight, drawn[X].where(domains == X, drawn[Y])
        )
        inputs, kept, wanted = [], [], []
        for domain, other in ((X, Y), (Y, X)):
            latest = row.new_full((packing.n_rows,), -1).scatter_reduce(
                0, row, position.where(domains == other, -1), "amax"
            )
            needed = (position <= latest[row]) | bool(self.encoders[MERGED].from_end)
            at = (both[row] & needed).nonzero().squeeze(1)
            inputs.append(replaced.where((domains == domain)[:, None], vectors).index_select(0, at))
            kept.append(at)
            wanted.append((domains[at] == other).nonzero().squeeze(1))
        twice = Packing(
            torch.cat([row[kept[X]], row[kept[Y]] + packing.n_rows]),
            position[torch.cat(kept)],
            2 * packing.n_rows,
        )
        states = self.encoders[MERGED](torch.cat(inputs), twice).split([len(at) for at in kept])
        return [
            (each.index_select(0, these), at[these])
            for each, at, these in zip(states, kept, wanted, strict=True)
        ]

    def corrupted(self, items: Tensor) -> Tensor:
        """(2, T) the items with those of X, and with those of Y, replaced by random ones of it."""
        domains = self.item_domain[items]
        drawn = [
            torch.randint(*self.candidate_ranges[domain], items.shape, device=items.device)
            for domain in (X, Y)
        ]
        return torch.stack([drawn[each].where(domains == each, items) for each in (X, Y)])
