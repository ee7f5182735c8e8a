"""How alike the tags of a candidate and of a history are, read off their multi-hot vectors."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recbole_tema.models.items import TagModality
from recbole_tema.models.views import Events, X, Y


class TagOverlap(nn.Module):
    """overlap(i) = Σ_j a_j x_j · x_i over the events j of a history, in [0, 1].

    x_i is item i's weighted multi-hot vector over the tag list (method.md, TEMA-LLM 3), each w_it
    times log(N / n_t), where n_t of the N items with tags have tag t; of unit length. a_j falls by
    γ from an event to the one before it, and Σ_j a_j = 1.

    An item without tags, or with such alone as all items have, counts for nothing in a history, and
    as a candidate it has the mean overlap of its domain's items.

    An embedding holds what tags say of who buys what; which tags two items share is lost in its
    few dimensions. Ours.

    Args:
        tag: the items' tags.
        item_domain: (N + 1,) 0 for an item of X, 1 for one of Y, -1 for padding.
        decay: γ in (0, 1]; 1: all events count the same.
    """

    index: Tensor
    weights: Tensor
    present: Tensor
    typical: Tensor

    def __init__(self, tag: TagModality, item_domain: Tensor, decay: float) -> None:
        super().__init__()
        self.decay = decay
        n_tags = len(tag.embedding.weight)
        owners = torch.bincount(tag.index[tag.weights > 0], minlength=n_tags).clamp(min=1)
        rarity = (tag.present.sum() / owners).log()
        weights = F.normalize(tag.weights * rarity[tag.index], dim=1)
        present = weights.any(dim=1)
        means = []
        for domain in (X, Y):
            own = present & (item_domain == domain)
            tags, values = tag.index[own].flatten(), weights[own].flatten()
            total = torch.bincount(tags, values, minlength=n_tags)
            means.append(total / own.sum().clamp(min=1))
        self.register_buffer("index", tag.index, persistent=False)
        self.register_buffer("weights", weights, persistent=False)
        self.register_buffer("present", present, persistent=False)
        self.register_buffer("typical", torch.stack(means).to(weights.dtype), persistent=False)

    def forward(self, events: Events, domain: int, items: tuple[int, int]) -> Tensor:
        """(B, items) overlap of a half-open range of items of ``domain`` with each history."""
        profiles = self._profiles(events)
        candidates = slice(*items)
        bags = F.embedding_bag(
            self.index[candidates],
            profiles,
            per_sample_weights=self.weights[candidates],
            mode="sum",
        )
        return torch.where(self.present[candidates, None], bags, self.typical[domain] @ profiles).T

    def _profiles(self, events: Events) -> Tensor:
        """(T + 1, B) Σ_j a_j x_j, a column for each history."""
        packing = events.packing
        attention = self.decay ** packing.later.to(self.weights.dtype)
        attention = attention * self.present[events.items]
        tags = self.index[events.items]
        histories = packing.row[:, None].expand_as(tags)
        values = attention[:, None] * self.weights[events.items]
        # The total of a_j is summed in a column of its own. A sparse sum is the same in each run,
        # which index_put_ with several threads, and scatter_add_ on a GPU, are not.
        size = (len(self.typical[0]) + 1, packing.n_rows)
        entries = torch.stack([tags.flatten(), histories.flatten()])
        totals = torch.stack([torch.full_like(packing.row, size[0] - 1), packing.row])
        summed = torch.sparse_coo_tensor(
            torch.cat([entries, totals], dim=1),
            torch.cat([values.flatten(), attention]),
            size,
            check_invariants=False,
        )
        dense = summed.coalesce().to_dense()
        return dense[:-1] / dense[-1].clamp(min=torch.finfo(dense.dtype).tiny)
