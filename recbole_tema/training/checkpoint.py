"""Checkpoints that load without running code: tensors and plain values only."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import torch

from recbole_tema.formats import atomic_write

_SPARSE = "scipy.sparse.csr"
_ARRAY = "numpy.array"


def save_checkpoint(path: str | Path, state: dict[str, Any]) -> None:
    """Write ``state``, whole or not at all; numpy arrays and scipy matrices are stored as tensors.

    Raises:
        OSError: it could not be written. An older file of that name stays as it was.
    """
    path = Path(path)
    try:
        with atomic_write(path) as beside, open(beside, "wb") as file:
            _save(_encode(state), file)
    except OSError as error:
        raise OSError(
            error.errno,
            f"{error.strerror or error} (this checkpoint was not written, and the one before it "
            "stays as it was: put this right and go on with --resume)",
            str(path),
        ) from error


def _save(state: dict[str, Any], file: Any) -> None:
    """torch.save, raising what went wrong with ``file``.

    Where a write fails or is interrupted, torch closes the archive nevertheless, and reports only
    that it is broken.
    """
    try:
        torch.save(state, file)
    except RuntimeError as error:
        if isinstance(error.__context__, (OSError, KeyboardInterrupt)):
            raise error.__context__ from None
        raise


def load_checkpoint(path: str | Path, device: torch.device | None) -> dict[str, Any]:
    """Read what :func:`save_checkpoint` wrote.

    Args:
        path: the file.
        device: where all tensors go; None: each to the kind of device it was on.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is no such checkpoint, or holds more than tensors and plain values.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # torch does not look at the checksums
            if broken := archive.testzip():
                raise ValueError(f"the checksum of {broken} is wrong")
        return _decode(torch.load(path, map_location=device or _in_place, weights_only=True))
    except FileNotFoundError:
        raise
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        raise ValueError(
            f"{path}: not a checkpoint of recbole_tema, or a damaged one. RecBole's own "
            f"checkpoints hold pickled objects, which are not loaded ({error})"
        ) from error


def _in_place(storage: Any, location: str) -> Any:
    """An optimizer keeps its step counts on the CPU; a GPU's number may have changed."""
    on_gpu = location.startswith("cuda") and torch.cuda.is_available()
    return storage.cuda() if on_gpu else storage


def _encode(value: Any) -> Any:
    if scipy.sparse.issparse(value):  # before the dict that a DOK matrix is too
        csr = value.tocsr()
        parts = [torch.from_numpy(each) for each in (csr.data, csr.indices, csr.indptr)]
        return {_SPARSE: parts, "shape": list(csr.shape)}
    if isinstance(value, dict):
        return {key: _encode(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_encode(each) for each in value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return {_ARRAY: torch.from_numpy(value)}
    return value


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        if _SPARSE in value:
            data, indices, indptr = (each.cpu().numpy() for each in value[_SPARSE])
            return scipy.sparse.csr_matrix((data, indices, indptr), shape=value["shape"])
        if _ARRAY in value:
            return value[_ARRAY].cpu().numpy()
        return {key: _decode(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_decode(each) for each in value)
    return value
