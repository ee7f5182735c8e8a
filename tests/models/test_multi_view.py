"""LLM-EMF and TEMA-LLM against eq. 2-12, history by history and view by view in plain Python.

The plain version makes the list of each view, puts every prefix of it through the model's encoder
alone and unpadded, takes the last state, and sums probabilities over the candidates one by one. It
takes features and tags from what was written to disk, by token. Only the encoder's own arithmetic
is the model's (see test_layers.py).
"""

import math
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from recbole_tema.models.layers import Packing

# The model is in float64, but its temperature and weights were made from float32 logarithms.
CLOSE = {"rtol": 1e-6, "atol": 1e-9}

# By token: inputs and target. f2 has no text and no image, k3 no text, k1 and k4 no image, f3 and
# k5 no tags.
HISTORIES = [
    ("f1 k1 f2 f3 k2", "f4"),
    ("f5", "k3"),
    ("k4", "k5"),
    ("k6 f2", "f2"),
    ("f7 f8 f9 f10", "f11"),
    ("k1 k3 f2 k3 k5 f3", "k9"),
    ("f12 k7", "k8"),
]


class Plain:
    """One model's parameters and settings, and the formulas on top of them."""

    def __init__(self, model, tiny):
        self.model, self.tiny, self.settings = model, tiny, model.settings
        domains = [[i for i in tiny.items if tiny.domain_of(i) == name] for name in tiny.domains]
        self.tokens = [None, *domains[0], *domains[1]]
        self.number = {token: at for at, token in enumerate(self.tokens)}
        self.domains = [[self.number[token] for token in each] for each in domains]
        self.everything = [*self.domains[0], *self.domains[1]]
        self.known_vectors, self.known_states = {}, {}

    def domain(self, item: int) -> int:
        return 0 if item in self.domains[0] else 1

    # -- item vectors --------------------------------------------------------------------------

    def part(self, modality, name: str, item: int) -> torch.Tensor | None:
        """The vector of one modality; None where the item has none."""
        token = self.tokens[item]
        if name == "id":
            return modality.embedding.weight[item]
        if name == "tag":
            tags = self.tiny.tags[token]
            if not tags:
                return None
            names = sorted({each for scores in self.tiny.tags.values() for each in scores})
            weight = {t: w if self.weighted_tags else 1.0 for t, w in tags.items()}
            total = sum(
                w * modality.embedding.weight[names.index(t) + 1] for t, w in weight.items()
            )
            vector = total / sum(weight.values())
        else:
            stored = self.tiny.vectors[name][token]
            if stored is None:
                return None
            vector = torch.tensor(stored, dtype=torch.float64)
        projection = modality.projection
        return projection.weight @ vector if hasattr(projection, "weight") else vector

    weighted_tags = True
    tag_fusion = None  # for LLM-EMF

    def members(self, stream) -> dict:
        """The modalities that a stream adds, by name."""
        names = {"IdModality": lambda m: "id", "TagModality": lambda m: "tag"}
        found = {}
        for modality in stream.modalities:
            kind = type(modality).__name__
            if kind in names:
                found[names[kind](modality)] = modality
            else:
                frozen = modality.frozen
                kinds = [k for k in ("text", "image") if self.is_of(frozen, k)]
                found[kinds[0]] = modality
        return found

    def is_of(self, frozen, kind: str) -> bool:
        if kind not in self.tiny.vectors:
            return False
        token = next(t for t in self.tokens[1:] if self.tiny.vectors[kind][t] is not None)
        vector = self.tiny.vectors[kind][token]
        return len(vector) == frozen.shape[1] and np.allclose(frozen[self.number[token]], vector)

    def vector(self, stream, item: int) -> torch.Tensor | None:
        """The stream's vector of an item as a candidate; None where it has nothing of it."""
        if (stream, item) not in self.known_vectors:
            self.known_vectors[stream, item] = self.new_vector(stream, item)
        return self.known_vectors[stream, item]

    def new_vector(self, stream, item: int) -> torch.Tensor | None:
        parts = {n: self.part(m, n, item) for n, m in self.members(stream).items()}
        present = [each for each in parts.values() if each is not None]
        if not present:
            return None
        total = sum(present)
        if stream.gate is not None and self.tiny.tags[self.tokens[item]]:
            tag = self.part(stream.gate, "tag", item)
            total = total * 2 * torch.sigmoid(stream.gate_projection.weight @ tag)
        return total

    def in_history(self, stream, item: int) -> torch.Tensor:
        vector = self.vector(stream, item)
        if vector is not None:
            return vector
        members = list(stream.modalities)
        # What stands for a single modality that is missing is learned; a sum of none is zero.
        return members[0].missing if len(members) == 1 else torch.zeros(stream.dim).double()

    # -- states, eq. 2 -------------------------------------------------------------------------

    def states(self, events: list[int], view: int) -> list[torch.Tensor] | None:
        """For each stream h^v after these events of the whole history; None for an empty view."""
        own = [item for item in events if view == 2 or self.domain(item) == view]
        if not own:
            return None
        key = (view, *own)
        if key not in self.known_states:
            self.known_states[key] = self.new_states(own, view)
        return self.known_states[key]

    def new_states(self, own: list[int], view: int) -> list[torch.Tensor]:
        encoders = self.model.encoders[0 if self.settings.share_encoder else view]
        packing = Packing(torch.zeros(len(own), dtype=torch.long), torch.arange(len(own)), 1)
        return [
            encoder(torch.stack([self.in_history(stream, item) for item in own]), packing)[-1]
            for stream, encoder in zip(self.model.streams.values(), encoders, strict=True)
        ]

    # -- probabilities, eq. 3 and 5-8 ----------------------------------------------------------

    def similarity(self, state: list[float], vector: list[float]) -> float:
        z = dot(state, vector)
        if self.settings.similarity == "cosine":
            z /= math.sqrt(dot(state, state)) * math.sqrt(dot(vector, vector))
        return z / self.settings.temperature

    def probabilities(self, states: list[torch.Tensor], candidates: list[int]) -> dict[int, float]:
        names = list(self.model.streams)
        weights = [self.settings.modality_weights.get(name, 1.0) for name in names]
        z = []
        for stream, state in zip(self.model.streams.values(), states, strict=True):
            vectors = {item: self.vector(stream, item) for item in candidates}
            numbers = state.tolist()
            z.append(
                {
                    item: self.similarity(numbers, vector.tolist())
                    for item, vector in vectors.items()
                    if vector is not None
                }
            )
        if self.settings.fusion == "score":
            summed: dict[int, float] = {}
            for weight, of_stream in zip(weights, z, strict=True):
                for item, value in of_stream.items():
                    summed[item] = summed.get(item, 0.0) + weight * value
            z, weights = [summed], [1.0]
        total = sum(weight for weight, of_stream in zip(weights, z, strict=True) if of_stream)
        p = dict.fromkeys(candidates, 0.0)
        for weight, of_stream in zip(weights, z, strict=True):
            norm = sum(math.exp(value) for value in of_stream.values())
            for item, value in of_stream.items():
                p[item] += weight / total * math.exp(value) / norm
        return p

    def candidates(self, view: int, domain: int) -> list[int]:
        both = view == 2 and self.settings.merged_candidates == "all"
        return self.everything if both else self.domains[domain]

    def joined(self, events: list[int], domain: int, weights) -> list[torch.Tensor] | None:
        total = None
        for view, weight in zip((domain, 1 - domain, 2), weights, strict=True):
            if view not in self.settings.encoded_views:
                continue
            states = self.states(events, view)
            if states is not None and weight:
                states = [weight * state for state in states]
                pairs = zip(total or [0] * len(states), states, strict=True)
                total = [a + b for a, b in pairs]
        return total

    # -- eq. 9, 10 -----------------------------------------------------------------------------

    def loss(self, rows: list[tuple[list[int], int]]) -> float:
        losses, number = 0.0, 0
        weights = self.settings.train_view_weights
        for inputs, target in rows:
            for at, following in enumerate([*inputs[1:], target], start=1):
                number += 1
                events, domain = inputs[:at], self.domain(following)
                if self.settings.view_join == "vectors":
                    states = self.joined(events, domain, weights)
                    terms = [(1.0, states, self.domains[domain])]
                else:
                    terms = [
                        (weights[view], self.states(events, view), self.candidates(view, domain))
                        for view in (domain, 2)
                        if view in self.settings.encoded_views
                    ]
                for weight, states, candidates in terms:
                    if states is None:
                        continue
                    p = self.probabilities(states, candidates)[following]
                    if p > 0:
                        losses -= weight * math.log(p)
        return losses / number

    # -- eq. 11, 12 ----------------------------------------------------------------------------

    def scores(self, inputs: list[int], domain: int) -> list[float]:
        weights = self.settings.score_view_weights
        items = self.domains[domain]
        if self.settings.view_join == "vectors":
            states = self.joined(inputs, domain, weights)
            if states is None:  # no view has anything to contribute
                return [0.0] * len(items)
            p = self.probabilities(states, items)
            return [p[item] for item in items]
        total = dict.fromkeys(items, 0.0)
        for view, weight in zip((domain, 1 - domain, 2), weights, strict=True):
            if view not in self.settings.encoded_views or not weight:
                continue
            states = self.states(inputs, view)
            if states is not None:
                p = self.probabilities(states, self.candidates(view, domain))
                for item in items:
                    total[item] += weight * p[item]
        return list(total.values())


def dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


WEIGHTS = {
    "train_view_weights": [1.0, 0.4, 0.7],
    "score_view_weights": [0.9, 0.3, 0.5],
    "modality_weights": {"id": 0.5, "image": 0.2, "text": 0.3, "tag": 0.6},
}


@pytest.fixture
def check(build, batch):
    """``check(model, tiny, **settings)``: loss and scores are those of the plain version."""

    def run(name, tiny, histories=HISTORIES, **settings):
        settings = {**WEIGHTS, **settings}
        model = build(name, tiny, **settings)
        plain = Plain(model, tiny)
        plain.weighted_tags = settings.get("weighted_tags", True)
        rows = [
            ([plain.number[token] for token in inputs.split()], plain.number[target])
            for inputs, target in histories
        ]
        fields = batch(rows)
        with torch.no_grad():
            assert model.calculate_loss(fields).item() == pytest.approx(plain.loss(rows), rel=1e-6)
            for domain in (0, 1):
                expected = torch.tensor(
                    [plain.scores(inputs, domain) for inputs, _ in rows], dtype=torch.float64
                )
                torch.testing.assert_close(model.domain_scores(fields, domain), expected, **CLOSE)
        return model

    return run


# ---- LLM-EMF ---------------------------------------------------------------------------------

FUSIONS = ("mixture", "score", "early")
SIMILARITIES = ("cosine", "dot")
JOINS = ("probabilities", "vectors")


