"""Scores in, ranks out: the rank of a target by counting, and the candidates it is ranked with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # imported where it is used, so that reports need no torch to read metrics
    import torch

SCORES_AT_ONCE = {"cpu": 1 << 18}
"""Scores compared together, by kind of device: what is left in the cache is read again at little
cost. Devices that are not named compare all scores of a batch at once."""

LARGEST_FLOAT32_COUNT = 1 << 24

CASES_PER_DRAW = 1024
"""Cases drawn together. It bounds the memory; a change of it changes which candidates are drawn."""


class ScoreError(ValueError):
    """Scores from which no rank can be told."""


def rank_of_target(
    scores: torch.Tensor,
    target_score: torch.Tensor,
    target_in_scores: bool,
    valid: torch.Tensor | None = None,
) -> torch.Tensor:
    """The rank of each case's target: 1 + (candidates scored higher) + ½ (other candidates tied).

    By counting, without a sort or a top-k, in the dtype of the scores. Scores may be ±inf; equal
    infinities are ties like any other.

    Args:
        scores: float, shape (B, C) with C ≥ 1, the candidates' scores.
        target_score: shape (B,), the target's score, of the same dtype.
        target_in_scores: whether the target is one of its C candidates (it is no rival of itself).
        valid: bool, shape (B, C), False where a column is padding and no candidate; all by default.

    Returns:
        float64, shape (B,), from 1 to the number of candidates.

    Raises:
        ScoreError: a NaN among a case's scores; other dtypes or shapes than above; or the target's
            score is not among the scores although the target is said to be.
    """
    if scores.ndim != 2 or not scores.shape[1] or target_score.shape != scores.shape[:1]:
        raise ScoreError(
            "expected scores of shape (cases, at least one candidate) and a target score a case, "
            f"got {tuple(scores.shape)} and {tuple(target_score.shape)}"
        )
    if scores.dtype != target_score.dtype:
        raise ScoreError(
            f"the scores are {scores.dtype} but the targets' scores {target_score.dtype}: "
            "rounding would make or break ties; take both from one computation"
        )
    if valid is not None and valid.shape != scores.shape:
        raise ScoreError(
            f"valid must have the scores' shape {tuple(scores.shape)}, got {tuple(valid.shape)}"
        )
    largest, higher, tied = _counted(scores, target_score[:, None], valid)
    _refuse(
        largest.isnan() | target_score.isnan(),
        "has a NaN score; look for a division by zero, a log of 0 or an exploded parameter",
    )
    rivals = tied - int(target_in_scores)
    _refuse(
        rivals < 0,
        "has a target whose score is not among its candidates' scores; "
        "gather the target's score from the scores, do not compute it a second time",
    )
    return 1.0 + higher + 0.5 * rivals


def _counted(
    scores: torch.Tensor, target: torch.Tensor, valid: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of each case the largest score, and how many are above and equal to ``target`` (B, 1).

    Returns shapes (B,): the scores' dtype, with NaN where any score is one, and two float64.
    """
    import torch

    scores, target = scores.detach(), target.detach()
    cases, columns = scores.shape
    rows = max(SCORES_AT_ONCE.get(scores.device.type, scores.numel()) // columns, 1)
    largest = scores.new_empty(cases)
    higher, tied = scores.new_empty(2, cases, dtype=torch.float64)
    # Comparisons are written, and added up, as floats: torch adds up bools ten times slower.
    exact = torch.float32 if columns <= LARGEST_FLOAT32_COUNT else torch.float64
    buffer = scores.new_empty(min(rows, cases), columns, dtype=exact)
    for start in range(0, cases, rows):
        part = slice(start, start + rows)
        some, own = scores[part], target[part]
        mask = None if valid is None else valid[part]
        if mask is not None:
            some = some.masked_fill(~mask, float("-inf"))
        count = buffer[: len(some)]
        # A maximum passes a NaN on and is ten times faster than looking at every score.
        largest[part] = some.amax(dim=1)
        higher[part] = torch.gt(some, own, out=count).sum(dim=1)
        torch.eq(some, own, out=count)
        if mask is not None:
            count *= mask  # padding ties with a target at -inf
        tied[part] = count.sum(dim=1)
    return largest, higher, tied


def _refuse(bad: torch.Tensor, what: str) -> None:
    """Raise a ScoreError that names the first bad case, if there is one. ``bad``: bool, (B,)."""
    cases = bad.nonzero().flatten()
    if len(cases):
        raise ScoreError(
            f"case {int(cases[0])} of this batch {what} ({len(cases)} of {len(bad)} cases)"
        )


def draw_candidates(
    target: np.ndarray,
    owned: np.ndarray,
    offsets: np.ndarray,
    first_item: np.ndarray | int,
    n_items: np.ndarray | int,
    n_negatives: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw each case's rivals: uniform without replacement from the items that are allowed.

    Allowed are the items of the target's domain that are neither the target nor owned. The same
    arguments give the same candidates, whatever the batches in which they are scored later.

    Args:
        target: int, shape (n,), item ids.
        owned: int, flat; case i's user has ``owned[offsets[i]:offsets[i + 1]]``, in any order, of
            any domain, repeats allowed.
        offsets: int, shape (n + 1,).
        first_item: int or shape (n,): the first id of each target's domain.
        n_items: int or shape (n,): the number of items in it; its ids are contiguous.
        n_negatives: how many to draw for each case.
        seed: of the PCG64 generator.

    Returns:
        ``items``: int32, shape (n, n_negatives), ascending in each row; a case with fewer allowed
        items gets all of them, then -1. ``counts``: int32, shape (n,), the number of ids in a row.

    Raises:
        ValueError: offsets that do not fit, a target outside its domain, or n_negatives below 1.
    """
    target, offsets = np.asarray(target, dtype=np.int64), np.asarray(offsets, dtype=np.int64)
    owned = np.asarray(owned, dtype=np.int64)
    first = np.broadcast_to(np.asarray(first_item, dtype=np.int64), target.shape)
    size = np.broadcast_to(np.asarray(n_items, dtype=np.int64), target.shape)
    _check_draw(target, owned, offsets, first, size, n_negatives)
    generator = np.random.Generator(np.random.PCG64(seed))
    items = np.empty((len(target), n_negatives), dtype=np.int32)
    counts = np.empty(len(target), dtype=np.int32)
    for start in range(0, len(target), CASES_PER_DRAW):
        chunk = slice(start, min(start + CASES_PER_DRAW, len(target)))
        bounds = offsets[chunk.start : chunk.stop + 1]
        excluded, n_excluded = _excluded_positions(
            target[chunk] - first[chunk],
            owned[bounds[0] : bounds[-1]] - np.repeat(first[chunk], np.diff(bounds)),
            np.diff(bounds),
            size[chunk],
        )
        n_allowed = size[chunk] - n_excluded
        drawn, counts[chunk] = _draw_subsets(generator, n_allowed, n_negatives)
        positions = drawn + _shifts(drawn, excluded, n_excluded)
        positions += first[chunk, None]
        positions[np.arange(n_negatives) >= counts[chunk, None]] = -1
        items[chunk] = positions
    return items, counts


def _check_draw(
    target: np.ndarray,
    owned: np.ndarray,
    offsets: np.ndarray,
    first: np.ndarray,
    size: np.ndarray,
    n_negatives: int,
) -> None:
    if n_negatives < 1:
        raise ValueError(f"at least one negative must be drawn for each case, got {n_negatives}")
    if (
        offsets.shape != (len(target) + 1,)
        or offsets[0] != 0
        or offsets[-1] != len(owned)
        or (np.diff(offsets) < 0).any()
    ):
        raise ValueError(
            f"offsets must be {len(target) + 1} ascending numbers from 0 to {len(owned)} "
            f"(one more than there are cases), got an array of shape {offsets.shape}"
        )
    outside = np.flatnonzero((target < first) | (target >= first + size))
    if outside.size:
        case = outside[0]
        raise ValueError(
            f"the target of case {case} is item {target[case]}, outside its domain's ids "
            f"{first[case]} to {first[case] + size[case] - 1}"
        )


def _excluded_positions(
    target: np.ndarray, owned: np.ndarray, n_owned: np.ndarray, size: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Positions in the domain that a case may not draw, ascending and once each, and their number.

    All positions count from the domain's first item. Returns a flat array, case after case, and
    shape (n,).
    """
    case = np.concatenate([np.arange(len(target)), np.repeat(np.arange(len(target)), n_owned)])
    position = np.concatenate([target, owned])
    inside = (position >= 0) & (position < size[case])
    stride = size.max()
    keys = np.unique(case[inside] * stride + position[inside])
    return keys % stride, np.bincount(keys // stride, minlength=len(target))


def _draw_subsets(
    generator: np.random.Generator, n_allowed: np.ndarray, n_wanted: int
) -> tuple[np.ndarray, np.ndarray]:
    """Uniform subsets of range(n_allowed[i]) of min(n_wanted, n_allowed[i]) numbers, ascending.

    Where more than half is wanted, what to leave out is drawn instead: draws then seldom collide.

    Returns int32 (n, n_wanted), with a row's end filled by n_allowed[i], and the counts (n,).
    """
    leave_out = n_allowed < 2 * n_wanted
    n_drawn = np.where(leave_out, np.maximum(n_allowed - n_wanted, 0), n_wanted)
    subsets = _draw_distinct(generator, n_allowed, n_drawn, n_wanted)
    counts = np.minimum(n_allowed, n_wanted)
    rows = np.flatnonzero(leave_out)
    if rows.size:
        keep = np.arange(n_allowed[rows].max()) < n_allowed[rows, None]
        case, column = np.nonzero(np.arange(n_wanted) < n_drawn[rows, None])
        keep[case, subsets[rows[case], column]] = False
        kept = np.broadcast_to(n_allowed[rows, None], (rows.size, n_wanted)).copy()
        # Both masks hold counts[row] cells a row, and both are gone through row by row.
        kept[np.arange(n_wanted) < counts[rows, None]] = np.nonzero(keep)[1]
        subsets[rows] = kept
    return subsets, counts


def _draw_distinct(
    generator: np.random.Generator, high: np.ndarray, n_drawn: np.ndarray, width: int
) -> np.ndarray:
    """Uniform subsets of range(high[i]) of n_drawn[i] ≤ min(high[i], width) numbers each.

    Repeats are drawn anew until there are none. Each step treats all numbers alike and never holds
    more than n_drawn of them, so every subset of that size is equally likely.

    Returns int32 (n, width), ascending; a row's end is filled by numbers from high[i] on.
    """
    columns = np.arange(width)
    numbers = generator.integers(0, np.maximum(high, 1)[:, None], size=(len(high), width))
    numbers = np.where(columns < n_drawn[:, None], numbers, high[:, None] + columns)
    numbers = numbers.astype(np.int32)  # half the bytes to sort; item ids are int32 too
    numbers.sort(axis=1)
    unsettled = np.arange(len(high))
    while unsettled.size:
        rows = numbers[unsettled]
        row, column = np.nonzero(rows[:, 1:] == rows[:, :-1])
        rows[row, column + 1] = generator.integers(0, high[unsettled[row]])
        touched = np.unique(row)
        unsettled = unsettled[touched]
        numbers[unsettled] = np.sort(rows[touched], axis=1)
    return numbers


def _shifts(drawn: np.ndarray, excluded: np.ndarray, n_excluded: np.ndarray) -> np.ndarray:
    """How far each drawn number moves up so that it skips the excluded positions before it.

    The c-th allowed position is c + #{j: excluded[j] - j ≤ c}: each excluded position adds 1 from
    the first drawn number on that reaches it. ``drawn`` is ascending. Returns int64 (n, m).
    """
    n, m = drawn.shape
    row = np.repeat(np.arange(n), n_excluded)
    order = np.arange(excluded.size) - np.repeat(np.cumsum(n_excluded) - n_excluded, n_excluded)
    stride = max(drawn.max(initial=0), excluded.max(initial=0)) + 1
    keys = (drawn + np.arange(n)[:, None] * stride).ravel()
    reached = np.searchsorted(keys, row * stride + excluded - order) - row * m
    steps = np.bincount(row * (m + 1) + reached, minlength=n * (m + 1)).reshape(n, m + 1)
    return np.cumsum(steps[:, :m], axis=1)
