"""The flow of behaviour of MIFN: recurrent networks over the events of a domain."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recbole_tema.models.layers import GRU, Packing
from recbole_tema.models.recurrence import recurrence


class Filter(nn.Module):
    """What of a domain's sequence is worth telling the other one.

    f_i = σ(W_A h_{A_i} + W_B h_{B_j} + U_f s_{i-1} + b_f)
    ŝ_i = tanh(W_s h_{A_i} + U_s s_{i-1} + b_s)
    s_i = f_i ⊙ ŝ_i + (1 - f_i) ⊙ s_{i-1}

    where B_j is the other domain's latest event before A_i.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.own = nn.Linear(dim, 2 * dim)
        self.other = nn.Linear(dim, dim, bias=False)
        self.state = nn.Linear(dim, 2 * dim, bias=False)

    def forward(self, own: Tensor, other: Tensor, packing: Packing) -> Tensor:
        """h_A and h_B at the events of A, (T, d) each, to s (T, d)."""
        of_own = self.own(own).unflatten(1, (2, -1))
        inputs = of_own + F.pad(self.other(other).unsqueeze(1), (0, 0, 0, 1))
        return recurrence(self._cell, inputs, self.state.weight, packing)

    @staticmethod
    def _cell(x: Tensor, u: Tensor, s: Tensor) -> Tensor:
        """f ⊙ ŝ + (1 - f) ⊙ s."""
        f, candidate = (x + u).unbind(dim=1)
        return torch.lerp(s, torch.tanh(candidate), torch.sigmoid(f))


class BehaviourTransfer(nn.Module):
    """The behaviour transfer unit, from A to B: h_{A→B} = GRU(s), s from the filter."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.filter = Filter(dim)
        self.transfer = GRU(dim)

    def forward(self, own: Tensor, other: Tensor, packing: Packing) -> Tensor:
        """h_A and h_B at the events of A, (T, d) each, to h_{A→B} (T, d)."""
        return self.transfer(self.filter(own, other, packing), packing)
