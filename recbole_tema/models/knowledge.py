"""The flow of knowledge of MIFN: a graph network over the items around a history."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recbole_tema.models.layers import Packing
from recbole_tema.models.recurrence import gru_cell


@dataclass(frozen=True)
class Subgraphs:
    """For each position the items around it and what joins them.

    Attributes:
        nodes: (P, V) item ids, none twice at a position; 0 where there are fewer.
        relation: (E,) of each edge, ascending, and
        ends, starts: (E,) its nodes, as numbers in the flat nodes, the ends ascending for each
            relation. An edge holds both ways; by each relation a node is joined with itself.
        n_relations: R.
    """

    nodes: Tensor
    relation: Tensor
    ends: Tensor
    starts: Tensor
    n_relations: int

    def edges(self, ends: Tensor, starts: Tensor) -> list[tuple[Tensor, Tensor]]:
        """For each relation the edges to the nodes of one mask (P, V) from those of another.

        Returns:
            numbers of their ends and starts among the nodes of the masks, the ends ascending.
        """
        ends, starts = ends.flatten(), starts.flatten()
        kept = (ends[self.ends] & starts[self.starts]).nonzero().squeeze(1)
        counts = torch.bincount(self.relation[kept], minlength=self.n_relations).tolist()
        numbers = (
            (mask.cumsum(dim=0) - 1)[nodes[kept]].split(counts)
            for mask, nodes in ((ends, self.ends), (starts, self.starts))
        )
        return list(zip(*numbers, strict=True))


def subgraphs(latest: Tensor, neighbours: Tensor, kinds: Tensor) -> Subgraphs:
    """The latest items of each position, their neighbours, and the edges between these and those.

    An edge holds both ways. Items that follow each other are joined by every relation.

    Args:
        latest: (P, n) item ids, the latest first; 0 where there are fewer.
        neighbours: (N + 1, k) item ids, 0 where there are fewer.
        kinds: (N + 1, k, R) bool, the relations by which they are neighbours.
    """
    around = torch.cat([latest[:, :, None], neighbours[latest]], dim=2)  # (P, n, 1 + k)
    items = around.flatten(1)

    # Copies of an item stand side by side once sorted; the first of them is the node.
    ordered, order = items.sort(dim=1)
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    place = torch.arange(items.shape[1], device=items.device).expand_as(items)
    node_of_ordered = torch.where(first, place, 0).cummax(dim=1).values
    node = torch.empty_like(items).scatter_(1, order, node_of_ordered).view_as(around)
    nodes = torch.where(first, ordered, 0)

    n_positions, n_nodes = nodes.shape
    shape = kinds.shape[2], n_positions, n_nodes, n_nodes
    joined = torch.zeros(shape, dtype=torch.bool, device=items.device)
    joined.diagonal(dim1=2, dim2=3).fill_(True)
    position, at, which, relation = kinds[latest].nonzero(as_tuple=True)
    ends = node[position, at, 0], node[position, at, 1 + which]
    for a, b in (ends, ends[::-1]):
        joined[relation, position, a, b] = True
    position, at = (latest[:, 1:] > 0).nonzero(as_tuple=True)
    ends = node[position, at, 0], node[position, at + 1, 0]
    for a, b in (ends, ends[::-1]):
        joined[:, position, a, b] = True
    relation, position, end, start = joined.nonzero(as_tuple=True)
    first = position * n_nodes
    return Subgraphs(nodes, relation, first + end, first + start, len(joined))


class Attention(nn.Module):
    """Scores v · tanh(W_h h + W_e e) of nodes e for a state h."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.state = nn.Linear(dim, dim)
        self.node = nn.Linear(dim, dim, bias=False)
        self.score = nn.Linear(dim, 1, bias=False)

    def forward(self, state: Tensor, keys: Tensor, packing: Packing) -> Tensor:
        """(P, W) scores, with the lowest number there is behind those of each position.

        Args:
            state: (P, d).
            keys: (M, d) W_e e of the nodes, and
            packing: which of them stand at which position.
        """
        of_states = self.state(state).index_select(0, packing.row)
        scores = packing.pad(self.score(torch.tanh(of_states + keys))).squeeze(2)
        # Not -inf: a softmax over no node at all would be NaN.
        return scores.masked_fill(~packing.filled, torch.finfo(scores.dtype).min)

    def weights(self, state: Tensor, keys: Tensor, packing: Packing) -> Tensor:
        """(M, 1) the softmax of the scores over the nodes of each position."""
        return packing.unpad(self(state, keys, packing).softmax(dim=1).unsqueeze(2))


class ItemParts(NamedTuple):
    """All in the knowledge transfer that is linear in the item vectors, computed once an item.

    Each (U, ...): the vectors e, W e and W' e of the attentions, W_g e, and U e + b of the GRU.
    """

    vectors: Tensor
    keys_near: Tensor
    keys_far: Tensor
    gates: Tensor
    states: Tensor

    def of(self, rows: Tensor, *names: str) -> list[Tensor]:
        """Of the items in the rows (M,)."""
        return [getattr(self, name).index_select(0, rows) for name in names]


