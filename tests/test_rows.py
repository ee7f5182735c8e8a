"""Rows with settings of their own, ablations and sweeps, from the command to the files."""

import csv
import json
import os
import signal
from pathlib import Path

import pytest
import yaml

from recbole_tema import comparison, run_recbole_tema
from recbole_tema.cli import main
from recbole_tema.report import read_metrics
from recbole_tema.training.run import train_and_rank

QUICK = [
    *("--dataset", "tiny", "--candidates", "uni4", "--epochs=1", "--train_batch_size=32"),
    *("--show_progress=false", "--MAX_ITEM_LIST_LENGTH=5", "--gpu_id=", "--n_negatives=4"),
]
WITH_TIMES = {"timing.json", "cost.md", "cost.csv", "cost.tex", "report.html"}


def contents(folder):
    """The files of a folder by name, those that hold times apart."""
    files = {path.name: path for path in Path(folder).iterdir() if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name not in WITH_TIMES}


def config(folder, name):
    return yaml.safe_load(Path(folder, f"config-{name}.yaml").read_text(encoding="utf-8"))


def rows_of(path):
    return list(csv.DictReader(Path(path).read_text(encoding="utf-8").splitlines()))


@pytest.fixture
def trained(monkeypatch):
    """The (row, seed) of every run that is trained, gone on with or ranked again."""
    done = []

    def counting(config, data, checkpoints, resume, label):
        done.append((label, config["seed"]))
        return train_and_rank(config, data, checkpoints, resume, label)

    monkeypatch.setattr(comparison, "train_and_rank", counting)
    return done


# ---- rows ------------------------------------------------------------------------------------


def test_a_rows_file_wins_over_those_of_all_and_the_command_line_over_it(tiny):
    Path("all.yaml").write_text("n_layers: 2\nn_heads: 3\nhidden_dropout_prob: 0.2\n")
    Path("own.yaml").write_text("n_layers: 0\nn_heads: 6\nhidden_dropout_prob: 0.3\n")
    Path("more.yaml").write_text("n_heads: 1\n")
    asked = [*QUICK, "--model", "LLMEMF,LLMEMF@own.yaml,LLMEMF@own.yaml+more.yaml"]
    given = ["--config_files", "all.yaml", "--hidden_dropout_prob=0.1"]
    assert main([*asked, *given, "--output", "out"]) == 0
    keys = ("n_layers", "n_heads", "hidden_dropout_prob")
    found = {
        name: tuple(config("out", name)[key] for key in keys)
        for name in ("LLMEMF", "LLMEMF-own", "LLMEMF-own+more")
    }
    assert found == {
        "LLMEMF": (2, 3, 0.1),
        "LLMEMF-own": (0, 6, 0.1),
        "LLMEMF-own+more": (0, 1, 0.1),
    }
    labels = ["LLMEMF", "LLMEMF (own)", "LLMEMF (own+more)"]
    assert list(dict.fromkeys(row["model"] for row in rows_of("out/table_uni4.csv"))) == labels
    metrics = read_metrics(Path("out/metrics.json"))
    assert sorted(metrics) == labels
    # A row is the run that the same settings give alone.
    alone = [*QUICK, "--model", "LLMEMF", "--config_files", "all.yaml own.yaml", given[-1]]
    assert main([*alone, "--output", "alone"]) == 0
    assert read_metrics(Path("alone/metrics.json"))["LLMEMF"] == metrics["LLMEMF (own)"]


def test_the_configuration_of_a_row_gives_it_again(tiny):
    Path("flat.yaml").write_text("n_layers: 0\n")
    asked = [*QUICK, "--model", "LLMEMF@flat.yaml", "--seeds", "3,1", "--output", "first"]
    assert main(asked) == 0
    # The row, with its name, seeds and data set; and its settings for all rows.
    again = ["--model", "LLMEMF@first/config-LLMEMF-flat.yaml", "--output", "second"]
    assert main(again) == 0
    assert contents("second") == contents("first")
    again = ["--config_files", "first/config-LLMEMF-flat.yaml", "--output", "third"]
    assert main(again) == 0
    ranks = [read_metrics(Path(folder, "metrics.json")) for folder in ("first", "third")]
    assert ranks[1] == {"LLMEMF": ranks[0]["LLMEMF (flat)"]}


