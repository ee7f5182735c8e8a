"""Several models with several seeds: stopped, failing, and as one after the other."""

import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.stats import wilcoxon

from recbole_tema import comparison, run_recbole_tema
from recbole_tema.cli import main
from recbole_tema.formats.properties import SPLIT_KINDS
from recbole_tema.report import read_metrics, read_ranks
from recbole_tema.training.run import train_and_rank
from tests.runs import QUICK, contents, failing, rows_of

THREE = [*QUICK, "--model", "SASRec,Pop,TEMA", "--seeds", "3,1"]


def test_all_models_with_all_seeds(tiny, trained):
    assert main([*THREE, "--output", "out"]) == 0
    assert trained == [
        *(("SASRec", 3), ("Pop", 3), ("TEMA", 3)),
        *(("SASRec", 1), ("Pop", 1), ("TEMA", 1)),
    ]
    metrics = read_metrics(Path("out/metrics.json"))
    assert {model: sorted(seeds) for model, seeds in metrics.items()} == {
        model: [1, 3] for model in ("Pop", "SASRec", "TEMA")
    }
    # A seed of the comparison is the run with that seed alone.
    assert main([*QUICK, "--model", "TEMA", "--seed=1", "--output", "alone"]) == 0
    assert read_metrics(Path("alone/metrics.json"))["TEMA"][1] == metrics["TEMA"][1]
    assert metrics["TEMA"][1] != metrics["TEMA"][3]
    # Nothing is drawn in Pop: that its ranks are the same says that the candidates are.
    assert metrics["Pop"][1] == metrics["Pop"][3]

    rows = {
        (row["model"], row["domain"], row["metric"]): row for row in rows_of("out/table_uni4.csv")
    }
    assert list(dict.fromkeys(model for model, _, _ in rows)) == ["SASRec", "Pop", "TEMA"]
    values = [metrics["TEMA"][seed]["uni4"]["food"]["mrr"] for seed in (3, 1)]
    assert float(rows["TEMA", "food", "mrr"]["mean"]) == pytest.approx(sum(values) / 2)
    spread = abs(values[0] - values[1]) / 2**0.5
    assert float(rows["TEMA", "food", "mrr"]["std"]) == pytest.approx(spread)
    assert "mean ± std over 2 seeds" in Path("out/table_uni4.md").read_text(encoding="utf-8")

    # The test of one column, from the file of ranks.
    tests = {(row["domain"], row["metric"]): row for row in rows_of("out/tests_uni4.csv")}
    assert len(tests) == 3 * 5
    found = tests["all", "mrr"]
    ranks = read_ranks(Path("out/ranks.csv.gz"))
    gains = (1 / ranks["rank"]).groupby([ranks["model"], ranks["user_id"]]).mean().unstack(0)
    means = gains.mean().sort_values(ascending=False)
    assert [found["best"], found["other"]] == list(means.index[:2])
    difference = np.round(gains[found["best"]] - gains[found["other"]], 12)
    expected = wilcoxon(difference[difference != 0], alternative="greater").pvalue
    assert float(found["p"]) == pytest.approx(min(1, 2 * expected))
    assert int(found["cases"]) == len(gains)

    names = {path.name for path in Path("out").iterdir()}
    assert {"cost.md", "cost.csv", "cost.tex", "comparison_uni4.png", "config-TEMA.yaml"} <= names
    assert not {"failures.json", "UNFINISHED.txt"} & names
    checkpoints = {path.name for path in Path("out/checkpoints").iterdir()}
    assert {f"TEMA-{seed}-{kind}.pth" for seed in (1, 3) for kind in ("best", "last")} < checkpoints


def test_timing_says_what_each_run_took(tiny):
    assert main([*QUICK, "--model", "TEMA,Pop", "--seeds", "1,2", "--output", "out"]) == 0
    timing = json.loads(Path("out/timing.json").read_text())
    for seed in ("1", "2"):
        assert timing["TEMA"][seed]["epochs"] == 2
        assert timing["TEMA"][seed]["peak_memory"] > 50 << 20
        assert timing["TEMA"][seed]["peak_gpu_memory"] is None


@pytest.mark.parametrize("split", SPLIT_KINDS)
def test_a_configuration_gives_all_seeds_again(split, in_tmp, tiny_dataset):
    tiny_dataset(split=split)
    asked = [*QUICK, "--model", "Pop", "--seeds", "2,1", "--output", "first"]
    assert main(asked) == 0
    config = yaml.safe_load(Path("first/config-Pop.yaml").read_text(encoding="utf-8"))
    assert (config["seed"], config["seeds"]) == (2, [2, 1])
    again = ["--config_files", "first/config-Pop.yaml", "--output", "second"]
    assert main(again) == 0
    assert contents("second") == contents("first")
    assert main([*again[:-1], "third", "--seeds", "5"]) == 0
    assert list(read_metrics(Path("third/metrics.json"))["Pop"]) == [5]


