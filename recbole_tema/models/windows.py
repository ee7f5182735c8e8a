"""RecBole's SASRec and GRU4Rec, trained at every position of a history at once."""

from recbole.config import Config
from recbole.data.interaction import Interaction
from torch import Tensor, nn

from recbole_tema.compat import anomaly_detection_kept
from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.models.layers import POSITIONS
from recbole_tema.models.query import QueryRecommender
from recbole_tema.models.settings import choice
from recbole_tema.models.views import Events

with anomaly_detection_kept():
    from recbole.model.sequential_recommender import GRU4Rec, SASRec


class EveryPosition(QueryRecommender):
    """Mixed into a sequential model of RecBole whose states look back alone.

    RecBole trains such a model on every prefix of a history as a row of its own, of which it reads
    the last state. The state after t items is the same in the whole history, so one pass over it
    has the states of all prefixes: the same model and the same positions, many times faster, and
    with our models' loss. (With positions from the end, SASRec's state in training knows how many
    items follow as well, not which.)
    """

    _real: Tensor | None = None

    @property
    def item_vectors(self) -> Tensor:
        return self.item_embedding.weight

    def encode(self, interaction: Interaction, events: Events) -> Tensor:
        """(T, d) the state after each input event."""
        padded = interaction[self.ITEM_SEQ]
        self._real = padded > 0
        try:
            return self.forward(padded, interaction[self.ITEM_SEQ_LEN])
        finally:
            self._real = None

    def gather_indexes(self, output: Tensor, gather_index: Tensor) -> Tensor:
        """All states in place of the last, which is what RecBole's ``forward`` ends with."""
        if self._real is None:
            return super().gather_indexes(output, gather_index)
        return output[self._real]

    def queries(self, states: Tensor, domain: int, at: Tensor) -> Tensor:
        """(P, d): one query, whatever the domain."""
        return states[at]


class FromTheEnd(nn.Embedding):
    """Position vectors counted from the last event of a row, which RecBole counts from the first.

    Attributes:
        lengths: (B,) of the rows; to be set first.
    """

    lengths: Tensor

    def forward(self, places: Tensor) -> Tensor:
        """(B, L), from 0 on, to (B, L, d)."""
        return super().forward((self.lengths[:, None] - 1 - places).clamp(min=0))


class SASRecWindows(EveryPosition, SASRec):
    """SASRec (Kang and McAuley, ICDM 2018), which its authors train so too.

    Args:
        config: ``positions``, beside what RecBole's SASRec reads.
        dataset: domains.
    """

    def __init__(self, config: Config, dataset: CrossDomainDataset) -> None:
        super().__init__(config, dataset)
        if choice(config, "positions", POSITIONS[:2]) == "end":
            weight = self.position_embedding.weight
            self.position_embedding: nn.Embedding = FromTheEnd.from_pretrained(weight, freeze=False)

    def forward(self, item_seq: Tensor, item_seq_len: Tensor) -> Tensor:
        """As RecBole's; with the rows' lengths for their positions."""
        self.position_embedding.lengths = item_seq_len
        return super().forward(item_seq, item_seq_len)


class GRU4RecWindows(EveryPosition, GRU4Rec):
    """GRU4Rec (Hidasi et al., ICLR 2016; with dropout and prefixes: Tan et al., DLRS 2016)."""
