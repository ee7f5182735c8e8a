"""C2DSR against the formulas written out, history by history and position by position."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.models.layers import Packing
from recbole_tema.models.transitions import TransitionGraph
from recbole_tema.models.views import MERGED
from tests.models.histories import ids_of, rows_of

SETTINGS = {
    "embedding_size": 6,
    "inner_size": 5,
    "n_layers": 2,
    "n_heads": 1,
    "positions": "start",  # so that a prefix alone has the states that it has in its history
    "prediction_weight": 0.6,
}


class Plain:
    """The model's parameters and the formulas on top of them; items by id."""

    def __init__(self, model, tiny):
        self.model = model
        self.number = ids_of(tiny)
        self.domains = [
            [self.number[item] for item in tiny.items if tiny.domain_of(item) == name]
            for name in tiny.domains
        ]
        self.training = [
            [self.number[item] for item in (items[:-2] if len(items) > 2 else items[:1])]
            for _, items in tiny.histories
        ]

    def view(self, items, view):
        return [item for item in items if view == MERGED or item in self.domains[view]]

    def followers(self, item, view):
        """Items that come right after this one in a view of a training history."""
        return {
            after
            for history in self.training
            for before, after in pairwise(self.view(history, view))
            if before == item
        }

    def spread(self, item, view, layers):
        """Mean(G_0 … G_L) + E of one item, each G by its definition."""
        table = (self.model.merged_items if view == MERGED else self.model.own_items).weight

        def g(item, layer):
            if not layer:
                return table[item]
            found = self.followers(item, view)
            return sum((g(j, layer - 1) for j in found), torch.zeros(6).double()) / max(
                len(found), 1
            )

        return sum(g(item, layer) for layer in range(layers + 1)) / (layers + 1) + table[item]

    def states(self, items, view):
        """H of a view, whose events are ``items``."""
        if not items:
            return []
        packing = Packing(torch.zeros(len(items), dtype=torch.long), torch.arange(len(items)), 1)
        layers = self.model.own_graph.n_layers
        vectors = torch.stack([self.spread(item, view, layers) for item in items])
        return list(self.model.encoders[view](vectors, packing))

    def logits(self, items, domain, alone=False):
        """Of all items of the domain, what follows ``items``."""
        state = self.states(items, MERGED)[-1]
        own = self.view(items, domain)
        if own and not alone:
            state = state + self.states(own, domain)[-1]
        return (
            torch.stack([state @ self.model.outputs.weight[i] for i in self.domains[domain]]) / 0.7
        )

    def prediction(self, rows, alone):
        """The mean of -log P over all positions."""
        losses = []
        for inputs, target in rows:
            for t, item in enumerate([*inputs[1:], target]):
                domain = 0 if item in self.domains[0] else 1
                log_p = self.logits(inputs[: t + 1], domain, alone).log_softmax(0)
                losses.append(-float(log_p[self.domains[domain].index(item)]))
        return sum(losses) / len(losses)

    def infomax(self, rows, changed):
        """``changed``: for each domain the histories with its items replaced."""
        total, n = 0.0, 0
        for number, (inputs, _) in enumerate(rows):
            if not all(self.view(inputs, view) for view in (0, 1)):
                continue
            n += 1
            for domain, other in ((0, 1), (1, 0)):
                own = self.states(self.view(inputs, domain), domain)
                r = sum(own) / len(own)
                for items, true in ((inputs, True), (changed[domain][number], False)):
                    seen = [
                        state
                        for item, state in zip(inputs, self.states(items, MERGED), strict=True)
                        if item in self.domains[other]
                    ]
                    z = sum(seen) / len(seen)
                    layer = self.model.discriminators[domain]
                    score = float(r @ layer.weight[0] @ z + layer.bias[0])
                    p = 1 / (1 + math.exp(-score))
                    total -= math.log(p if true else 1 - p)
        return total / n


@pytest.fixture
def made(build, batch, tiny_dataset):
    """The model, its formulas, its rows [(inputs, target)] by item id, and the batch of them."""

    def make(**settings):
        tiny = tiny_dataset()
        model = build("C2DSR", tiny, **{**SETTINGS, "n_graph_layers": 1, **settings})
        plain = Plain(model, tiny)
        rows = rows_of(tiny)
        return model, plain, rows, batch(rows)

    return make


@pytest.mark.parametrize("n_graph_layers", [0, 1, 2])
def test_scores_are_those_of_the_formulas(made, n_graph_layers):
    model, plain, rows, fields = made(n_graph_layers=n_graph_layers)
    with torch.no_grad():
        for domain in (0, 1):
            expected = torch.stack([plain.logits(inputs, domain) for inputs, _ in rows])
            found = model.domain_scores(fields, domain)
            torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)


def changed_histories(drawn, rows):
    """What :meth:`C2DSR.corrupted` returned, for each domain the histories."""
    lengths = [len(inputs) for inputs, _ in rows]
    return [[part.tolist() for part in each.split(lengths)] for each in drawn]


