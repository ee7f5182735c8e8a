"""Which setting wins, how settings are read, and what is refused."""

import logging
import re
import shutil
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from recbole.utils import InputType

from recbole_tema import compat, distributed
from recbole_tema._layout import properties_dir
from recbole_tema.config import TEMAConfig, negatives_of, parse_value, property_file
from recbole_tema.registry import MODELS, model_class


@pytest.fixture
def tiny(tiny_dataset):
    return tiny_dataset(text=0, image=0, tags=False)


@pytest.fixture
def configure(tiny, in_tmp):
    """``configure(model, files, **settings)`` on the tiny data set, with nothing else set."""

    def make(model="SASRec", files=None, **settings):
        settings = {"data_path": str(tiny.files.folder.parent), "gpu_id": "", **settings}
        return TEMAConfig(model, "tiny", files, settings)

    return make


def add_to(path: Path, **settings) -> str:
    """Add settings to a property file, new or old; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    path.write_text(f"{before}\n{yaml.safe_dump(settings)}", encoding="utf-8")
    return str(path)


# ---- which one wins --------------------------------------------------------------------------


def test_later_ones_win(tiny, configure, tmp_path, monkeypatch):
    ours = tmp_path / "properties"
    shutil.copytree(properties_dir(), ours)
    monkeypatch.setattr("recbole_tema.config.properties_dir", lambda: ours)
    key = "hidden_dropout_prob"
    assert configure()[key] == 0.5  # of RecBole's SASRec.yaml

    steps = [
        ours / "overall.yaml",
        ours / "model" / "SASRec.yaml",
        ours / "dataset" / "tiny.yaml",
        tiny.files.properties,
    ]
    for number, path in enumerate(steps, start=1):
        add_to(path, **{key: number / 100})
        assert configure()[key] == number / 100, path
    files = [add_to(tmp_path / f"{n}.yaml", **{key: n / 100}) for n in (5, 6)]
    assert configure(files=files[:1])[key] == 0.05
    assert configure(files=files)[key] == 0.06
    assert configure(files=files[::-1])[key] == 0.05
    assert configure(files=files, **{key: 0.07})[key] == 0.07


def test_a_models_file_is_for_that_model_alone(configure, tmp_path, monkeypatch):
    ours = tmp_path / "properties"
    shutil.copytree(properties_dir(), ours)
    monkeypatch.setattr("recbole_tema.config.properties_dir", lambda: ours)
    add_to(ours / "model" / "SASRec.yaml", n_layers=7)
    assert configure("SASRec")["n_layers"] == 7
    assert configure("BERT4Rec")["n_layers"] == 2


def test_the_data_set_brings_its_properties(tiny_dataset, config_of):
    assert config_of("SASRec", tiny_dataset())["benchmark_filename"] is None
    config = config_of("SASRec", tiny_dataset(name="parts", split="pre_split"))
    assert config["benchmark_filename"] == ["train", "valid", "test"]
    assert config["domains"] == ["food", "kitchen"]


def test_model_and_data_set_can_stand_in_a_file(tiny, in_tmp, tmp_path):
    path = add_to(
        tmp_path / "a.yaml",
        model="GRU4Rec",
        dataset="tiny",
        data_path=str(tiny.files.folder.parent),
    )
    config = TEMAConfig(config_file_list=[path])
    assert (config["model"], config["dataset"]) == ("GRU4Rec", "tiny")
    assert Path(config["data_path"]) == tiny.files.folder


def test_movielens_is_read_from_the_data_path_and_not_from_recbole(in_tmp):
    config = TEMAConfig("SASRec", "ml-100k", config_dict={"data_path": "somewhere", "gpu_id": ""})
    assert config["data_path"] == str(Path("somewhere") / "ml-100k")
    assert config["threshold"] is None


@pytest.mark.parametrize("name", ["TEMA", "LLMEMF"])
def test_the_papers_settings_can_be_run(configure, name):
    path = properties_dir() / "paper" / f"{name}.yaml"
    config = configure(name, [str(path)])
    assert config["similarity"] == "cosine"
    assert config["temperature"] == 1.0
    assert config["n_negatives"] == 0


def test_the_command_line_of_the_process_is_never_read(configure, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "--epochs=77", "--model=Pop", "stray"])
    config = configure()
    assert config["epochs"] == 100
    assert config["model"] == "SASRec"


# ---- reading values --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("1e-3", 0.001),
        ("-0.5", -0.5),
        ("True", True),
        ("true", True),
        ("FALSE", False),
        ("None", None),
        ("null", None),
        ("~", None),
        ("[5, 10]", [5, 10]),
        ("['id', 'text']", ["id", "text"]),
        ("{'LS': 'valid_and_test'}", {"LS": "valid_and_test"}),
        ("'1'", "1"),
        ("TEMA", "TEMA"),
        ("full,uni999", "full,uni999"),
        ("food/NDCG@10", "food/NDCG@10"),
        ("", ""),
        ("[1,", "[1,"),
        ("{[1]: 2}", "{[1]: 2}"),
        ("__import__('os').getcwd()", "__import__('os').getcwd()"),
        ("1 + 1", "1 + 1"),
    ],
)
def test_texts_are_read_as_literals_and_never_run(text, value):
    found = parse_value(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("value", [3, 0.5, None, True, ["1"], {"a": "1"}])
def test_other_values_stay(value):
    assert parse_value(value) is value


def test_texts_of_the_dict_are_read(configure):
    config = configure(epochs="3", topk="[1, 20]", show_progress="false", learning_rate="1e-2")
    assert (config["epochs"], config["topk"], config["learning_rate"]) == (3, [1, 20], 0.01)
    assert config["show_progress"] is False


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words\n", "a: [1\n", ""])
def test_a_file_that_is_no_property_file_is_named(configure, tmp_path, text):
    path = tmp_path / "broken.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"broken\.yaml: expected YAML of keys and values"):
        configure(files=[str(path)])


# ---- candidates ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "test", "valid"),
    [
        ({}, ["uni999"], "uni999"),
        ({"candidates": "full"}, ["full"], "full"),
        ({"candidates": "full,uni999"}, ["full", "uni999"], "full"),
        ({"candidates": "uni99, full"}, ["uni99", "full"], "uni99"),
        ({"candidates": ["uni5", "full"]}, ["uni5", "full"], "uni5"),
        ({"eval_args": {"mode": "full"}}, ["full"], "full"),
        ({"eval_args": {"mode": {"valid": "uni9", "test": "full"}}}, ["full"], "uni9"),
        ({"eval_args": {"mode": {"valid": "full"}}}, ["full"], "full"),
        ({"eval_args": {"mode": {"test": "full"}}}, ["full"], "full"),
        ({"eval_args": {"mode": "full"}, "candidates": "uni7"}, ["uni7"], "uni7"),
        ({"eval_args": "{'mode': 'full'}"}, ["full"], "full"),
    ],
)
def test_candidates_and_modes(configure, settings, test, valid):
    config = configure(**settings)
    assert config["candidates"] == test
    assert config["eval_args"]["mode"]["valid"] == valid


@pytest.mark.parametrize(
    "settings",
    [
        {"candidates": "uni"},
        {"candidates": "uni0"},
        {"candidates": "uni-5"},
        {"candidates": "uni9.5"},
        {"candidates": "999"},
        {"candidates": 999},
        {"candidates": "full,pop99"},
        {"candidates": "full,"},
        {"eval_args": {"mode": "labeled"}},
        {"eval_args": {"mode": {"valid": "pop100", "test": "full"}}},
        {"eval_args": {"mode": 999}},
    ],
)
def test_other_candidates_are_refused(configure, settings):
    with pytest.raises(
        ValueError, match="candidates: expected full, unseen or uniN such as uni999"
    ):
        configure(**settings)


def test_a_data_sets_file_is_for_all_models(tiny, configure, caplog):
    add_to(tiny.files.properties, tag_overlap=0.5, learning_rat=0.1)
    config = configure("SASRec")
    # What another model has is said nothing of, a misspelt one is.
    assert config.keys_of_others() == {"tag_overlap"}
    assert config.unknown_keys()["learning_rat"] == "; did you mean learning_rate?"
    assert caplog.messages == ["SASRec has no setting 'learning_rat'; did you mean learning_rate?"]
    assert set(configure("TEMA").unknown_keys()) == {"learning_rat"}


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("epochs", "abc", "epochs: expected a whole number of at least 0, got 'abc'"),
        ("epochs", "2.5", "epochs: expected a whole number of at least 0, got 2.5"),
        ("stopping_step", -1, "stopping_step: expected a whole number of at least 0, got -1"),
        ("train_batch_size", 0, "train_batch_size: expected a whole number of at least 1, got 0"),
        ("MAX_ITEM_LIST_LENGTH", True, "MAX_ITEM_LIST_LENGTH: expected a whole number"),
        ("learning_rate", "abc", "learning_rate: expected a number of at least 0, got 'abc'"),
        ("weight_decay", float("nan"), "weight_decay: expected a number of at least 0, got nan"),
    ],
)
def test_numbers_that_are_none(configure, key, value, expected):
    with pytest.raises(ValueError, match=expected):
        configure(**{key: value})


def test_validation_is_by_a_k_that_is_computed(configure):
    assert configure()["valid_metric"] == "NDCG@10"
    assert configure(topk="[5, 10, 20]")["valid_metric"] == "NDCG@10"
    assert configure(topk="[3, 20]")["valid_metric"] == "NDCG@20"
    assert configure(topk=7)["valid_metric"] == "NDCG@7"
    assert configure(topk=7, valid_metric="NDCG@10")["valid_metric"] == "NDCG@10"  # refused later
    assert configure(topk=7, valid_metric="MRR")["valid_metric"] == "MRR"


def test_validation_among_unseen_items(configure):
    """RecBole knows of no such mode."""
    assert configure(candidates="unseen").final_config_dict["candidates"] == ["unseen"]
    config = configure(eval_args={"mode": {"valid": "unseen", "test": "uni9"}})
    assert config["candidates"] == ["uni9"]
    assert config["eval_args"]["mode"] == {"valid": "unseen", "test": "uni9"}


def test_how_many_negatives_a_mode_has():
    assert negatives_of("full") is None
    assert negatives_of("unseen") is None
    assert negatives_of("uni999") == 999
    assert negatives_of("uni1") == 1


def test_eval_args_that_are_not_given_keep_our_defaults(configure, tmp_path):
    # RecBole would fill the gaps with a random split.
    path = add_to(tmp_path / "a.yaml", eval_args={"mode": "full"})
    for config in (configure(files=[path]), configure(eval_args={"mode": "full"})):
        assert config["eval_args"]["split"] == {"LS": "valid_and_test"}
        assert config["eval_args"]["order"] == "TO"


def test_a_data_set_may_set_one_of_the_eval_args(tiny, configure):
    add_to(tiny.files.properties, eval_args={"mode": "full"})
    config = configure()
    assert config["candidates"] == ["full"]
    assert config["eval_args"]["order"] == "TO"


@pytest.mark.parametrize(
    "eval_args",
    [
        {"split": {"RS": [0.8, 0.1, 0.1]}},
        {"split": {"LS": "test_only"}},
        {"order": "RO"},
    ],
)
def test_other_splits_are_refused(configure, eval_args):
    with pytest.raises(ValueError, match="split by leave-one-out in time order"):
        configure(eval_args=eval_args)


def test_eval_args_that_are_no_dict_are_refused(configure):
    with pytest.raises(ValueError, match="eval_args: expected keys and values"):
        configure(eval_args="full")


# ---- training negatives ----------------------------------------------------------------------


def negatives(config) -> str:
    return config["train_neg_sample_args"]["distribution"]


@pytest.mark.parametrize(
    "model", ["SASRec", "GRU4Rec", "SRGNN", "BERT4Rec", "TEMA", "LLMEMF", "Pop"]
)
def test_models_that_need_no_negatives_get_none(configure, model):
    assert negatives(configure(model)) == "none"


@pytest.mark.parametrize("model", ["BPR", "NeuMF", "FPMC"])
def test_models_that_need_negatives_get_them(configure, model):
    assert negatives(configure(model)) == "uniform"


def test_a_pairwise_loss_gets_negatives(configure):
    config = configure("SASRec", loss_type="BPR")
    assert negatives(config) == "uniform"
    assert config["MODEL_INPUT_TYPE"] == InputType.PAIRWISE


def test_what_the_user_says_of_negatives_stays(configure):
    asked = {"distribution": "popularity", "sample_num": 3}
    config = configure("GRU4Rec", loss_type="BPR", train_neg_sample_args=asked)
    assert negatives(config) == "popularity"
    assert config["train_neg_sample_args"]["sample_num"] == 3
    # With a cross-entropy it makes no sense, which RecBole says; it is not dropped in silence.
    with pytest.raises(ValueError, match="train_neg_sample_args"):
        configure("GRU4Rec", train_neg_sample_args=asked)


# ---- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["TEMMA", "sasrec", "os", "Dataset", ""])
def test_an_unknown_model_is_named(configure, name):
    expected = "unknown model" if name else "no model given"
    with pytest.raises(ValueError, match=expected):
        configure(name)


def test_no_data_set_is_said(in_tmp):
    with pytest.raises(ValueError, match="no dataset given: pass --dataset NAME"):
        TEMAConfig("SASRec")


@pytest.mark.parametrize("limit", ["1h", 0, -5, True])
def test_time_limits_that_are_none_are_refused(configure, limit):
    with pytest.raises(ValueError, match="max_train_seconds: expected seconds above 0 or None"):
        configure(max_train_seconds=limit)


@pytest.mark.parametrize("metrics", [["Recall", "NDCG"], ["AUC"], "Precision", ["Nonsense"]])
def test_metrics_that_are_not_computed_are_refused(configure, metrics):
    with pytest.raises(ValueError, match="are not computed"):
        configure(metrics=metrics)


@pytest.mark.parametrize("metrics", [["Hit"], "NDCG", ["hit", "ndcg", "mrr"]])
def test_metrics_that_are_computed(configure, metrics):
    configure(metrics=metrics)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("NDCG@10", "ndcg@10"),
        ("Hit@5", "hr@5"),
        ("hr@5", "hr@5"),
        ("MRR", "mrr"),
        ("Food/NDCG@10", "food/ndcg@10"),
    ],
)
def test_metrics_to_validate_by(configure, asked, found):
    from recbole_tema.training.trainer import validation_metric

    assert validation_metric(configure(valid_metric=asked), ["Food", "kitchen"]) == found


@pytest.mark.parametrize("asked", ["MRR@10", "NDCG@20", "Recall@10", "garden/ndcg@10", "loss"])
def test_a_metric_that_is_not_computed_cannot_validate(configure, asked):
    from recbole_tema.training.trainer import validation_metric

    with pytest.raises(ValueError, match=r"valid_metric: expected one of hr@5, hr@10"):
        validation_metric(configure(valid_metric=asked), ["food", "kitchen"])


# ---- keys that nothing knows -----------------------------------------------------------------


def test_a_misspelt_key_is_warned_of(configure, caplog):
    with caplog.at_level(logging.WARNING):
        configure("TEMA", learning_rat=0.1, tag_fussion="add", wholly_unknown=1)
    text = caplog.text
    assert "'learning_rat'; did you mean learning_rate?" in text
    assert "'tag_fussion'; did you mean tag_fusion?" in text
    assert "'wholly_unknown'" in text


def test_known_keys_are_not_warned_of(configure, caplog):
    settings = {"learning_rate": 0.1, "tag_fusion": "add", "candidates": "full", "epochs": 2}
    with caplog.at_level(logging.WARNING):
        configure("TEMA", **settings)
    assert "has no setting" not in caplog.text


# ---- versions and models ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recbole", "pandas", "expected"),
    [
        ("1.0.1", "2.3.3", r"found 1\.0\.1.*pip install --no-deps recbole==1\.2\.1"),
        (None, "2.3.3", r"found none.*pip install --no-deps recbole==1\.2\.1"),
        ("1.2.1", "3.0.0", r"pandas 3 \(found 3\.0\.0\).*pip install 'pandas>=2\.2,<3'"),
        ("1.2.1", "2.3.3", None),
    ],
)
def test_other_versions_are_refused(monkeypatch, recbole, pandas, expected):
    def version(name):
        found = {"recbole": recbole, "pandas": pandas}[name]
        if found is None:
            raise metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(
        compat,
        "metadata",
        SimpleNamespace(version=version, PackageNotFoundError=metadata.PackageNotFoundError),
    )
    if expected is None:
        compat.require_compatible_versions()
        return
    with pytest.raises(compat.IncompatibleVersionError) as error:
        compat.require_compatible_versions()
    text = " ".join(str(error.value).split())
    assert re.search(expected, text), text


def test_aliases_leave_what_is_there():
    numpy = SimpleNamespace(float64=1, int_=2, complex128=3, object_=4, str_=5, float="own")
    compat.add_numpy_aliases(numpy)
    assert numpy.float == "own"
    assert (numpy.float_, numpy.int, numpy.unicode_, numpy.complex_) == (1, 2, 5, 3)


def test_the_callers_anomaly_mode_comes_back():
    import torch

    for mode in (True, False):
        with torch.autograd.set_detect_anomaly(mode):
            compat.import_recbole_model("SASRec")
            assert torch.is_anomaly_enabled() == mode


def test_models_by_name():
    for name in MODELS:
        assert model_class(name).__name__ == name
    assert model_class("SASRec").__module__.startswith("recbole.")
    assert model_class("Pop").__module__.startswith("recbole_tema.")


def test_a_shipped_property_file_is_found_by_its_name_and_the_users_own_first(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert property_file("paper/LLMEMF.yaml") == str(properties_dir() / "paper/LLMEMF.yaml")
    own = tmp_path / "paper/LLMEMF.yaml"
    own.parent.mkdir()
    own.write_text("epochs: 3\n")
    assert property_file("paper/LLMEMF.yaml") == "paper/LLMEMF.yaml"
    assert property_file("nowhere.yaml") == "nowhere.yaml"


# ---- several processes -----------------------------------------------------------------------


def test_recboles_own_group_is_never_made(configure):
    config = configure(local_rank=1, nproc=2)
    assert config["single_spec"] is True
    assert config["local_rank"] == 0
    assert config["device"].type == "cpu"


def test_only_the_first_process_shows_progress(configure, monkeypatch):
    for rank, shows in ((0, True), (1, False)):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        config = configure(log_wandb=True)
        assert (config["show_progress"], config["log_wandb"]) == (shows, shows)


def test_a_gpu_for_each_process_is_asked_for(configure, monkeypatch):
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # put back afterwards
    with pytest.raises(ValueError, match=r"gpu_id: expected a GPU for each of 2 processes.*'0'"):
        configure(gpu_id="0")
    assert configure(gpu_id="")["device"].type == "cpu"