@pytest.mark.parametrize(
    ("fusion", "similarity", "join"), list(product(FUSIONS, SIMILARITIES, JOINS))
)
def test_llmemf(tiny_dataset, check, fusion, similarity, join):
    check("LLMEMF", tiny_dataset(), fusion=fusion, similarity=similarity, view_join=join)


@pytest.mark.parametrize(
    ("views", "fusion", "join"),
    list(product((["single"], ["merged"]), ("mixture", "early"), JOINS)),
)
def test_llmemf_without_a_view(tiny_dataset, check, views, fusion, join):
    check("LLMEMF", tiny_dataset(), views=views, fusion=fusion, view_join=join)


@pytest.mark.parametrize("modalities", [["id"], ["text"], ["id", "text"], ["image", "text"]])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_llmemf_with_some_modalities(tiny_dataset, check, modalities, fusion):
    model = check("LLMEMF", tiny_dataset(), modalities=modalities, fusion=fusion)
    assert list(model.streams) == (["early"] if fusion == "early" else modalities)


@pytest.mark.parametrize(
    ("fusion", "similarity"), list(product(("mixture", "score"), SIMILARITIES))
)
def test_llmemf_with_raw_features(tiny_dataset, check, fusion, similarity):
    settings = {"fusion": fusion, "similarity": similarity, "feature_projection": "none"}
    model = check("LLMEMF", tiny_dataset(), **settings)
    assert {name: stream.dim for name, stream in model.streams.items()} == {
        "id": 8,
        "image": 4,
        "text": 6,
    }


