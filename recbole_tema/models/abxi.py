"""ABXI: invariant interest adaptation for task-guided cross-domain sequential recommendation."""

from functools import partial

import torch
import torch.nn.functional as F
from recbole.config import Config
from recbole.data.interaction import Interaction
from torch import Tensor, nn

from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.models.faster import Dropout
from recbole_tema.models.layers import SelfAttention, init_weights
from recbole_tema.models.query import QueryRecommender
from recbole_tema.models.settings import at_least
from recbole_tema.models.views import MERGED, Events, View, X, Y, seen


class LoRA(nn.Module):
    """A low-rank adapter: x ↦ x A B, of rank r; B is 0 at the start."""

    def __init__(self, dim: int, rank: int) -> None:
        super().__init__()
        self.a = nn.Linear(dim, rank, bias=False)
        self.b = nn.Parameter(torch.zeros(rank, dim))

    def forward(self, x: Tensor) -> Tensor:
        """(…, d) to (…, d)."""
        return self.a(x) @ self.b


class SwiGLU(nn.Module):
    """Feed-forward network W_3 (SiLU(W_2 x) ⊙ W_1 x)."""

    def __init__(self, dim: int, inner_size: int) -> None:
        super().__init__()
        self.value = nn.Linear(dim, inner_size, bias=False)
        self.gate = nn.Linear(dim, inner_size, bias=False)
        self.out = nn.Linear(inner_size, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(…, d) to (…, d)."""
        return self.out(F.silu(self.gate(x)) * self.value(x))


class ABXI(QueryRecommender):
    """One encoder for three views, adapted by low-rank matrices (Bian et al., WWW 2025).

    The merged view and both single-domain views run through one self-attention and one feed-forward
    network, which each view adapts by its dLoRA. A shared projector takes the invariant
    interest out of the merged view, adapted to the target's domain by its iLoRA; a projector of
    each domain takes the specific interest out of its own view. Their sum is the query.
    Task-guided alignment: a position whose target lies in a domain is joined with the state
    that this domain's view had reached before it. Positions count from the end of a view, as in its
    authors' code: a state in training knows how many events follow it in its row, not which.

    Args:
        config: see ``properties/model/ABXI.yaml``.
        dataset: domains.
    """

    def __init__(self, config: Config, dataset: CrossDomainDataset) -> None:
        super().__init__(config, dataset)
        self.dim = dim = int(at_least(config, "embedding_size", 1))
        domain_rank = int(at_least(config, "domain_rank", 1))
        invariant_rank = int(at_least(config, "invariant_rank", 1))
        inner_size = int(at_least(config, "inner_size", 1))
        dropout = float(at_least(config, "hidden_dropout_prob", 0))
        self.dropout = Dropout(dropout)
        self.items = nn.Embedding(self.n_items, dim, padding_idx=0)
        self.positions = nn.Embedding(int(config["MAX_ITEM_LIST_LENGTH"]), dim)
        n_heads = int(at_least(config, "n_heads", 1))
        self.attention = SelfAttention(
            dim, n_heads, float(at_least(config, "attn_dropout_prob", 0))
        )
        self.attention_norm = nn.LayerNorm(dim)
        self.feed_forward = SwiGLU(dim, inner_size)
        # Of the views X, Y and X+Y.
        self.dlora = nn.ModuleList(LoRA(dim, domain_rank) for _ in range(3))
        self.view_norm = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3))
        # Of the domains X and Y.
        self.invariant = SwiGLU(dim, inner_size)
        self.ilora = nn.ModuleList(LoRA(dim, invariant_rank) for _ in range(2))
        self.invariant_norm = nn.ModuleList(nn.LayerNorm(dim) for _ in range(2))
        self.specific = nn.ModuleList(SwiGLU(dim, inner_size) for _ in range(2))
        self.specific_norm = nn.ModuleList(nn.LayerNorm(dim) for _ in range(2))

        self.apply(partial(init_weights, std=float(config["initializer_range"])))

    @property
    def item_vectors(self) -> Tensor:
        return self.items.weight

    def encode(self, interaction: Interaction, events: Events) -> dict[int, View]:
        """What attention makes of the three views, before their adapters."""
        vectors = self.items(events.items)
        domains = self.item_domain[events.items]
        views = {}
        for view in (X, Y, MERGED):
            keep = torch.ones_like(domains, dtype=torch.bool) if view == MERGED else domains == view
            packing, last = events.packing.view(keep)
            h = self.dropout(vectors[keep] + self.positions(packing.later))
            h = self.attention_norm(h + self.dropout(self.attention(h, packing)))
            views[view] = View([h], last, [])
        return views

    def view_states(self, attended: View, view: int, at: Tensor) -> Tensor:
        """(P, d) H^view = LN(h + f(h) + dLoRA_view(h)) as the events ``at`` (P,) see it.

        Each state is made once, and none that nobody asks for: of a case the last one will do.
        """
        needed, which = attended.last[at].unique(return_inverse=True)
        h = seen(attended.states[0], needed)
        adapted = self.dropout(self.feed_forward(h)) + self.dropout(self.dlora[view](h))
        h = self.view_norm[view](h + adapted)
        return h.masked_fill((needed < 0)[:, None], 0).index_select(0, which)

    def queries(self, states: dict[int, View], domain: int, at: Tensor) -> Tensor:
        """h^D = LN(h + f(h) + iLoRA_D(h)) of the merged view + LN(h + f_D(h)) of the own."""
        merged = self.view_states(states[MERGED], MERGED, at)
        adapted = self.dropout(self.invariant(merged)) + self.dropout(self.ilora[domain](merged))
        h = self.view_states(states[domain], domain, at)
        specific = h + self.dropout(self.specific[domain](h))
        return self.invariant_norm[domain](merged + adapted) + self.specific_norm[domain](specific)

    def target_weights(self, events: Events, domains: Tensor) -> Tensor:
        """The mean over each domain's targets of a history; both domains count as much."""
        number = events.packing.row * 2 + domains
        counts = torch.bincount(number, minlength=2 * events.packing.n_rows)
        return 1 / counts[number]

    def loss_weight(self, interaction: Interaction) -> Tensor:
        """The number of histories, over which the loss is the mean."""
        return torch.tensor(len(interaction), device=self.device)
