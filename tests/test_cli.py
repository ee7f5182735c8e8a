"""The command line: arguments, refusals, and one run from end to end."""

import csv
import gzip
import json
import logging
import math
import os
import re
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from recbole_tema import __version__, asked, compat, run_recbole_tema
from recbole_tema.cli import main, parser, settings_of
from recbole_tema.config import TEMAConfig, parse_value
from recbole_tema.formats import FormatError
from recbole_tema.training.checkpoint import load_checkpoint

# ---- arguments -------------------------------------------------------------------------------


def test_settings_are_keys_and_texts():
    arguments = ["--epochs=3", "--topk=[1, 5]", "--note=a=b", "--empty=", "--epochs=3"]
    expected = {"epochs": "3", "topk": "[1, 5]", "note": "a=b", "empty": ""}
    assert settings_of(arguments) == expected
    assert settings_of([]) == {}


@pytest.mark.parametrize("argument", ["--epochs", "epochs=3", "-e=3", "3", "--=3", "--"])
def test_other_arguments_are_refused(argument):
    with pytest.raises(ValueError, match=r"expected --key=value, got .*see --help"):
        settings_of([argument])


def test_one_key_with_two_values_is_refused():
    with pytest.raises(ValueError, match="--epochs is given twice: '3' and '4'"):
        settings_of(["--epochs=3", "--epochs=4"])


@pytest.fixture
def arguments(tiny):
    """The arguments of a quick run on the tiny data set."""
    return [
        "--dataset",
        "tiny",
        "--epochs=2",
        "--train_batch_size=32",
        "--show_progress=false",
        "--MAX_ITEM_LIST_LENGTH=5",
        "--gpu_id=",
    ]


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (["--epochs", "3"], "expected --key=value, got '--epochs': write --epochs=VALUE"),
        (["--model", "TEMMA"], "unknown model 'TEMMA', did you mean TEMA? Ours: ABXI, C2DSR"),
        (["--model", "sasrec"], "unknown model 'sasrec', did you mean SASRec?"),
        (["--model", "XGBoost"], "unknown model 'XGBoost'. Ours: "),
        (["--learing_rate=1"], "learing_rate: no setting of TEMA; did you mean learning_rate?"),
        (["--model", "Pop,Pop"], "expected different names"),
        (["--model", ","], "expected different names"),
        (["--model", "LightGCN"], "LightGCN cannot be run: RecBole 1.2.1 builds its graph"),
        (["--model", "KGAT"], "KGAT cannot be run: it is of type KNOWLEDGE"),
        (["--dataset", "nowhere"], "no data set 'nowhere'"),
        (["--dataset", "../tiny"], "expected the name of a folder below data_path"),
        (["--candidates", "full,full"], "a mode is given twice"),
        (["--eval_args={'moed': 'full'}"], "eval_args: unknown keys ['moed']"),
        (["--config_files", "."], "--config_files .: this file cannot be read (Is a directory)\n"),
        (["--candidates", "999"], "expected full, unseen or uniN such as uni999, got '999'"),
        (
            ["--config_files", "missing.yaml"],
            "recbole-tema: --config_files missing.yaml: this file cannot be read (No such file or "
            "directory)\n",
        ),
        (["--model", "TEMA", "--fusion=late"], "fusion: expected one of"),
        (["--model", "TEMA", "--modalities=[]"], "modalities"),
        (["--model", "SASRec", "--metrics=AUC"], "metrics"),
        (["--model", "SASRec", "--valid_metric=MRR@10"], "valid_metric: expected one of"),
    ],
)
def test_what_cannot_run_exits_with_2_and_a_message(arguments, capsys, extra, expected):
    kept = [each for each in arguments if not (extra[0] == "--epochs" and "epochs" in each)]
    assert main([*kept, *extra]) == 2
    message = capsys.readouterr().err
    assert message.splitlines()[-1].startswith("recbole-tema: ") or "recbole-tema: " in message
    assert expected in message
    assert "Traceback" not in message


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (["--epoch=1"], "epoch: no setting of TEMA; did you mean epochs?"),
        (
            ["--sweep", "temprature=1,2"],
            "--sweep temprature: TEMA has no such setting; did you mean temperature?",
        ),
    ],
)
def test_a_setting_that_is_refused_is_not_warned_of_too(arguments, capsys, caplog, extra, expected):
    assert main([*arguments, "--model", "TEMA", *extra]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"recbole-tema: {expected}")
    assert not caplog.messages


