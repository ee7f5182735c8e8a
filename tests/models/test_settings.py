"""Settings of our models: what is refused, and what a data set lacks."""

import pytest

from recbole_tema.data.dataset import CrossDomainDataset


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"fusion": "late"}, r"fusion: expected one of .*'mixture'.*got 'late'"),
        ({"similarity": "euclid"}, "similarity: expected one of"),
        ({"view_join": "sum"}, "view_join: expected one of"),
        ({"time_knots": 1}, "time_knots: expected 0"),
        ({"tag_vectors": "zero"}, "tag_vectors: expected one of"),
        ({"feature_projection": True}, "feature_projection: expected one of"),
        ({"merged_candidates": "some"}, "merged_candidates: expected one of"),
        ({"tag_fusion": "times"}, "tag_fusion: expected one of"),
        ({"views": []}, "views: expected some of"),
        ({"views": ["double"]}, "views: expected some of"),
        ({"views": "merged"}, r"views: expected a list such as \['merged'\]"),
        ({"temperature": 0}, "temperature: expected a positive number"),
        ({"temperature": -1}, "temperature: expected a number of at least 0"),
        ({"embedding_size": 0}, "embedding_size: expected a number of at least 1, got 0"),
        ({"embedding_size": "big"}, "embedding_size: expected a number"),
        ({"n_layers": True}, "n_layers: expected a number"),
        ({"n_heads": 5}, "n_heads: 5 heads do not divide"),
        ({"n_negatives": -1}, "n_negatives: expected a number of at least 0"),
        ({"train_view_weights": [1, 1]}, "train_view_weights: expected three numbers"),
        ({"train_view_weights": [0, 0, 0]}, "train_view_weights: expected three numbers"),
        ({"score_view_weights": [1, -1, 1]}, "score_view_weights: expected three numbers"),
        ({"score_view_weights": 1}, "score_view_weights: expected three numbers"),
        ({"score_view_weights": ["a", 1, 1]}, "score_view_weights: expected three numbers"),
        ({"modality_weights": {"id": 0}}, "modality_weights: expected positive numbers"),
        ({"modality_weights": {"txt": 1}}, "modality_weights: .*txt"),
        ({"modality_weights": [1, 2]}, "modality_weights: expected"),
        ({"modalities": ["id", "sound"]}, r"\['sound'\] unknown to TEMA; choose from .*'tag'"),
        # Python takes any text for true: an ablation would silently not happen.
        ({"weighted_tags": "no"}, "weighted_tags: expected True or False, got 'no'"),
        ({"train_tag_embedding": "off"}, "train_tag_embedding: expected True or False"),
        ({"shuffle_tags": True}, "shuffle_tags: expected a whole number from 0 on, or ~; got True"),
        ({"shuffle_tags": -1}, "shuffle_tags: expected a whole number"),
        ({"text_features": "llm"}, r"tiny\.text_llm\.safetensors: no such file"),
        ({"positions": "off"}, "positions: expected one of"),
        ({"share_encoder": 1}, "share_encoder: expected True or False"),
        ({"modalities": []}, "modalities"),
        ({"modalities": "id"}, "modalities: expected a list"),
        ({"fusion": "early", "feature_projection": "none"}, "feature_projection: linear"),
        # A view that is off contributes nothing, so that here nothing would train or score.
        ({"views": ["merged"], "train_view_weights": [1, 1, 0]}, "train_view_weights: .*merged"),
        ({"views": ["merged"], "score_view_weights": [1, 0, 0]}, "score_view_weights: .*merged"),
        ({"views": ["single"], "score_view_weights": [0, 0, 1]}, "score_view_weights: .*single"),
    ],
)
def test_what_cannot_be_is_refused(tiny_dataset, config_of, settings, expected):
    config = config_of("TEMA", tiny_dataset(), **settings)
    with pytest.raises(ValueError, match=expected):
        config.model_class(config, CrossDomainDataset(config))


def test_tags_are_none_of_llmemfs_modalities(tiny_dataset, config_of):
    config = config_of("LLMEMF", tiny_dataset(), modalities=["id", "tag"])
    with pytest.raises(ValueError, match=r"\['tag'\] unknown to LLMEMF"):
        config.model_class(config, CrossDomainDataset(config))


def test_a_modality_that_the_data_set_lacks_is_left_out(tiny_dataset, config_of, caplog):
    caplog.set_level("INFO")
    settings = {"modalities": ["id", "image", "text", "tag"], "fusion": "mixture"}
    config = config_of("TEMA", tiny_dataset(image=0, tags=False), **settings)
    model = config.model_class(config, CrossDomainDataset(config))
    assert list(model.streams) == ["id", "text"]
    (said,) = (each for each in caplog.records if "tiny has no" in each.message)
    assert (said.levelname, said.message) == ("INFO", "tiny has no image and no tag: left out")


@pytest.mark.parametrize(
    ("model", "lacking"),
    [("TEMA", "no image and no text and no tag"), ("LLMEMF", "no image and no text")],
)
def test_a_model_that_is_left_with_ids_alone_warns(tiny_dataset, config_of, caplog, model, lacking):
    config = config_of(model, tiny_dataset(text=0, image=0, tags=False))
    config.model_class(config, CrossDomainDataset(config))
    (said,) = (each for each in caplog.records if each.levelname == "WARNING")
    assert said.message.startswith(f"tiny has {lacking}: this model knows its items by id alone")


def test_a_model_that_is_asked_for_ids_alone_does_not(tiny_dataset, config_of, caplog):
    config = config_of("TEMA", tiny_dataset(), modalities=["id"])
    config.model_class(config, CrossDomainDataset(config))
    assert not [each for each in caplog.records if each.levelname == "WARNING"]


@pytest.mark.parametrize(
    ("model", "modalities"),
    [("LLMEMF", ["image"]), ("TEMA", ["tag"]), ("TEMA", ["image", "tag"])],
)
def test_a_data_set_without_any_of_the_modalities_is_refused(
    tiny_dataset, config_of, model, modalities
):
    config = config_of(model, tiny_dataset(image=0, tags=False), modalities=modalities)
    with pytest.raises(ValueError, match="modalities: data set tiny has none of"):
        config.model_class(config, CrossDomainDataset(config))


def test_weights_without_effect_are_told(tiny_dataset, config_of, caplog):
    config = config_of("TEMA", tiny_dataset(), fusion="early", modality_weights={"id": 2.0})
    config.model_class(config, CrossDomainDataset(config))
    assert "modality_weights: those of ['id'] have no effect" in caplog.text


def test_tags_as_a_modality_stay_apart_from_the_sum(tiny_dataset, config_of):
    config = config_of("TEMA", tiny_dataset(), fusion="early", tag_fusion="modality")
    model = config.model_class(config, CrossDomainDataset(config))
    assert {name: len(each.modalities) for name, each in model.streams.items()} == {
        "early": 3,
        "tag": 1,
    }


def test_a_summed_item_vector_has_no_stand_in_for_a_missing_part(tiny_dataset, config_of):
    tiny = tiny_dataset(absent={"text": ("f1",)})
    for fusion, expected in (("early", 0), ("score", 1)):
        config = config_of("LLMEMF", tiny, fusion=fusion, modalities=["id", "text"])
        model = config.model_class(config, CrossDomainDataset(config))
        names = [name for name, _ in model.named_parameters() if name.endswith("missing")]
        assert len(names) == expected
