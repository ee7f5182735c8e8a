"""Settings of several processes, and what becomes of one that fails."""

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch

from recbole_tema import launch, run_recbole_tema
from recbole_tema.cli import main
from recbole_tema.distributed import barrier, process_group, rank
from recbole_tema.launch import ProcessSettings, in_processes
from recbole_tema.training.checkpoint import load_checkpoint


def test_one_process_is_the_default():
    assert ProcessSettings.of({}) == ProcessSettings()
    assert ProcessSettings.of({"nproc": "1", "world_size": "-1", "epochs": 3}).world_size == 1
    assert in_processes(ProcessSettings(), os.getpid) == os.getpid()


def test_texts_are_read():
    given = {"nproc": "2", "world_size": "4", "ip": "10.0.0.1", "port": "5678", "group_offset": "2"}
    assert ProcessSettings.of(given) == ProcessSettings(2, 4, "10.0.0.1", 5678, 2)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"nproc": 0}, "nproc: expected a whole number of at least 1, got 0"),
        ({"nproc": True}, "nproc: expected a whole number of at least 1, got True"),
        ({"nproc": "two"}, "nproc: expected a whole number of at least 1, got 'two'"),
        ({"nproc": 3, "world_size": 2}, "world_size: expected at least nproc, the 3 processes"),
        ({"nproc": 2, "group_offset": 1}, "group_offset: 2 processes from number 1 on do not fit"),
        ({"nproc": 2, "group_offset": -1}, "group_offset: expected a whole number of at least 0"),
        ({"nproc": 2, "world_size": 4}, "port: 2 of 4 processes run on other machines"),
        ({"nproc": 2, "port": 65536}, "port: expected a number from 1 to 65535, got 65536"),
    ],
)
def test_impossible_settings_are_refused(settings, expected):
    with pytest.raises(ValueError, match=expected):
        ProcessSettings.of(settings)


def test_a_taken_port_is_refused():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=rf"port: 127\.0\.0\.1:{port} cannot be used"):
            in_processes(ProcessSettings(2, 2, "127.0.0.1", port), os.getpid)


def test_another_number_than_was_launched_is_refused(monkeypatch):
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="nproc: 3, but the launcher has started 2 processes"):
        in_processes(ProcessSettings(3, 3), os.getpid)
    # Those that were launched run what they are given.
    assert in_processes(ProcessSettings(), os.getpid) == os.getpid()
    assert in_processes(ProcessSettings(2, 2), os.getpid) == os.getpid()


def fail_in_the_second(folder: Path) -> None:
    with process_group():
        (folder / str(rank())).touch()
        barrier()
        if rank() == 1:
            raise ValueError("the second process fails")
        barrier()


def test_a_failing_process_ends_all_with_its_error(tmp_path):
    with pytest.raises(ValueError, match="the second process fails") as failure:
        in_processes(ProcessSettings(2, 2), fail_in_the_second, tmp_path)
    assert str(failure.value) == "the second process fails"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]
    (note,) = failure.value.__notes__
    assert note.startswith("in process 1:")
    assert "fail_in_the_second" in note


def read_what_is_not_there() -> None:
    Path("/nowhere/at/all").read_bytes()


def test_an_error_of_the_system_keeps_its_file():
    with pytest.raises(FileNotFoundError) as failure:
        in_processes(ProcessSettings(2, 2), read_what_is_not_there)
    assert (failure.value.errno, failure.value.filename) == (errno.ENOENT, "/nowhere/at/all")


def kill_the_second() -> None:
    with process_group():
        if rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        barrier()


def test_a_killed_process_is_named():
    with pytest.raises(ChildProcessError, match="process 1 of 2 was ended by SIGKILL; the machine"):
        in_processes(ProcessSettings(2, 2), kill_the_second)


def a_megabyte() -> bytes:
    return b"x" * (1 << 20)


def test_a_large_result_is_handed_over():
    assert in_processes(ProcessSettings(2, 2), a_megabyte) == b"x" * (1 << 20)


def hand_over_a_part() -> bytes:
    """A megabyte, of which the first bytes are written when the process is killed."""
    write = Connection._send

    def write_some(connection: Connection, buffer: bytes) -> None:
        write(connection, bytes(buffer)[:100])
        os.kill(os.getpid(), signal.SIGKILL)

    Connection._send = write_some
    return a_megabyte()


