"""The largest amount of memory that one run held, on the host and on its GPU."""

import contextlib
import ctypes
import gc
import resource
import sys
from pathlib import Path

import torch

_PROCESS = Path("/proc/self")


def begin_peaks(device: torch.device) -> None:
    """Let the peaks be those from here on, what earlier runs still hold included.

    Where the system cannot forget the host's (anything but Linux), its peak is that of the process
    since its start, and grows from run to run.
    """
    gc.collect()
    with contextlib.suppress(AttributeError, OSError, TypeError):  # a C library without it
        # glibc keeps what was freed, gigabytes of it, which would count for the next run.
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):
        (_PROCESS / "clear_refs").write_text("5")  # proc(5): resets VmHWM
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def host_peak() -> int:
    """Bytes of resident memory of this process at its peak, libraries and data set included."""
    try:
        lines = (_PROCESS / "status").read_text().splitlines()
    except OSError:
        # Kilobytes, but on macOS bytes.
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(peak) * 1024


def gpu_peak(device: torch.device) -> int | None:
    """Bytes that torch had handed out on a GPU at its peak; None: no GPU."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
