"""Checkpoints that load without running code: tensors and plain values only."""

from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import torch

_SPARSE = "scipy.sparse.csr"
_ARRAY = "numpy.array"


def save_checkpoint(path: str | Path, state: dict[str, Any]) -> None:
    """Write ``state``; numpy arrays and scipy matrices in it are stored as tensors."""
    torch.save(_encode(state), path)


def load_checkpoint(path: str | Path, device: torch.device) -> dict[str, Any]:
    """Read what :func:`save_checkpoint` wrote.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is no such checkpoint, or holds more than tensors and plain values.
    """
    try:
        return _decode(torch.load(path, map_location=device, weights_only=True))
    except FileNotFoundError:
        raise
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        raise ValueError(
            f"{path}: not a checkpoint of recbole_tema, or a damaged one. RecBole's own "
            f"checkpoints hold pickled objects, which are not loaded ({error})"
        ) from error


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
