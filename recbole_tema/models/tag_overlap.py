"""How alike the tags of a candidate and of a history are, read off their multi-hot vectors."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recbole_tema.models.items import TagModality
from recbole_tema.models.views import Events


class TagOverlap(nn.Module):
    """overlap(i) = Σ_j a_j x_j · x_i over the events j of a history, in [0, 1].

    x_i is item i's weighted multi-hot vector over the tag list (method.md, TEMA-LLM 3), each w_it
    times log(N / n_t), where n_t of the N items with tags have tag t; of unit length, or zero for
    an item without tags. a_j falls by γ from an event to the one before it, and Σ_j a_j = 1.

    An embedding holds what tags say of who buys what; which tags two items share is lost in its
    few dimensions. Ours.

    Args:
        tag: the items' tags.
        decay: γ in (0, 1]; 1: all events count the same.
    """

    index: Tensor
    weights: Tensor

    def __init__(self, tag: TagModality, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.n_tags = len(tag.embedding.weight)
        owned = tag.index[tag.weights > 0]
        owners = torch.bincount(owned, minlength=self.n_tags).clamp(min=1)
        rarity = (tag.present.sum() / owners).log()
        weights = F.normalize(tag.weights * rarity[tag.index], dim=1)
        self.register_buffer("index", tag.index, persistent=False)
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, events: Events, start: int, stop: int) -> Tensor:
        """(B, stop - start) overlap of the items from ``start`` on with each history."""
        packing = events.packing
        later = packing.lengths[packing.row] - 1 - packing.position
        attention = self.decay ** later.to(self.weights.dtype)
        total = attention.new_zeros(packing.n_rows).index_add_(0, packing.row, attention)
        attention = attention / total[packing.row]
        # Σ_j a_j x_j, a column for each history, so that a bag of rows is a candidate's score.
        profiles = attention.new_zeros(self.n_tags, packing.n_rows)
        tags = self.index[events.items]
        histories = packing.row[:, None].expand_as(tags)
        values = attention[:, None] * self.weights[events.items]
        profiles.index_put_((tags, histories), values, accumulate=True)
        candidates = slice(start, stop)
        bags = F.embedding_bag(
            self.index[candidates],
            profiles,
            per_sample_weights=self.weights[candidates],
            mode="sum",
        )
        return bags.T
