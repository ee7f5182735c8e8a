"""MIFN: mixed information flow network for cross-domain sequential recommendation."""

from dataclasses import dataclass

import torch
from recbole.config import Config
from recbole.data.interaction import Interaction
from torch import Tensor, nn

from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.models.behaviour import BehaviourTransfer
from recbole_tema.models.faster import Dropout
from recbole_tema.models.knowledge import GraphDecoder, ItemParts, KnowledgeTransfer, subgraphs
from recbole_tema.models.layers import GRU, Packing
from recbole_tema.models.losses import log_probability_of_targets
from recbole_tema.models.query import Candidates, QueryRecommender
from recbole_tema.models.settings import at_least, choice
from recbole_tema.models.views import MERGED, Events, X, Y, seen


@dataclass(frozen=True)
class Flow:
    """The flow of behaviour in some histories.

    Attributes:
        events: of the histories.
        states: h_X and h_Y, and
        transferred: h_{X→Y} and h_{Y→X}: each (T_D, d), at the domain's own events.
        last: (T,) of each domain, the domain's latest of its events at each event; -1 for none.
        vectors: (U, d) of the histories' items and of those around them, by their ids, and what
            the knowledge transfer makes of each.
        rows: (N + 1,) each of these items' row in them.
    """

    events: Events
    states: list[Tensor]
    transferred: list[Tensor]
    last: list[Tensor]
    vectors: ItemParts
    rows: Tensor

    def state(self, domain: int, at: Tensor) -> Tensor:
        """(P, d) h of the domain at the events ``at`` (P,)."""
        return seen(self.states[domain], self.last[domain][at])

    def told_by(self, domain: int, at: Tensor) -> Tensor:
        """(P, d) what the domain has told the other one at the events ``at`` (P,)."""
        return seen(self.transferred[domain], self.last[domain][at])


@dataclass(frozen=True)
class GraphMode:
    """What the graph says of the next item of a domain, see :class:`GraphDecoder`.

    ``nodes`` (P, W) item ids, ``log_p`` (P, W), ``log_graph`` (P,), ``log_sequence`` (P,).
    """

    nodes: Tensor
    log_p: Tensor
    log_graph: Tensor
    log_sequence: Tensor

    def of(self, items: Tensor) -> Tensor:
        """(P,) log P(item | M_g) of an item (P,) for each position, -inf if it is no node."""
        found = (self.nodes == items[:, None]) & (self.log_p > -torch.inf)
        position, node = found.nonzero(as_tuple=True)
        log_p = self.log_p.new_full((len(items),), -torch.inf)
        return log_p.index_put((position,), self.log_p[position, node])


