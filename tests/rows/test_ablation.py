"""Ablation files, and which of their rows a data set can have."""

import pytest
import yaml

from recbole_tema._layout import properties_dir
from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.report.ablation import Changed, LeftOut
from recbole_tema.rows import Row
from recbole_tema.rows.ablation import ablated, read_ablation
from recbole_tema.training.run import rehearse


@pytest.fixture
def ablate(config_of, in_tmp):
    """``ablate(tiny, rows, choice, **settings)``: the comparison, its rows, and what is left out.

    ``choice`` as a list is written to ``own.yaml``.
    """

    def make(tiny, rows, choice=True, **settings):
        if isinstance(choice, list):
            (in_tmp / "own.yaml").write_text(
                yaml.safe_dump(choice, sort_keys=False), encoding="utf-8"
            )
            choice = "own.yaml"

        def configure(row):
            return config_of(row.model, tiny, **{**settings, **row.settings})

        found = ablated([Row(each) for each in rows], choice, configure)
        changed, left_out = found.more.args
        assert [each.label for each in changed] == list(found.configs)
        return found, changed, left_out

    return make


def reasons(left_out):
    return {each.what: each.reason for each in left_out}


# ---- files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected a list of rows"),
        ("a: {n_layers: 1}", "expected a list of rows"),
        ("- [", "expected YAML"),
        ("- a", "row 1: expected one name with its settings"),
        ("- {a: {n_layers: 1}, b: {n_layers: 2}}", "row 1: expected one name"),
        ("- a: {n_layers: 1}\n- a: {n_layers: 2}", "row 2: expected a name of its own, got 'a'"),
        ("- full model: {n_layers: 1}", "expected a name of its own, got 'full model'"),
        ("- '': {n_layers: 1}", "expected a name of its own"),
        ("- a: {}", "a: expected keys and values"),
        ("- a: 3", "a: expected keys and values"),
        ("- a: {seed: 3}", "a: seed: cannot be varied"),
        ("- a: {model: TEMA, n_layers: 1}", "a: model: cannot be varied"),
        ("- a: {show_progress: True}", "a: show_progress: cannot be varied"),
        ("- a: {without: sound}", "a: without: expected some of id, image, text, tag"),
        ("- a: {without: []}", "a: without: expected some of"),
        ("- a: {without: tag, modalities: [id]}", "no modalities beside it"),
    ],
)
def test_other_files_are_refused(tmp_path, text, expected):
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=expected) as error:
        read_ablation(path)
    assert str(path) in str(error.value)


