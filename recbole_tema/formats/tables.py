"""The atomic files: tab separated, a ``name:type`` header, readable by RecBole's own reader too."""

import csv
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from recbole_tema.formats.columns import (
    DOMAIN,
    HISTORY,
    HISTORY_COLUMNS,
    IDS_READ_AS_MISSING,
    IMAGE,
    INTERACTION_COLUMNS,
    ITEM,
    ITEM_COLUMNS,
    ITEM_TEXT_COLUMNS,
    TIME,
    USER,
    header,
)
from recbole_tema.formats.errors import FormatError
from recbole_tema.formats.files import atomic_write

LONGEST_FIELD = 131_000
"""RecBole's reader stops at a field of more than 131,072 characters (the csv module's limit)."""


def read_interactions(path: Path) -> pd.DataFrame:
    """Read ``user_id`` str, ``item_id`` str, ``timestamp`` float64, one row an interaction."""
    try:
        frame = _read(path, required=INTERACTION_COLUMNS, numbers=(TIME,))
        good = bool(np.isfinite(frame[TIME].to_numpy()).all())
    except ValueError:  # a FormatError too, which comes again below
        good = False
    if not good:  # once more as text, for an error that quotes the file
        frame = _read(path, required=INTERACTION_COLUMNS)
    _require_values(path, frame, (USER, ITEM, TIME))
    if not good:
        frame[TIME] = _times(path, frame[TIME])
    return frame


def write_interactions(path: Path, frame: pd.DataFrame) -> None:
    """Write interactions in the order given; whole timestamps are written without a fraction."""
    frame = frame[list(INTERACTION_COLUMNS)]
    _check_ids(path, frame, (USER, ITEM))
    times = frame[TIME].to_numpy(np.float64)
    if not np.isfinite(times).all():
        raise FormatError(f"{path}: {(~np.isfinite(times)).sum()} timestamps are not finite")
    if (times == np.floor(times)).all() and (np.abs(times) < 2**53).all():
        frame = frame.assign(**{TIME: times.astype(np.int64)})
    _write(path, frame)


def read_histories(path: Path) -> pd.DataFrame:
    """Read ``user_id``, ``item_id_list`` (blank separated, oldest first), ``item_id``, all str."""
    frame = _read(path, required=HISTORY_COLUMNS)
    _require_values(path, frame, HISTORY_COLUMNS)
    return frame


def write_histories(path: Path, frame: pd.DataFrame) -> None:
    """Write histories: the items before the last, blank separated, and the last item."""
    frame = frame[list(HISTORY_COLUMNS)]
    _check_ids(path, frame, (USER, ITEM))
    _require_values(path, frame, (HISTORY,))
    _write(path, frame)


def read_items(path: Path) -> pd.DataFrame:
    """Read the items in file order, the order of every feature file.

    Returns the columns ``item_id``, ``domain``, ``title``, ``description``, ``categories`` and
    ``image``, all str; what the file does not know is "".
    """
    frame = _read(path, required=(ITEM, DOMAIN), optional=(*ITEM_TEXT_COLUMNS, IMAGE))
    _require_values(path, frame, (ITEM, DOMAIN))
    _refuse_duplicates(path, frame[ITEM])
    return frame.reindex(columns=list(ITEM_COLUMNS), fill_value="")


def write_items(path: Path, frame: pd.DataFrame) -> None:
    """Write the items in the order given; text columns that are empty for all items are left out.

    Tabs and line breaks in text become blanks.
    """
    frame = frame.reindex(columns=list(ITEM_COLUMNS), fill_value="").fillna("")
    _check_ids(path, frame, (ITEM, DOMAIN))
    _refuse_duplicates(path, frame[ITEM])
    keep = [ITEM, DOMAIN]
    for column in (*ITEM_TEXT_COLUMNS, IMAGE):
        text = frame[column].str.replace(r"[\t\r\n\0]+", " ", regex=True).str.strip()
        longest = int(text.str.len().max()) if len(text) else 0
        if longest > LONGEST_FIELD:
            item = frame[ITEM].iloc[int(text.str.len().argmax())]
            raise FormatError(
                f"{path}: the {column} of item {item!r} has {longest:,} characters; RecBole reads "
                f"up to {LONGEST_FIELD:,}. Shorten it"
            )
        if longest:
            frame[column] = text
            keep.append(column)
    _write(path, frame[keep])