@pytest.mark.parametrize("seeds", ["", "1,1", "1,x", "-1", "1.5", "4294967296", "True"])
def test_other_seeds_are_refused(tiny, capsys, seeds):
    assert main([*QUICK, "--model", "Pop", f"--seeds={seeds}"]) == 2
    assert "seeds: expected different whole numbers" in capsys.readouterr().err


# ---- stopped ---------------------------------------------------------------------------------


def test_a_stop_in_the_second_seed(tiny, trained, monkeypatch):
    assert main([*THREE, "--output", "whole"]) == 0
    trained.clear()

    def stopping(config, *arguments):
        if (config["model"], config["seed"]) == ("Pop", 1):
            os.kill(os.getpid(), signal.SIGTERM)
        trained.append((config["model"], config["seed"]))
        return train_and_rank(config, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(comparison, "train_and_rank", stopping)
        assert main([*THREE, "--output", "parts"]) == 143
    assert trained == [("SASRec", 3), ("Pop", 3), ("TEMA", 3), ("SASRec", 1)]
    assert "TEMA-1" in Path("parts/UNFINISHED.txt").read_text(encoding="utf-8").splitlines()
    kept = {path: path.stat().st_mtime_ns for path in Path("parts/checkpoints").glob("*-best.pth")}
    assert len(kept) == 4
    assert main([*THREE, "--output", "parts", "--resume"]) == 0
    assert contents("parts") == contents("whole")
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "finished runs rank alone"


def test_results_are_not_written_over(tiny, capsys):
    asked = [*QUICK, "--model", "Pop", "--seeds", "1", "--output", "out"]
    assert main(asked) == 0
    before = contents("out")
    for model in ("Pop", "SASRec"):
        assert main([*asked[:-5], model, *asked[-4:]]) == 2
        assert "out holds the results of a run. Start another one" in capsys.readouterr().err
    assert contents("out") == before
    assert main([*asked[:-5], "Pop,SASRec", *asked[-4:], "--resume"]) == 0
    assert [*read_metrics(Path("out/metrics.json"))] == ["Pop", "SASRec"]
    capsys.readouterr()
    shutil.rmtree("out/checkpoints")
    assert main(asked) == 2
    assert "Start another one with another --output; or delete out" in capsys.readouterr().err
    assert main([*asked, "--resume"]) == 2
    assert "or another one" in capsys.readouterr().err


def test_a_run_that_is_given_up_can_be_started_anew(tiny):
    asked = [*QUICK, "--model", "Pop", "--seeds", "1", "--output", "out"]
    assert main(asked) == 0
    Path("out/UNFINISHED.txt").write_text("Pop-1\n", encoding="utf-8")  # stopped at another row
    assert main(asked) == 2
    shutil.rmtree("out/checkpoints")
    assert main(asked) == 0


def test_runs_made_apart_are_put_together(tiny):
    """One command for each core or machine, then one for all with the checkpoints of both."""
    parts = [("SASRec,Pop,TEMA", "3"), ("TEMA,Pop,SASRec", "1")]
    for models, seed in parts:
        asked = [*QUICK, "--model", models, "--seeds", seed, "--output", f"seed-{seed}"]
        assert main(asked) == 0
    Path("all/checkpoints").mkdir(parents=True)
    for path in Path().glob("seed-*/checkpoints/*.pth"):
        shutil.copy2(path, "all/checkpoints")
    kept = {path: path.stat().st_mtime_ns for path in Path("all/checkpoints").iterdir()}
    assert len(kept) == 12
    assert main([*THREE, "--output", "all", "--resume"]) == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "they rank alone"
    assert main([*THREE, "--output", "whole"]) == 0
    assert contents("all") == contents("whole")


def test_seeds_and_models_are_added_to_a_finished_comparison(tiny, trained):
    assert main([*QUICK, "--model", "SASRec", "--seeds", "1", "--output", "out"]) == 0
    trained.clear()
    more = [*QUICK, "--model", "Pop,SASRec", "--seeds", "2,1", "--output", "out", "--resume"]
    assert main(more) == 0
    assert trained[0] == ("SASRec", 1), "what there is comes first"
    assert main([*more[:-3], "--output", "whole"]) == 0
    assert contents("out") == contents("whole")


def test_other_settings_are_refused_before_anything_is_trained(tiny, trained, capsys):
    assert main([*QUICK, "--model", "SASRec", "--seeds", "1", "--output", "out"]) == 0
    trained.clear()
    asked = [*QUICK, "--model", "Pop,SASRec", "--seeds", "2,1", "--output", "out", "--resume"]
    assert main([*asked, "--hidden_dropout_prob=0.1"]) == 2
    assert "made with other settings: hidden_dropout_prob" in capsys.readouterr().err
    assert trained == [("SASRec", 1)]


# ---- failing ---------------------------------------------------------------------------------


def test_a_run_that_fails_is_reported_and_the_others_go_on(tiny, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        failing(patch, ("SASRec", 1), ("TEMA", 3))
        assert main([*THREE, "--output", "out"]) == 1
    ending = capsys.readouterr().err.splitlines()[-2:]
    reason = "RuntimeError: the loss is NaN"
    assert ending == [
        f"recbole-tema: TEMA with seed 3 failed: {reason}",
        f"recbole-tema: SASRec with seed 1 failed: {reason}",
    ]
    failures = json.loads(Path("out/failures.json").read_text(encoding="utf-8"))
    assert failures == {"TEMA": {"3": reason}, "SASRec": {"1": reason}}
    metrics = read_metrics(Path("out/metrics.json"))
    assert {model: sorted(seeds) for model, seeds in metrics.items()} == {
        "Pop": [1, 3],
        "SASRec": [3],
        "TEMA": [1],
    }
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert "4</b> of 6 runs finished" in page
    for model, seed in (("TEMA", 3), ("SASRec", 1)):  # the last run too
        assert f"<li><b>{model}</b>, seed {seed}: {reason}</li>" in page
    assert "over 1–2 seeds" in Path("out/table_uni4.md").read_text(encoding="utf-8")
    # What failed is tried again, and the outcome is as if nothing had been.
    assert main([*THREE, "--output", "out", "--resume"]) == 0
    assert main([*THREE, "--output", "whole"]) == 0
    assert contents("out") == contents("whole")


def test_an_impossible_model_is_found_before_training(tiny, trained, capsys, caplog):
    asked = [*QUICK, "--model", "SASRec,TEMA,Pop", "--seeds", "1,2", "--fusion=late"]
    assert main([*asked, "--output", "out"]) == 1
    assert trained == [("SASRec", 1), ("Pop", 1), ("SASRec", 2), ("Pop", 2)]
    said = [n for n, text in enumerate(caplog.messages) if "TEMA cannot be run" in text]
    begun = [n for n, text in enumerate(caplog.messages) if "SASRec on tiny" in text]
    assert said[0] < begun[0]
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("recbole-tema: TEMA with seed 2 failed: fusion: expected one of")
    failures = json.loads(Path("out/failures.json").read_text(encoding="utf-8"))
    assert sorted(failures["TEMA"]) == ["1", "2"]
    # Without it the comparison is whole, and the note of the failure goes.
    asked[asked.index("SASRec,TEMA,Pop")] = "SASRec,Pop"
    assert main([*asked, "--output", "out", "--resume"]) == 0
    assert not Path("out/failures.json").exists()
    assert not Path("out/UNFINISHED.txt").exists()


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (["--model", "TEMA,LLMEMF", "--fusion=late"], "fusion: expected one of"),
        (["--model", "SASRec,Pop", "--metrics=AUC"], "metrics"),
        (["--model", "SASRec,TEMMA"], "unknown model 'TEMMA'"),
        (["--model", "SASRec,Pop", "--dataset", "nowhere"], "no data set 'nowhere'"),
    ],
)
def test_what_is_wrong_for_all_fails_at_once(tiny, trained, capsys, extra, expected):
    assert main([*QUICK, *extra, "--seeds", "1,2", "--output", "out"]) == 2
    assert expected in capsys.readouterr().err
    assert trained == []
    assert not list(Path().glob("out/*"))


