"""Which items a loss tells targets from: all, or those that training has or that are but an id."""

import pytest
import torch

from recbole_tema.models.views import Tables

# The last two of each are held out.
HISTORIES = [
    ("u1", ["f1", "k1", "f2", "f7", "k7"]),
    ("u2", ["k2", "f5", "k3", "f1", "f8"]),
    ("u3", ["f2", "k1", "k4", "k8", "k9"]),
]
TRAINED = (("f1", "f2", "f5"), ("k1", "k2", "k3", "k4"))
DESCRIBED = {"text": (), "image": (), "tags": ()}
# The models are in float64, but temperature and weights were made from float32 logarithms.
CLOSE = {"rtol": 1e-6, "atol": 1e-9}


def ids_of(tiny):
    """By token: food in the order of the file, then kitchen in that order."""
    ordered = sorted(tiny.items, key=lambda token: token.startswith("k"))
    return {token: number for number, token in enumerate(ordered, start=1)}


@pytest.mark.parametrize(
    ("name", "fusion"), [("LLMEMF", "early"), ("LLMEMF", "mixture"), ("TEMA", "early")]
)
def test_what_nobody_used_is_no_negative(tiny_dataset, build, name, fusion):
    tiny = tiny_dataset(histories=HISTORIES, absent=DESCRIBED)
    of_all = build(name, tiny, fusion=fusion, untrained_negatives=True, n_negatives=12)
    # As many as the larger domain has, so all items.
    assert of_all.draw_negatives() == []
    model = build(name, tiny, fusion=fusion, untrained_negatives=False, n_negatives=12)
    expected = [sorted(ids_of(tiny)[token] for token in tokens) for tokens in TRAINED]
    # More than are compared, so all of these.
    assert [pool.tolist() for pool in model.draw_negatives()] == expected
    model.n_negatives = 200
    assert [sorted(set(pool.tolist())) for pool in model.draw_negatives()] == expected


@pytest.mark.parametrize(
    ("name", "settings", "spared"),
    [
        # Of f3, f4, f6, f9 and f10, which training lacks: a text, an image, tags, none, none.
        ("LLMEMF", {}, {"f3", "f4"}),
        ("LLMEMF", {"modalities": ["id", "text"]}, {"f3"}),
        ("LLMEMF", {"modalities": ["id"]}, set()),
        ("TEMA", {}, {"f3", "f4", "f6"}),
        ("TEMA", {"modalities": ["id", "tag"], "tag_fusion": "gate"}, {"f6"}),
        ("TEMA", {"modalities": ["id"]}, set()),
    ],
)
def test_what_is_but_an_id_stays_a_negative(tiny_dataset, build, name, settings, spared):
    absent = {
        "text": ("f4", "f6", "f9", "f10"),
        "image": ("f3", "f6", "f9", "f10"),
        "tags": ("f3", "f4", "f9", "f10"),
    }
    tiny = tiny_dataset(histories=HISTORIES, absent=absent)
    model = build(name, tiny, untrained_negatives=False, **settings)
    tokens = {number: token for token, number in ids_of(tiny).items()}
    compared = {tokens[number] for number in model.compared.tolist()}
    assert compared & {"f3", "f4", "f6", "f9", "f10"} == {"f3", "f4", "f6", "f9", "f10"} - spared
    assert compared >= {*TRAINED[0], *TRAINED[1]}


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("LLMEMF", {"fusion": "early"}),
        ("LLMEMF", {"fusion": "score"}),
        ("TEMA", {"fusion": "early", "tag_overlap": 0}),
    ],
)
@pytest.mark.parametrize(("n_negatives", "close"), [(0, CLOSE), (4000, {"rtol": 0, "atol": 0.03})])
def test_the_loss_over_what_training_has(
    tiny_dataset, build, batch, name, settings, n_negatives, close
):
    """-log of the target's part in Σ exp(similarity) over the trained items of its domain."""
    tiny = tiny_dataset(histories=HISTORIES, absent=DESCRIBED)
    ids = ids_of(tiny)
    model = build(name, tiny, untrained_negatives=False, views=["merged"], **settings)
    model.n_negatives = n_negatives
    for domain, (seen, target, first) in enumerate((("k1", "f2", 1), ("f5", "k3", 13))):
        row = batch([([ids[seen]], ids[target])])
        with torch.no_grad():
            # Of one view and one softmax: the similarities, up to what all items share.
            scores = model.domain_scores(row, domain)[0].log()
            trained = scores[[ids[token] - first for token in TRAINED[domain]]]
            expected = trained.logsumexp(0) - scores[ids[target] - first]
            torch.testing.assert_close(model.calculate_loss(row), expected, **close)


