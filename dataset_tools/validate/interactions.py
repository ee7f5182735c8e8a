"""Interactions and histories: ids, order in time, duplicates, items that nobody knows."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from recbole_tema.formats import (
    HISTORY,
    ITEM,
    LEAVE_ONE_OUT,
    SPLITS,
    TIME,
    USER,
    DatasetFiles,
    id_problem,
    read_histories,
    read_interactions,
)

from ..build.leave_one_out import LEAST_HISTORY
from ..wording import counted
from .events import Events, leave_one_out_events, pre_split_events
from .findings import Findings, some
from .leaks import check_leaks


def check_events(
    files: DatasetFiles, split: str, items: pd.DataFrame, findings: Findings
) -> Events | None:
    """The events; None when a file of them cannot be read or names items that are not there."""
    index = pd.Index(items[ITEM])
    splits = [files.split_inter(each) for each in SPLITS]
    others = splits if split == LEAVE_ONE_OUT else [files.inter]
    for path in others:
        if path.is_file():
            findings.warn("files", f"{path.name}: is not read, as `split` is {split}")
    if split == LEAVE_ONE_OUT:
        frame = findings.attempt("interactions", partial(read_interactions, files.inter))
        if frame is None or not _check_interactions(files.inter, frame, index, findings):
            return None
        events = leave_one_out_events(frame, index.get_indexer)
    else:
        histories = {}
        for each, path in zip(SPLITS, splits, strict=True):
            read = findings.attempt("interactions", partial(read_histories, path))
            if read is not None:
                histories[each] = read
        known = [
            _check_histories(files.split_inter(each), read, index, findings)
            for each, read in histories.items()
        ]
        if len(histories) == len(SPLITS):
            check_leaks(histories, findings)
        if len(histories) < len(SPLITS) or not all(known):
            return None
        events = pre_split_events(histories, index.get_indexer)
    used = np.zeros(len(items), bool)
    for part in events.parts.values():
        used[part.items] = True
    if not used.all():
        findings.warn(
            "interactions",
            f"{files.items.name}: {counted(int((~used).sum()), 'item')} that nobody used, such as "
            f"{items[ITEM].iloc[int(used.argmin())]!r}; candidates all the same",
        )
    return events


def _check_interactions(
    path: Path, frame: pd.DataFrame, items: pd.Index, findings: Findings
) -> bool:
    """Whether all is well enough for sequences to be made."""
    if frame.empty:
        findings.problem("interactions", f"{path.name}: no interactions")
        return False
    _check_users(path, frame, findings)
    known = _check_items(path, frame[ITEM], items, findings)
    times = frame[TIME].to_numpy()
    users = pd.factorize(frame[USER])[0]
    order = np.argsort(users, kind="stable")
    back = (np.diff(users[order]) == 0) & (np.diff(times[order]) < 0)
    if back.any():
        row = order[1:][back].min()
        findings.problem(
            "order",
            f"{path.name}, line {row + 2}: an interaction of user {frame[USER].iloc[row]!r} is "
            f"older than the line before it ({int(back.sum()):,} in all); sort each user's "
            "by time, or build the data set anew",
        )
    if (times < 0).any():
        findings.warn(
            "interactions",
            f"{path.name}, line {int((times < 0).argmax()) + 2}: a time before 1970 "
            f"({int((times < 0).sum()):,} in all)",
        )
    twice = frame.duplicated([USER, ITEM, TIME]).to_numpy()
    if twice.any():
        findings.warn(
            "duplicates",
            f"{path.name}, line {int(twice.argmax()) + 2}: the same user, item and time as a line "
            f"above ({int(twice.sum()):,} in all)",
        )
    lengths = np.bincount(users)
    short = lengths < LEAST_HISTORY
    if short.any():
        findings.warn(
            "interactions",
            f"{path.name}: {counted(int(short.sum()), 'user')} with fewer than {LEAST_HISTORY} "
            "interactions, who cannot be tested",
        )
    if short.all():
        findings.problem("interactions", f"{path.name}: no user has a test case")
    return known


def _check_histories(path: Path, frame: pd.DataFrame, items: pd.Index, findings: Findings) -> bool:
    if frame.empty:
        findings.problem("interactions", f"{path.name}: no histories")
        return False
    _check_users(path, frame, findings)
    lists = (frame[HISTORY] + " " + frame[ITEM]).str.split()
    known = _check_items(path, lists.explode(), items, findings)
    twice = frame.duplicated([USER, HISTORY, ITEM]).to_numpy()
    if twice.any():
        findings.warn(
            "duplicates",
            f"{path.name}, line {int(twice.argmax()) + 2}: the same user, history and last item "
            f"as a line above ({int(twice.sum()):,} in all)",
        )
    return known


def _check_users(path: Path, frame: pd.DataFrame, findings: Findings) -> None:
    bad = [user for user in frame[USER].unique() if id_problem(user)]
    if bad:
        findings.problem(
            "ids",
            f"{path.name}: {counted(len(bad), 'user id')}, such as {bad[0]!r}: "
            f"{id_problem(bad[0])}",
        )


def _check_items(path: Path, used: pd.Series, items: pd.Index, findings: Findings) -> bool:
    """``used``: the item of each event; its index is the row in the file."""
    unknown = items.get_indexer(pd.Index(used)) < 0
    if not unknown.any():
        return True
    names = list(dict.fromkeys(used[unknown]))
    findings.problem(
        "interactions",
        f"{path.name}, line {used.index[int(unknown.argmax())] + 2}: "
        f"{counted(len(names), 'item')} without a line in the items file, {some(names)}, in "
        f"{counted(int(unknown.sum()), 'interaction')}",
    )
    return False