def test_no_room_to_write_ends_all(tiny, monkeypatch, trained):
    failing(monkeypatch, ("SASRec", 3), error=OSError(28, "No space left on device", "x"))
    assert main([*THREE, "--output", "out"]) == 2
    assert not Path("out/failures.json").exists()


def test_all_runs_may_fail(tiny, monkeypatch):
    failing(monkeypatch, ("Pop", 1), ("Pop", 2), error=ValueError("not today"))
    result = run_recbole_tema(
        "Pop", "tiny", None, {"gpu_id": "", "candidates": "uni4"}, "out", seeds=[1, 2]
    )
    assert result["failed"] == {"Pop": {1: "not today", 2: "not today"}}
    assert (result["metrics"], result["checkpoints"]) == ({}, {})


def test_an_error_of_the_program_is_no_failure(tiny, monkeypatch):
    failing(monkeypatch, ("Pop", 1), error=KeyError("forgotten"))
    with pytest.raises(KeyError, match="forgotten"):
        main([*QUICK, "--model", "Pop", "--seeds", "1,2", "--output", "out"])


def test_two_processes_write_what_one_writes(tiny):
    asked = [*QUICK, "--model", "TEMA,Pop", "--seeds", "1,2", "--modalities=['id','sound']"]
    assert main([*asked, "--nproc=2", "--output", "two"]) == 1
    assert main([*asked, "--output", "one"]) == 1
    different = {"config-Pop.yaml", "environment.json"}  # the number of processes
    one, two = contents("one"), contents("two")
    assert one.keys() == two.keys()
    assert "failures.json" in one
    for name in one.keys() - different:
        assert one[name] == two[name], name
