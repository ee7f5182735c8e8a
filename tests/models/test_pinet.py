"""π-Net and PSJNet against the formulas written out, event by event in plain Python."""

import pytest
import torch

from tests.models.histories import HISTORIES, rows_of

D, K = 4, 3
SETTINGS = {"embedding_size": D, "n_latent": K}
MODELS = {"PiNet": {}, "PSJNet": {"variant": "II"}}


@pytest.fixture
def made(build, batch, tiny_dataset):
    """The model, its rows [(inputs, target)] by item id, and the batch of them."""

    def make(name, histories=HISTORIES, **settings):
        tiny = tiny_dataset()
        model = build(name, tiny, **{**SETTINGS, **settings})
        rows = rows_of(tiny, histories)
        return model, rows, batch(rows)

    return make


# ---- the formulas ----------------------------------------------------------------------------


def gru(cells, inputs):
    """A GRU by its definition: the states after each input, from 0."""
    h, states = torch.zeros(D, dtype=torch.float64), []
    for x in inputs:
        a = cells.weight_ih_l0 @ x + cells.bias_ih_l0
        b = cells.weight_hh_l0 @ h + cells.bias_hh_l0
        r, z = torch.sigmoid(a[:D] + b[:D]), torch.sigmoid(a[D : 2 * D] + b[D : 2 * D])
        n = torch.tanh(a[2 * D :] + r * b[2 * D :])
        h = (1 - z) * n + z * h
        states.append(h)
    return states


def filtered(unit, h_a, h_b):
    """SFU: (h_A_i, h_B_j) of A's events to h_(A_i→B)."""
    before, found = torch.zeros(D, dtype=torch.float64), []
    w_f, w_h = unit.w_a.weight.split(D)
    b_f, b_h = unit.w_a.bias.split(D)
    u_f, u_h = unit.u.weight.split(D)
    v_f, v_h = unit.v.weight.split(D)
    for a, b in zip(h_a, h_b, strict=True):
        each = []
        for user in unit.users:
            f = torch.sigmoid(w_f @ a + unit.w_b.weight @ b + u_f @ before + v_f @ user + b_f)
            candidate = torch.tanh(w_h @ a + u_h @ before + v_h @ user + b_h)
            each.append(f * candidate + (1 - f) * before)
        before = sum(each) / K
        found.append(before)
    return found


def split(unit, h_a, h_b):
    """(h_A_i, h_B_j) of A's events to h^k_i: a list of events for each role."""
    w_f, w_h, w_n = unit.w_a.weight.split(D)
    b_f, b_h, b_n = unit.w_a.bias.split(D)
    w_fb, w_nb = unit.w_b.weight.split(D)
    u_f, u_h, u_n = unit.u.weight.split(D)
    v_f, v_h = unit.v.weight.split(D)
    before = [torch.zeros(D, dtype=torch.float64) for _ in range(K)]
    found = [[] for _ in range(K)]
    for a, b in zip(h_a, h_b, strict=True):
        gates = [
            torch.sigmoid(w_f @ a + w_fb @ b + u_f @ before[k] + v_f @ unit.roles[k] + b_f)
            for k in range(K)
        ]
        of_none = sum(unit.v_none[k] * (u_n @ before[k]) for k in range(K))
        none = torch.sigmoid(w_n @ a + w_nb @ b + of_none + b_n)
        total = sum(gates) + none
        candidates = [
            torch.tanh(w_h @ a + u_h @ before[k] + v_h @ unit.roles[k] + b_h) for k in range(K)
        ]
        before = [(gates[k] * candidates[k] + none * before[k]) / total for k in range(K)]
        for k in range(K):
            found[k].append(before[k])
    return found


def attended(weights, asking, told):
    """Σ softmax(max_e w · [e, t, e ⊙ t]) t."""
    w = weights.flatten()
    logits = [max(w @ torch.cat([e, t, e * t]) for e in asking) for t in told]
    return sum(p * t for p, t in zip(torch.stack(logits).softmax(0), told, strict=True))