class KnowledgeTransfer(nn.Module):
    """The knowledge transfer unit: what the nodes say to each other, within a domain and across.

    The nodes of the domain of the latest event are attended to by its state h, the others by what
    was transferred from it, h':

        a = softmax(v · tanh(W h + W e)), b = softmax(v' · tanh(W' h' + W' e))
        g = σ(W_g [h; h'; e] + b_g)
        m = g ⊙ a e within, m' = W_2 ((1 - g) ⊙ b e) + Σ_k (w · (e ⊙ e_k)) e_k across,

    k over the nodes of the domain. Along the edges of each relation r

        n_r = ReLU(W_r Σ m + b_r), n'_r = ReLU(W'_r Σ m' + b'_r),

    and a node becomes GRU([n_r; n'_r, all r], e).
    """

    def __init__(self, dim: int, n_relations: int) -> None:
        super().__init__()
        self.within, self.across = Attention(dim), Attention(dim)
        self.gate_of_states = nn.Linear(2 * dim, dim)
        self.gate_of_node = nn.Linear(dim, dim, bias=False)
        self.message = nn.Linear(dim, dim, bias=False)
        self.mutual = nn.Parameter(torch.empty(dim))
        # Of each relation, within and across.
        self.relations = nn.Parameter(torch.empty(2 * n_relations, dim, dim))
        self.biases = nn.Parameter(torch.zeros(2 * n_relations, 1, dim))
        self.update = nn.GRUCell(2 * n_relations * dim, dim)
        bound = dim**-0.5
        nn.init.uniform_(self.mutual, -bound, bound)
        nn.init.uniform_(self.relations, -bound, bound)

    def of_items(self, vectors: Tensor) -> ItemParts:
        """What the unit needs of items of which these are the vectors (U, d)."""
        return ItemParts(
            vectors,
            self.within.node(vectors),
            self.across.node(vectors),
            self.gate_of_node(vectors),
            F.linear(vectors, self.update.weight_hh, self.update.bias_hh),
        )

    def forward(
        self,
        items: ItemParts,
        rows: Tensor,
        graph: Subgraphs,
        states: tuple[Tensor, Tensor],
        sides: tuple[Tensor, Tensor],
        wanted: Tensor,
    ) -> Tensor:
        """The wanted nodes after it, (M, d), position after position.

        Args:
            items: of all that are nodes, and more.
            rows: (P, V) of the nodes in them.
            graph: of the nodes.
            states: h and h', (P, d) each.
            sides: (P, V) bool, the nodes within the domain and those of the other.
            wanted: (P, V) bool.
        """
        near, far = (Packing.of(side) for side in sides)
        e_near, keys, g_near = items.of(rows[sides[0]], "vectors", "keys_near", "gates")
        a = self.within.weights(states[0], keys, near)
        e_far, keys, g_far = items.of(rows[sides[1]], "vectors", "keys_far", "gates")
        b = self.across.weights(states[1], keys, far)
        of_states = self.gate_of_states(torch.cat(states, dim=1))
        g_near, g_far = (
            torch.sigmoid(of_states.index_select(0, packing.row) + g)
            for packing, g in ((near, g_near), (far, g_far))
        )
        m = g_near * (a * e_near)
        of_near = near.pad(e_near)
        mutual = (far.pad(e_far * self.mutual) @ of_near.transpose(1, 2)) @ of_near
        m_across = self.message((1 - g_far) * (b * e_far)) + far.unpad(mutual)

        # W [n_r; n'_r, all r] + b of the GRU. By many relations nothing is heard: n = ReLU(b).
        silent = torch.relu(self.biases)
        x = F.linear(silent.flatten(), self.update.weight_ih, self.update.bias_ih)
        x = x.repeat(int(wanted.sum()), 1)
        weights = self.update.weight_ih.unflatten(1, (len(self.relations), -1)).unbind(dim=1)
        for side, messages in enumerate((m, m_across)):
            for relation, (ends, starts) in enumerate(graph.edges(wanted, sides[side])):
                which = 2 * relation + side
                hearing, ends = ends.unique_consecutive(return_inverse=True)
                heard = messages.new_zeros(len(hearing), messages.shape[1])
                heard = heard.index_add(0, ends, messages.index_select(0, starts))
                n = torch.relu(torch.addmm(self.biases[which], heard, self.relations[which]))
                x.index_add_(0, hearing, (n - silent[which]) @ weights[which].T)
        e, u = items.of(rows[wanted], "vectors", "states")
        x, u = (each.unflatten(1, (3, -1)).to(e.dtype) for each in (x, u))
        return gru_cell(x, u, e)


class GraphDecoder(nn.Module):
    """How likely each node of a domain is next, and how likely it is one of them at all."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.attention = Attention(dim)
        self.switch = nn.Linear(3 * dim, 1)

    def forward(
        self, own: Tensor, transferred: Tensor, nodes: Tensor, packing: Packing
    ) -> tuple[Tensor, Tensor, Tensor]:
        """log P(i | M_g), log P(M_g) and log P(M_s).

        Where the domain has no node the next item comes from the sequence: P(M_s) = 1.

        Args:
            own: (P, d) the domain's state.
            transferred: (P, d) what the other domain told it.
            nodes: (M, d) the nodes of the domain after the knowledge transfer, and
            packing: which of them stand at which position.

        Returns:
            (P, W), -inf behind the nodes of each position; (P,); (P,).
        """
        scores = self.attention(own, self.attention.node(nodes), packing)
        log_p = scores.log_softmax(dim=1).masked_fill(~packing.filled, -torch.inf)
        pooled = torch.zeros_like(own).index_add(0, packing.row, nodes)
        switch = self.switch(torch.cat([own, transferred, pooled], dim=1)).squeeze(1)
        any_node = packing.filled[:, 0]
        log_graph = F.logsigmoid(switch).masked_fill(~any_node, -torch.inf)
        log_sequence = F.logsigmoid(-switch).masked_fill(~any_node, 0)
        return log_p, log_graph, log_sequence
