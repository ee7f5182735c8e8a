"""Start a run's processes on this machine, by RecBole's settings: nproc, world_size, ip, port."""

import contextlib
import os
import socket
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

import torch
import torch.multiprocessing as mp
from torch.distributed import TCPStore  # type: ignore[attr-defined]
from torch.multiprocessing.spawn import (
    ProcessContext,
    ProcessExitedException,
    ProcessRaisedException,
    start_processes,
)

from recbole_tema.config import parse_value
from recbole_tema.distributed import launched

# Seconds that processes get to end by themselves when another one has failed.
GRACE = 5.0
# And when they were told to end, before they are killed.
SAVING = 30.0

# What crosses from a failed process as itself; anything else comes as a RuntimeError.
_KINDS: dict[str, type[Exception]] = {"ValueError": ValueError, "OSError": OSError}


class Outcome(NamedTuple):
    """What a process hands over: its result, or the kind, arguments and trace of its error."""

    at: float  # time.monotonic(), which all processes of a machine share
    fine: bool
    what: Any


@dataclass(frozen=True)
class ProcessSettings:
    """RecBole's settings of several processes.

    Attributes:
        nproc: processes on this machine.
        world_size: processes on all machines.
        ip: address of the machine whose ``group_offset`` is 0.
        port: a port there that nobody uses; None: one that is free, on a single machine.
        group_offset: number of the first process on this machine.
    """

    nproc: int = 1
    world_size: int = 1
    ip: str = "localhost"
    port: int | None = None
    group_offset: int = 0

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "ProcessSettings":
        """Read and check them; those that ``settings`` lacks or leaves at ~ get their defaults.

        Raises:
            ValueError: naming the key, what came and what was expected.
        """
        given = {key: parse_value(settings.get(key)) for key in cls.__dataclass_fields__}
        nproc = _whole(given, "nproc", 1, least=1)
        # RecBole writes -1 for "as many as nproc".
        of_all = None if given["world_size"] == -1 else given["world_size"]
        world_size = _whole({"world_size": of_all}, "world_size", nproc, least=1)
        if world_size < nproc:
            raise ValueError(
                f"world_size: expected at least nproc, the {nproc} processes of this machine; got "
                f"{world_size}"
            )
        offset = _whole(given, "group_offset", 0, least=0)
        if offset + nproc > world_size:
            raise ValueError(
                f"group_offset: {nproc} processes from number {offset} on do not fit into a "
                f"world_size of {world_size}"
            )
        port = None if given["port"] is None else _whole(given, "port", 0, least=1)
        if port is not None and port > 65535:
            raise ValueError(f"port: expected a number from 1 to 65535, got {port}")
        if port is None and world_size > nproc:
            raise ValueError(
                f"port: {world_size - nproc} of {world_size} processes run on other machines, "
                "which need one port to meet at; give the same ip and port on all of them"
            )
        return cls(nproc, world_size, str(given["ip"] or cls.ip), port, offset)

    def check_launched(self) -> None:
        """Refuse settings that are not what a launcher has started.

        Raises:
            ValueError: another number of processes.
        """
        for key, variable in (("nproc", "LOCAL_WORLD_SIZE"), ("world_size", "WORLD_SIZE")):
            asked, started = getattr(self, key), os.environ.get(variable)
            if asked > 1 and started is not None and asked != int(started):
                raise ValueError(
                    f"{key}: {asked}, but the launcher has started {started} processes; leave "
                    "nproc and world_size out beside torchrun"
                )


def _whole(given: Mapping[str, Any], key: str, default: int, least: int) -> int:
    value = default if given[key] is None else given[key]
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{key}: expected a whole number of at least {least}, got {value!r}")
    return value