def test_rows_in_their_order(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("- b: {weight_decay: 1e-3}\n- a: {without: tag}\n", encoding="utf-8")
    entries = read_ablation(path)
    assert list(entries.items()) == [("b", {"weight_decay": 0.001}), ("a", {"without": ["tag"]})]


@pytest.mark.parametrize("model", ["TEMA", "LLMEMF"])
def test_every_shipped_row_can_be_run_with_the_papers_settings(tiny_dataset, ablate, model):
    paper = yaml.safe_load((properties_dir() / "paper" / f"{model}.yaml").read_text("utf-8"))
    # An item of the tiny data set has vectors of other lengths than CLIP's.
    found, _, left_out = ablate(tiny_dataset(), [model], **{**paper, "embedding_size": 8})
    assert "mixture of probabilities" in reasons(left_out), "it is the paper's"
    assert f"{model} (sum of vectors)" in found.configs
    for config in found.configs.values():
        rehearse(config, CrossDomainDataset(config))


@pytest.mark.parametrize("model", ["TEMA", "LLMEMF"])
def test_every_shipped_row_can_be_run_where_the_data_set_has_all(
    tiny_dataset, config_of, ablate, model
):
    tiny = tiny_dataset()
    llm = tiny.files.features("text", "llm")
    llm.write_bytes(tiny.files.features("text").read_bytes())
    found, changed, left_out = ablate(tiny, [model], embedding_size=8, n_heads=2)
    named = [next(iter(row)) for row in yaml.safe_load(shipped(model).read_text(encoding="utf-8"))]
    same = {
        "TEMA": {"id + text + image": "without tags"},
        "LLMEMF": {"id + text + image": "full model"},
    }
    expected = {**same[model], "sum of vectors": "full model"}
    assert reasons(left_out) == {
        what: f"on tiny the same as {other!r}" for what, other in expected.items()
    }
    assert [each.what for each in changed] == [
        "full model",
        *(what for what in named if what not in expected),
    ]
    for config in found.configs.values():
        rehearse(config, CrossDomainDataset(config))
    assert not found.must_run


def shipped(model):
    return properties_dir() / "ablation" / f"{model}.yaml"


# ---- rows ------------------------------------------------------------------------------------


def test_rows_win_over_all_settings(tiny_dataset, ablate):
    own = [{"deep": {"n_layers": 3}}, {"deep and wide": {"n_layers": 3, "inner_size": 7}}]
    found, changed, left_out = ablate(tiny_dataset(), ["TEMA"], own, n_layers=2, inner_size=5)
    layers = {
        label: (each["n_layers"], each["inner_size"]) for label, each in found.configs.items()
    }
    assert layers == {"TEMA": (2, 5), "TEMA (deep)": (3, 5), "TEMA (deep and wide)": (3, 7)}
    assert changed == [
        Changed("TEMA", "TEMA", "full model"),
        Changed("TEMA (deep)", "TEMA", "deep"),
        Changed("TEMA (deep and wide)", "TEMA", "deep and wide"),
    ]
    assert left_out == []
    assert found.must_run == {"TEMA (deep)", "TEMA (deep and wide)"}


def test_without_takes_from_what_was_given(tiny_dataset, ablate):
    own = [{"no tags": {"without": "tag"}}, {"id": {"without": ["tag", "text"]}}]
    found, _, _ = ablate(tiny_dataset(), ["TEMA"], own, modalities=["tag", "text", "id"])
    assert found.configs["TEMA (no tags)"]["modalities"] == ["text", "id"]
    assert found.configs["TEMA (id)"]["modalities"] == ["id"]


def test_what_the_data_set_lacks_is_left_out(tiny_dataset, ablate, caplog):
    _, changed, left_out = ablate(tiny_dataset(image=0, tags=False), ["TEMA"])
    told = reasons(left_out)
    assert told["without tags"] == "tiny has no tags"
    assert told["unweighted tags"] == "tiny has no tags"
    assert told["tags shuffled between items"] == "tiny has no tags"
    assert told["without tag overlap"] == "tiny has no tags"
    assert told["id + image"] == "tiny has no image vectors"
    assert told["id + LLM text"] == "tiny has no tiny.text_llm.safetensors"
    # What the data set lacks is not in the full model either.
    assert told["id + text"] == "on tiny the same as 'full model'"
    assert told["id + tags"] == "tiny has no tags"
    assert [each.what for each in changed] == [
        *("full model", "id alone", "merged view alone", "single-domain views alone"),
        *("without attention", "without calendar time", "latest weights"),
        *("ties in the order of the file", "untrained items as negatives", "sum of probabilities"),
        *("mixture of probabilities", "sum of scores"),
    ]
    assert "TEMA (without tags) is left out: tiny has no tags" in caplog.messages
    assert LeftOut("TEMA", "without tags", "tiny has no tags") in left_out


def test_histories_that_come_split_have_no_times(tiny_dataset, ablate):
    own = [{"a": {"time_knots": 0}}, {"b": {"shuffle_ties": False, "n_layers": 2}}]
    _, _, left_out = ablate(tiny_dataset(split="pre_split"), ["TEMA"], own)
    assert reasons(left_out) == dict.fromkeys("ab", "tiny has no times")


def test_without_what_the_full_model_lacks(tiny_dataset, ablate):
    own = [
        {"a": {"without": "image"}},
        {"b": {"weighted_tags": False}},
        {"c": {"without": ["id", "text"]}},
        {"d": {"n_layers": 2}},
    ]
    _, _, left_out = ablate(tiny_dataset(), ["TEMA"], own, modalities=["id", "text"])
    assert reasons(left_out) == {
        "a": "the full model has no image vectors",
        "b": "the full model has no tags",
        "c": "nothing else is left of an item",
    }


def test_rows_that_come_down_to_the_same_are_run_once(tiny_dataset, ablate):
    own = [
        {"as it is": {"n_layers": 1}},
        {"two": {"n_layers": 2}},
        {"two again": {"n_layers": 2, "weighted_tags": True}},
        {"other order": {"modalities": ["tag", "text", "id"]}},
        {"in a mixture": {"tag_fusion": "modality", "fusion": "mixture"}},
        {"in the id": {"fusion": "mixture"}},
    ]
    found, _, left_out = ablate(tiny_dataset(image=0), ["TEMA"], own, n_layers=1)
    assert reasons(left_out) == {
        "as it is": "on tiny the same as 'full model'",
        "two again": "on tiny the same as 'two'",
        "other order": "on tiny the same as 'full model'",
    }
    assert list(found.configs) == ["TEMA", "TEMA (two)", "TEMA (in a mixture)", "TEMA (in the id)"]


# ---- several models --------------------------------------------------------------------------


def test_models_without_an_ablation_are_rows(tiny_dataset, ablate):
    found, changed, _ = ablate(tiny_dataset(), ["SASRec", "LLMEMF"])
    assert list(found.configs)[:3] == ["SASRec", "LLMEMF", "LLMEMF (id alone)"]
    assert changed[0] == Changed("SASRec", "SASRec", None)


def test_one_file_is_for_all_models_that_have_its_settings(tiny_dataset, ablate, caplog):
    own = [{"bare": {"n_layers": 1, "hidden_dropout_prob": 0.1}}]
    found, _, _ = ablate(tiny_dataset(), ["TEMA", "SASRec", "Pop"], own, n_layers=2)
    assert list(found.configs) == ["TEMA", "TEMA (bare)", "SASRec", "SASRec (bare)", "Pop"]
    assert "bare: Pop has no setting 'n_layers'; it is compared as it is" in caplog.text


def test_a_folder_has_a_file_for_each_model(tiny_dataset, ablate, in_tmp):
    (in_tmp / "mine").mkdir()
    (in_tmp / "mine" / "SASRec.yaml").write_text("- one head: {n_heads: 1}\n", encoding="utf-8")
    found, _, _ = ablate(tiny_dataset(), ["TEMA", "SASRec"], "mine")
    assert list(found.configs) == ["TEMA", "SASRec", "SASRec (one head)"]


def test_no_ablation_at_all_is_an_error(tiny_dataset, ablate):
    tiny = tiny_dataset()
    with pytest.raises(ValueError, match=r"SASRec, Pop: no ablation is known.*of LLMEMF, TEMA"):
        ablate(tiny, ["SASRec", "Pop"])
    with pytest.raises(ValueError, match="'weigthed_tags'; did you mean weighted_tags"):
        ablate(tiny, ["TEMA"], [{"a": {"weigthed_tags": False}}])
    with pytest.raises(ValueError, match="Pop has no setting 'modalities'"):
        ablate(tiny, ["Pop"], [{"a": {"without": "tag"}}])
    with pytest.raises(ValueError, match=r"no file 'none\.yaml'"):
        ablate(tiny, ["TEMA"], "none.yaml")