@pytest.mark.parametrize("fusion", ["mixture", "early"])
def test_the_merged_view_among_all_items(tiny_dataset, check, fusion):
    check("LLMEMF", tiny_dataset(), fusion=fusion, merged_candidates="all")


def test_shared_encoders(tiny_dataset, check):
    model = check("LLMEMF", tiny_dataset(), share_encoder=True)
    assert len(model.encoders) == 1


@pytest.mark.parametrize("settings", [{"n_layers": 0}, {"n_layers": 2}, {"positions": False}])
def test_other_encoders(tiny_dataset, check, settings):
    check("LLMEMF", tiny_dataset(), **settings)


def test_the_papers_weights(tiny_dataset, check):
    # Eq. 10 and 11 with λ1 = 0.3 and λ2 = 0.1; temperature 1 is the literal softmax of cosines.
    weights = {"train_view_weights": [1.0, 0.3, 0.1], "score_view_weights": [1.0, 0.3, 0.1]}
    check("LLMEMF", tiny_dataset(), similarity="cosine", temperature=1.0, **weights)


@pytest.mark.parametrize("join", JOINS)
def test_views_of_no_weight(tiny_dataset, check, join):
    weights = {"train_view_weights": [1.0, 1.0, 0.0], "score_view_weights": [1.0, 0.0, 0.0]}
    check("LLMEMF", tiny_dataset(), similarity="dot", view_join=join, **weights)


@pytest.mark.parametrize("join", JOINS)
@pytest.mark.parametrize(
    "histories",
    [
        [("f1 f5", "f6")],  # one domain alone, so that the other view is empty for the whole batch
        [("k6", "f2")],
        [("f1", "k2"), ("f6 f7", "k6")],  # the targets' own view is empty for all
    ],
)
@pytest.mark.parametrize("weights", [[0.5, 0.2, 0.3], [1.0, 0.0, 0.0]])
def test_batches_with_an_empty_view(tiny_dataset, check, join, histories, weights):
    check(
        "LLMEMF",
        tiny_dataset(),
        histories=histories,
        similarity="dot",
        view_join=join,
        train_view_weights=weights,
        score_view_weights=weights,
    )


@pytest.mark.parametrize("fusion", FUSIONS)
def test_items_that_lack_every_modality(tiny_dataset, check, fusion):
    # f1 and f2 can be no candidates; a history shows them all the same.
    absent = {"text": ("f1", "f2", "k3"), "image": ("f1", "f2")}
    histories = [("f1 f2", "f3"), ("f2 k1 f4", "f1")]
    tiny = tiny_dataset(absent=absent)
    check("LLMEMF", tiny, histories, modalities=["text", "image"], fusion=fusion)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_domain_without_a_modality(tiny_dataset, check, fusion):
    tiny = tiny_dataset(absent={"image": tuple(f"k{n}" for n in range(1, 10))})
    check("LLMEMF", tiny, fusion=fusion)


# ---- TEMA-LLM --------------------------------------------------------------------------------

TAG_FUSIONS = ("add", "gate", "modality")


@pytest.mark.parametrize(("tag_fusion", "fusion"), list(product(TAG_FUSIONS, FUSIONS)))
def test_tema(tiny_dataset, check, tag_fusion, fusion):
    check("TEMA", tiny_dataset(), tag_fusion=tag_fusion, fusion=fusion, similarity="cosine")


