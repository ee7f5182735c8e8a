"""Tuning from end to end, on the tiny data set: files, kills, several processes, refusals."""

import csv
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import recbole_tema
from recbole_tema import run_recbole_tema, tune_models
from recbole_tema.cli import main
from recbole_tema.evaluation.ranker import CaseRanker
from recbole_tema.training.checkpoint import load_checkpoint
from recbole_tema.tuning import study as study_module

pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:recbole\.")
ROOT = Path(recbole_tema.__file__).parents[1]
QUICK = {
    "epochs": "2",
    "train_batch_size": "32",
    "show_progress": "false",
    "MAX_ITEM_LIST_LENGTH": "5",
    "gpu_id": "",
    "candidates": "full,uni4",
    "state": "ERROR",
}
SPACES = {
    "TEMA": "learning_rate: {log: [1e-3, 1e-1]}\nscore_view_weights: {choice: [[1, 0, 1], "
    "[1, 0.3, 0.1]]}\nn_negatives: 4\ntrain_batch_size: 16\n",
    "SASRec": "learning_rate: {log: [1e-3, 1e-1]}\nhidden_size: {int: [8, 24], step: 8}\n",
}


@pytest.fixture
def here(tiny_dataset, in_tmp, one_thread):
    """A folder with the data set and a space for each of two models."""
    Path("spaces").mkdir()
    for model, text in SPACES.items():
        Path("spaces", f"{model}.yaml").write_text(text)
    return tiny_dataset()


def command(model, trials, output, *more, tune="spaces"):
    asked = ["--model", model, "--dataset", "tiny", "--tune", tune, "--trials", str(trials)]
    return [
        *asked,
        "--output",
        output,
        *(f"--{key}={value}" for key, value in QUICK.items()),
        *more,
    ]


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# ---- what a study gives ----------------------------------------------------------------------


def test_two_models_are_tuned_and_the_best_settings_give_their_value_again(
    here, capsys, monkeypatch
):
    ranked = []
    ranks = CaseRanker.ranks
    monkeypatch.setattr(
        CaseRanker,
        "ranks",
        lambda self, *rest: ranked.append(self.loader.cases.targets) or ranks(self, *rest),
    )
    assert main(command("TEMA,SASRec", 3, "found")) == 0
    printed = capsys.readouterr().out
    told = re.findall(
        r"(TEMA|SASRec): trial (\d) complete: NDCG@10 (0\.\d{4}) \(epochs: 2, \d+ s\); best "
        r"so far (0\.\d{4}), trial (\d); trials done: (\d) of 3\n",
        printed,
    )
    assert [each[5] for each in told] == ["1", "2", "3"] * 2
    assert len(ranked) == 2 * 3 * 2, "once after each epoch"
    assert all(np.array_equal(each, ranked[0]) for each in ranked)
    before_last = sorted(items[-2] for _, items in here.histories if len(items) > 2)
    assert len(ranked[0]) == len(before_last), "the validation cases"
    assert not list(Path().rglob("*.pth")), "no weights are kept"

    for model in ("TEMA", "SASRec"):
        table = rows(f"found/trials-{model}.csv")
        values = [float(row["value"]) for row in table]
        assert values == sorted(values, reverse=True)
        assert sorted(row["number"] for row in table) == ["1", "2", "3"]
        assert {(row["state"], row["epochs"], row["error"]) for row in table} == {
            ("complete", "2", "")
        }
        printed_of = [each for each in told if each[0] == model]
        assert sorted(each[1:3] for each in printed_of) == sorted(
            (row["number"], f"{float(row['value']):.4f}") for row in table
        )
        assert printed_of[-1][3:5] == (f"{values[0]:.4f}", table[0]["number"])
        markdown = Path(f"found/trials-{model}.md").read_text(encoding="utf-8")
        assert "Budget: 3 complete; epochs: 6, in " in markdown
        assert markdown.count("\n| ") == 5
        assert Path(f"found/history-{model}.png").read_bytes().startswith(b"\x89PNG")

        best = Path(f"found/best-{model}.yaml")
        text, settings = best.read_text(encoding="utf-8"), yaml.safe_load(best.read_text())
        assert "--tune spaces --trials 3 --output found --epochs=2 " in text
        assert f"# Validation NDCG@10: {values[0]:.6f}, trial {table[0]['number']}, " in text
        assert re.search(
            r"# Trials: 3 complete; epochs: 6, in .*\n# Tuned: .*\n# Data: \w{64}", text
        )
        assert settings["learning_rate"] == float(table[0]["learning_rate"])
        assert settings["epochs"] == 2
        assert not {"model", "dataset", "gpu_id", "state", "checkpoint_dir"} & set(settings)
        # What is given wins over what the space fixes, and that over the defaults.
        assert settings["train_batch_size"] == 32
        assert settings.get("n_negatives") == (4 if model == "TEMA" else None)

        again = run_recbole_tema(
            model, "tiny", [str(best)], {"gpu_id": "", "show_progress": False}, f"again-{model}"
        )
        kept = load_checkpoint(again["checkpoints"][model][2020], None)
        assert kept["best_valid_score"] == values[0]


