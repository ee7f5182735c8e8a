"""Histories that come as train, valid and test parts."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from recbole_tema.formats import HISTORY, ITEM, USER, FormatError

from ..raw.bad_rows import BadRows
from ..raw.ids import take_bad_ids
from ..raw.reading import read_table
from ..raw.source import Source
from ..wording import counted, fitting


def load_histories(
    source: Source,
    items: pd.Index,
    columns: Mapping[str, str],
    max_length: int | None,
    bad: BadRows,
) -> pd.DataFrame:
    """Users, items before the last (``item_id_list``) and the last item (``item_id``), all str."""
    path = source.path
    frames = [
        take_bad_ids(path, frame, (USER,), bad)
        for frame in read_table(source, (USER, HISTORY), (), columns, bad)
    ]
    nothing = pd.DataFrame(columns=[USER, HISTORY, "line"], dtype=object)
    frame = pd.concat(frames, ignore_index=True) if frames else nothing
    frame[HISTORY] = frame[HISTORY].str.split().str.join(" ")
    short = ~frame[HISTORY].str.contains(" ", regex=False).to_numpy(bool)
    frame = bad.take(path, frame, short, "history of fewer than two items", HISTORY)
    row, flat = _flat(frame[HISTORY])
    unknown = items.get_indexer(pd.Index(flat)) < 0
    if unknown.any():
        named = frame.assign(unknown="")
        first = pd.Series(flat[unknown]).groupby(row[unknown]).first()
        named.loc[first.index, "unknown"] = first.to_numpy()
        wrong = np.isin(np.arange(len(frame)), row[unknown])
        reason = "history with an item that no items file has"
        frame = bad.take(path, named, wrong, reason, "unknown").drop(columns="unknown")
    if max_length is not None:
        frame[HISTORY] = frame[HISTORY].str.split().str[-max_length:].str.join(" ")
    parts = frame[HISTORY].str.rsplit(" ", n=1)
    return pd.DataFrame(
        {USER: frame[USER], HISTORY: parts.str[0], ITEM: parts.str[1]}, dtype=object
    )


def refuse_leaks(histories: Mapping[str, pd.DataFrame]) -> None:
    """Raise FormatError when a valid or test target is in a training history of the same user."""
    for message in leaks(histories):
        raise FormatError(message)


def leaks(histories: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """What `refuse_leaks` refuses, a message for each part that has it."""
    train = histories["train"]
    row, flat = _flat(train[HISTORY] + " " + train[ITEM])
    trained = pd.MultiIndex.from_arrays([train[USER].to_numpy(object)[row], flat])
    for split in ("valid", "test"):
        frame = histories[split]
        found = pd.MultiIndex.from_frame(frame[[USER, ITEM]]).isin(trained)
        if found.any():
            user, item = frame.loc[found, [USER, ITEM]].iloc[0]
            yield (
                f"{found.sum():,} of {counted(len(frame), f'{split} target')} "
                f"{fitting(found.sum(), 'stands', 'stand')} in a training history of the same "
                f"user, such as item {item!r} of user {user!r}: the model would train on "
                "what it is tested on. Take them out of one of the two parts"
            )


def _flat(histories: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Row number and item id of every item of blank separated histories, in order."""
    lists = histories.str.split()
    row = np.repeat(np.arange(len(lists)), lists.str.len().to_numpy(np.int64))
    flat = np.array([item for items in lists for item in items], object)
    return row, flat