def test_a_process_that_is_killed_while_it_hands_over_is_named():
    with pytest.raises(ChildProcessError, match="process 0 of 2 was ended by SIGKILL; the machine"):
        in_processes(ProcessSettings(2, 2), hand_over_a_part)


def interrupt_the_launcher(folder: Path) -> None:
    (folder / str(os.getpid())).touch()
    if os.environ["RANK"] == "1":
        while len(list(folder.iterdir())) < 2:
            time.sleep(0.05)
        os.kill(os.getppid(), signal.SIGINT)
    time.sleep(600)


def test_an_interrupted_launcher_ends_its_processes(tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "GRACE", 0.1)
    with pytest.raises(KeyboardInterrupt):
        in_processes(ProcessSettings(2, 2), interrupt_the_launcher, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    for path in tmp_path.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.name), 0)


def interrupt_oneself() -> None:
    raise KeyboardInterrupt


def test_processes_that_end_by_an_interrupt_interrupt_the_caller():
    with pytest.raises(KeyboardInterrupt):
        in_processes(ProcessSettings(2, 2), interrupt_oneself)


def test_an_error_of_all_is_told_once(tiny_dataset, in_tmp, capfd):
    tiny_dataset()
    asked = ["--model", "TEMA", "--dataset", "tiny", "--gpu_id=", "--nproc=2", "--fusion=late"]
    assert main(asked) == 2
    out, err = capfd.readouterr()
    assert (out + err).count("fusion: expected one of") == 1
    assert err.splitlines()[-1].startswith("recbole-tema: fusion")
    assert "Traceback" not in out + err


def test_torchrun_writes_one_set_of_results(tiny_dataset, in_tmp):
    tiny_dataset()
    program = Path(__file__).resolve().parents[1] / "run_recbole_tema.py"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    asked = ["--model", "TEMA,Pop", "--dataset", "tiny", "--output", "results", "--gpu_id="]
    settings = ["--epochs=1", "--MAX_ITEM_LIST_LENGTH=5", "--candidates", "full"]
    done = subprocess.run(
        [*launcher, "--nproc_per_node=2", str(program), *asked, *settings],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Candidates: full") == 1
    assert done.stdout.count("Results: results") == 1
    assert done.stderr.count("Evaluate   :   0%") == 2 + 2  # validation and test, of two models
    assert Path("results", "metrics.json").is_file()
    expected = {"results/checkpoints": 4, "log_tensorboard": 2, "log/TEMA": 1, "log/Pop": 1}
    for folder, number in expected.items():
        assert len(list(Path(folder).iterdir())) == number, folder


def test_two_processes_go_on_where_two_were(tiny_dataset, in_tmp):
    tiny_dataset()
    few = {"MAX_ITEM_LIST_LENGTH": 5, "gpu_id": "", "nproc": 2, "train_batch_size": 4}

    def run(output, epochs, **more):
        return run_recbole_tema("TEMA", "tiny", None, {**few, "epochs": epochs}, output, **more)

    run("parts", 2)
    one = {**few, "epochs": 4, "nproc": 1}
    with pytest.raises(ValueError, match=r"other settings: processes \(then 2, now 1\)"):
        run_recbole_tema("TEMA", "tiny", None, one, "parts", resume=True)
    run("parts", 4, resume=True)
    run("whole", 4)
    for file in ("ranks.csv.gz", "metrics.json"):
        parts, whole = Path("parts", file), Path("whole", file)
        assert parts.read_bytes() == whole.read_bytes(), file
    last = [
        load_checkpoint(f"{each}/checkpoints/TEMA-2020-last.pth", None)
        for each in ("parts", "whole")
    ]
    for name, value in last[0]["state_dict"].items():
        assert torch.equal(value, last[1]["state_dict"][name]), name
    states = [each["random"][number]["torch"] for each in last for number in range(2)]
    # Each process's own random numbers, and the same ones either way.
    assert torch.equal(states[0], states[2])
    assert torch.equal(states[1], states[3])
    assert not torch.equal(states[0], states[1])