def test_more_trials_go_on_and_the_same_number_does_nothing(here, capsys):
    assert main(command("SASRec", 2, "found")) == 0
    first = rows("found/trials-SASRec.csv")
    assert main(command("SASRec", 2, "found")) == 0
    assert rows("found/trials-SASRec.csv") == first
    capsys.readouterr()
    assert main(command("SASRec", 3, "found")) == 0
    assert "SASRec: trials done: 2 of 3\nSASRec: trial 3 complete" in capsys.readouterr().out
    table = rows("found/trials-SASRec.csv")
    assert len(table) == 3
    assert all(row in table for row in first)


def test_a_setting_that_the_model_does_not_have_is_warned_of_once(here, caplog):
    settings = {**QUICK, "epochs": 1, "epoch": 1}
    tune_models("SASRec", "tiny", [], settings, space="spaces", trials=2, output="found")
    said = [each for each in caplog.messages if "has no setting" in each]
    assert said == ["SASRec has no setting 'epoch'; did you mean epochs?"]


def test_the_shipped_spaces_name_settings_of_their_models(here):
    settings = {key: value for key, value in QUICK.items() if key != "train_batch_size"}
    models = ["TEMA", "LLMEMF", "SASRec", "GRU4Rec"]
    found = tune_models(models, "tiny", [], settings | {"epochs": 1}, space="tune", trials=1)
    assert list(found) == models
    assert found["TEMA"] == Path("results/tune-tiny/best-TEMA.yaml")
    assert all(path.is_file() for path in found.values())


# ---- kills, signals, several processes -------------------------------------------------------

# Runs the command, sends itself a signal at the n-th epoch (0: never), and with a number of
# companions begins its first epoch only when so many processes have come to theirs.
PROGRAM = """
import os, pathlib, signal, sys, time
import torch
torch.set_num_threads(1)
number, name, companions, *arguments = sys.argv[1:]
left, met = int(number), False
from recbole_tema.cli import main
from recbole_tema.training.trainer import PerDomainTrainer
train_epoch = PerDomainTrainer._train_epoch

def counting(*args, **kwargs):
    global left, met
    left -= 1
    if left == 0:
        os.kill(os.getpid(), getattr(signal, name))
    pathlib.Path(f"epoch-{os.getpid()}").touch()
    while not met and len(list(pathlib.Path().glob("epoch-*"))) < int(companions):
        time.sleep(0.05)
    met = True
    return train_epoch(*args, **kwargs)

PerDomainTrainer._train_epoch = counting
sys.argv = ["recbole-tema", *arguments]
raise SystemExit(main())
"""


