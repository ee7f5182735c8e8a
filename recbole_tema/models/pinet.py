"""π-Net: a parallel information-sharing network for shared accounts in two domains."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from recbole.config import Config
from recbole.data.interaction import Interaction
from torch import Tensor, nn

from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.models.faster import Dropout
from recbole_tema.models.layers import GRU, Packing
from recbole_tema.models.query import QueryRecommender
from recbole_tema.models.recurrence import recurrence
from recbole_tema.models.settings import at_least
from recbole_tema.models.views import Events, X, Y, seen


@dataclass(frozen=True)
class Domain:
    """One domain's part of some histories.

    Attributes:
        states: (T_D, d) h_D after each of its events.
        events: (T_D,) which of the histories' events these are.
        packing: of its own events.
        last: (T,) for each event of the histories the latest of its own, -1 for none.
    """

    states: Tensor
    events: Tensor
    packing: Packing
    last: Tensor


class SharedAccountFilter(nn.Module):
    """SFU: what each of K latent users of an account in A has to say in B, and their mean.

    f^k = σ(W_fA h_A_i + W_fB h_B_j + U_f h_(A_{i-1}→B) + V_f u_k + b_f)
    ĥ^k = tanh(W_h h_A_i + U_h h_(A_{i-1}→B) + V_h u_k + b_h)
    h_(A_i→B) = 1/K Σ_k (f^k ⊙ ĥ^k + (1 - f^k) ⊙ h_(A_{i-1}→B))
    """

    def __init__(self, dim: int, n_latent: int) -> None:
        super().__init__()
        self.users = nn.Parameter(torch.empty(n_latent, dim))
        # Of f and ĥ, one behind the other.
        self.w_a = nn.Linear(dim, 2 * dim)
        self.w_b = nn.Linear(dim, dim, bias=False)
        self.u = nn.Linear(dim, 2 * dim, bias=False)
        self.v = nn.Linear(dim, 2 * dim, bias=False)

    def forward(self, h_a: Tensor, h_b: Tensor, packing: Packing) -> Tensor:
        """(T_A, d) both, the states of A and those of B at the same events, to (T_A, d)."""
        of_a = self.w_a(h_a).unflatten(1, (2, -1))
        inputs = of_a + F.pad(self.w_b(h_b).unsqueeze(1), (0, 0, 0, 1))
        users = self.v(self.users).unflatten(1, (2, -1))
        return recurrence(self._cell, inputs, self.u.weight, packing, users)

    @staticmethod
    def _cell(x: Tensor, u: Tensor, state: Tensor, users: Tensor) -> Tensor:
        """1/K Σ_k (f^k ⊙ ĥ^k + (1 - f^k) ⊙ state)."""
        f, candidate = ((x + u).unsqueeze(1) + users).unbind(dim=2)
        change = f.sigmoid() * (candidate.tanh() - state.unsqueeze(1))
        return state + change.mean(dim=1)


class FilterAndTransfer(nn.Module):
    """SFU and CTU: from the states of A to what is known of them in B.

    h_(A→B)_i = GRU(h_(A_i→B), h_(A→B)_{i-1}).
    """

    def __init__(self, dim: int, n_latent: int, dropout: float) -> None:
        super().__init__()
        self.filter = SharedAccountFilter(dim, n_latent)
        self.transfer = GRU(dim)
        self.dropout = Dropout(dropout)

    def forward(self, source: Domain, target: Domain, packing: Packing) -> Tensor:
        """(T, d) h_(A→B) at each event of the histories, whose events are packed in ``packing``."""
        h_b = seen(target.states, target.last[source.events])
        filtered = self.dropout(self.filter(source.states, h_b, source.packing))
        return seen(self.transfer(filtered, source.packing), source.last)


class PiNet(QueryRecommender):
    """Two recurrent encoders that tell each other what they know (Ma et al., SIGIR 2019).

    A GRU runs over each domain's events. At each event of A a filter takes what the account's
    latent users have to say in B out of A's state, with a look at B's latest one, and a second
    GRU carries it on; likewise from B to A. The next item of B is decoded from B's state and from
    what A has told by then.

    Ours: both domains' states are known at every event of the merged history, so that every event
    is a target, where the paper has one for each domain and history. Where a domain has no event
    yet its states are 0. V_h is a matrix of its own; the authors' code adds V_f u_k in its place.

    Args:
        config: see ``properties/model/PiNet.yaml``.
        dataset: domains.
    """

    def __init__(self, config: Config, dataset: CrossDomainDataset) -> None:
        super().__init__(config, dataset)
        self.dim = dim = int(at_least(config, "embedding_size", 1))
        self.dropout = Dropout(float(at_least(config, "hidden_dropout_prob", 0)))
        self.items = nn.Embedding(self.n_items, dim, padding_idx=0)
        self.encoders = nn.ModuleList(GRU(dim) for _ in (X, Y))
        # By the domain that is told: from Y to X, and from X to Y.
        self.transfers = nn.ModuleList(self.build_transfer(config) for _ in (X, Y))
        # W_I, and b_I in the last column.
        self.outputs = nn.Embedding(self.n_items, 2 * dim + 1, padding_idx=0)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_normal_(parameter)
            else:
                nn.init.zeros_(parameter)

    def build_transfer(self, config: Config) -> nn.Module:
        """What takes the states of one domain to the other."""
        n_latent = int(at_least(config, "n_latent", 1))
        return FilterAndTransfer(self.dim, n_latent, self.dropout.p)

    @property
    def item_vectors(self) -> Tensor:
        return self.outputs.weight

    def encode(self, interaction: Interaction, events: Events) -> list[Tensor]:
        """For each target domain B (T, 2d): [h_B, h_(A→B)] after each event."""
        vectors, of = self.items(events.items), self.item_domain[events.items]
        domains = []
        for domain in (X, Y):
            packing, last = events.packing.view(of == domain)
            own = (of == domain).nonzero().squeeze(1)
            states = self.encoders[domain](self.dropout(vectors[own]), packing)
            domains.append(Domain(states, own, packing, last))
        known = []
        for target, source, transfer in zip(domains, domains[::-1], self.transfers, strict=True):
            told = transfer(source, target, events.packing)
            known.append(torch.cat([seen(target.states, target.last), told], dim=1))
        return known

    def queries(self, states: list[Tensor], domain: int, at: Tensor) -> Tensor:
        """P(B_{j+1}) = softmax(W_I [h_B, h_(A→B)] + b_I): (P, 2d + 1), the last column is 1."""
        return F.pad(self.dropout(states[domain].index_select(0, at)), (0, 1), value=1.0)
