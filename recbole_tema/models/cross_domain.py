"""What every cross-domain sequential model keeps: whole histories in, scores of a domain out."""

import torch
import torch.nn.functional as F
from recbole.config import Config
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.utils import InputType
from torch import Tensor

from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.models.layers import Packing
from recbole_tema.models.views import MERGED, Events, X, Y


class CrossDomainRecommender(SequentialRecommender):
    """Base of the models that know two domains.

    A row is a whole history, every position of which is trained (:meth:`calculate_loss`), and the
    candidates of a target are the items of its domain (:meth:`domain_scores`).

    Attributes:
        candidate_ranges: half-open ranges of item ids: those of X, of Y, and of both.
        item_domain: (N + 1,) 0 for an item of X, 1 for one of Y, -1 for padding.
        compared: item ids that a loss tells targets from, ascending: all, unless a model has it
            otherwise (:meth:`compare_with`).
        among_all: whether some loss is a softmax over the items of both domains.
        n_negatives: how many items stand for those that targets are told from; 0: all of them.
    """

    input_type = InputType.POINTWISE
    trains_on_windows = True
    reads_times = False
    """Whether its events are to have times."""
    reads_files: tuple[str, ...] = ()
    """What it reads beside interactions and items: "text", "image", "tags", "graph"."""
    item_domain: Tensor
    compared: Tensor
    among_all: bool
    n_negatives: int

    def __init__(self, config: Config, dataset: CrossDomainDataset) -> None:
        super().__init__(config, dataset)
        self.TIME_SEQ = config["TIME_FIELD"] + config["LIST_SUFFIX"]
        self.candidate_ranges = [*dataset.domain_ranges, (1, self.n_items)]
        self.register_buffer("item_domain", dataset.item_domain, persistent=False)
        self.compare_with(torch.arange(1, self.n_items))

    def events_of(self, interaction: Interaction) -> Events:
        """All input events of the rows."""
        padded = interaction[self.ITEM_SEQ]
        real = padded > 0
        times = interaction[self.TIME_SEQ][real] if self.reads_times else None
        return Events(padded[real], Packing.of(real), times)

    def targets_of(self, interaction: Interaction) -> Tensor:
        """(T,) the item that follows each input event of the rows."""
        padded, lengths = interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]
        following = F.pad(padded[:, 1:], (0, 1))
        following.scatter_(1, lengths[:, None] - 1, interaction[self.ITEM_ID][:, None])
        return following[padded > 0]

    def draw_negatives(self) -> list[Tensor]:
        """For each range (n,) items that stand for those compared; none: all items are."""
        pools = self.compared_items()
        if not self.n_negatives:
            return [] if len(self.compared) == self.n_items - 1 else pools
        size = (self.n_negatives,)
        return [pool[torch.randint(len(pool), size, device=self.device)] for pool in pools]

    def compare_with(self, items: Tensor) -> None:
        """Tell targets from these ``items`` alone: ascending ids, some of each domain."""
        self.register_buffer("compared", items, persistent=False)
        bounds = torch.tensor(self.candidate_ranges, device=items.device)
        self._compared_ranges = torch.searchsorted(items, bounds).tolist()

    def compared_items(self) -> list[Tensor]:
        """The items that targets are told from: of X, of Y, and maybe of both."""
        ranges = self._compared_ranges if self.among_all else self._compared_ranges[:MERGED]
        return [self.compared[start:stop] for start, stop in ranges]

    def calculate_loss(self, interaction: Interaction) -> Tensor:
        """The loss over all positions of the rows, divided by :meth:`loss_weight`, a scalar."""
        raise NotImplementedError

    def loss_weight(self, interaction: Interaction) -> Tensor:
        """Over how much :meth:`calculate_loss` takes the mean, a scalar: the number of targets."""
        return interaction[self.ITEM_SEQ_LEN].sum()

    def domain_scores(self, interaction: Interaction, domain: int) -> Tensor:
        """(B, items of the domain) scores of its items for each history; higher is better."""
        raise NotImplementedError

    def full_sort_predict(self, interaction: Interaction) -> Tensor:
        """Scores of all items, (B * (N + 1),): each domain's as if the target lay there.

        Scores of one domain's items are comparable with each other, not with the other domain's.
        """
        parts = [self.domain_scores(interaction, domain) for domain in (X, Y)]
        padding = parts[0].new_full((len(parts[0]), 1), -torch.inf)
        return torch.cat([padding, *parts], dim=1).flatten()

    def predict(self, interaction: Interaction) -> Tensor:
        """The score of each row's ``item_id``, (B,)."""
        scores = self.full_sort_predict(interaction).view(len(interaction), -1)
        return scores.gather(1, interaction[self.ITEM_ID][:, None]).squeeze(1)
