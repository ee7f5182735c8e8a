"""What moves while a model trains besides weights and optimizer: random numbers, counters."""

import random
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor


def random_state(loader: Any) -> dict[str, Any]:
    """The state of every random generator that training draws from, the loader's own included."""
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(legacy=False),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
        "loader": [generator.get_state() for generator in _generators(loader)],
    }


def restore_random_state(loader: Any, state: dict[str, Any]) -> None:
    """Go on with the random numbers that :func:`random_state` would have given next."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
    for generator, own in zip(_generators(loader), state["loader"], strict=True):
        generator.set_state(own)


def _generators(loader: Any) -> list[torch.Generator]:
    holders = (loader, getattr(loader, "sampler", None))
    found = [getattr(holder, "generator", None) for holder in holders]
    by_id = {id(each): each for each in found if isinstance(each, torch.Generator)}
    return list(by_id.values())


def attributes_now(model: torch.nn.Module) -> dict[str, Any]:
    """What :func:`changed_attributes` compares with; to be taken before training."""
    return {name: _fingerprint(value) for name, value in _attributes(model)}


def changed_attributes(model: torch.nn.Module, before: dict[str, Any]) -> dict[str, Any]:
    """Numbers, arrays and tensors that training changed in a model's modules, by dotted name.

    Some of RecBole's models count steps or keep running statistics outside of their state_dict
    (MultiVAE, MacridVAE, LINE, DiffRec). What was not there before training, or was None, is a
    cache that the model fills by itself.
    """
    return {
        name: value.detach() if isinstance(value, Tensor) else value
        for name, value in _attributes(model)
        if name in before and not _same(_fingerprint(value), before[name])
    }


def restore_attributes(model: torch.nn.Module, changed: dict[str, Any]) -> None:
    """Put back what :func:`changed_attributes` gave."""
    for name, value in changed.items():
        module, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(module), attribute, value)


def _attributes(model: torch.nn.Module) -> Iterator[tuple[str, Any]]:
    for module_name, module in model.named_modules():
        for attribute, value in vars(module).items():
            numbers = isinstance(value, np.ndarray) and not value.dtype.hasobject
            if attribute != "training" and (numbers or isinstance(value, (int, float, Tensor))):
                yield f"{module_name}.{attribute}", value


def _fingerprint(value: Any) -> Any:
    """A tensor is followed by its count of in-place changes, which costs nothing."""
    if isinstance(value, Tensor):
        return value, 0 if value.is_inference() else value._version
    if isinstance(value, np.ndarray):
        return value.shape, zlib.crc32(value.tobytes())
    return value


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, tuple) and isinstance(one[0], Tensor):
        return isinstance(other, tuple) and one[0] is other[0] and one[1] == other[1]
    return type(one) is type(other) and one == other
