"""PSJNet: parallel split-join networks for shared accounts in two domains."""

import torch
import torch.nn.functional as F
from recbole.config import Config
from torch import Tensor, nn

from recbole_tema.models.faster import Dropout
from recbole_tema.models.layers import GRU, Packing
from recbole_tema.models.pinet import Domain, PiNet
from recbole_tema.models.settings import at_least, choice
from recbole_tema.models.split import Split
from recbole_tema.models.views import seen

VARIANTS = ("I", "II")
GROUP = 8
"""Histories of like length that are joined together: padding costs the square of the longest."""


class Similarity(nn.Module):
    """s(e, t) = w · [e, t, e ⊙ t]."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.empty(3, dim))

    def forward(self, e: Tensor, t: Tensor) -> Tensor:
        """(B, n, d) and (B, m, d) to (B, n, m)."""
        of_e, of_t, of_both = self.weights
        # Both terms with t in one product.
        with_t = torch.addcmul(of_t, e, of_both)
        return torch.baddbmm((e @ of_e).unsqueeze(2), with_t, t.transpose(1, 2))


class Join(nn.Module):
    """All roles' states of A up to now, joined into one, as B's states up to now ask for them.

    c^k = Σ_i softmax_i(max_j s_1(h_B_j, h^k_i)) h^k_i
    h_(A→B) = Σ_k softmax_k(max_j s_2(h_B_j, c^k)) c^k
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.of_events = Similarity(dim)
        self.of_roles = Similarity(dim)

    def forward(self, asking: Tensor, roles: Tensor, n_asking: Tensor, n_told: Tensor) -> Tensor:
        """Join at L moments of each history.

        Args:
            asking: (B, J, d) the states of B.
            roles: (B, I, K, d) the roles' states of A.
            n_asking: (B, L) how many of B's states are there by then; with none of them the state
                before the first asks, which is 0.
            n_told: (B, L) how many of A's are.

        Returns:
            (B, L, d); 0 where there are none of A's.
        """
        asking, roles = F.pad(asking, (0, 0, 1, 0)), roles.transpose(1, 2)
        n_rows, n_latent, n_events, _ = roles.shape
        s = self.of_events(asking, roles.flatten(1, 2))
        # (B, J + 1, K I) the largest by then, the state before the first alone apart.
        largest = torch.cat([s[:, :1], s[:, 1:].cummax(dim=1).values], dim=1)
        rows = torch.arange(n_rows, device=s.device).unsqueeze(1) * asking.shape[1]
        s = largest.flatten(0, 1).index_select(0, (rows + n_asking).flatten())
        s = s.view(n_rows, -1, n_latent, n_events).transpose(1, 2)
        told = torch.arange(n_events, device=s.device) < n_told.unsqueeze(2)
        # (B, K, L, d)
        c = (s + _shut(~told, s.dtype).unsqueeze(1)).softmax(dim=3) @ roles

        s = self.of_roles(asking, c.flatten(1, 2)).unflatten(2, c.shape[1:3])
        number = torch.arange(asking.shape[1], device=s.device).view(1, -1, 1)
        n_asking = n_asking.unsqueeze(1)
        asks = (number <= n_asking) & ((number > 0) | (n_asking == 0))
        s = s + _shut(~asks, s.dtype).unsqueeze(2)
        a = s.max(dim=1).values.softmax(dim=1)
        joined = (a.unsqueeze(3) * c).sum(dim=1)
        return joined * (n_told > 0).unsqueeze(2)


def _shut(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """What to add to logits: a very low number in the mask, which stays finite, and 0 outside."""
    return torch.zeros_like(mask, dtype=dtype).masked_fill(mask, torch.finfo(dtype).min / 2)


class SplitAndJoin(nn.Module):
    """From the states of A to what is known of them in B: split, transferred for each role, joined.

    One GRU transfers all roles: h^k_(A→B)_i = GRU(h^k_i, h^k_(A→B)_{i-1}).
    """

    def __init__(self, dim: int, n_latent: int, dropout: float) -> None:
        super().__init__()
        self.split = Split(dim, n_latent)
        self.transfer = GRU(dim)
        self.join = Join(dim)
        self.dropout = Dropout(dropout)

    def forward(self, source: Domain, target: Domain, packing: Packing) -> Tensor:
        """(T, d) h_(A→B) at each event of the histories, whose events are packed in ``packing``."""
        h_b = seen(target.states, target.last[source.events])
        roles = self.dropout(self.split(source.states, h_b, source.packing))
        roles = self.transfer(roles, source.packing)
        counts = torch.stack(
            [seen(each.packing.position + 1, each.last) for each in (target, source)], dim=1
        )
        ranks = packing.lengths.argsort().argsort()
        order, groups = packing.groups(ranks, GROUP)
        asking, told, numbers = (
            each.pad_groups(x, ranks, GROUP)
            for each, x in (
                (target.packing, target.states),
                (source.packing, roles.flatten(1)),
                (packing, counts),
            )
        )
        joined = [
            group.unpad(self.join(h_b, h_k.unflatten(2, roles.shape[1:]), *n.unbind(dim=2)))
            for group, h_b, h_k, n in zip(groups, asking, told, numbers, strict=True)
        ]
        found = torch.cat(joined)
        return torch.empty_like(found).index_copy(0, order, found)


class PSJNet(PiNet):
    """π-Net's two recurrent encoders with another way between them (Sun et al., TKDE 2022).

    PSJNet-I, "split by join", is π-Net: roles are split and joined at each event at once.
    PSJNet-II, "split and join", keeps a state for each role, and joins those of all events and
    roles by two attentions. What its paper leaves open is as in public code of it.

    Ours: as for :class:`PiNet`; the attentions see at each event the states up to it, where the
    paper joins once for each history, at its end. The largest similarity over all of B's states so
    far is a running maximum, so that this costs no more.

    Args:
        config: see ``properties/model/PSJNet.yaml``.
        dataset: domains.
    """

    def build_transfer(self, config: Config) -> nn.Module:
        if choice(config, "variant", VARIANTS) == "I":
            return super().build_transfer(config)
        return SplitAndJoin(self.dim, int(at_least(config, "n_latent", 1)), self.dropout.p)