def test_a_setting_that_only_RecBole_may_know_is_warned_of_once(arguments, caplog):
    assert main([*arguments, "--model", "Pop,BPR", "--epoch=1"]) == 0
    said = [each for each in caplog.messages if "has no setting" in each]
    assert said == [
        f"{model} has no setting 'epoch'; did you mean epochs?" for model in ("Pop", "BPR")
    ]


@pytest.mark.parametrize("text", ["", ",", "{},", ",{}", "{},,{}", "{}, ,{}"])
@pytest.mark.parametrize(
    ("option", "names", "more"),
    [
        ("--model", ("Pop", "BPR"), []),
        ("--dataset", ("tiny", "small"), []),
        ("--seeds", ("1", "2"), []),
        ("--model", ("Pop", "BPR"), ["--tune", "tune", "--trials", "1"]),
        ("--dataset", ("tiny", "small"), ["--tune", "tune", "--trials", "1"]),
    ],
)
def test_an_empty_name_is_refused(in_tmp, capsys, option, names, more, text):
    assert main([option, text.format(*names), *more]) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"recbole-tema: {option.removeprefix('--')}: expected different ")
    assert message.endswith(f"got {text.format(*names)!r}\n")


def test_another_recbole_exits_with_2(arguments, capsys, monkeypatch):
    monkeypatch.setattr(compat.metadata, "version", lambda name: "1.0.1")
    assert main(arguments) == 2
    assert "pip install --no-deps recbole==1.2.1" in capsys.readouterr().err


def test_help_names_the_options(capsys):
    with pytest.raises(SystemExit) as exit_status:
        main(["--help"])
    assert exit_status.value.code == 0
    text = capsys.readouterr().out
    for option in (
        "--model",
        "--dataset",
        "--seeds",
        "--config_files",
        "--candidates",
        "--output",
        "--resume",
        "--tune SPACE",
        "--tune tune/TEMA.yaml",
        "--tune tune ",
        "--trials",
        "--checkpoint_dir",
        "--ablation",
        "--sweep",
        "NAME[@FILE.yaml]",
    ):
        assert option in text
    folder = next(line.strip() for line in text.splitlines() if line.endswith("properties"))
    assert (Path(folder) / "model" / "TEMA.yaml").is_file()


def test_the_helps_defaults_are_those_of_the_properties():
    # A data set without properties of its own.
    config = TEMAConfig("TEMA", "another")
    shown = re.findall(r"^  --(\w+)=(\S+)  ", parser().format_help(), flags=re.M)
    defaults = {key: parse_value(value) for key, value in shown if value != "DIR"}
    assert {"gpu_id", "nproc", "data_path", "max_train_seconds", "text_features"} <= set(defaults)
    own = {"gpu_id": 0, "data_path": "dataset/"}  # the configuration has a text, and DIR/another
    assert defaults == {**{key: config[key] for key in defaults}, **own}
    assert (config["gpu_id"], config["data_path"]) == ("0", "dataset/another")
    text = " ".join(parser().format_help().split())
    assert f"(default: the one of --seed, {config['seed']})" in text
    assert f"default: {','.join(config['candidates'])} --output" in text


def test_the_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"recbole-tema {__version__}\n"


# ---- one run ---------------------------------------------------------------------------------

MODELS = ("TEMA", "Pop")
WITH_TIMES = {"timing.json", "cost.md", "cost.csv", "cost.tex", "report.html"}


def by_hand(ranks: list[float]) -> dict[str, float]:
    """HR, NDCG and MRR of some ranks, written out."""
    values = {}
    for k in (5, 10):
        values[f"hr@{k}"] = sum(rank <= k for rank in ranks) / len(ranks)
        gains = [1 / math.log2(1 + rank) for rank in ranks if rank <= k]
        values[f"ndcg@{k}"] = sum(gains) / len(ranks)
    values["mrr"] = sum(1 / rank for rank in ranks) / len(ranks)
    return values