def test_rows_are_gone_on_with_after_a_stop(tiny, trained, monkeypatch):
    Path("flat.yaml").write_text("n_layers: 0\n")
    asked = [*QUICK, "--model", "LLMEMF,LLMEMF@flat.yaml", "--seeds", "1,2", "--output"]
    assert main([*asked, "whole"]) == 0
    order = [("LLMEMF", 1), ("LLMEMF (flat)", 1), ("LLMEMF", 2), ("LLMEMF (flat)", 2)]
    assert trained == order
    trained.clear()

    def stopping(config, data, checkpoints, resume, label):
        if (label, config["seed"]) == ("LLMEMF", 2):
            os.kill(os.getpid(), signal.SIGTERM)
        return train_and_rank(config, data, checkpoints, resume, label)

    with monkeypatch.context() as patch:
        patch.setattr(comparison, "train_and_rank", stopping)
        assert main([*asked, "parts"]) == 143
    lines = Path("parts/UNFINISHED.txt").read_text(encoding="utf-8").splitlines()
    assert {"LLMEMF-flat-1", "LLMEMF-flat-2", "LLMEMF-2"} <= set(lines)
    kept = {path: path.stat().st_mtime_ns for path in Path("parts/checkpoints").glob("*-best.pth")}
    assert {path.name for path in kept} == {"LLMEMF-1-best.pth", "LLMEMF-flat-1-best.pth"}
    assert main([*asked, "parts", "--resume"]) == 0
    assert contents("parts") == contents("whole")
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_a_row_that_is_not_asked_for_again_would_be_lost(tiny, capsys):
    Path("flat.yaml").write_text("n_layers: 0\n")
    rows = "LLMEMF,LLMEMF@flat.yaml"
    assert main([*QUICK, "--model", rows, "--output", "out"]) == 0
    assert main([*QUICK, "--model", "LLMEMF", "--output", "out", "--resume"]) == 2
    assert "LLMEMF-flat-2020 (model-seed) would be lost" in capsys.readouterr().err


