"""Recurrent networks over packed sequences, with little to do at each step.

Autograd would note a dozen operations a step and, going back, add up a small product for the
weights at each. Here the way back has at each step only what the step before waits for; all else,
derivatives and the gradients of x and of the weights, is found for all events at once.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from recbole_tema.models.layers import Packing

Cell = Callable[..., Tensor]
"""(n, G, d) x, (n, G, d) U s, (n, d) s, the states before, and other tensors to (n, d) states.

A column of a state is made of that column of x, of U s, of s and of the others alone.
"""


def recurrence(
    cell: Cell, x: Tensor, weight: Tensor, packing: "Packing", *others: Tensor
) -> Tensor:
    """s_i = cell(x_i, U s_{i-1}, s_{i-1}) after each event, s_0 = 0.

    Args:
        cell: see :data:`Cell`.
        x: (T, …, G, d) of the events; dimensions between run apart.
        weight: (G d, d) U.
        packing: of the events.
        others: what else the cell takes.

    Returns:
        (T, …, d).
    """
    shape = *x.shape[:-2], x.shape[-1]
    if not len(x):
        return x.new_zeros(shape)
    order, sizes = packing.steps
    # An event has as many states as the dimensions between have places.
    apart = x[0].numel() // len(weight)
    steps = x.index_select(0, order).flatten(0, -3)
    # Mixed precision would round a state at every step.
    with torch.autocast(x.device.type, enabled=False):
        inputs = [each.to(weight.dtype) for each in (steps, weight, *others)]
        states = _Recurrence.apply(cell, (sizes * apart).tolist(), *inputs)
    states = states.view(shape)
    return torch.empty_like(states).index_copy(0, order, states)


class _Recurrence(torch.autograd.Function):
    """The events step after step, in each those of the sequences that go on longest first."""

    @staticmethod
    def forward(
        ctx: Any, cell: Cell, sizes: list[int], x: Tensor, weight: Tensor, *others: Tensor
    ) -> Tensor:
        u, states = torch.empty_like(x), x.new_empty(len(x), x.shape[2])
        s = x.new_zeros(sizes[0], x.shape[2])
        for x_i, u_i, s_i in zip(*(each.split(sizes) for each in (x, u, states)), strict=True):
            s = s[: len(x_i)]
            torch.mm(s, weight.T, out=u_i.flatten(1))
            s = s_i.copy_(cell(x_i, u_i, s, *others))
        ctx.cell, ctx.sizes = cell, sizes
        ctx.save_for_backward(states, x, u, weight, *others)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        states, x, u, weight, *others = ctx.saved_tensors
        sizes = ctx.sizes
        steps = zip(states.split(sizes), sizes[1:], strict=False)
        before = torch.cat([states.new_zeros(sizes[0], x.shape[2]), *(s[:n] for s, n in steps)])
        x, u, s, *others = (each.detach().requires_grad_() for each in (x, u, before, *others))
        with torch.enable_grad():
            found = ctx.cell(x, u, s, *others)
        # Columns stand apart: the gradients of their sum are the derivatives of each.
        ones = torch.ones_like(found)
        of_u, of_s = torch.autograd.grad(found, (u, s), ones, retain_graph=True)
        # To the gradient of a state comes what the state after it passes back.
        total = gradient.clone(memory_format=torch.contiguous_format)
        parts = list(zip(*(each.split(sizes) for each in (total, of_u, of_s)), strict=True))
        for (earlier, _, _), (g, by_u, by_s) in zip(parts[-2::-1], parts[:0:-1], strict=True):
            waiting = earlier[: len(g)]
            waiting.addcmul_(g, by_s)
            waiting.addmm_((by_u * g.unsqueeze(1)).flatten(1), weight)
        of_u, of_x, *of_others = torch.autograd.grad(found, (u, x, *others), total)
        return None, None, of_x, of_u.flatten(1).T @ before, *of_others


def gru_cell(x: Tensor, u: Tensor, s: Tensor) -> Tensor:
    """(1 - z) ⊙ n + z ⊙ s with r, z = σ(x + u) and n = tanh(x + r ⊙ u), the biases in x and u."""
    (x_r, x_z, x_n), (u_r, u_z, u_n) = x.unbind(dim=1), u.unbind(dim=1)
    n = torch.tanh(torch.addcmul(x_n, torch.sigmoid(x_r + u_r), u_n))
    return torch.lerp(n, s, torch.sigmoid(x_z + u_z))
