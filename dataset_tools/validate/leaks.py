"""What is tested on and stands in what is trained on."""

from collections.abc import Mapping
from itertools import accumulate

import pandas as pd

from recbole_tema.formats import HISTORY, ITEM, USER

from ..build.pre_split import leaks
from ..wording import counted, fitting
from .findings import Findings

LEAST = 5
"""Items in a row from the start on which two people do not have in common by chance."""


def check_leaks(histories: Mapping[str, pd.DataFrame], findings: Findings) -> None:
    """Targets in training histories of the same user, and histories that parts share."""
    for message in leaks(histories):
        findings.problem("leaks", message)
    trained = {
        mark for items in _lists(histories["train"]) for mark in _beginnings(items)[LEAST - 2 :]
    }
    marks = {}
    for split in ("valid", "test"):
        frame = histories[split]
        long = [(row, _beginnings(items)) for row, items in enumerate(_lists(frame))]
        long = [(row, own) for row, own in long if len(own) >= LEAST]
        whole = [row for row, own in long if own[-1] in trained]
        seen = [row for row, own in long if own[-1] not in trained and own[-2] in trained]
        marks[split] = {own[-1] for _, own in long}
        histories_of = counted(len(frame), f"{split} history", f"{split} histories")
        if whole:
            findings.problem(
                "leaks",
                f"{len(whole):,} of {histories_of} {fitting(len(whole), 'stands', 'stand')}, "
                "target included, item for item at the start of a training history, such as that "
                f"of user {frame[USER].iloc[whole[0]]!r}: the same person under two names? "
                "Take them out of one of the two parts",
            )
        if seen:
            findings.warn(
                "leaks",
                f"{len(seen):,} of {histories_of} {fitting(len(seen), 'stands', 'stand')}, without "
                "the target, item for item at the start of a training history, such as that of "
                f"user {frame[USER].iloc[seen[0]]!r}",
            )
    if both := marks["valid"] & marks["test"]:
        findings.warn(
            "leaks",
            f"{counted(len(both), 'history stands', 'histories stand')} in both valid and test, "
            "target included",
        )


def _lists(frame: pd.DataFrame) -> pd.Series:
    return (frame[HISTORY] + " " + frame[ITEM]).str.split()


def _beginnings(items: list[str]) -> list[int]:
    """A mark of the first item, the first two, … all of them; of this process only."""
    marks = list(accumulate(items, lambda mark, item: hash((mark, item)), initial=0))
    return marks[1:]