def start(number, name, companions, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(number), name, str(companions), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def tried(table):
    """Settings and value of each trial that counts."""
    ignored = ("number", "seconds")
    return sorted(
        tuple(value for key, value in row.items() if key not in ignored)
        for row in table
        if row["state"] != "killed"
    )


def test_a_killed_study_goes_on_and_tries_the_lost_trial_again(here, monkeypatch):
    killed = start(4, "SIGKILL", 0, *command("SASRec", 4, "killed"))
    killed.communicate(timeout=300)
    assert killed.returncode == -signal.SIGKILL
    assert [row["number"] for row in rows("killed/trials-SASRec.csv")] == ["1"]
    monkeypatch.setattr(study_module, "GRACE", 1)
    assert main(command("SASRec", 4, "killed")) == 0
    assert main(command("SASRec", 4, "whole")) == 0
    table = rows("killed/trials-SASRec.csv")
    (lost,) = [row for row in table if row["state"] == "killed"]
    assert (lost["number"], lost["epochs"]) == ("2", "1")
    assert tried(table) == tried(rows("whole/trials-SASRec.csv"))
    assert "4 complete, 1 killed; epochs: 9, " in Path("killed/trials-SASRec.md").read_text()


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_says_how_to_go_on(here, name, code):
    stopped = start(3, name, 0, *command("SASRec", 3, "stopped"))
    _, errors = stopped.communicate(timeout=300)
    assert stopped.returncode == code
    told, _, again = errors.partition("Every complete trial is kept. Go on with:\n")
    assert f"stopped by {name}" in told
    program, *arguments = shlex.split(again)
    assert (program, arguments) == ("recbole-tema", command("SASRec", 3, "stopped"))
    assert main(arguments) == 0
    assert main(command("SASRec", 3, "whole")) == 0
    table = rows("stopped/trials-SASRec.csv")
    assert [row["number"] for row in table if row["state"] == "killed"] == ["2"]
    assert tried(table) == tried(rows("whole/trials-SASRec.csv"))


def test_two_processes_share_one_study(here):
    both = [start(0, "", 2, *command("SASRec", 5, "shared")) for _ in range(2)]
    try:
        printed = [process.communicate(timeout=300) for process in both]
    finally:
        for process in both:
            process.kill()
    assert [process.returncode for process in both] == [0, 0], printed
    shares = [len(re.findall(r"SASRec: trial \d complete: ", text)) for text, _ in printed]
    assert sum(shares) == 5
    assert min(shares) >= 1
    table = rows("shared/trials-SASRec.csv")
    assert sorted(row["number"] for row in table) == ["1", "2", "3", "4", "5"]
    assert {row["state"] for row in table} == {"complete"}
    assert len({row["learning_rate"] for row in table}) == 5, table


# ---- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--trials", "0"], "--trials: expected a whole number of at least 1, got 0"),
        (["--resume"], "--tune goes on by itself"),
        (["--nproc=2"], "start the same command several times"),
        (["--tune", "nowhere"], "nowhere is no file, nor a folder with SASRec.yaml"),
        (["--learning_rate=0.1"], "SASRec.yaml: learning_rate: to be tuned, but given on the comm"),
        (["--tune", "bad.yaml"], "bad.yaml: hiden_size: SASRec has no such setting; did you mean"),
        (["--tune", "fixed.yaml"], "fixed.yaml: epoch: SASRec has no such setting; did you mean"),
        (["--valid_metric=MRR@10"], "valid_metric: expected one of"),
        (["--model", "SASRec,NARM"], "nor a folder with NARM.yaml"),
    ],
)
def test_what_cannot_be_tuned_exits_with_2_before_anything_is_trained(here, capsys, more, expected):
    Path("bad.yaml").write_text("hiden_size: {int: [8, 16]}\n")
    Path("fixed.yaml").write_text("hidden_size: {int: [8, 16]}\nepoch: 3\n")
    assert main([*command("SASRec", 2, "found"), *more]) == 2
    message = capsys.readouterr().err
    assert expected in message
    assert "Traceback" not in message
    assert not list(Path().glob("found/trials*"))


@pytest.mark.parametrize("half", [["--tune", "spaces"], ["--trials", "3"]])
def test_space_and_number_go_together(here, capsys, half):
    assert main(["--model", "SASRec", "--dataset", "tiny", *half]) == 2
    assert "--tune SPACE and --trials N go together" in capsys.readouterr().err


def test_a_study_of_other_settings_is_refused(here, capsys):
    assert main(command("SASRec", 1, "found")) == 0
    assert main(command("SASRec", 2, "found", "--hidden_dropout_prob=0.1")) == 2
    assert "hidden_dropout_prob (then 0.5, now 0.1)" in capsys.readouterr().err
    Path("spaces/SASRec.yaml").write_text(SPACES["SASRec"].replace("24", "32"))
    assert main(command("SASRec", 2, "found")) == 2
    expected = "hidden_size (then 'int [8, 24] step 8', now 'int [8, 32] step 8')"
    assert expected in capsys.readouterr().err
    assert len(rows("found/trials-SASRec.csv")) == 1


def test_without_optuna_the_command_to_install_it_is_told(here, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert main(command("SASRec", 1, "found")) == 2
    assert "pip install 'optuna>=5'" in capsys.readouterr().err
    assert not Path("found").exists()


def test_runs_and_help_do_not_need_optuna(here):
    program = (
        "import sys; sys.modules['optuna'] = None\n"
        "from recbole_tema.cli import main\n"
        "import recbole_tema.tuning\n"
        "raise SystemExit(main(['--model', 'Pop', '--dataset', 'tiny', '--gpu_id=']))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
