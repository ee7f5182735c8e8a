"""Histories kept flat, and the rows that training and evaluation cut from them batch by batch.

One array holds every event of every history; a row is a half-open range of it. Nothing is ever
materialised per prefix: memory grows with events, not with events x maximum length.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Histories:
    """Item sequences, oldest first.

    Attributes:
        items: (E,) item ids of all events, history after history.
        offsets: (H + 1,) history h is ``items[offsets[h] : offsets[h + 1]]``.
        users: (H,) user id of each history.
        times: (E,) when each event was, in the data's own unit; None: nobody knows.
    """

    items: Ints
    offsets: Ints
    users: Ints
    times: Floats | None = None

    def __len__(self) -> int:
        return len(self.users)

    def part(self, first: int, stop: int) -> "Histories":
        """The histories ``first`` … ``stop`` - 1."""
        offsets = self.offsets[first : stop + 1]
        inside = slice(offsets[0], offsets[-1])
        times = None if self.times is None else self.times[inside]
        return Histories(self.items[inside], offsets - offsets[0], self.users[first:stop], times)

    def with_ties_shuffled(self, random: np.random.Generator) -> "Histories":
        """The same histories, the events of one time in random order; all others stay.

        Raises:
            ValueError: the times are not known.
        """
        if self.times is None:
            raise ValueError("ties cannot be shuffled: the histories have no times")
        owner = np.repeat(np.arange(len(self)), np.diff(self.offsets))
        order = np.lexsort((random.random(len(owner)), self.times, owner))
        return replace(self, items=self.items[order])


@dataclass(frozen=True)
class Rows:
    """Ranges of a flat item array: in each, the last item is the target, the rest the input.

    Attributes:
        items: (E,) the flat item array that the ranges point into.
        starts, stops: (R,) row r spans ``items[starts[r] : stops[r]]``, at least one item.
        users: (R,) user id of each row.
        times: (E,) when each event of ``items`` was; None: nobody knows.
    """

    items: Ints
    starts: Ints
    stops: Ints
    users: Ints
    times: Floats | None = None

    def __len__(self) -> int:
        return len(self.users)

    @cached_property
    def targets(self) -> Ints:
        """(R,) the last item of each row."""
        return self.items[self.stops - 1]

    def shortened(self, max_length: int) -> "Rows":
        """The same rows with at most ``max_length`` items of input, the latest ones."""
        return replace(self, starts=np.maximum(self.starts, self.stops - 1 - max_length))

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
        lengths = self.stops[index] - 1 - self.starts[index]
        needed = max(int(lengths.max(initial=0)), 1)
        if width is None:
            width = needed
        elif step is not None:
            width = min(width, -(-needed // step) * step)
        return self._padded(self.items, index, width), lengths

    def input_times(self, index: Ints, width: int) -> Floats:
        """When the input items of some rows were, (B, width), padded behind with 0.

        Raises:
            ValueError: the times are not known.
        """
        if self.times is None:
            raise ValueError("the rows have no times")
        return self._padded(self.times, index, width)

    def _padded(self, values: Any, index: Ints, width: int) -> Any:
        """What ``values`` (E,) say of the inputs of some rows, (B, width)."""
        starts, columns = self.starts[index, None], np.arange(width)
        inside = columns < self.stops[index, None] - 1 - starts
        # Clipped, so that padding reads some value before it is overwritten.
        return np.where(inside, values[np.minimum(starts + columns, len(values) - 1)], 0)


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
        cases.append(_rows(histories, starts[has], stops[has] - held_back, has))
    valid, test = cases
    kept = np.where(lengths >= 3, lengths - 2, np.minimum(lengths, 1))
    events = ranges(starts, kept)
    train = Histories(
        items=histories.items[events],
        offsets=np.concatenate([[0], np.cumsum(kept)]),
        users=histories.users,
        times=None if histories.times is None else histories.times[events],
    )
    return train, valid, test


def whole_rows(histories: Histories) -> Rows:
    """One case a history: its last item is the target (pre-split data)."""
    long_enough = np.diff(histories.offsets) >= 2
    starts, stops = histories.offsets[:-1][long_enough], histories.offsets[1:][long_enough]
    return _rows(histories, starts, stops, long_enough)


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
    return _rows(histories, row_starts, row_stops, owner)


def training_prefixes(histories: Histories, max_length: int) -> Rows:
    """One row a target, as RecBole's sequential models train: every event after the first."""
    starts, stops = histories.offsets[:-1], histories.offsets[1:]
    counts = np.maximum(stops - starts - 1, 0)
    owner = np.repeat(np.arange(len(histories)), counts)
    row_stops = starts[owner] + 2 + ranges(np.zeros_like(counts), counts)
    return _rows(histories, starts[owner], row_stops, owner).shortened(max_length)


def _rows(histories: Histories, starts: Ints, stops: Ints, owner: Any) -> Rows:
    """Ranges of the histories' events; ``owner`` chooses the history of each."""
    return Rows(histories.items, starts, stops, histories.users[owner], histories.times)


def ranges(firsts: Ints, counts: Ints) -> Ints:
    """``first, first + 1, …`` with ``count`` members for each pair, one after the other."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(firsts - (ends - counts), counts)
