"""Real processes that are killed, stopped or run out of room, and what their folders then give."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import recbole_tema
from recbole_tema import comparison, run_recbole_tema
from recbole_tema.cli import main

ROOT = Path(recbole_tema.__file__).parents[1]
MODELS = ("TEMA", "GRU4Rec", "BPR")
ARGUMENTS = [
    *("--model", ",".join(MODELS), "--dataset", "tiny", "--candidates", "full,uni4"),
    *("--epochs=3", "--train_batch_size=16", "--show_progress=false", "--MAX_ITEM_LIST_LENGTH=5"),
    *("--gpu_id=", "--n_negatives=4", "--learning_rate=0.01", "--dropout_prob=0.3"),
]

# Runs the command with a signal to itself at the n-th call of something: the exact moments at which
# a crash could hurt, which no timer would hit.
PROGRAM = """
import os, signal, sys
import torch
torch.set_num_threads(1)
place, number, action, *arguments = sys.argv[1:]
left = int(number)

def before(function):
    def counting(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            if action == "ENOSPC":
                raise OSError(28, "No space left on device")
            try:
                os.kill(os.getpid(), getattr(signal, action.split(",")[0]))
            except KeyboardInterrupt:
                for second in action.split(",")[1:]:
                    os.kill(os.getpid(), getattr(signal, second))
                raise
        return function(*args, **kwargs)
    return counting

from recbole_tema.cli import main
from recbole_tema.evaluation.ranker import CaseRanker
from recbole_tema.training.trainer import PerDomainTrainer

owner, name = {
    "batch": (torch.Tensor, "backward"),
    "save": (torch, "save"),
    "replace": (os, "replace"),
    "last": (PerDomainTrainer, "_save_last"),
    "rank": (CaseRanker, "_ranks_of_batch"),
}[place]
setattr(owner, name, before(getattr(owner, name)))
sys.argv = ["recbole-tema", *arguments]
raise SystemExit(main())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_dataset_in, one_thread):
    """A folder with the data set, in which the uninterrupted run has been made."""
    root = tmp_path_factory.mktemp("stopping")
    tiny_dataset_in(root / "dataset")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert main([*ARGUMENTS, "--output", "whole"]) == 0
        yield root


