"""Losses and scores of LLM-EMF and TEMA-LLM against eq. 2-12 in plain Python (plain_model.py)."""

from itertools import product

import pytest
import torch

from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.data.item_features import shuffled_tags
from recbole_tema.formats import write_tags
from tests.models.histories import HISTORIES as SHARED
from tests.models.plain_model import Plain

# The model is in float64, but its temperature and weights were made from float32 logarithms.
CLOSE = {"rtol": 1e-5, "atol": 1e-8}

# f2 has no text and no image, k3 no text, k1 and k4 no image, f3 and k5 no tags.
HISTORIES = [*SHARED, ("f12 k7", "k8")]

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
        if name == "TEMA":
            plain.overlap = (0.6, 0.05, 0.7)
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
JOINS = ("probabilities", "log_probabilities", "vectors")


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


@pytest.mark.parametrize("positions", ["start", "end", "none"])
@pytest.mark.parametrize("views", [["single", "merged"], ["single"], ["merged"]])
def test_positions(tiny_dataset, check, positions, views):
    check("LLMEMF", tiny_dataset(), positions=positions, views=views)


@pytest.mark.parametrize("settings", [{"n_layers": 0}, {"n_layers": 2}])
def test_other_encoders(tiny_dataset, check, settings):
    check("LLMEMF", tiny_dataset(), **settings)


@pytest.mark.parametrize("fusion", ["mixture", "early"])
@pytest.mark.parametrize("join", JOINS)
@pytest.mark.parametrize("views", [["single", "merged"], ["single"], ["merged"]])
def test_calendar_time(tiny_dataset, check, fusion, join, views):
    settings = {"fusion": fusion, "view_join": join, "views": views, "time_knots": 3}
    model = check("LLMEMF", tiny_dataset(), **settings)
    assert len(model.times_before) == len(model.times_behind) == len(model.streams)


def test_pre_split_data_have_no_times_and_no_calendar(tiny_dataset, build):
    model = build("LLMEMF", tiny_dataset(split="pre_split"), time_knots=3)
    assert not model.times_before
    assert not model.times_behind


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


@pytest.mark.parametrize("join", JOINS)
def test_tema_and_the_joins(tiny_dataset, check, join):
    check("TEMA", tiny_dataset(), view_join=join)


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


def test_shuffled_tags_are_those_of_other_items(tiny_dataset, build, batch, config_of):
    """The control is the model of a data set in which the tags were exchanged on disk."""
    tiny = tiny_dataset()
    fields = batch([([1, 13, 2], 4), ([5], 20)])
    with torch.no_grad():
        plain = build("TEMA", tiny).calculate_loss(fields)
        shuffled = build("TEMA", tiny, shuffle_tags=1).calculate_loss(fields)
    data = CrossDomainDataset(config_of("TEMA", tiny))
    tags = shuffled_tags(data.tags(), data.item_domain, 1)
    exchanged = {
        item: {tags.names[i - 1]: s for i, s in zip(*row, strict=True) if i}
        for item, *row in zip(
            data._item_tokens, tags.index[1:].tolist(), tags.scores[1:].tolist(), strict=True
        )
    }
    assert exchanged != tiny.tags
    write_tags(tiny.files.tags, {item: exchanged[item] for item in tiny.items})
    with torch.no_grad():
        on_disk = build("TEMA", tiny).calculate_loss(fields)
    assert shuffled.item() == pytest.approx(on_disk.item(), rel=1e-9)
    assert shuffled.item() != pytest.approx(plain.item(), rel=1e-3)


def test_tags_that_start_from_random_vectors(tiny_dataset, check):
    model = check("TEMA", tiny_dataset(), tag_vectors="random")
    (tag,) = [each for each in model.modules() if type(each).__name__ == "TagModality"]
    assert tag.embedding.weight.shape[1] == 8
    assert isinstance(tag.projection, torch.nn.Identity)
