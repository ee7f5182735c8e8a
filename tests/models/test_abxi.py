"""ABXI against the formulas written out, history by history and position by position."""

import math

import pytest
import torch

from recbole_tema.models.views import MERGED
from tests.models.histories import rows_of

SETTINGS = {
    "embedding_size": 6,
    "inner_size": 5,
    "domain_rank": 2,
    "invariant_rank": 3,
    "n_heads": 2,
}


def norm(layer, x):
    """LayerNorm by its definition."""
    return (x - x.mean()) / torch.sqrt(x.var(unbiased=False) + 1e-5) * layer.weight + layer.bias


def swiglu(net, x):
    gate = net.gate.weight @ x
    return net.out.weight @ (gate * torch.sigmoid(gate) * (net.value.weight @ x))


def lora(adapter, x):
    return adapter.b.T @ (adapter.a.weight @ x)


def attended(model, vectors):
    """Causal attention with two heads, position by position, residual and norm behind."""
    dim, layer = model.dim, model.attention
    states = []
    for t in range(len(vectors)):
        heads = []
        for head in range(2):
            rows = slice(head * dim // 2, (head + 1) * dim // 2)
            parts = [
                (layer.qkv.weight[k * dim : (k + 1) * dim], layer.qkv.bias[k * dim : (k + 1) * dim])
                for k in range(3)
            ]
            query = (parts[0][0] @ vectors[t] + parts[0][1])[rows]
            keys = [(parts[1][0] @ v + parts[1][1])[rows] for v in vectors[: t + 1]]
            values = [(parts[2][0] @ v + parts[2][1])[rows] for v in vectors[: t + 1]]
            weights = torch.stack([query @ key / math.sqrt(dim / 2) for key in keys]).softmax(0)
            heads.append(sum(w * value for w, value in zip(weights, values, strict=True)))
        out = layer.out.weight @ torch.cat(heads) + layer.out.bias
        states.append(norm(model.attention_norm, vectors[t] + out))
    return states


def view_states(model, items, view):
    """(state after the last event of the view, or None) for each event of the history.

    Positions count from the end: the last event of the view has the first position vector.
    """
    own = [item for item in items if view == MERGED or model.item_domain[item] == view]
    places = model.positions.weight[: len(own)].flip(0)
    vectors = [model.items.weight[item] + place for item, place in zip(own, places, strict=True)]
    states = [
        norm(model.view_norm[view], h + swiglu(model.feed_forward, h) + lora(model.dlora[view], h))
        for h in attended(model, vectors)
    ]
    found, seen = [], 0
    for item in items:
        seen += view == MERGED or int(model.item_domain[item]) == view
        found.append(states[seen - 1] if seen else None)
    return found


def query(model, items, t, domain):
    merged = view_states(model, items, MERGED)[t]
    own = view_states(model, items, domain)[t]
    own = torch.zeros_like(merged) if own is None else own
    invariant = merged + swiglu(model.invariant, merged) + lora(model.ilora[domain], merged)
    specific = own + swiglu(model.specific[domain], own)
    return norm(model.invariant_norm[domain], invariant) + norm(
        model.specific_norm[domain], specific
    )


def scores(model, items, t, domain, candidates):
    vector = query(model, items, t, domain)
    return torch.stack([vector @ model.items.weight[item] for item in candidates]) / 0.7


@pytest.fixture
def made(build, batch, tiny_dataset):
    """The model, its rows [(inputs, target)] by item id, and the batch of them."""

    def make(**settings):
        tiny = tiny_dataset()
        model = build("ABXI", tiny, **{**SETTINGS, **settings})
        rows = rows_of(tiny)
        return model, rows, batch(rows)

    return make


def test_scores_are_those_of_the_formulas(made):
    model, rows, fields = made()
    with torch.no_grad():
        for domain in (0, 1):
            items = range(*model.candidate_ranges[domain])
            expected = torch.stack([scores(model, inputs, -1, domain, items) for inputs, _ in rows])
            found = model.domain_scores(fields, domain)
            torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("candidates", ["domain", "all"])
def test_the_loss_is_that_of_the_formulas(made, candidates):
    """The mean over histories of Σ over domains of the mean over the domain's targets."""
    model, rows, fields = made(loss_candidates=candidates)
    total = 0.0
    with torch.no_grad():
        for inputs, target in rows:
            following = [*inputs[1:], target]
            for domain in (0, 1):
                losses = []
                among = range(*model.candidate_ranges[2 if candidates == "all" else domain])
                for t, item in enumerate(following):
                    if model.item_domain[item] == domain:
                        log_p = scores(model, inputs, t, domain, among).log_softmax(0)
                        losses.append(-float(log_p[item - among[0]]))
                if losses:
                    total += sum(losses) / len(losses)
        assert model.calculate_loss(fields).item() == pytest.approx(total / len(rows), rel=1e-8)
    assert int(model.loss_weight(fields)) == len(rows)


def test_a_sample_of_the_candidates_gives_nearly_the_loss_over_all(made):
    """Sampled softmax is a consistent estimate: with very many negatives it is the whole one."""
    model, _, fields = made()
    with torch.no_grad():
        whole = model.calculate_loss(fields).item()
        model.n_negatives = 200_000
        assert model.calculate_loss(fields).item() == pytest.approx(whole, rel=0.01)


def test_adapters_start_as_nothing_and_are_trained(config_of, tiny_dataset, batch):
    from recbole_tema.data.dataset import CrossDomainDataset

    config = config_of("ABXI", tiny_dataset(), **SETTINGS, hidden_dropout_prob=0.0)
    model = config.model_class(config, CrossDomainDataset(config))
    adapters = [*model.dlora, *model.ilora]
    assert all(not adapter.b.any() for adapter in adapters)
    model.calculate_loss(batch([([1, 13, 2], 14), ([14, 3], 4)])).backward()
    assert all(adapter.b.grad.any() for adapter in adapters)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("loss_candidates", "both", "loss_candidates: expected one of"),
        ("domain_rank", 0, "domain_rank: expected a number of at least 1"),
        ("temperature", 0, "temperature: expected a number of at least"),
        ("n_heads", 4, "4 heads do not divide 6"),
    ],
)
def test_wrong_settings_are_named(build, tiny_dataset, key, value, told):
    with pytest.raises(ValueError, match=told):
        build("ABXI", tiny_dataset(), **{**SETTINGS, key: value})