def command(place, number, action, *arguments):
    """A process of the command that meets ``action`` at the ``number``-th call at ``place``."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, place, str(number), action, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def assert_as_if_never_stopped(output):
    """Weights, ranks, metrics, tables and pictures, byte for byte; times and memory apart."""
    whole = {path.relative_to("whole") for path in Path("whole").rglob("*") if path.is_file()}
    found = {path.relative_to(output) for path in Path(output).rglob("*") if path.is_file()}
    assert found == whole
    with_times = {each for each in whole if each.name.endswith("-last.pth")}
    with_times |= {Path(f"cost.{suffix}") for suffix in ("md", "csv", "tex")}
    with_times |= {Path("timing.json"), Path("report.html")}
    assert len(with_times) == 5 + len(MODELS)
    for name in sorted(whole - with_times):
        assert (Path(output) / name).read_bytes() == (Path("whole") / name).read_bytes(), name
    timing = [json.loads((Path(each) / "timing.json").read_text()) for each in ("whole", output)]
    for model in MODELS:
        for key in ("epochs", "best_epoch", "parameters"):
            assert timing[0][model]["2020"][key] == timing[1][model]["2020"][key]


def test_a_run_killed_again_and_again_is_as_if_never_stopped(folder):
    """An epoch has 2 batches with TEMA and 8 with GRU4Rec."""
    moments = [
        ("batch", 2, "TEMA"),  # nothing is saved yet
        ("replace", 3, "TEMA"),  # the first one to go on from is whole, but not yet in its place
        ("last", 2, "TEMA"),  # the best weights may be newer than what one goes on from
        ("batch", 15, "GRU4Rec"),
        ("batch", 30, "BPR"),
        ("rank", 7, "BPR"),
    ]
    resume = []
    for place, number, model in moments:
        done = command(place, number, "SIGKILL", *ARGUMENTS, "--output", "killed", *resume)
        assert done.returncode == -signal.SIGKILL, (place, number, done.stderr[-2000:])
        assert re.findall(r"(\w+) on tiny", done.stderr)[-1] == model, (place, number)
        resume = ["--resume"]
        assert Path("killed/UNFINISHED.txt").exists()
    assert main([*ARGUMENTS, "--output", "killed", "--resume"]) == 0
    assert_as_if_never_stopped("killed")
    assert main([*ARGUMENTS, "--output", "killed", "--resume"]) == 0, "once more changes nothing"
    assert_as_if_never_stopped("killed")


@pytest.mark.parametrize(
    ("name", "status", "place", "number", "output"),
    [
        ("SIGINT", 130, "batch", 30, []),
        ("SIGTERM", 143, "save", 5, ["--output", "of mine"]),
        ("SIGTERM", 143, "replace", 6, ["--output", "mine"]),
    ],
)
def test_a_signal_ends_a_run_with_the_command_to_go_on(folder, name, status, place, number, output):
    done = command(place, number, name, *ARGUMENTS, *output)
    assert done.returncode == status
    assert f"recbole-tema: stopped by {name}\n" in done.stderr
    assert "Traceback" not in done.stderr
    *begun, option, chosen, resume = again = shlex.split(done.stderr.splitlines()[-1])
    assert begun == ["recbole-tema", *ARGUMENTS]
    assert (option, resume) == ("--output", "--resume")
    assert [option, chosen] == output or Path(chosen).parent == Path("results")
    assert not list(Path(chosen).rglob(".writing-*")), "no half of a file"
    assert main(again[1:]) == 0
    assert_as_if_never_stopped(chosen)


def test_a_second_signal_ends_it_at_once(folder):
    done = command("batch", 10, "SIGINT,SIGINT", *ARGUMENTS, "--output", "twice")
    assert done.returncode == -signal.SIGINT


def test_a_full_disk_is_named_and_the_last_good_checkpoint_stays(folder):
    # The fourth file is a checkpoint, however often the best epoch changes.
    done = command("replace", 4, "ENOSPC", *ARGUMENTS, "--output", "full")
    assert done.returncode == 2
    message = done.stderr.splitlines()[-1]
    assert "No space left on device" in message
    assert "full/checkpoints/TEMA-2020-" in message
    assert "go on with --resume" in message
    assert "Traceback" not in done.stderr
    assert not list(Path("full").rglob(".writing-*"))
    assert main([*ARGUMENTS, "--output", "full", "--resume"]) == 0
    assert_as_if_never_stopped("full")


def test_an_unfinished_folder_is_not_started_over(folder, capsys):
    command("batch", 30, "SIGKILL", *ARGUMENTS, "--output", "left")
    before = {path: path.read_bytes() for path in Path("left").rglob("*") if path.is_file()}
    assert main([*ARGUMENTS, "--output", "left"]) == 2
    assert "left holds a run that is not finished" in capsys.readouterr().err
    assert main([*ARGUMENTS, "--output", "left", "--resume", "--seed=5"]) == 2
    assert "TEMA-2020 (model-seed) would be lost" in capsys.readouterr().err
    assert main([*ARGUMENTS, "--output", "left", "--resume", "--weight_decay=0.5"]) == 2
    assert "weight_decay (then " in capsys.readouterr().err
    after = {path: path.read_bytes() for path in Path("left").rglob("*") if path.is_file()}
    assert after == before
    # Of the three models GRU4Rec alone has this one; what the first one has learned stays.
    assert main([*ARGUMENTS, "--output", "left", "--resume", "--hidden_size=32"]) == 2
    error = capsys.readouterr().err
    assert "GRU4Rec-2020-last.pth was made with other settings: hidden_size (then " in error
    assert "TEMA-2020-last.pth was made with" not in error
    for path in Path("left/checkpoints").iterdir():
        assert "BPR" in path.name or path.read_bytes() == before[path]


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (["--resume"], "give it with --output DIR"),
        (["--resume", "--output", "nowhere"], "nowhere: nothing to resume"),
    ],
)
def test_resuming_nothing_exits_with_2(folder, capsys, extra, expected):
    assert main([*ARGUMENTS, *extra]) == 2
    assert expected in capsys.readouterr().err
    assert not Path("nowhere").exists()


def test_a_stop_before_there_is_anything_to_go_on_from(folder, capsys, monkeypatch):
    monkeypatch.setattr(comparison, "CrossDomainDataset", lambda config: os.kill(os.getpid(), 15))
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    assert main([*ARGUMENTS, "--output", "early"]) == 143
    assert capsys.readouterr().err.endswith("recbole-tema: stopped by SIGTERM\n")
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_library_call_gets_a_keyboard_interrupt_and_keeps_its_handlers(folder, monkeypatch):
    handlers = []

    def interrupt(*arguments):
        handlers.append((signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)))
        Path("called/UNFINISHED.txt").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(comparison, "train_and_rank", interrupt)
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match=r"output='called', resume=True"):
        run_recbole_tema("Pop", "tiny", config_dict={"gpu_id": ""}, output="called")
    assert handlers == [before]


def test_off_the_main_thread_no_signal_is_handled(folder):
    status = []
    thread = threading.Thread(target=lambda: status.append(main([*ARGUMENTS, "--output", "aside"])))
    thread.start()
    thread.join()
    assert status == [0]
