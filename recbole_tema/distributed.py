"""The processes that share one run: who is who, and what they tell each other.

A launcher (``torchrun``, or :mod:`recbole_tema.launch`) describes them in the environment, as
torch's ``env://`` does. Without one there is a single process, for which everything here holds too.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist

T = TypeVar("T")


def launched() -> bool:
    """Whether a launcher started this process as one of a group."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


@contextmanager
def process_group() -> Iterator[None]:
    """Join the launched processes for a block; nothing where none were launched.

    A group that the calling program has made already is used and left as it is. Tensors on GPUs
    travel by NCCL, all others by gloo.
    """
    if not launched() or dist.is_initialized():
        yield
        return
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    yield
    # Not after an error: the others may never come, and the process is about to end.
    barrier()
    dist.destroy_process_group()


def world_size() -> int:
    """How many processes share the run."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """The number of this process among all, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def local_rank() -> int:
    """The number of this process among those on its machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", 0)) if dist.is_initialized() else 0


def local_world_size() -> int:
    """How many of the processes are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", world_size()))


def is_first() -> bool:
    """Whether this process is the one that writes, prints and shows progress."""
    return rank() == 0


def barrier() -> None:
    """Wait until every process is here."""
    # A sum of tensors on the CPU: torch's own barrier would pick a GPU where there are some.
    sum_over_processes(np.zeros(1))


def from_first(value: T) -> T:
    """The first process's ``value``, in every process. It is a plain value such as a text."""
    if world_size() == 1:
        return value
    holder = [value]
    dist.broadcast_object_list(holder, src=0, device=torch.device("cpu"))
    return holder[0]


def from_all(value: T) -> list[T]:
    """Every process's ``value``, in every process, by number."""
    if world_size() == 1:
        return [value]
    values: list[T] = [value] * world_size()
    dist.all_gather_object(values, value)
    return values


def sum_over_processes(values: np.ndarray) -> np.ndarray:
    """The elementwise sum of every process's ``values``, which all have one shape and dtype."""
    total = torch.from_numpy(np.array(values))
    if world_size() > 1:
        dist.all_reduce(total)
    return total.numpy()
