"""Tri-CDR against the formulas written out, history by history and position by position."""

import math

import pytest
import torch

from recbole_tema.models.layers import Packing
from recbole_tema.models.tricdr import nt_xent
from recbole_tema.models.views import MERGED
from tests.models.histories import HISTORIES, rows_of

ROWS = [*HISTORIES, ("k2 f6 f1 k7", "f12")]
SETTINGS = {
    "embedding_size": 6,
    "inner_size": 5,
    "n_layers": 2,
    "n_heads": 1,
    "attention_sizes": [4, 3],
    "positions": "start",  # so that a prefix alone has the states that it has in its history
    "similarity": "cosine",
    "contrast_weight": 0.3,
    "pair_weights": [3, 1, 2],
    "contrast_temperature": 0.4,
    "distinction_weight": 0.9,
    "margin": 9.0,
}


def linear(layer, x):
    return layer.weight @ x + layer.bias


def unit(x):
    return x / math.sqrt(float(x @ x))


class Plain:
    """The model's parameters and the formulas on top of them; items by id."""

    def __init__(self, model, cosine):
        self.model, self.cosine = model, cosine
        self.ranges = [range(*bounds) for bounds in model.candidate_ranges]

    def states(self, items, view):
        """Those of a view of the whole history ``items``."""
        own = [item for item in items if item in self.ranges[view]]
        if not own:
            return []
        table = (self.model.merged_items if view == MERGED else self.model.own_items).weight
        packing = Packing(torch.zeros(len(own), dtype=torch.long), torch.arange(len(own)), 1)
        return list(self.model.encoders[view](table[own], packing))

    def prelu(self, layer, x):
        return torch.stack([each if each > 0 else layer.weight[0] * each for each in x])

    def attention(self, domain, query, mean, states):
        net = self.model.attentions[domain]
        scores = []
        for f in states:
            x = torch.cat([f, query, f * query, query - f, mean])
            x = linear(net.rest[1], self.prelu(net.rest[0], linear(net.inner, x)))
            scores.append(linear(net.rest[3], self.prelu(net.rest[2], x))[0])
        if not scores:
            return torch.zeros_like(mean)
        weights = torch.stack(scores).softmax(0)
        return sum(weight * f for weight, f in zip(weights, states, strict=True))

    def sums(self, items, domain):
        """Of the mixed, source and target sequence, after ``items``."""
        mixed, target = self.states(items, MERGED), self.states(items, domain)
        mean = sum(mixed) / len(mixed)
        query = target[-1] if target else torch.zeros_like(mean)
        return [
            self.attention(domain, query, mean, states)
            for states in (mixed, self.states(items, 1 - domain), target)
        ]

    def logits(self, items, domain):
        net = self.model.fusions[domain]
        x = linear(net[0], torch.cat(self.sums(items, domain)))
        query = linear(net[2], torch.where(x > 0, x, 0.01 * x))
        table = self.model.own_items.weight
        if self.cosine:
            return torch.stack([unit(query) @ unit(table[i]) for i in self.ranges[domain]]) / 0.7
        return torch.stack([query @ table[i] for i in self.ranges[domain]]) / 0.7

    def contrasts(self, rows, domain):
        """Coarse and fine, at each history's last position whose target is of the domain."""
        heads = [[], [], []]
        for inputs, target in rows:
            following = [*inputs[1:], target]
            places = [t for t, item in enumerate(following) if item in self.ranges[domain]]
            seen = inputs[: places[-1] + 1] if places else []
            if not all(any(item in self.ranges[each] for item in seen) for each in (0, 1)):
                continue
            for found, net, each in zip(
                heads, self.model.heads[domain].networks, self.sums(seen, domain), strict=True
            ):
                found.append(linear(net[2], linear(net[0], each).clamp(min=0)))
        mixed, source, target = heads
        pairs = ((mixed, source), (mixed, target), (source, target))
        coarse = sum(
            weight * self.nt_xent(a, b) for weight, (a, b) in zip((3, 1, 2), pairs, strict=True)
        )
        fine = [
            max(0.0, math.dist(s, m) - math.dist(s, t) + 9.0)
            for m, s, t in zip(mixed, source, target, strict=True)
        ]
        return coarse / 6, sum(fine) / len(fine)

    def nt_xent(self, first, second):
        vectors = [unit(each) for each in [*first, *second]]
        total = 0.0
        for at, vector in enumerate(vectors):
            terms = {
                other: math.exp(float(vector @ each) / 0.4)
                for other, each in enumerate(vectors)
                if other != at
            }
            total -= math.log(terms[(at + len(first)) % len(vectors)] / sum(terms.values()))
        return total / len(vectors)