def test_the_loss_is_that_of_the_formulas(made, monkeypatch):
    model, plain, rows, fields = made()
    drawn = []
    corrupted = model.corrupted
    monkeypatch.setattr(
        model, "corrupted", lambda items: drawn.append(corrupted(items)) or drawn[-1]
    )
    with torch.no_grad():
        found = model.calculate_loss(fields).item()
        infomax = plain.infomax(rows, changed_histories(drawn[0], rows))
        prediction = plain.prediction(rows, alone=False) + plain.prediction(rows, alone=True)
    assert found == pytest.approx(0.6 * prediction + 0.4 * infomax, rel=1e-8)
    assert infomax > 0.1


@pytest.mark.parametrize("positions", ["start", "end", "none"])
def test_a_history_changed_into_itself_has_its_own_states(made, batch, monkeypatch, positions):
    model, _, _, _ = made(positions=positions)
    monkeypatch.setattr(model, "corrupted", lambda items: torch.stack([items, items]))
    fields = batch([([1, 14, 2, 15, 3, 4], 5), ([14, 1, 15], 2)])
    events = model.events_of(fields)
    states = model.encode(fields, events)
    true = states.views[2].states[0]
    changed = model._changed(events, states.vectors, torch.tensor([True, True]))
    for domain, (false, at) in enumerate(changed):
        others = (model.item_domain[events.items] == 1 - domain).nonzero().squeeze(1)
        assert at.tolist() == others.tolist()
        torch.testing.assert_close(false, true[at], rtol=1e-12, atol=1e-12)


def test_corruption_changes_the_items_of_one_domain_to_others_of_it(made):
    model, plain, _, _ = made()
    items = torch.tensor([item for domain in plain.domains for item in domain]).repeat(50)
    for domain, changed in enumerate(model.corrupted(items)):
        mine = model.item_domain[items] == domain
        assert torch.equal(changed[~mine], items[~mine])
        assert set(changed[mine].tolist()) == set(plain.domains[domain])
        assert (changed[mine] != items[mine]).float().mean() > 0.7


@pytest.mark.parametrize("rows", [[([1, 2], 3)], [([14, 15, 16], 1)], [([1], 2), ([14], 15)]])
def test_histories_of_one_domain_have_no_infomax(made, batch, rows):
    model, plain, _, _ = made()
    fields = batch(rows)
    with torch.no_grad():
        expected = 0.6 * (plain.prediction(rows, alone=False) + plain.prediction(rows, alone=True))
        assert model.calculate_loss(fields).item() == pytest.approx(expected, rel=1e-8)


def test_the_graph_knows_training_histories_alone(config_of, tiny_dataset):
    tiny = tiny_dataset(
        histories=[("u1", ["f1", "k1", "f2", "f3", "k2"]), ("u2", ["f2", "f1", "f4"])]
    )
    dataset = CrossDomainDataset(config_of("C2DSR", tiny))
    model = config_of("C2DSR", tiny).model_class(config_of("C2DSR", tiny), dataset)
    tokens = dataset.id2token("item_id", np.arange(dataset.item_num))

    def edges(graph):
        first = np.repeat(np.arange(dataset.item_num), graph.starts.diff())
        pairs = zip(first, graph.followers, strict=True)
        return sorted((str(tokens[before]), str(tokens[after])) for before, after in pairs)

    # Of u1's f3 and k2, and of u2's f1 and f4, one validates and one tests.
    assert edges(model.merged_graph) == [("f1", "k1"), ("k1", "f2")]
    assert edges(model.own_graph) == [("f1", "f2")]


def test_a_transition_seen_often_is_one_edge():
    graph = TransitionGraph(np.array([[1, 1, 1, 2], [2, 3, 2, 2]]), 4, 1).double()
    vectors = torch.randn(4, 3, dtype=torch.float64)
    mean = torch.stack([(vectors[2] + vectors[3]) / 2, vectors[2], torch.zeros(3)])
    torch.testing.assert_close(
        graph(vectors, torch.tensor([1, 2, 3])), (vectors[1:] + mean) / 2 + vectors[1:]
    )


def test_a_graph_without_edges_and_no_items():
    graph = TransitionGraph(np.zeros((2, 0), dtype=np.int64), 4, 1)
    vectors = torch.randn(4, 3)
    torch.testing.assert_close(graph(vectors, torch.tensor([1, 2])), vectors[1:3] * 1.5)
    assert graph(vectors, torch.tensor([], dtype=torch.long)).shape == (0, 3)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("loss_candidates", "both", "loss_candidates: expected one of"),
        ("n_graph_layers", -1, "n_graph_layers: expected a number of at least 0"),
        ("prediction_weight", 1.5, "prediction_weight: expected a number from 0 to 1"),
        ("n_heads", 4, "4 heads do not divide 6"),
    ],
)
def test_wrong_settings_are_named(build, tiny_dataset, key, value, told):
    with pytest.raises(ValueError, match=told):
        build("C2DSR", tiny_dataset(), **{**SETTINGS, key: value})