def told(model, domain, states, h_a, h_b_beside):
    """h_(A→B) after the last event of A, where B is ``domain`` and has the ``states`` by now."""
    unit = model.transfers[domain]
    zero = torch.zeros(D, dtype=torch.float64)
    if not h_a:
        return zero
    if hasattr(unit, "filter"):
        return gru(unit.transfer.cells, filtered(unit.filter, h_a, h_b_beside))[-1]
    asking = states or [zero]
    roles = [gru(unit.transfer.cells, each) for each in split(unit.split, h_a, h_b_beside)]
    joined = [attended(unit.join.of_events.weights, asking, role) for role in roles]
    return attended(unit.join.of_roles.weights, asking, joined)


def known_of(model, items, domain):
    """[h_B, h_(A→B)] after ``items``, where B is ``domain``; from these items alone."""
    zero = torch.zeros(D, dtype=torch.float64)
    of = [int(model.item_domain[item]) for item in items]
    states = []
    for d in (0, 1):
        own = [model.items.weight[item] for item in items if model.item_domain[item] == d]
        states.append(gru(model.encoders[d].cells, own))
    beside, count = [], 0
    for each in of:
        count += each == domain
        if each != domain:
            beside.append(states[domain][count - 1] if count else zero)
    h_b = states[domain][-1] if states[domain] else zero
    known = torch.cat([h_b, told(model, domain, states[domain], states[1 - domain], beside)])
    return known


def scores(model, items, domain, candidates):
    w, b = model.outputs.weight[list(candidates)].split([2 * D, 1], dim=1)
    return (w @ known_of(model, items, domain) + b[:, 0]) / 0.7


# ---- the models ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_scores_are_those_of_the_formulas(made, name):
    model, rows, fields = made(name, **MODELS[name])
    with torch.no_grad():
        for domain in (0, 1):
            items = range(*model.candidate_ranges[domain])
            expected = torch.stack([scores(model, inputs, domain, items) for inputs, _ in rows])
            found = model.domain_scores(fields, domain)
            torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("candidates", ["domain", "all"])
@pytest.mark.parametrize("name", MODELS)
def test_the_loss_is_that_of_the_formulas(made, name, candidates):
    """The mean of -log P over all positions, each seen from the items before it alone."""
    model, rows, fields = made(name, **MODELS[name], loss_candidates=candidates)
    losses = []
    with torch.no_grad():
        for inputs, target in rows:
            for t, item in enumerate([*inputs[1:], target]):
                domain = int(model.item_domain[item])
                among = range(*model.candidate_ranges[2 if candidates == "all" else domain])
                log_p = scores(model, inputs[: t + 1], domain, among).log_softmax(0)
                losses.append(-float(log_p[item - among[0]]))
        found = model.calculate_loss(fields).item()
    assert found == pytest.approx(sum(losses) / len(losses), rel=1e-8)


def test_psjnet_i_is_pi_net(made):
    pinet, _, fields = made("PiNet")
    psjnet, _, _ = made("PSJNet", variant="I")
    psjnet.load_state_dict(pinet.state_dict())
    assert psjnet.calculate_loss(fields).item() == pinet.calculate_loss(fields).item()


@pytest.mark.parametrize("history", [("f1 f2", "f3"), ("k1", "k2")])
@pytest.mark.parametrize("name", MODELS)
def test_a_batch_of_one_domain(made, name, history):
    """The other domain has no event at all: it tells nothing, and nothing breaks."""
    model, rows, fields = made(name, [history], **MODELS[name])
    domain = int(model.item_domain[rows[0][1]])
    model.calculate_loss(fields).backward()
    items = range(*model.candidate_ranges[domain])
    with torch.no_grad():
        expected = scores(model, rows[0][0], domain, items)
        torch.testing.assert_close(model.domain_scores(fields, domain)[0], expected)


@pytest.mark.parametrize(
    ("name", "key", "value", "message"),
    [
        ("PiNet", "loss_candidates", "both", "loss_candidates: expected one of"),
        ("PiNet", "n_latent", 0, "n_latent: expected a number of at least 1"),
        ("PSJNet", "n_latent", 0, "n_latent: expected a number of at least 1"),
        ("PSJNet", "variant", "III", "variant: expected one of"),
        ("PSJNet", "embedding_size", 0, "embedding_size: expected a number of at least 1"),
    ],
)
def test_wrong_settings_are_named(build, tiny_dataset, name, key, value, message):
    with pytest.raises(ValueError, match=message):
        build(name, tiny_dataset(), **{**SETTINGS, key: value})
