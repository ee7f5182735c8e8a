"""The running average of a model's weights, which validates and ranks in place of the latest ones.

Polyak and Juditsky (1992): the average of the iterates of a stochastic search generalises better
than the last of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from recbole_tema.models.slices import sliced_like


class WeightAverage:
    """Exponential moving average of all trained weights of a model.

    Args:
        model: its weights now are where the average starts.
        decay: of the average at each step. In the first steps it is less, (1 + n) / (10 + n), so
            that the random start is soon forgotten.

    Attributes:
        steps: n, how often :meth:`update` was called.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not isinstance(decay, float) or not 0 < decay < 1:
            raise ValueError(
                f"weight_average: expected ~ or a number between 0 and 1, such as 0.998; got "
                f"{decay!r}"
            )
        self.decay = decay
        self.steps = 0
        self._weights = {
            name: weight for name, weight in model.named_parameters() if weight.requires_grad
        }
        self._average = {name: weight.detach().clone() for name, weight in self._weights.items()}

    @torch.no_grad()
    def update(self, *_: Any) -> None:
        """Take the weights of now in; after each step of the optimizer."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, weight in self._weights.items():
            self._average[name].lerp_(weight.detach(), 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model with the averaged weights; afterwards it has its own again."""
        own = {name: weight.detach().clone() for name, weight in self._weights.items()}
        self._put(self._average)
        try:
            yield
        finally:
            self._put(own)

    def state_dict(self) -> dict[str, Any]:
        """What :meth:`load_state_dict` goes on from."""
        return {"steps": self.steps, "average": self._average}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state``."""
        self.steps = state["steps"]
        for name, value in sliced_like(state["average"], self._average).items():
            self._average[name].copy_(value)

    @torch.no_grad()
    def _put(self, values: dict[str, Tensor]) -> None:
        for name, weight in self._weights.items():
            weight.copy_(values[name])