@pytest.mark.parametrize("tag_fusion", TAG_FUSIONS)
@pytest.mark.parametrize("fusion", ["mixture", "early"])
def test_tema_with_unweighted_tags(tiny_dataset, check, tag_fusion, fusion):
    check("TEMA", tiny_dataset(), tag_fusion=tag_fusion, fusion=fusion, weighted_tags=False)


@pytest.mark.parametrize("tag_fusion", TAG_FUSIONS)
def test_tema_of_ids_and_tags(tiny_dataset, check, tag_fusion):
    tiny = tiny_dataset(text=0, image=0)
    check("TEMA", tiny, tag_fusion=tag_fusion, fusion="mixture", modalities=["id", "tag"])


def test_tema_of_tags_alone(tiny_dataset, check):
    model = check("TEMA", tiny_dataset(), modalities=["tag"], fusion="mixture")
    assert list(model.streams) == ["tag"]


@pytest.mark.parametrize("tag_fusion", ["add", "gate"])
def test_tags_go_to_another_modality_where_there_is_no_id(tiny_dataset, check, tag_fusion):
    check(
        "TEMA",
        tiny_dataset(),
        modalities=["text", "image", "tag"],
        tag_fusion=tag_fusion,
        fusion="mixture",
    )


def test_tema_with_raw_features(tiny_dataset, check):
    check("TEMA", tiny_dataset(), fusion="mixture", tag_fusion="add", feature_projection="none")


def test_tema_without_tags_is_llmemf(tiny_dataset, build, batch):
    tiny = tiny_dataset(tags=False)
    same = {"fusion": "mixture", "modalities": ["id", "image", "text"]}
    models = [build("LLMEMF", tiny, **same), build("TEMA", tiny, **same)]
    models.append(build("TEMA", tiny, **{**same, "modalities": ["id", "image", "text", "tag"]}))
    rows = batch([([1, 14, 3], 5), ([20], 2)])
    losses = [model.calculate_loss(rows).item() for model in models]
    assert losses[0] == losses[1] == losses[2]


def test_tags_change_the_model(tiny_dataset, build, batch):
    rows = batch([([1, 14, 3], 5), ([20], 2)])
    losses = {
        build("TEMA", tiny_dataset(name=str(weighted)), weighted_tags=weighted)
        .calculate_loss(rows)
        .item()
        for weighted in (True, False)
    }
    assert len(losses) == 2


# ---- sampled candidates ----------------------------------------------------------------------


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("merged", ["domain", "all"])
def test_sampling_every_item_is_the_full_loss(
    tiny_dataset, build, batch, monkeypatch, fusion, merged
):
    tiny = tiny_dataset()
    settings = {"fusion": fusion, "merged_candidates": merged, **WEIGHTS}
    full = build("LLMEMF", tiny, **settings)
    sampled = build("LLMEMF", tiny, n_negatives=7, **settings)
    pools = [torch.randperm(stop - start) + start for start, stop in ((1, 13), (13, 22), (1, 22))]
    monkeypatch.setattr(sampled, "_candidate_pools", lambda: pools)
    rows = batch([([1, 14, 3, 17], 5), ([20], 2), ([4, 4, 13], 13)])
    torch.testing.assert_close(sampled.calculate_loss(rows), full.calculate_loss(rows), **CLOSE)


def test_negatives_come_from_the_whole_domain_of_the_target(tiny_dataset, build):
    model = build("LLMEMF", tiny_dataset(), n_negatives=400)
    food, kitchen = model._candidate_pools()[:2]
    assert set(food.tolist()) == set(range(1, 13))
    assert set(kitchen.tolist()) == set(range(13, 22))


def test_a_sampled_loss_has_finite_gradients(tiny_dataset, build, batch):
    absent = {"image": tuple(f"k{n}" for n in range(1, 10))}
    settings = {"learn_modality_weights": True, "learn_temperature": True, "fusion": "mixture"}
    model = build("TEMA", tiny_dataset(absent=absent), n_negatives=5, **settings, **WEIGHTS)
    rows = batch([([1, 14, 3, 17], 5), ([20], 2), ([4, 4, 13], 13)])
    for _ in range(5):
        model.zero_grad()
        model.calculate_loss(rows).backward()
        assert all(
            torch.isfinite(each.grad).all() for each in model.parameters() if each.grad is not None
        )


