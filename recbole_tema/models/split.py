"""The split of PSJNet: the states of a domain's events, to states for each role of the account."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from recbole_tema.models.layers import Packing

SHUT = 1e-10
"""Added to the sum of the gates: not 0 where all are shut so far that they round to it."""


class Split(nn.Module):
    """A state for each of K roles of an account in A, or none of them, who acts for B.

    f^k = σ(W_fA h_A_i + W_fB h_B_j + U_f h^k_{i-1} + V_f u_k + b_f)
    f^0 = σ(W_nA h_A_i + W_nB h_B_j + Σ_k v_k ⊙ U_n h^k_{i-1} + b_n)
    ĥ^k = tanh(W_h h_A_i + U_h h^k_{i-1} + V_h u_k + b_h)
    h^k_i = (f^k ⊙ ĥ^k + f^0 ⊙ h^k_{i-1}) / (Σ_l f^l + f^0)
    """

    def __init__(self, dim: int, n_latent: int) -> None:
        super().__init__()
        self.roles = nn.Parameter(torch.empty(n_latent, dim))
        # Of f, ĥ and f^0, one behind the other.
        self.w_a = nn.Linear(dim, 3 * dim)
        self.w_b = nn.Linear(dim, 2 * dim, bias=False)  # Of f and f^0.
        self.u = nn.Linear(dim, 3 * dim, bias=False)
        self.v = nn.Linear(dim, 2 * dim, bias=False)  # Of f and ĥ.
        self.v_none = nn.Parameter(torch.empty(n_latent, dim))

    def forward(self, h_a: Tensor, h_b: Tensor, packing: Packing) -> Tensor:
        """(T_A, d) both, the states of A and those of B at the same events, to (T_A, K, d)."""
        n_latent, dim = self.roles.shape
        if not len(h_a):
            return h_a.new_zeros(0, n_latent, dim)
        order, sizes = packing.steps
        gate_b, none_b = self.w_b(h_b).index_select(0, order).chunk(2, dim=1)
        gates, none = self.w_a(h_a).index_select(0, order).split([2 * dim, dim], dim=1)
        gates = (gates + F.pad(gate_b, (0, dim))).unsqueeze(1) + self.v(self.roles)
        u, u_none = self.u.weight.split([2 * dim, dim])
        # Σ_k v_k ⊙ U_n h^k as one product, with (K d, d).
        u_none = (self.v_none.unsqueeze(2) * u_none).transpose(1, 2).flatten(0, 1)
        # Mixed precision would round a state at every step.
        with torch.autocast(h_a.device.type, enabled=False):
            inputs = [each.to(u.dtype) for each in (gates, none + none_b, u, u_none)]
            found = _Steps.apply(sizes.tolist(), *inputs)
        return torch.empty_like(found).index_copy(0, order, found)


class _Steps(torch.autograd.Function):
    """h^k step after step, and back with little to do at each; see :mod:`recurrence`.

    There a column of a state is made of that column of one sequence alone. Here the roles of an
    account share f^0 and the sum of the gates, so the derivatives are written out.
    """

    @staticmethod
    def forward(
        ctx: Any, sizes: list[int], gates: Tensor, none: Tensor, u: Tensor, u_none: Tensor
    ) -> Tensor:
        """To h^k, (T, K, d), of all first events, all second ones and so on.

        Args:
            sizes: how many events there are in each step.
            gates: (T, K, 2 d) what f and ĥ are made of, but for h, and
            none: (T, d) likewise f^0.
            u: (2 d, d) by which h^k comes to f^k and ĥ^k, and
            u_none: (K d, d) by which all h^k come to f^0.
        """
        dim = none.shape[1]
        h = none.new_zeros(sizes[0], gates.shape[1], dim)
        steps = []
        for x, x_none in zip(gates.split(sizes), none.split(sizes), strict=True):
            before = h[: len(x)]
            x = torch.addmm(x.flatten(0, 1), before.flatten(0, 1), u.T).view_as(x)
            f, candidate = x[:, :, :dim].sigmoid(), x[:, :, dim:].tanh()
            f_none = torch.addmm(x_none, before.flatten(1), u_none).sigmoid()
            total = f.sum(dim=1) + f_none + SHUT
            h = torch.addcmul(f * candidate, f_none.unsqueeze(1), before) / total.unsqueeze(1)
            steps.append((h, before, f, candidate, f_none, total))
        saved = [torch.cat(each) for each in zip(*steps, strict=True)]
        ctx.sizes = sizes
        ctx.save_for_backward(*saved, u, u_none)
        return saved[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of gates, none, u and u_none."""
        h, before, f, candidate, f_none, total, u, u_none = ctx.saved_tensors
        # What each gate, and ĥ, is to the states by its own slope; h^k is a fraction of ``total``.
        share = total.reciprocal().unsqueeze(1)
        by_f, by_candidate = f * (1 - f) * share, f * (1 - candidate.square()) * share
        by_none, kept = f_none * (1 - f_none) * share.squeeze(1), f_none.unsqueeze(1) * share
        # To the gradient of a state comes what the state after it passes back.
        g = gradient.clone(memory_format=torch.contiguous_format)
        of_gates, of_none = g.new_empty(*g.shape[:2], len(u)), torch.empty_like(f_none)
        read = (g, of_gates, of_none, h, before - h, candidate, by_f, by_candidate, by_none, kept)
        steps = list(zip(*(each.split(ctx.sizes) for each in read), strict=True))
        for number in reversed(range(len(steps))):
            g_i, x, x_none, h_i, change, candidate_i, *slopes, slope_none, kept_i = steps[number]
            # A larger gate makes the total larger, and all roles' states smaller.
            smaller = (g_i * h_i).sum(dim=1, keepdim=True)
            torch.mul(g_i * candidate_i - smaller, slopes[0], out=x[:, :, : g.shape[2]])
            torch.mul(g_i, slopes[1], out=x[:, :, g.shape[2] :])
            torch.mul((g_i * change).sum(dim=1), slope_none, out=x_none)
            if number:
                earlier = steps[number - 1][0][: len(g_i)]
                earlier.addcmul_(g_i, kept_i)
                earlier.flatten(0, 1).addmm_(x.flatten(0, 1), u)
                earlier.flatten(1).addmm_(x_none, u_none.T)
        of_u = of_gates.flatten(0, 1).T @ before.flatten(0, 1)
        return None, of_gates, of_none, of_u, before.flatten(1).T @ of_none