def test_a_run_writes_its_results(arguments, tiny, capsys, monkeypatch):
    # What stands in sys.argv is not the command's when it is called with arguments.
    monkeypatch.setattr(sys, "argv", ["pytest", "--epochs=77"])
    first, second = Path("first"), Path("second")
    asked = [*arguments, "--model", ",".join(MODELS), "--candidates", "full,uni4"]
    for folder in (first, second):
        assert main([*asked, "--output", str(folder)]) == 0
    with gzip.open(first / "ranks.csv.gz", "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))

    # Every case once for each model and kind of candidates, by the outside names.
    last = {user: items[-1] for user, items in tiny.histories if len(items) > 1}
    for model in MODELS:
        for mode in ("full", "uni4"):
            own = [row for row in rows if (row["model"], row["candidates"]) == (model, mode)]
            assert {row["user_id"]: row["target_item_id"] for row in own} == last
            assert len(own) == len(last)
            for row in own:
                assert row["domain"] == tiny.domain_of(row["target_item_id"])
                assert row["seed"] == "2020"
    assert len(rows) == 4 * len(last)

    # The metrics are those of the ranks.
    metrics = json.loads((first / "metrics.json").read_text(encoding="utf-8"))
    assert set(metrics) == set(MODELS)
    for model in MODELS:
        assert list(metrics[model]) == ["2020"]
        for mode in ("full", "uni4"):
            found = metrics[model]["2020"][mode]
            assert list(found) == ["food", "kitchen", "all"]
            for domain, values in found.items():
                ranks = [
                    float(row["rank"])
                    for row in rows
                    if (row["model"], row["candidates"]) == (model, mode)
                    and domain in (row["domain"], "all")
                ]
                assert values == pytest.approx(by_hand(ranks), rel=1e-12)

    # Configuration, versions, tables, pictures.
    config = yaml.safe_load((first / "config-TEMA.yaml").read_text(encoding="utf-8"))
    assert (config["model"], config["epochs"], config["tag_fusion"]) == ("TEMA", 2, "add")
    assert config["candidates"] == ["full", "uni4"]
    environment = json.loads((first / "environment.json").read_text(encoding="utf-8"))
    assert environment["versions"]["recbole"] == metadata.version("recbole")
    assert len(environment["dataset_sha256"]) == 64
    timing = json.loads((first / "timing.json").read_text(encoding="utf-8"))
    assert timing["TEMA"]["2020"]["epochs"] == 2
    names = {path.name for path in first.iterdir()}
    for mode in ("full", "uni4"):
        assert {f"table_{mode}.{suffix}" for suffix in ("md", "csv", "tex")} <= names
    assert not any(name.startswith(".") for name in names), "nothing half-written is left"

    # One seed: the same bytes in whatever does not hold times.
    same = {path.name for path in second.iterdir() if path.is_file()} - WITH_TIMES
    same |= {f"checkpoints/{model}-2020-best.pth" for model in MODELS}
    assert {"metrics.json", "ranks.csv.gz", "environment.json"} <= same
    for name in sorted(same):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name

    printed = capsys.readouterr().out
    for word in ("TEMA", "Pop", "food", "kitchen", "Results: second"):
        assert word in printed


def test_from_python(arguments, tiny, tmp_path):
    extra = tmp_path / "more.yaml"
    extra.write_text("epochs: 3\nseed: 5\n", encoding="utf-8")
    result = run_recbole_tema(
        model=["Pop"],
        dataset="tiny",
        config_file_list=[str(extra)],
        config_dict={"show_progress": False, "gpu_id": "", "candidates": "uni4"},
    )
    assert list(result["metrics"]["Pop"]) == [5]
    assert list(result["metrics"]["Pop"][5]) == ["uni4"]
    assert result["output"].parent == Path("results")
    assert (result["output"] / "metrics.json").is_file()
    assert Path(result["checkpoints"]["Pop"][5]).is_file()


def test_the_callers_log_handlers_stay(arguments):
    root = logging.getLogger()
    own = logging.StreamHandler(sys.stderr)
    root.addHandler(own)
    before = set(root.handlers)
    for _ in range(2):
        assert main([*arguments, "--model", "Pop"]) == 0
        assert before <= set(root.handlers)
        assert len(root.handlers) == len(before) + 2  # RecBole's: console and file


def test_each_model_logs_to_a_file_of_its_own(arguments):
    assert main([*arguments, "--model", "Pop,ItemKNN"]) == 0
    for model in ("Pop", "ItemKNN"):
        (log,) = Path("log", model).iterdir()
        text = log.read_text(encoding="utf-8")
        assert f"{model} on tiny" in text


def test_the_log_has_four_digits_and_the_best_epoch_is_chosen_by_all(arguments):
    run = [*arguments, "--model", "SASRec", "--output", "out"]
    assert main(run) == 0
    (log,) = Path("log", "SASRec").iterdir()
    text = log.read_text(encoding="utf-8")
    values = re.findall(r"mrr : (\S+)", text)
    assert len(values) == 2 * 3  # two epochs; both domains and all
    assert all(0 < float(value) < 1 and len(value) <= len("0.1234") for value in values)
    scores = [float(value) for value in re.findall(r"valid_score: ([\d.]+)", text)]
    assert len(scores) == 2
    best = load_checkpoint("out/checkpoints/SASRec-2020-best.pth", None)["best_valid_score"]
    assert best == pytest.approx(max(scores), abs=1e-6)
    assert best != round(best, 4)


def test_a_built_in_data_set_is_made_on_first_use(arguments, tiny, monkeypatch):
    made = []
    hidden = tiny.files.folder.rename(tiny.files.folder.parent / "hidden")

    def build(data_path: Path) -> Path:
        made.append(data_path)
        return hidden.rename(data_path / "tiny")

    monkeypatch.setitem(asked.BUILT_IN, "tiny", build)
    for _ in range(2):
        assert main([*arguments, "--model", "Pop"]) == 0
    assert made == [Path("dataset")]


def test_a_file_may_name_the_model_and_a_runs_configuration_gives_the_run_again(arguments, tiny):
    kept = [each for each in arguments if each not in ("--dataset", "tiny")]
    Path("mine.yaml").write_text("model: Pop\ndataset: tiny\n")
    assert main([*kept, "--config_files", "mine.yaml", "--output", "first"]) == 0
    assert list(json.loads(Path("first/metrics.json").read_text())) == ["Pop"]
    again = ["--config_files", "first/config-Pop.yaml", "--output", "second"]
    assert main(again) == 0
    for name in ("metrics.json", "ranks.csv.gz", "config-Pop.yaml"):
        assert Path("second", name).read_bytes() == Path("first", name).read_bytes()


def test_an_output_that_is_a_file_exits_with_2(arguments, capsys):
    Path("taken").write_text("mine")
    for output in ("taken", "taken/below"):
        assert main([*arguments, "--model", "Pop", "--output", output]) == 2
        message = capsys.readouterr().err.splitlines()[-1]
        assert message.startswith(f"recbole-tema: --output {output}: this folder cannot be made (")
    assert Path("taken").read_text() == "mine"


def test_fewer_items_than_candidates_are_told_once(arguments, caplog):
    asked = ["--seeds", "1,2", "--candidates", "uni999,uni888,uni4"]
    assert main([*arguments, "--model", "Pop,ItemKNN", *asked]) == 0
    said = [each for each in caplog.messages if "fewer items to draw from" in each]
    assert [each.split(":")[0] for each in said] == ["uni999", "uni888"]


def test_a_built_in_data_set_that_another_process_made_meanwhile(tiny, monkeypatch):
    """It is there when this process puts its own in place."""
    folder = tiny.files.folder
    aside = folder.rename(folder.with_name("aside"))

    def slower(_: Path) -> Path:
        aside.rename(folder)
        raise FormatError("tiny is there already")

    monkeypatch.setitem(asked.BUILT_IN, "tiny", slower)
    config = asked.config_of("TEMA", "tiny", None, {"data_path": str(folder.parent)})
    assert config["domains"] == ["food", "kitchen"]

    def broken(_: Path) -> Path:
        raise FormatError("no room")

    folder.rename(aside)
    monkeypatch.setitem(asked.BUILT_IN, "tiny", broken)
    with pytest.raises(FormatError, match="no room"):
        asked.config_of("TEMA", "tiny", None, {"data_path": str(folder.parent)})


def test_runs_of_one_second_do_not_share_a_folder(in_tmp, monkeypatch):
    monkeypatch.setattr(asked, "get_local_time", lambda: "Nov-29-2026_13-48-31")
    folders = []
    for number in (7, 8):
        monkeypatch.setattr(os, "getpid", lambda number=number: number)
        folders.append(str(asked.Asked.of("TEMA", "tiny").folder()))
    assert folders == [f"results/tiny-TEMA-Nov-29-2026_13-48-31-{number}" for number in (7, 8)]


def test_nor_do_two_of_one_process(in_tmp, monkeypatch):
    monkeypatch.setattr(asked, "get_local_time", lambda: "Nov-29-2026_13-48-31")
    monkeypatch.setattr(os, "getpid", lambda: 7)
    folders = []
    for _ in range(3):
        folders.append(asked.Asked.of("TEMA", "tiny").folder())
        folders[-1].mkdir(parents=True)
    names = [f"tiny-TEMA-Nov-29-2026_13-48-31-7{more}" for more in ("", "-2", "-3")]
    assert [folder.name for folder in folders] == names