class MIFN(QueryRecommender):
    """Flows of behaviour and of knowledge (Ma et al., TKDD 2022, arXiv 2012.00485).

    A GRU reads the events of each domain; the behaviour transfer unit tells the other domain what
    of them is worth knowing. The knowledge transfer unit sends messages along a graph of the items
    around the history. The next item comes from the sequence (M_s), by the softmax of the domain's
    state and what it was told, or from the graph (M_g), where it is one of the nodes:

        P(i) = P(M_s) P(i | M_s) + P(M_g) P(i | M_g)

    Other than in the paper: every position of a history is trained, so each has a graph, of its
    latest items and their nearest neighbours instead of up to 200 nodes, and no random nodes where
    there are fewer. The relations are those of the data set's graph. P(i | M_s) has the item
    vectors for its weights, as all our systems, and not a matrix of its own. In the knowledge
    transfer unit two matrices with nothing between them are one, and biases do not count the edges.

    Args:
        config: see ``properties/model/MIFN.yaml``.
        dataset: domains, the graph of the items.

    Raises:
        ValueError: a setting is wrong, or the data set has no graph.
    """

    reads_files = ("graph",)
    neighbours: Tensor
    kinds: Tensor

    def __init__(self, config: Config, dataset: CrossDomainDataset) -> None:
        super().__init__(config, dataset)
        dim = int(at_least(config, "embedding_size", 1))
        self.n_latest = int(at_least(config, "graph_items", 1))
        n_neighbours = int(at_least(config, "graph_neighbours", 1))
        self.switch_weight = float(at_least(config, "switch_weight", 0))
        choice(config, "loss_implementation", ("plain",))
        graph = dataset.graph()
        if graph is None:
            raise ValueError(
                f"{dataset.files.graph}: no such file, and MIFN reads a graph of the items; make "
                f"it with: recbole-tema-data graph {dataset.files.folder}"
            )
        neighbours, kinds = graph.nearest(self.item_domain, n_neighbours)
        self.register_buffer("neighbours", neighbours, persistent=False)
        self.register_buffer("kinds", kinds, persistent=False)

        self.dropout = Dropout(float(at_least(config, "hidden_dropout_prob", 0)))
        self.items = nn.Embedding(self.n_items, dim, padding_idx=0)
        # Of the domains X and Y.
        self.encoders = nn.ModuleList(GRU(dim) for _ in range(2))
        self.transfer = nn.ModuleList(BehaviourTransfer(dim) for _ in range(2))
        self.joins = nn.ModuleList(nn.Linear(2 * dim, dim) for _ in range(2))
        self.decoders = nn.ModuleList(GraphDecoder(dim) for _ in range(2))
        self.knowledge = KnowledgeTransfer(dim, len(graph.relations))
        std = float(config["initializer_range"])
        with torch.no_grad():
            self.items.weight[1:].normal_(std=std)

    @property
    def item_vectors(self) -> Tensor:
        return self.items.weight

    def encode(self, interaction: Interaction, events: Events, at: Tensor | None = None) -> Flow:
        """h and h_→ of both domains.

        ``at`` (P,) are the events whose graphs will be asked for; None: any.
        """
        latest = events.items if at is None else self._latest(events, at).flatten()
        known = torch.cat([events.items, latest, self.neighbours[latest].flatten()]).unique()
        rows = torch.zeros_like(self.item_domain)
        rows[known] = torch.arange(len(known), device=known.device)
        # One look at the table: each would make a gradient as large as it.
        table = self.items(known)
        vectors = self.dropout(table.index_select(0, rows[events.items]))
        of = self.item_domain[events.items]
        own = [(of == domain).nonzero().squeeze(1) for domain in (X, Y)]
        views = [events.packing.view(of == domain) for domain in (X, Y)]
        packings, lasts = (list(each) for each in zip(*views, strict=True))
        states = [
            encoder(vectors.index_select(0, at), packing)
            for encoder, at, packing in zip(self.encoders, own, packings, strict=True)
        ]
        transferred = [
            transfer(states[domain], seen(states[1 - domain], lasts[1 - domain][at]), packing)
            for transfer, domain, at, packing in zip(
                self.transfer, (X, Y), own, packings, strict=True
            )
        ]
        return Flow(events, states, transferred, lasts, self.knowledge.of_items(table), rows)

    def queries(self, states: Flow, domain: int, at: Tensor) -> Tensor:
        """W [h_D; h_{D'→D}] + b, for P(i | M_s)."""
        joined = torch.cat([states.state(domain, at), states.told_by(1 - domain, at)], dim=1)
        return self.joins[domain](self.dropout(joined))

    def graph_mode(self, flow: Flow, domain: int, at: Tensor) -> GraphMode:
        """What the graph around the history says at the events ``at`` (P,)."""
        graph = subgraphs(self._latest(flow.events, at), self.neighbours, self.kinds)
        of_nodes = self.item_domain[graph.nodes]
        # h and h' are those of the latest event, in whichever domain it lies.
        own = self.item_domain[flow.events.items[at]]
        states, told = (
            torch.where(own[:, None] == X, of(X, at), of(Y, at))
            for of in (flow.state, flow.told_by)
        )
        real = graph.nodes > 0
        sides = of_nodes == own[:, None], real & (of_nodes != own[:, None])
        # Only what the decoder reads is computed.
        wanted = of_nodes == domain
        packing = Packing.of(wanted)
        nodes = self.knowledge(
            flow.vectors, flow.rows[graph.nodes], graph, (states, told), sides, wanted
        )
        decoded = self.decoders[domain](
            flow.state(domain, at), flow.told_by(1 - domain, at), nodes, packing
        )
        ids = packing.pad(graph.nodes[wanted].unsqueeze(1)).squeeze(2)
        return GraphMode(ids, *decoded)

    def domain_loss(
        self,
        states: Flow,
        domain: int,
        at: Tensor,
        targets: Tensor,
        candidates: Candidates,
        weights: Tensor,
    ) -> Tensor:
        """-log P(target), and -log P(M_s) once more where the target is no node (L_M)."""
        graph = self.graph_mode(states, domain, at)
        of_sequence = log_probability_of_targets(
            [self.queries(states, domain, at) / self.temperature],
            [candidates.vectors],
            candidates.targets,
            candidates.vectors.new_ones(1),
            negatives=candidates.negatives,
        )
        of_graph = graph.of(targets[at])
        log_p = torch.logaddexp(graph.log_sequence + of_sequence, graph.log_graph + of_graph)
        switch = graph.log_sequence * (of_graph == -torch.inf)
        return -(weights * (log_p + self.switch_weight * switch)).sum()

    def domain_scores(self, interaction: Interaction, domain: int) -> Tensor:
        """(B, items of the domain) log P(i)."""
        events = self.events_of(interaction)
        at = events.packing.latest
        flow = self.encode(interaction, events, at)
        among = self.candidate_ranges[MERGED if self.among_all else domain]
        queries = self.queries(flow, domain, at) / self.temperature
        log_p = (queries @ self.item_vectors[slice(*among)].T).log_softmax(dim=1)
        start, stop = self.candidate_ranges[domain]
        graph = self.graph_mode(flow, domain, at)
        scores = graph.log_sequence[:, None] + log_p[:, start - among[0] : stop - among[0]]
        position, node = (graph.log_p > -torch.inf).nonzero(as_tuple=True)
        cells = position, graph.nodes[position, node] - start
        of_graph = graph.log_graph[position] + graph.log_p[position, node]
        return scores.index_put(cells, torch.logaddexp(scores[cells], of_graph))

    def _latest(self, events: Events, at: Tensor) -> Tensor:
        """(P, n) the items of the latest n events up to each of ``at`` (P,); 0 for none."""
        back = torch.arange(self.n_latest, device=at.device)
        real = events.packing.position[at][:, None] >= back
        return torch.where(real, events.items[(at[:, None] - back).clamp(min=0)], 0)
