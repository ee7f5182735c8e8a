"""MIFN against the formulas written out, history by history, position by position, node by node."""

import math
from itertools import pairwise

import pytest
import torch

from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.formats import read_graph
from tests.models.histories import HISTORIES, ids_of, rows_of

# One item twice in a row.
ROWS = [(inputs.replace("k6 f2", "k6 f2 f2"), target) for inputs, target in HISTORIES]
SETTINGS = {
    "embedding_size": 5,
    "graph_items": 3,
    "graph_neighbours": 2,
    "switch_weight": 0.3,
    "loss_implementation": "plain",
}


def gru(weights, x, state):
    """One step of a GRU by its definition; weights: W, U, b of W, b of U."""
    w, u, b, c = weights
    x = (w @ x + b).chunk(3)
    s = (u @ state + c).chunk(3)
    reset, update = torch.sigmoid(x[0] + s[0]), torch.sigmoid(x[1] + s[1])
    return (1 - update) * torch.tanh(x[2] + reset * s[2]) + update * state


def gru_weights(net):
    ends = "_l0" if isinstance(net, torch.nn.GRU) else ""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return [getattr(net, name + ends) for name in names]


class Plain:
    """The model's formulas for one history up to its event t."""

    def __init__(self, model, joined, items, t):
        self.model, self.items, self.joined = model, items[: t + 1], joined
        self.zero = torch.zeros(5, dtype=torch.float64)
        self.e = model.items.weight

    def side(self, item):
        return int(self.model.item_domain[item])

    def encoded(self, domain):
        """[(place in the history, h)] after each event of the domain."""
        state, states = self.zero, []
        weights = gru_weights(self.model.encoders[domain].cells)
        for at, item in enumerate(self.items):
            if self.side(item) == domain:
                state = gru(weights, self.e[item], state)
                states.append((at, state))
        return states

    def state(self, domain):
        return self.encoded(domain)[-1][1] if self.encoded(domain) else self.zero

    def told(self, domain):
        """h_{A→B} after the latest event of the domain A."""
        unit = self.model.transfer[domain]
        s, h = self.zero, self.zero
        for at, own in self.encoded(domain):
            before = [state for place, state in self.encoded(1 - domain) if place < at]
            other = before[-1] if before else self.zero
            gate, candidate = (unit.filter.own.weight @ own + unit.filter.own.bias).chunk(2)
            gate_s, candidate_s = (unit.filter.state.weight @ s).chunk(2)
            f = torch.sigmoid(gate + unit.filter.other.weight @ other + gate_s)
            s = f * torch.tanh(candidate + candidate_s) + (1 - f) * s
            h = gru(gru_weights(unit.transfer.cells), s, h)
        return h

    def graph(self):
        """The nodes and {relation: pairs of nodes}, each node joined with itself."""
        latest = self.items[::-1][:3]
        nodes, n_relations = set(latest), len(self.joined)
        edges = [set() for _ in range(n_relations)]
        for item in latest:
            for other in self.nearest(item):
                nodes.add(other)
                for relation in range(n_relations):
                    if (item, other) in self.joined[relation]:
                        edges[relation] |= {(item, other), (other, item)}
        for item, before in pairwise(latest):
            for pairs in edges:
                pairs |= {(item, before), (before, item)}
        for pairs in edges:
            pairs |= {(node, node) for node in nodes}
        return sorted(nodes), edges

    def nearest(self, item):
        """The two neighbours of each domain with the highest weights, added over relations."""
        chosen = []
        for domain in (0, 1):
            weights = {}
            for pairs in self.joined:
                for (own, other), weight in pairs.items():
                    if own == item and self.side(other) == domain:
                        weights[other] = weights.get(other, 0) + weight
            chosen += sorted(weights, key=weights.get, reverse=True)[:2]
        return chosen

    def attention(self, unit, state, vector):
        hidden = torch.tanh(unit.state.weight @ state + unit.state.bias + unit.node.weight @ vector)
        return (unit.score.weight @ hidden).squeeze()

    def attended(self, unit, state, nodes):
        if not nodes:
            return {}
        scores = torch.stack([self.attention(unit, state, self.e[node]) for node in nodes])
        return dict(zip(nodes, scores.softmax(0), strict=True))

    def updated(self):
        """{node: its vector after the knowledge transfer}."""
        unit, e = self.model.knowledge, self.e
        nodes, edges = self.graph()
        here = self.side(self.items[-1])
        h, told = self.state(here), self.told(here)
        near = [node for node in nodes if self.side(node) == here]
        far = [node for node in nodes if self.side(node) != here]
        a = self.attended(unit.within, h, near)
        b = self.attended(unit.across, told, far)
        messages = ({}, {})
        for node in nodes:
            g = unit.gate_of_states.weight @ torch.cat([h, told]) + unit.gate_of_states.bias
            g = torch.sigmoid(g + unit.gate_of_node.weight @ e[node])
            if node in a:
                messages[0][node] = g * a[node] * e[node]
            else:
                mutual = sum((unit.mutual * e[node] * e[k]).sum() * e[k] for k in near)
                messages[1][node] = unit.message.weight @ ((1 - g) * b[node] * e[node]) + mutual
        vectors = {}
        for node in nodes:
            inputs = []
            for relation, pairs in enumerate(edges):
                for side in (0, 1):
                    sent = [m for other, m in messages[side].items() if (node, other) in pairs]
                    n = sum(sent, self.zero) @ unit.relations[2 * relation + side]
                    inputs.append(torch.relu(n + unit.biases[2 * relation + side, 0]))
            vectors[node] = gru(gru_weights(unit.update), torch.cat(inputs), e[node])
        return vectors

    def parts(self, domain):
        """P(M_g), {node: P(node | M_g)} and the query of the sequence."""
        decoder = self.model.decoders[domain]
        own, told = self.state(domain), self.told(1 - domain)
        nodes = {node: v for node, v in self.updated().items() if self.side(node) == domain}
        join = self.model.joins[domain]
        query = join.weight @ torch.cat([own, told]) + join.bias
        if not nodes:
            return 0.0, {}, query
        pooled = sum(nodes.values())
        switch = decoder.switch.weight @ torch.cat([own, told, pooled]) + decoder.switch.bias
        scores = [self.attention(decoder.attention, own, vector) for vector in nodes.values()]
        of_nodes = torch.stack(scores).softmax(0).tolist()
        return float(torch.sigmoid(switch)), dict(zip(nodes, of_nodes, strict=True)), query

    def log_p(self, domain, among):
        """{item: log P(item)} of the domain's items, ``among`` those of the softmax."""
        p_graph, of_nodes, query = self.parts(domain)
        logits = torch.stack([query @ self.e[item] for item in among]) / 0.7
        of_sequence = dict(zip(among, logits.softmax(0).tolist(), strict=True))
        return {
            item: math.log((1 - p_graph) * of_sequence[item] + p_graph * of_nodes.get(item, 0.0))
            for item in range(*self.model.candidate_ranges[domain])
        }