@pytest.fixture
def made(build, batch, tiny_dataset):
    """The model, its formulas, its rows [(inputs, target)] by item id, and the batch of them."""

    def make(**settings):
        tiny = tiny_dataset()
        settings = {**SETTINGS, **settings}
        model = build("TriCDR", tiny, **settings)
        rows = rows_of(tiny, ROWS)
        return model, Plain(model, settings["similarity"] == "cosine"), rows, batch(rows)

    return make


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_scores_are_those_of_the_formulas(made, similarity):
    model, plain, rows, fields = made(similarity=similarity)
    with torch.no_grad():
        for domain in (0, 1):
            expected = torch.stack([plain.logits(inputs, domain) for inputs, _ in rows])
            found = model.domain_scores(fields, domain)
            torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)


def prediction(plain, rows):
    """For each domain -log P of its targets, at every position."""
    losses = [[], []]
    for inputs, target in rows:
        for t, item in enumerate([*inputs[1:], target]):
            domain = int(item in plain.ranges[1])
            log_p = plain.logits(inputs[: t + 1], domain).log_softmax(0)
            losses[domain].append(-float(log_p[item - plain.ranges[domain][0]]))
    return losses


def test_the_loss_is_that_of_the_formulas(made):
    model, plain, rows, fields = made()
    with torch.no_grad():
        losses = prediction(plain, rows)
        n = sum(map(len, losses))
        expected = 0.0
        for domain in (0, 1):
            coarse, fine = plain.contrasts(rows, domain)
            assert coarse > 0.1
            assert fine > 0.1
            share = len(losses[domain]) / n
            expected += sum(losses[domain]) / n + share * (0.3 * coarse + 0.9 * fine)
        assert model.calculate_loss(fields).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("rows", [[([1, 2], 3)], [([14, 15, 16], 1)], [([1], 2), ([14], 15)]])
def test_histories_of_one_domain_have_no_contrasts(made, batch, rows):
    model, plain, _, _ = made()
    with torch.no_grad():
        losses = [loss for each in prediction(plain, rows) for loss in each]
        found = model.calculate_loss(batch(rows)).item()
    assert found == pytest.approx(sum(losses) / len(losses), rel=1e-6)


def test_one_history_alone_has_nothing_to_be_told_from():
    vectors = torch.randn(2, 1, 5)
    assert nt_xent(*vectors, 0.1).item() == pytest.approx(0)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("similarity", "angle", "similarity: expected one of"),
        ("pair_weights", [1, 1], "pair_weights: expected three numbers from 0 on"),
        ("pair_weights", [0, 0, 0], "pair_weights: expected three numbers from 0 on, not all 0"),
        ("attention_sizes", [80], "attention_sizes: expected two positive whole numbers"),
        ("contrast_temperature", 0, "contrast_temperature: expected a number of at least"),
        ("n_heads", 4, "4 heads do not divide 6"),
    ],
)
def test_wrong_settings_are_named(build, tiny_dataset, key, value, told):
    with pytest.raises(ValueError, match=told):
        build("TriCDR", tiny_dataset(), **{**SETTINGS, key: value})