def in_processes(settings: ProcessSettings, run: Callable[..., Any], *arguments: Any) -> Any:
    """What ``run(*arguments)`` returns, by the processes that ``settings`` ask for.

    Where a launcher has started them already, or one process is asked for, this process just runs
    it. Else the processes of this machine are started, and the result is that of the first one of
    them. ``run`` must be importable, and the program's own start be behind ``if __name__ ==
    "__main__"``, as :mod:`multiprocessing` demands it.

    Raises:
        ValueError: the port is taken, or what a process raised.
        OSError, RuntimeError: what a process raised, with its traceback as a note. The first
            process to fail ends all others.
        ChildProcessError: a process was killed.
    """
    if launched():
        settings.check_launched()
        return run(*arguments)
    if settings.world_size == 1:
        return run(*arguments)
    meeting = _meeting_place(settings)
    port = settings.port if meeting is None else meeting.port
    # One pipe each: of one that is killed while it writes, the reader sees the end.
    pipes = [mp.get_context("spawn").Pipe(duplex=False) for _ in range(settings.nproc)]
    readers, writers = [reader for reader, _ in pipes], [writer for _, writer in pipes]
    # start_processes is spawn that returns the processes before they have ended.
    processes = start_processes(
        _one_process, (settings, port, writers, run, arguments), settings.nproc, join=False
    )
    for writer in writers:
        writer.close()
    received: list[Outcome] = []
    try:
        ended = False
        while not ended:
            ended = processes.join(timeout=0.2, grace_period=GRACE)
            # Read on the way: a large outcome fills the pipe, and its process waits.
            _receive(readers, received)
    except (ProcessRaisedException, ProcessExitedException) as error:
        _receive(readers, received)
        raise _failure(error, received, settings) from None
    except BaseException:
        _end(processes)
        raise
    if not received:
        raise KeyboardInterrupt  # which the first process ended by, without a word
    return received[0].what


def _meeting_place(settings: ProcessSettings) -> TCPStore | None:
    """Where the processes meet; on the machine with the first process this program opens it."""
    if settings.group_offset:
        return None
    if settings.port is not None:
        # torch's store would take a port that somebody else listens at by another address.
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.ip, settings.port))
            except OSError as error:
                raise ValueError(
                    f"port: {settings.ip}:{settings.port} cannot be used ({error.strerror}); give "
                    "another one, or leave it at ~ for a free one on a single machine"
                ) from error
    return TCPStore(settings.ip, settings.port or 0, is_master=True, wait_for_workers=False)


def _failure(
    error: ProcessRaisedException | ProcessExitedException,
    received: Sequence[Outcome],
    settings: ProcessSettings,
) -> Exception:
    """What to raise for a process that failed: what it raised itself, or how it ended."""
    signal_name = getattr(error, "signal_name", None)
    failures = [outcome for outcome in received if not outcome.fine]
    if failures and not signal_name:
        kind, parts, trace = min(failures, key=lambda outcome: outcome.at).what
        failure = _KINDS.get(kind, RuntimeError)(*parts)
        failure.add_note(trace)
        return failure
    number = settings.group_offset + error.error_index
    how = f"by {signal_name}" if signal_name else f"without a word ({error})"
    hint = "; the machine may have run out of memory" if signal_name == "SIGKILL" else ""
    return ChildProcessError(f"process {number} of {settings.world_size} was ended {how}{hint}")


def _end(processes: ProcessContext) -> None:
    """Wait for processes that were interrupted with this one, and end those that were not."""
    for wait, end in ((GRACE, BaseProcess.terminate), (SAVING, BaseProcess.kill)):
        for process in processes.processes:
            process.join(wait)
            if process.is_alive():
                end(process)


def _receive(readers: list[Connection], received: list[Outcome]) -> None:
    """Move what the processes have handed over; each hands over one outcome at most."""
    for reader in [each for each in readers if each.poll()]:
        readers.remove(reader)
        # One that ended before, or on the way, says how by its exit code.
        with contextlib.suppress(EOFError, OSError):
            received.append(reader.recv())


def _one_process(
    number: int,
    settings: ProcessSettings,
    port: int,
    writers: Sequence[Connection],
    run: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    """What each started process does; ``number`` counts those of this machine."""
    os.environ.update(
        RANK=str(settings.group_offset + number),
        WORLD_SIZE=str(settings.world_size),
        LOCAL_RANK=str(number),
        LOCAL_WORLD_SIZE=str(settings.nproc),
        MASTER_ADDR=settings.ip,
        MASTER_PORT=str(port),
        # The port is open already: no process has to open it.
        TORCHELASTIC_USE_AGENT_STORE="True",
    )
    for other in [*writers[:number], *writers[number + 1 :]]:
        other.close()  # or the end of its process would not be seen
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(torch.get_num_threads() // settings.nproc, 1))
    try:
        result = run(*arguments)
        if number == 0:
            writers[number].send(Outcome(time.monotonic(), True, result))
    except Exception as error:
        kind = next((name for name, each in _KINDS.items() if isinstance(error, each)), "")
        if isinstance(error, OSError) and error.errno is not None:
            parts: tuple[Any, ...] = (error.errno, error.strerror, error.filename)
        else:
            parts = (str(error) if kind else f"{type(error).__name__}: {error}",)
        trace = f"in process {settings.group_offset + number}:\n{traceback.format_exc()}"
        writers[number].send(Outcome(time.monotonic(), False, (kind, parts, trace)))
        raise
