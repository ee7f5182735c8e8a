"""Which items a loss tells targets from: all, or those that training histories hold."""

import pytest
import torch

# The last two of each are held out.
HISTORIES = [
    ("u1", ["f1", "k1", "f2", "f7", "k7"]),
    ("u2", ["k2", "f5", "k3", "f1", "f8"]),
    ("u3", ["f2", "k1", "k1", "k8", "k9"]),
]
TRAINED = (("f1", "f2", "f5"), ("k1", "k2", "k3"))
# The models are in float64, but temperature and weights were made from float32 logarithms.
CLOSE = {"rtol": 1e-6, "atol": 1e-9}


def ids_of(tiny):
    """By token: food in the order of the file, then kitchen in that order."""
    ordered = sorted(tiny.items, key=lambda token: token.startswith("k"))
    return {token: number for number, token in enumerate(ordered, start=1)}


@pytest.mark.parametrize("name", ["LLMEMF", "TEMA", "ABXI"])
def test_what_nobody_used_is_no_negative(tiny_dataset, build, name):
    tiny = tiny_dataset(histories=HISTORIES)
    # As many as the larger domain has, so all items; more than are compared, so all of these.
    assert build(name, tiny, untrained_negatives=True, n_negatives=12).draw_negatives() == []
    model = build(name, tiny, untrained_negatives=False, n_negatives=12)
    expected = [sorted(ids_of(tiny)[token] for token in tokens) for tokens in TRAINED]
    assert [pool.tolist() for pool in model.draw_negatives()] == expected
    model.n_negatives = 200
    assert [sorted(set(pool.tolist())) for pool in model.draw_negatives()] == expected


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("LLMEMF", {"fusion": "early", "views": ["merged"]}),
        ("TEMA", {"fusion": "score", "views": ["merged"], "tag_overlap": 0}),
        ("ABXI", {}),
        ("SASRecWindows", {"hidden_size": 8}),
    ],
)
@pytest.mark.parametrize(("n_negatives", "close"), [(0, CLOSE), (4000, {"rtol": 0, "atol": 0.03})])
def test_the_loss_over_what_training_has(
    tiny_dataset, build, batch, name, settings, n_negatives, close
):
    """-log of the target's part in Σ exp(score) over the three trained items of its domain."""
    tiny = tiny_dataset(histories=HISTORIES)
    ids = ids_of(tiny)
    model = build(name, tiny, untrained_negatives=False, **settings)
    model.n_negatives = n_negatives
    for domain, (seen, target, first) in enumerate((("k1", "f2", 1), ("f5", "k3", 13))):
        row = batch([([ids[seen]], ids[target])])
        with torch.no_grad():
            scores = model.domain_scores(row, domain)[0]
            if name in ("LLMEMF", "TEMA"):
                # Of one view and one softmax: the similarities, up to what all items share.
                scores = scores.log()
            trained = scores[[ids[token] - first for token in TRAINED[domain]]]
            expected = trained.logsumexp(0) - scores[ids[target] - first]
            loss = model.calculate_loss(row)
            if name == "ABXI":
                events, targets = model.events_of(row), model.targets_of(row)
                states = model.encode(row, events)
                loss = loss - model.auxiliary_loss(row, events, targets, states)
        torch.testing.assert_close(loss, expected, **close)


@pytest.mark.parametrize("compared", [True, False])
def test_what_is_not_compared_learns_nothing(tiny_dataset, build, batch, compared):
    tiny = tiny_dataset(histories=HISTORIES)
    ids = ids_of(tiny)
    model = build("TEMA", tiny, untrained_negatives=compared)
    rows = batch([([ids["f1"], ids["k1"]], ids["f2"]), ([ids["k2"], ids["f5"]], ids["k3"])])
    model.calculate_loss(rows).backward()
    gradients = model.streams["early"].members[0].embedding.weight.grad
    untrained = [ids[token] for token in ids if token not in TRAINED[0] + TRAINED[1]]
    assert gradients[untrained].any(dim=1).tolist() == [compared] * 15


def test_a_domain_that_training_lacks_keeps_its_items(tiny_dataset, build, batch):
    histories = [("u1", ["f1", "f2", "k1", "k2"]), ("u2", ["f2", "f3", "f1", "k3"])]
    model = build("TEMA", tiny_dataset(histories=histories), untrained_negatives=False)
    model.n_negatives = 300
    food, kitchen = model.draw_negatives()
    assert len(set(food.tolist())) == 3
    assert set(kitchen.tolist()) == set(range(13, 22))
    assert model.calculate_loss(batch([([1], 2)])).isfinite()


def test_the_setting_is_true_or_false(tiny_dataset, build):
    with pytest.raises(ValueError, match="untrained_negatives: expected True or False, got 'some'"):
        build("TEMA", tiny_dataset(), untrained_negatives="some")