# ---- what may and what may not be learned ----------------------------------------------------


def test_frozen_features_are_neither_trained_nor_saved(tiny_dataset, build, batch):
    model = build("LLMEMF", tiny_dataset(), fusion="mixture")
    kept = {n: model.streams[n].modalities[0].frozen.clone() for n in ("text", "image")}
    trained = [tuple(parameter.shape) for parameter in model.parameters()]
    assert (22, 6) not in trained
    assert (22, 4) not in trained
    assert not any("frozen" in name for name in model.state_dict())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model.calculate_loss(batch([([1, 14, 3], 5), ([20], 2)])).backward()
        optimizer.step()
    for name, before in kept.items():
        frozen = model.streams[name].modalities[0].frozen
        assert torch.equal(frozen, before)
        assert not frozen.requires_grad


@pytest.mark.parametrize("trainable", [True, False])
def test_tag_vectors_start_from_the_texts_of_the_tags(tiny_dataset, config_of, trainable):
    from recbole_tema.data.dataset import CrossDomainDataset

    tiny = tiny_dataset()
    config = config_of("TEMA", tiny, train_tag_embedding=trainable)
    model = config.model_class(config, CrossDomainDataset(config))
    embedding = next(module for module in model.modules() if type(module).__name__ == "TagModality")
    names = sorted(tiny.vectors["tag"])
    assert not embedding.embedding.weight[0].any()
    for row, name in zip(embedding.embedding.weight[1:], names, strict=True):
        assert np.array_equal(row.detach().numpy(), tiny.vectors["tag"][name])
    assert embedding.embedding.weight.requires_grad == trainable


@pytest.mark.parametrize("views", [["single"], ["merged"]])
def test_only_the_views_that_are_on_learn(tiny_dataset, build, batch, views):
    model = build("LLMEMF", tiny_dataset(), views=views)
    model.calculate_loss(batch([([1, 14, 3, 13], 5), ([20, 2], 21)])).backward()
    for view, encoders in enumerate(model.encoders):
        learns = any(each.grad is not None for each in encoders.parameters())
        assert learns == (("merged" in views) if view == 2 else ("single" in views))


@pytest.mark.parametrize("learned", [True, False])
def test_temperature_and_weights_learn_only_if_told_to(tiny_dataset, build, batch, learned):
    settings = {"learn_temperature": learned, "learn_modality_weights": learned}
    model = build("LLMEMF", tiny_dataset(), fusion="mixture", **settings)
    model.calculate_loss(batch([([1, 14, 3], 5)])).backward()
    for parameter in (model.log_temperature, model.modality_weights):
        assert parameter.requires_grad == learned
        assert (parameter.grad is not None and bool(parameter.grad.any())) == learned


# ---- batches ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_padding_and_company_change_no_score(tiny_dataset, build, batch, dtype):
    model = build("TEMA", tiny_dataset()).to(dtype)
    rows = [([1, 14, 3], 5), ([20], 2), ([4, 5, 6, 7, 13, 14], 15), ([21, 20], 20)]
    with torch.no_grad():
        for domain in (0, 1):
            together = model.domain_scores(batch(rows, width=6), domain)
            for at, row in enumerate(rows):
                alone = model.domain_scores(batch([row]), domain)
                torch.testing.assert_close(alone[0], together[at], rtol=1e-5, atol=1e-6)


def test_a_loss_is_the_mean_over_all_positions_of_a_batch(tiny_dataset, build, batch):
    model = build("LLMEMF", tiny_dataset())
    rows = [([1, 14, 3], 5), ([20], 2), ([4, 5, 6, 7, 13, 14], 15)]
    sizes = [len(inputs) for inputs, _ in rows]
    apart = sum(model.calculate_loss(batch([row])) * n for row, n in zip(rows, sizes, strict=True))
    torch.testing.assert_close(model.calculate_loss(batch(rows)), apart / sum(sizes), **CLOSE)