@pytest.fixture
def made(build, batch, tiny_dataset):
    """The model, edges {(item, neighbour): weight} of each relation, rows and the batch of them."""

    def make(**settings):
        tiny = tiny_dataset()
        model = build("MIFN", tiny, **{**SETTINGS, **settings})
        number = ids_of(tiny)
        stored = read_graph(tiny.files.graph)
        joined = [{} for _ in stored.names]
        for row, item in enumerate(stored.tokens):
            for edge in range(stored.ends[row], stored.ends[row + 1]):
                pair = number[item], number[stored.tokens[stored.neighbours[edge]]]
                joined[stored.relations[edge]][pair] = float(stored.weights[edge])
        rows = rows_of(tiny, ROWS)
        return model, joined, rows, batch(rows)

    return make


@pytest.mark.parametrize("candidates", ["domain", "all"])
def test_scores_are_those_of_the_formulas(made, candidates):
    model, joined, rows, fields = made(loss_candidates=candidates)
    with torch.no_grad():
        for domain in (0, 1):
            among = range(*model.candidate_ranges[2 if candidates == "all" else domain])
            expected = [
                list(Plain(model, joined, items, len(items) - 1).log_p(domain, among).values())
                for items, _ in rows
            ]
            found = model.domain_scores(fields, domain)
            torch.testing.assert_close(found, torch.tensor(expected).double(), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("candidates", ["domain", "all"])
def test_the_loss_is_that_of_the_formulas(made, candidates):
    """The mean over targets of -log P, and of -log P(M_s) where the target is no node."""
    model, joined, rows, fields = made(loss_candidates=candidates)
    losses, in_graph = [], []
    with torch.no_grad():
        for items, target in rows:
            for t, following in enumerate([*items[1:], target]):
                domain = int(model.item_domain[following])
                among = range(*model.candidate_ranges[2 if candidates == "all" else domain])
                plain = Plain(model, joined, items, t)
                p_graph, of_nodes, _ = plain.parts(domain)
                loss = -plain.log_p(domain, among)[following]
                in_graph.append(following in of_nodes)
                if following not in of_nodes:
                    loss -= 0.3 * math.log(1 - p_graph)
                losses.append(loss)
        found = model.calculate_loss(fields).item()
    assert found == pytest.approx(sum(losses) / len(losses), rel=1e-8)
    assert any(in_graph)
    assert not all(in_graph)


def test_a_sample_of_the_candidates_gives_nearly_the_loss_over_all(made):
    """Sampled softmax is a consistent estimate: with very many negatives it is the whole one."""
    model, _, _, fields = made()
    with torch.no_grad():
        whole = model.calculate_loss(fields).item()
        model.n_negatives = 200_000
        assert model.calculate_loss(fields).item() == pytest.approx(whole, rel=0.01)


def test_probabilities_of_a_domain_add_up_to_one(made):
    model, _, _, fields = made()
    for domain in (0, 1):
        total = model.domain_scores(fields, domain).exp().sum(dim=1)
        torch.testing.assert_close(total, torch.ones_like(total))


def test_no_state_looks_ahead(made, batch):
    """Other later items leave what is said at the earlier events as it was."""
    model, _, _, _ = made()
    history, other = [1, 13, 2, 14, 3, 15], [1, 13, 2, 14, 20, 9]
    at = torch.arange(4)
    found = []
    with torch.no_grad():
        for items in (history, other):
            fields = batch([(items, 4)])
            flow = model.encode(fields, model.events_of(fields))
            for domain in (0, 1):
                graph = model.graph_mode(flow, domain, at)
                parts = [graph.nodes.double(), graph.log_p, graph.log_graph[:, None]]
                found.append(torch.cat([*parts, model.queries(flow, domain, at)], dim=1))
    torch.testing.assert_close(found[0], found[2], rtol=0, atol=1e-12)
    torch.testing.assert_close(found[1], found[3], rtol=0, atol=1e-12)


def test_a_history_in_one_domain_alone(made, batch):
    """The other domain has no event at all in the batch."""
    model, _, _, _ = made()
    loss = model.calculate_loss(batch([([1, 2, 3], 4), ([5], 6)]))
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_without_edges_everything_comes_from_the_sequence_or_the_history(made, batch):
    model, _, _, _ = made()
    model.neighbours.zero_()
    model.kinds.zero_()
    fields = batch([([1, 2], 3)])
    flow = model.encode(fields, model.events_of(fields))
    at = torch.tensor([1])
    assert model.graph_mode(flow, 0, at).of(torch.tensor([1])).isfinite()
    across = model.graph_mode(flow, 1, at)
    assert across.log_sequence.item() == 0
    assert across.log_graph.item() == -math.inf


def test_a_data_set_without_a_graph(config_of, tiny_dataset):
    config = config_of("MIFN", tiny_dataset(graph=False))
    dataset = CrossDomainDataset(config)
    with pytest.raises(ValueError, match=r"tiny\.graph\.safetensors.*recbole-tema-data graph "):
        config.model_class(config, dataset)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("graph_items", 0, "graph_items: expected a number of at least 1"),
        ("graph_neighbours", 0, "graph_neighbours: expected a number of at least 1"),
        ("switch_weight", -1, "switch_weight: expected a number of at least 0"),
        ("loss_implementation", "chunked", "loss_implementation: expected one of"),
    ],
)
def test_wrong_settings_are_named(build, tiny_dataset, key, value, told):
    with pytest.raises(ValueError, match=told):
        build("MIFN", tiny_dataset(), **{**SETTINGS, key: value})
