"""Vectors of moments: what is bought changes with the years, and items come and go."""

import numpy as np
import torch
from torch import Tensor, nn


class CalendarTime(nn.Module):
    """A vector for every moment: learned at knots, and between two of them on the straight line.

    The knots are quantiles of the training events' times, so that between each two lie as many
    events: days apart where much was bought, months where little was.

    Args:
        times: (E,) of the training events.
        n_knots: how many knots, at least 2; fewer where quantiles coincide.
        dim: length of the vectors.
    """

    knots: Tensor

    def __init__(self, times: np.ndarray, n_knots: int, dim: int) -> None:
        super().__init__()
        knots = np.unique(np.quantile(times, np.linspace(0, 1, n_knots)))
        if len(knots) == 1:  # all at once
            knots = np.append(knots, knots + 1)
        self.register_buffer("knots", torch.from_numpy(knots))
        self.embedding = nn.Embedding(len(knots), dim)

    def forward(self, times: Tensor) -> Tensor:
        """(T, dim) for ``times`` (T,); before the first knot and after the last as there."""
        right = torch.searchsorted(self.knots, times).clamp(1, len(self.knots) - 1)
        before, after = self.knots[right - 1], self.knots[right]
        share = ((times - before) / (after - before)).clamp(0, 1)
        share = share.to(self.embedding.weight.dtype)[:, None]
        return torch.lerp(self.embedding(right - 1), self.embedding(right), share)