def test_a_row_that_cannot_be_run_is_left_out(tiny, capsys):
    Path("late.yaml").write_text("fusion: late\n")
    asked = [*QUICK, "--model", "LLMEMF@late.yaml,Pop", "--seeds", "1,2", "--output", "out"]
    assert main(asked) == 1
    err = capsys.readouterr().err
    assert "LLMEMF (late) with seed 2 failed: fusion: expected one of" in err
    failures = json.loads(Path("out/failures.json").read_text(encoding="utf-8"))
    assert list(failures) == ["LLMEMF (late)"]
    assert list(read_metrics(Path("out/metrics.json"))) == ["Pop"]


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (["--model", "LLMEMF@no.yaml"], "no file 'no.yaml'"),
        (["--model", "LLMEMF@own.yaml,LLMEMF@copy/own.yaml"], "rows of one name"),
        (["--model", "Pop,LLMEMF@sasrec.yaml"], "sasrec.yaml are settings of SASRec, not of LLM"),
        (["--model", "Pop,LLMEMF@topk.yaml"], "topk: [3] in LLMEMF (topk), but [5, 10] in Pop"),
        (["--model", "Pop,LLMEMF@seed.yaml"], "seed: 3 in LLMEMF (seed), but 2020 in Pop"),
        (["--model", "Pop@seeds.yaml,LLMEMF@more.yaml"], "seeds: [3] by the file of LLMEMF (more"),
        (["--model", "LLMEMF@own.yaml", "--tune", "tune", "--trials", "1"], "names alone here"),
        (["--ablation", "--sweep", "n_layers=1"], "--ablation and --sweep: one of them at a time"),
        (["--sweep", "n_layers=1", "--tune", "tune", "--trials", "1"], "--tune and --sweep: one"),
        (["--sweep", "n_layers=1,1"], "--sweep n_layers: 1 is given twice"),
        (["--sweep", "n_layer=1"], "n_layer: LLMEMF has no such setting; did you mean n_layers?"),
        (["--sweep", "n_layers=0,-1"], "LLMEMF (n_layers=-1): n_layers: expected a number of at l"),
        (["--ablation", "late.yaml"], "LLMEMF (late fusion): fusion: expected one of"),
        (["--ablation", "own.yaml"], "own.yaml: expected a list of rows"),
        (["--ablation="], "--ablation: no file ''"),
        (["--model", "Pop", "--ablation"], "Pop: no ablation is known of it"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_trained(tiny, trained, capsys, extra, expected):
    for name, text in {
        "own.yaml": "n_layers: 0\n",
        "copy/own.yaml": "n_layers: 0\n",
        "sasrec.yaml": "model: SASRec\n",
        "topk.yaml": "topk: [3]\n",
        "seed.yaml": "seed: 3\n",
        "seeds.yaml": "seeds: [1, 2]\n",
        "more.yaml": "seeds: [3]\n",
        "late.yaml": "- no attention: {n_layers: 0}\n- late fusion: {fusion: late}\n",
    }.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")
    model = [] if "--model" in extra else ["--model", "LLMEMF"]
    assert main([*QUICK, *model, *extra, "--output", "out"]) == 2
    message = capsys.readouterr().err
    assert expected in message
    assert "Traceback" not in message
    assert trained == []
    assert not list(Path().glob("out/*"))


# ---- ablations and sweeps --------------------------------------------------------------------


def test_an_ablation(tiny, trained, capsys):
    Path("own.yaml").write_text(
        "- without tags: {without: tag}\n"
        "- tags of others: {shuffle_tags: 1}\n"
        "- as it is: {weighted_tags: True}\n"
        "- LLM text: {text_features: llm}\n",
        encoding="utf-8",
    )
    asked = [*QUICK, "--model", "TEMA,Pop", "--ablation", "own.yaml", "--seeds", "1,2"]
    assert main([*asked, "--output", "out"]) == 0
    rows = ["TEMA", "TEMA (without tags)", "TEMA (tags of others)", "Pop"]
    assert trained == [(row, seed) for seed in (1, 2) for row in rows]
    assert config("out", "TEMA-without-tags")["modalities"] == ["id", "image", "text"]
    assert config("out", "TEMA-tags-of-others")["shuffle_tags"] == 1

    # The differences, from the metrics.
    metrics = read_metrics(Path("out/metrics.json"))
    values = {
        row: sum(metrics[row][seed]["uni4"]["kitchen"]["mrr"] for seed in (1, 2)) for row in rows
    }
    table = {
        (row["model"], row["domain"], row["metric"]): row
        for row in rows_of("out/ablation_uni4.csv")
    }
    assert list(dict.fromkeys(model for model, _, _ in table)) == rows
    for row in rows[1:3]:
        found = table[row, "kitchen", "mrr"]["difference_percent"]
        assert float(found) == pytest.approx(100 * values[row] / values["TEMA"] - 100, abs=1e-6)
    assert values["TEMA (tags of others)"] != values["TEMA"]
    text = Path("out/ablation_uni4.md").read_text(encoding="utf-8")
    assert text.endswith(
        "\n- TEMA: as it is: left out, on tiny the same as 'full model'\n"
        "- TEMA: LLM text: left out, tiny has no tiny.text\\_llm.safetensors\n"
    )
    assert Path("out/ablation_uni4.tex").exists()


def test_a_sweep(tiny, trained):
    asked = [*QUICK, "--model", "LLMEMF", "--n_layers=1", "--sweep", "n_layers=0,1"]
    asked += ["--sweep", "views=[single],[merged]"]
    assert main([*asked, "--output", "out"]) == 0
    assert [label for label, _ in trained] == [
        *("LLMEMF", "LLMEMF (n_layers=0)", "LLMEMF (views=[single])", "LLMEMF (views=[merged])"),
    ]
    assert config("out", "LLMEMF-views=-merged")["views"] == ["merged"]
    names = {path.name for path in Path("out").iterdir()}
    kinds = ("md", "csv", "tex")
    assert {f"sweep_{key}_uni4.{kind}" for key in ("n_layers", "views") for kind in kinds} <= names
    metrics = read_metrics(Path("out/metrics.json"))
    found = {
        row["value"]: float(row["mean"])
        for row in rows_of("out/sweep_n_layers_uni4.csv")
        if (row["domain"], row["metric"]) == ("food", "mrr")
    }
    labels = {"0": "LLMEMF (n_layers=0)", "1": "LLMEMF"}
    assert found == {
        value: metrics[label][2020]["uni4"]["food"]["mrr"] for value, label in labels.items()
    }
    # Another value is added to what is there.
    trained.clear()
    asked[asked.index("n_layers=0,1")] = "n_layers=0,1,2"
    assert main([*asked, "--output", "out", "--resume"]) == 0
    assert trained[-1] == ("LLMEMF (n_layers=2)", 2020)
    assert len(rows_of("out/sweep_n_layers_uni4.csv")) == 3 * 3 * 5


def test_from_python(tiny):
    settings = {"gpu_id": "", "candidates": "uni4", "epochs": 0, "show_progress": False}
    result = run_recbole_tema("LLMEMF", "tiny", None, settings, sweep={"n_layers": [0, 1]})
    assert list(result["metrics"]) == ["LLMEMF", "LLMEMF (n_layers=0)"]
    assert result["output"].name.startswith("tiny-LLMEMF-sweep-n_layers-")
    checkpoint = Path(result["checkpoints"]["LLMEMF (n_layers=0)"][2020])
    assert checkpoint.name == "LLMEMF-n_layers=0-2020-best.pth"
    with pytest.raises(ValueError, match="one of them at a time"):
        run_recbole_tema("LLMEMF", "tiny", ablation=True, sweep="n_layers=1")


def test_two_processes_write_what_one_writes(tiny):
    Path("own.yaml").write_text("- popular: {MAX_ITEM_LIST_LENGTH: 3}\n", encoding="utf-8")
    asked = [*QUICK, "--model", "Pop", "--ablation", "own.yaml"]
    assert main([*asked, "--nproc=2", "--output", "two"]) == 0
    assert main([*asked, "--output", "one"]) == 0
    one, two = contents("one"), contents("two")
    assert one.keys() == two.keys()
    assert "ablation_uni4.md" in one
    different = {"environment.json", "config-Pop.yaml", "config-Pop-popular.yaml"}
    for name in one.keys() - different:
        assert one[name] == two[name], name
