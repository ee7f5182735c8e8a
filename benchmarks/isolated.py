"""Running one part of a benchmark in a process of its own.

On Linux the peak memory of a process starts from that of the one that started it, so the parts'
modules (torch, RecBole) are imported in the part's process alone.
"""

import contextlib
import importlib
import logging
import multiprocessing
import os
import sys
import tempfile
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def isolated(module: str, function: str, *arguments: Any, threads: int = 1) -> Any:
    """What ``function`` of ``module`` (a file beside this one) returns, computed in a new process.

    Raises:
        ValueError: as the function raised it.
    """
    # The new process gets this path too, and measures this checkout, installed or not.
    root = str(Path(__file__).resolve().parents[1])
    if root not in sys.path:
        sys.path.insert(0, root)
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(threads)
    print(f"{function} {' '.join(str(each) for each in arguments)} …", file=sys.stderr)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(_call, module, function, arguments, threads).result()


def _call(module: str, function: str, arguments: tuple[Any, ...], threads: int) -> Any:
    sys.argv = sys.argv[:1]  # RecBole's Config would read the command line
    warnings.simplefilter("ignore")
    logging.getLogger().setLevel(logging.ERROR)
    import torch

    torch.set_num_threads(threads)
    # RecBole writes its logs where it runs.
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        return getattr(importlib.import_module(module), function)(*arguments)
