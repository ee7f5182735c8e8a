"""RecBole's ItemKNN, scoring what a case's history holds."""

import numpy as np
import torch
from recbole.config import Config
from recbole.data.interaction import Interaction
from recbole.model.general_recommender.itemknn import ItemKNN as RecBoleItemKNN
from scipy import sparse
from torch import Tensor

from recbole_tema.data.dataset import CrossDomainDataset


class ItemKNN(RecBoleItemKNN):
    """Σ_j w_ji over the items j of the history, w the cosine between columns of users × items.

    RecBole sums over what the user has in the training part. This sums over what every sequential
    model sees: the latest ``MAX_ITEM_LIST_LENGTH`` events before the target, whether or not the
    user has any in training. With ``knn_method: user`` a score needs the user's neighbours, and
    everything is as in RecBole.

    Args:
        config: what RecBole's ItemKNN reads.
        dataset: its training events.
    """

    def __init__(self, config: Config, dataset: CrossDomainDataset) -> None:
        super().__init__(config, dataset)
        self.ITEM_SEQ = self.ITEM_ID + config["LIST_SUFFIX"]
        self.candidate_ranges = dataset.domain_ranges
        if self.method == "item":
            # Users × items, nine tenths of a checkpoint, and never asked for.
            del self.pred_mat
            self.other_parameter_name = ["w"]

    @classmethod
    def scores_histories(cls, config: Config) -> bool:
        """Whether it asks for the history of a case in place of the user's training events."""
        return config["knn_method"] == "item"

    def _scores(self, interaction: Interaction, start: int, stop: int) -> Tensor:
        """(B, stop - start) of the items from ``start`` on."""
        if self.method == "user":
            users = interaction[self.USER_ID].cpu().numpy()
            scores = self.pred_mat[users, start:stop]
        else:
            padded = interaction[self.ITEM_SEQ].cpu().numpy()
            row, place = padded.nonzero()
            ones = np.ones(len(row), dtype=np.float32)
            events = (ones, (row, padded[row, place]))
            scores = sparse.csr_array(events, (len(padded), self.n_items)) @ self.w[:, start:stop]
        return torch.from_numpy(scores.toarray()).to(self.device)

    def domain_scores(self, interaction: Interaction, domain: int) -> Tensor:
        """(B, items of the domain)."""
        return self._scores(interaction, *self.candidate_ranges[domain])

    def full_sort_predict(self, interaction: Interaction) -> Tensor:
        """(B * (N + 1),) of all items."""
        return self._scores(interaction, 0, self.n_items).flatten()

    def predict(self, interaction: Interaction) -> Tensor:
        """(B,) of each row's ``item_id``."""
        scores = self._scores(interaction, 0, self.n_items)
        return scores.gather(1, interaction[self.ITEM_ID][:, None]).squeeze(1)
