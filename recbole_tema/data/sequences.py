"""Histories kept flat, and the rows that training and evaluation cut from them batch by batch.

One array holds every event of every history; a row is a half-open range of it. Nothing is ever
materialised per prefix: memory grows with events, not with events x maximum length.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Histories:
    """Item sequences, oldest first.

    Attributes:
        items: (E,) item ids of all events, history after history.
        offsets: (H + 1,) history h is ``items[offsets[h] : offsets[h + 1]]``.
        users: (H,) user id of each history.
    """

    items: Ints
    offsets: Ints
    users: Ints

    def __len__(self) -> int:
        return len(self.users)

    def part(self, first: int, stop: int) -> "Histories":
        """The histories ``first`` … ``stop`` - 1."""
        offsets = self.offsets[first : stop + 1]
        items = self.items[offsets[0] : offsets[-1]]
        return Histories(items, offsets - offsets[0], self.users[first:stop])


@dataclass(frozen=True)
class Rows:
    """Ranges of a flat item array: in each, the last item is the target, the rest the input.

    Attributes:
        items: (E,) the flat item array that the ranges point into.
        starts, stops: (R,) row r spans ``items[starts[r] : stops[r]]``, at least one item.
        users: (R,) user id of each row.
    """

    items: Ints
    starts: Ints
    stops: Ints
    users: Ints

    def __len__(self) -> int:
        return len(self.users)

    @cached_property
    def targets(self) -> Ints:
        """(R,) the last item of each row."""
        return self.items[self.stops - 1]

    def shortened(self, max_length: int) -> "Rows":
        """The same rows with at most ``max_length`` items of input, the latest ones."""
        starts = np.maximum(self.starts, self.stops - 1 - max_length)
        return Rows(self.items, starts, self.stops, self.users)

    def inputs(
        self, index: Ints, width: int | None = None, step: int | None = None
    ) -> tuple[Ints, Ints]:
        """The input items of some rows, padded behind with 0.

        Args:
            index: (B,) row numbers.
            width: columns of the result; None: as many as the longest input needs, at least one.
            step: of ``width``, only as many as the longest input needs, in multiples of this.

        Returns:
            (B, width) items and (B,) lengths.
        """
        starts = self.starts[index]
        lengths = self.stops[index] - 1 - starts
        needed = max(int(lengths.max(initial=0)), 1)
        if width is None:
            width = needed
        elif step is not None:
            width = min(width, -(-needed // step) * step)
        columns = np.arange(width)
        inside = columns < lengths[:, None]
        # Clipped, so that padding reads some item before it is overwritten.
        at = np.minimum(starts[:, None] + columns, len(self.items) - 1)
        return np.where(inside, self.items[at], 0), lengths


def leave_one_out(histories: Histories) -> tuple[Histories, Rows, Rows]:
    """Split each history: the last item tests, the one before validates, the rest trains.

    A history of two items has no validation case, one of a single item only trains.

    Returns:
        the training histories, and the validation and test cases (evaluation.md, Splits). The
        input of a test case holds the validation target.
    """
    starts, stops = histories.offsets[:-1], histories.offsets[1:]
    lengths = stops - starts
    cases = []
    for least, held_back in ((3, 1), (2, 0)):
        has = lengths >= least
        cases.append(
            Rows(histories.items, starts[has], stops[has] - held_back, histories.users[has])
        )
    valid, test = cases
    kept = np.where(lengths >= 3, lengths - 2, np.minimum(lengths, 1))
    train = Histories(
        items=histories.items[ranges(starts, kept)],
        offsets=np.concatenate([[0], np.cumsum(kept)]),
        users=histories.users,
    )
    return train, valid, test


def whole_rows(histories: Histories) -> Rows:
    """One case a history: its last item is the target (pre-split data)."""
    long_enough = np.diff(histories.offsets) >= 2
    return Rows(
        histories.items,
        histories.offsets[:-1][long_enough],
        histories.offsets[1:][long_enough],
        histories.users[long_enough],
    )


def training_windows(histories: Histories, max_length: int) -> Rows:
    """Rows for models that train on all positions of a row at once.

    Every event after a history's first is a target exactly once. A history longer than
    ``max_length`` + 1 is cut from its end into rows of ``max_length`` targets; neighbouring rows
    share one item, the last target of the one and the first input of the other.
    """
    starts, stops = histories.offsets[:-1], histories.offsets[1:]
    targets = stops - starts - 1
    counts = np.maximum(-(-targets // max_length), 0)
    owner = np.repeat(np.arange(len(histories)), counts)
    # 0 for a history's last row, 1 for the one before it, ...
    from_end = ranges(np.zeros_like(counts), counts)
    row_stops = stops[owner] - from_end * max_length
    row_starts = np.maximum(starts[owner], row_stops - 1 - max_length)
    return Rows(histories.items, row_starts, row_stops, histories.users[owner])


def training_prefixes(histories: Histories, max_length: int) -> Rows:
    """One row a target, as RecBole's sequential models train: every event after the first."""
    starts, stops = histories.offsets[:-1], histories.offsets[1:]
    counts = np.maximum(stops - starts - 1, 0)
    owner = np.repeat(np.arange(len(histories)), counts)
    row_stops = starts[owner] + 2 + ranges(np.zeros_like(counts), counts)
    rows = Rows(histories.items, starts[owner], row_stops, histories.users[owner])
    return rows.shortened(max_length)


def ranges(firsts: Ints, counts: Ints) -> Ints:
    """``first, first + 1, …`` with ``count`` members for each pair, one after the other."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(firsts - (ends - counts), counts)