def test_what_follows_does_not_change_earlier_states(tiny_dataset, build):
    model = build("LLMEMF", tiny_dataset())
    tables = model._item_tables()
    rows = torch.arange(22)

    def states(items):
        packing = Packing.of(torch.ones(1, len(items), dtype=torch.bool))
        views = model.encode(torch.tensor(items), packing, tables, rows)
        return {
            (view, at): [state[found.last[at]] for state in found.states]
            for view, found in views.items()
            for at in range(len(items))
            if found.last[at] >= 0
        }

    short, long = states([1, 14, 3]), states([1, 14, 3, 15, 2, 16])
    assert set(short) < set(long)
    for key, expected in short.items():
        for found, state in zip(long[key], expected, strict=True):
            torch.testing.assert_close(found, state, **CLOSE)


def test_the_batch_is_left_as_it_was(tiny_dataset, build, batch):
    model = build("TEMA", tiny_dataset())
    fields, copy = (batch([([1, 14, 3], 5), ([20], 2)]) for _ in range(2))
    model.calculate_loss(fields)
    model.full_sort_predict(fields)
    for name in fields.columns:
        assert torch.equal(fields[name], copy[name])


# ---- scores ----------------------------------------------------------------------------------


def test_full_sort_predict_and_predict_are_domain_scores(tiny_dataset, build, batch):
    model = build("TEMA", tiny_dataset())
    rows = [([1, 14, 3], 5), ([20], 2), ([4], 15)]
    fields = batch(rows)
    with torch.no_grad():
        food, kitchen = (model.domain_scores(fields, domain) for domain in (0, 1))
        full = model.full_sort_predict(fields).view(3, 22)
        assert torch.equal(full[:, 1:13], food)
        assert torch.equal(full[:, 13:], kitchen)
        assert (full[:, 0] == -torch.inf).all()
        assert model.predict(fields).tolist() == [full[0, 5], full[1, 2], full[2, 15]]


def test_probabilities_of_a_domain_sum_to_the_weights_of_the_views(tiny_dataset, build, batch):
    weights = {"score_view_weights": [0.9, 0.3, 0.5]}
    model = build("LLMEMF", tiny_dataset(), **weights)
    with torch.no_grad():
        scores = model.domain_scores(batch([([1, 14, 3], 5), ([20, 21], 2)]), 0)
    # The second history has no food, so that its own view (0.9) contributes nothing.
    torch.testing.assert_close(scores.sum(dim=1), torch.tensor([1.7, 0.8]).double(), **CLOSE)


@pytest.mark.parametrize("change", ["a step", "loading", "in place"])
def test_scores_follow_every_change_of_the_parameters(tiny_dataset, build, batch, change):
    model = build("LLMEMF", tiny_dataset())
    other = build("LLMEMF", tiny_dataset(), temperature=0.7)
    fields = batch([([1, 14, 3], 5)])
    with torch.no_grad():
        before = model.domain_scores(fields, 0)
        assert torch.equal(model.domain_scores(fields, 0), before)
    if change == "a step":
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
        model.calculate_loss(fields).backward()
        optimizer.step()
    elif change == "in place":
        with torch.no_grad():
            model.streams["id"].modalities[0].embedding.weight.add_(
                torch.randn(22, 8, dtype=torch.float64)
            )
    else:
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.mul_(1.5)
        model.load_state_dict(other.state_dict())
    fresh = SimpleNamespace(**{"state": model.state_dict()})
    again = build("LLMEMF", tiny_dataset())
    again.load_state_dict(fresh.state)
    with torch.no_grad():
        after = model.domain_scores(fields, 0)
        assert not torch.allclose(after, before)
        assert torch.equal(after, again.domain_scores(fields, 0))