def _write(path: Path, frame: pd.DataFrame) -> None:
    with atomic_write(path) as beside:
        frame.rename(columns=header).to_csv(
            beside, sep="\t", index=False, quoting=csv.QUOTE_MINIMAL, lineterminator="\n"
        )


def _read(
    path: Path,
    required: Sequence[str],
    optional: Sequence[str] = (),
    numbers: Sequence[str] = (),
) -> pd.DataFrame:
    """The wanted columns of an atomic file, without their types in the names.

    They are str; ``numbers`` are float64, and a ValueError where one is no number.
    """
    path = Path(path)
    try:
        with open(path, encoding="utf-8") as file:
            headings = file.readline().rstrip("\r\n").split("\t")
    except FileNotFoundError:
        raise FormatError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: not UTF-8 text ({error})") from None
    names = [heading.partition(":")[0] for heading in headings]
    wanted = [column for column in (*required, *optional) if column in names]
    missing = [header(column) for column in required if column not in names]
    if missing:
        raise FormatError(
            f"{path}, line 1: no column {', '.join(missing)}; found {', '.join(headings)}"
        )
    for heading, name in zip(headings, names, strict=True):
        if name in wanted and heading != header(name):
            raise FormatError(f"{path}, line 1: found {heading!r}, expected {header(name)!r}")
        if names.count(name) > 1:
            raise FormatError(f"{path}, line 1: the column {name!r} stands there twice")
    try:
        with warnings.catch_warnings():
            # pandas only warns when a line has more fields than the header, and drops them.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                path,
                sep="\t",
                header=0,
                names=names,
                dtype={name: np.float64 if name in numbers else str for name in names},
                float_precision="round_trip",
                na_filter=False,
                index_col=False,
                skip_blank_lines=False,
                encoding="utf-8",
            )
    except pd.errors.ParserWarning:
        raise FormatError(f"{path}: line 2 has more fields than the header names") from None
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: {error}") from None
    return frame[wanted]


def _require_values(path: Path, frame: pd.DataFrame, columns: Sequence[str]) -> None:
    for column in columns:
        empty = (frame[column].isna() | (frame[column] == "")).to_numpy()
        if empty.any():
            row = int(empty.argmax())
            raise FormatError(
                f"{path}, line {row + 2}: no value for {column}, "
                f"as in {int(empty.sum()):,} of {len(frame):,} rows"
            )


def _times(path: Path, column: pd.Series) -> pd.Series:
    times = pd.to_numeric(column, errors="coerce").astype(np.float64)
    bad = ~np.isfinite(times.to_numpy())
    if bad.any():
        row = int(bad.argmax())
        raise FormatError(
            f"{path}, line {row + 2}: {TIME} {column.iloc[row]!r} is not a finite number, "
            f"as in {int(bad.sum()):,} of {len(column):,} rows"
        )
    return times


def _check_ids(path: Path, frame: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise FormatError for ids that would not come back from the file as they went in."""
    _require_values(path, frame, columns)
    for column in columns:
        for value in frame[column].unique():
            problem = id_problem(value)
            if problem:
                raise FormatError(f"{path}: {column} {value!r}: {problem}")


def id_problem(value: str) -> str:
    """What is wrong with a user, item or domain id, or "" when nothing is."""
    if not value:
        return "the id is missing"
    if value.split() != [value]:
        return "the id holds a blank, tab or line break"
    if value in IDS_READ_AS_MISSING:
        return "RecBole reads this id as a missing value"
    if not value.isprintable():
        return "the id holds a control character"
    return ""


def _refuse_duplicates(path: Path, ids: pd.Series) -> None:
    again = ids.duplicated().to_numpy()
    if again.any():
        row = int(again.argmax())
        first = int((ids == ids.iloc[row]).to_numpy().argmax())
        raise FormatError(
            f"{path}, line {row + 2}: item {ids.iloc[row]!r} stands on line {first + 2} already "
            f"({int(again.sum()):,} such rows); each item has one row"
        )
