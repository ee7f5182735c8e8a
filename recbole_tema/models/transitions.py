"""The graph of the items that follow each other, and vectors spread over it."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recbole_tema.data.sequences import Histories, Ints
from recbole_tema.models.layers import spans


class TransitionGraph(nn.Module):
    """Norm(A): A_ij = 1 where item j follows item i, each row over its sum.

    The rows stand one after the other, as in a sparse matrix of rows; it is no weight and is not
    saved with the model. An item that nothing follows has a row of zeros.

    Args:
        pairs: (2, n) the items i and j of each edge; more than once is as once.
        n_items: N + 1, with padding.
        n_layers: L; 0: no neighbour counts.
    """

    starts: Tensor
    followers: Tensor

    def __init__(self, pairs: Ints, n_items: int, n_layers: int) -> None:
        super().__init__()
        self.n_layers = n_layers
        edges = np.unique(pairs[0] * n_items + pairs[1])
        counts = np.bincount(edges // n_items, minlength=n_items)
        starts = np.concatenate([[0], np.cumsum(counts)])
        self.register_buffer("starts", torch.from_numpy(starts), persistent=False)
        self.register_buffer("followers", torch.from_numpy(edges % n_items), persistent=False)

    def forward(self, vectors: Tensor, items: Tensor) -> Tensor:
        """Mean(G_0, …, G_L) + G_0 of some items, G_0 the vectors and G_l = Norm(A) G_(l-1).

        The sum over layers is nested, E + Norm(A) (E + Norm(A) (…)), so that only layers below the
        last are computed for items that were not asked for.

        Args:
            vectors: (N + 1, d) E of all items.
            items: (R,) item ids.

        Returns:
            (R, d).
        """
        # Each item once: its neighbours are many.
        items, places = items.unique(return_inverse=True)
        own = vectors.index_select(0, items)
        if not self.n_layers:
            return 2 * own.index_select(0, places)
        inner = vectors
        for _ in range(self.n_layers - 1):
            everyone = torch.arange(len(vectors), device=vectors.device)
            inner = vectors + self._step(inner, everyone)
        spread = (own + self._step(inner, items)) / (self.n_layers + 1) + own
        return spread.index_select(0, places)

    def _step(self, vectors: Tensor, items: Tensor) -> Tensor:
        """(R, d) the rows ``items`` of Norm(A) times ``vectors``."""
        firsts = self.starts[items]
        counts = self.starts[items + 1] - firsts
        _, edges = spans(firsts, counts)
        offsets = counts.cumsum(dim=0) - counts
        return F.embedding_bag(self.followers[edges], vectors, offsets, mode="mean")


def transitions(histories: Histories, views: Sequence[Ints | None]) -> Ints:
    """Which item follows which, in some views of the histories.

    Args:
        histories: those that may be known.
        views: for each view (N + 1,) bool, the items it keeps; None: all.

    Returns:
        (2, n) each view's pairs of neighbouring items.
    """
    owner = np.repeat(np.arange(len(histories)), np.diff(histories.offsets))
    found = []
    for kept in views:
        at = slice(None) if kept is None else kept[histories.items]
        items, of = histories.items[at], owner[at]
        together = of[1:] == of[:-1]
        found.append(np.stack([items[:-1][together], items[1:][together]]))
    return np.concatenate(found, axis=1)