@pytest.mark.parametrize(("n_negatives", "close"), [(0, CLOSE), (6000, {"rtol": 0, "atol": 0.04})])
def test_the_mixture_over_both_domains(tiny_dataset, build, batch, n_negatives, close):
    """-log Σ_m a_m P_m of eq. 8, each P_m over the trained items of both domains that have m."""
    tiny = tiny_dataset(histories=HISTORIES, absent={"text": ("f5",), "image": ("k1", "k4")})
    ids = ids_of(tiny)
    settings = {"fusion": "mixture", "similarity": "dot", "merged_candidates": "all"}
    weights = {"id": 0.5, "image": 0.2, "text": 0.3}
    model = build(
        "LLMEMF",
        tiny,
        untrained_negatives=False,
        views=["merged"],
        modality_weights=weights,
        **settings,
    )
    model.n_negatives = n_negatives
    assert len(model.draw_negatives()) == 3
    trained = [ids[token] for token in TRAINED[0] + TRAINED[1]]
    row = batch([([ids["k1"]], ids["f2"])])
    with torch.no_grad():
        events = model.events_of(row)
        tables = Tables([stream.vectors() for stream in model.stream_list])
        state = model.encode(events, tables)[2].at(events.packing.latest)
        probability = 0.0
        for name, query, table in zip(model.streams, state, tables.vectors, strict=True):
            z = table @ query[0] / 0.7
            has = [item for item in trained if model.streams[name].present[item]]
            assert len(has) == {"id": 7, "text": 6, "image": 5}[name]
            probability += weights[name] * (z[ids["f2"]] - z[has].logsumexp(0)).exp()
        torch.testing.assert_close(model.calculate_loss(row), -probability.log(), **close)


@pytest.mark.parametrize("untrained", [True, False])
def test_what_is_not_compared_learns_nothing(tiny_dataset, build, batch, untrained):
    tiny = tiny_dataset(histories=HISTORIES, absent=DESCRIBED)
    ids = ids_of(tiny)
    model = build("TEMA", tiny, untrained_negatives=untrained, fusion="early")
    rows = batch([([ids["f1"], ids["k1"]], ids["f2"]), ([ids["k2"], ids["f5"]], ids["k3"])])
    model.calculate_loss(rows).backward()
    gradients = model.streams["early"].members[0].embedding.weight.grad
    others = [ids[token] for token in ids if token not in TRAINED[0] + TRAINED[1]]
    assert gradients[others].any(dim=1).tolist() == [untrained] * 14


def test_a_domain_that_training_lacks_keeps_its_items(tiny_dataset, build, batch):
    histories = [("u1", ["f1", "f2", "k1", "k2"]), ("u2", ["f2", "f3", "f1", "k3"])]
    tiny = tiny_dataset(histories=histories, absent=DESCRIBED)
    model = build("TEMA", tiny, untrained_negatives=False)
    model.n_negatives = 300
    food, kitchen = model.draw_negatives()
    ids = ids_of(tiny)
    assert set(food.tolist()) == {ids["f1"], ids["f2"], ids["f3"]}
    assert set(kitchen.tolist()) == set(range(13, 22))
    assert model.calculate_loss(batch([([1], 2)])).isfinite()


def test_the_setting_is_true_or_false(tiny_dataset, build):
    with pytest.raises(ValueError, match="untrained_negatives: expected True or False, got 'some'"):
        build("TEMA", tiny_dataset(), untrained_negatives="some")
