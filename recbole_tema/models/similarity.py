"""Vectors of unit length, so that the cosine of eq. 3 is a dot product."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

SHORTEST = 1e-12
"""Vectors shorter than this are divided by it: zeros stay zeros."""


def unit_vectors(vectors: Tensor) -> Tensor:
    """``vectors`` (n, d) over their lengths, as torch's ``normalize``.

    Its gradient makes one new matrix where torch's makes four, and for the items of a whole
    catalogue such a matrix is the largest thing in a training step.
    """
    result: Tensor = _UnitVectors.apply(vectors)
    return result


class _UnitVectors(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vectors: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(vectors, dim=1, keepdim=True).clamp_min_(SHORTEST)
        unit = vectors / length
        ctx.save_for_backward(unit, length)
        return unit

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        # d(x / |x|) = (g - u (u · g)) / |x|; lengths must not change, so the part along u goes.
        unit, length = ctx.saved_tensors
        along = torch.linalg.vecdot(unit, gradient).unsqueeze(1)
        return torch.addcmul(gradient, unit, along, value=-1).div_(length)
