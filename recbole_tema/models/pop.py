"""RecBole's Pop, counting every training event."""

import torch
from recbole.data.interaction import Interaction
from recbole.model.general_recommender.pop import Pop as RecBolePop
from torch import Tensor


class Pop(RecBolePop):
    """The most popular item first, for everybody.

    RecBole 1.2.1 counts an item once a batch, however often the batch holds it, and counts the
    sampled negatives too (``properties/model/Pop.yaml`` switches those off).
    """

    def calculate_loss(self, interaction: Interaction) -> Tensor:
        """Add the batch's events to the counts; the loss is 0."""
        items = interaction[self.ITEM_ID]
        self.item_cnt += torch.bincount(items, minlength=self.n_items)[:, None]
        self.max_cnt = self.item_cnt.max(dim=0)[0]
        return torch.zeros((), device=self.device, requires_grad=True)
