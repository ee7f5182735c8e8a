"""The items of each domain: raw rows into the store, one clean table out."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
import pandas as pd

from recbole_tema.formats import (
    CATEGORIES,
    DESCRIPTION,
    DOMAIN,
    IMAGE,
    ITEM,
    ITEM_COLUMNS,
    TITLE,
    FormatError,
)

from ..wording import counted
from .bad_rows import BadRows
from .ids import take_bad_ids
from .reading import read_table, undecodable
from .source import Source
from .store import RAW_ITEM_COLUMNS, Store
from .texts import Repair, clean_text, decoded_text, mended_categories, mended_text, mended_title

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_TEXTS = RAW_ITEM_COLUMNS[1:]


@dataclass
class Mended:
    """What was done to the items that stay: lines merged into an earlier one of the same item, how
    many of them filled a field that was empty, and repaired texts by what was done (damaged bytes:
    of all items that were read)."""

    merged: int = 0
    filled: int = 0
    repairs: Counter[Repair] = field(default_factory=Counter)

    def report(self) -> str:
        """A line for each, "" when the items were as they should be."""
        lines = []
        if self.merged:
            lines.append(
                f"{counted(self.merged, 'line')} of items that have an earlier line: merged "
                f"({self.filled:,} filled what that did not know)"
            )
        for repair, count in self.repairs.most_common():
            if count:
                noun, done = repair
                lines.append(f"{counted(count, noun)} {done}")
        return "\n".join(lines)


def stage_items(
    store: Store,
    domain: int,
    source: Source,
    columns: Mapping[str, str],
    bad: BadRows,
    mended: Mended,
) -> None:
    """The rows of one domain's file (``domain``: its number) into the store, texts as they are."""
    for frame in read_table(source, (ITEM,), _TEXTS, columns, bad):
        for column in _TEXTS:
            if undecodable(frame[column]).any():
                frame[column] = [decoded_text(text, mended.repairs) for text in frame[column]]
        store.add_items(domain, take_bad_ids(source.path, frame, (ITEM,), bad))


def items_from_interactions(store: Store, domain: int) -> None:
    """Give a domain without an items file those of its interactions, in order of appearance."""
    store.run(
        "INSERT INTO items SELECT min(place), domain, item_id, '', '', '', '' FROM interactions "
        f"WHERE domain = {domain} GROUP BY domain, item_id"
    )


def refuse_shared_items(store: Store, names: Sequence[str]) -> None:
    """Raise FormatError for an item of two domains."""
    shared = (
        "SELECT item_id, min(domain) AS one, max(domain) AS other, min(place) AS place FROM items "
        "GROUP BY item_id HAVING min(domain) < max(domain)"
    )
    (number,) = store.row(f"SELECT count(*) FROM ({shared})")
    if number:
        query = f"SELECT item_id, one, other FROM ({shared}) ORDER BY place LIMIT 1"
        item, one, other = store.row(query)
        raise FormatError(
            f"{counted(number, 'item stands', 'items stand')} in two domains, such as "
            f"{item!r} in {names[one]} and {names[other]}; an item has one domain. Leave it in one "
            "of the files, or give it two ids"
        )


def clean_items(
    store: Store,
    names: Sequence[str],
    folders: Mapping[str, Path],
    images: Mapping[str, Path],
    only: pd.Series | None,
    mended: Mended,
) -> pd.DataFrame:
    """The items, domain after domain in file order, all columns of ``NAME.item``.

    ``folders``: where each items file lies, for the images it names; ``images``: the folder of a
    domain's images. ``only``: the ids that stay, None for all.
    """
    staying = "items"
    if only is not None:
        ids = pd.DataFrame({ITEM: only})
        store.run("CREATE TEMP TABLE staying AS SELECT item_id FROM ids", ids=ids)
        staying = "items SEMI JOIN staying USING (item_id)"
    texts = ", ".join(_TEXTS)
    lines = store.rows(
        f"SELECT domain, item_id, {texts} FROM {staying} JOIN "
        "(SELECT item_id, min(place) AS first FROM items GROUP BY item_id) USING (item_id) "
        "ORDER BY first, place"
    )
    rows = list(_clean_rows(lines, names, folders, mended))
    frame = pd.DataFrame(rows, columns=[DOMAIN, *RAW_ITEM_COLUMNS], dtype=object)
    for domain, folder in images.items():
        own = (frame[DOMAIN] == domain).to_numpy(bool)
        found = _images(frame.loc[own, ITEM], folder)
        frame.loc[own, IMAGE] = np.where(found == "", frame.loc[own, IMAGE].to_numpy(), found)
    return frame[list(ITEM_COLUMNS)]


def _clean_rows(
    lines: Iterator[tuple], names: Sequence[str], folders: Mapping[str, Path], mended: Mended
) -> Iterator[list[str]]:
    """Domain, item and texts of each item; of several lines the first that says anything counts."""
    clean = {TITLE: mended_title, DESCRIPTION: mended_text, CATEGORIES: mended_categories}
    for (number, item), group in groupby(lines, key=itemgetter(0, 1)):
        domain = names[number]
        merged = [""] * len(_TEXTS)
        for place, (_, _, *texts) in enumerate(group):
            before = list(merged)
            for at, (column, text) in enumerate(zip(_TEXTS, texts, strict=True)):
                if merged[at]:
                    continue
                if column == IMAGE:
                    merged[at] = _own_image(folders.get(domain), text.strip())
                else:
                    merged[at] = clean[column](text, mended.repairs)
            mended.merged += place > 0
            mended.filled += place > 0 and merged != before
        yield [domain, item, *merged]


def _own_image(folder: Path | None, value: str) -> str:
    """The image that the items file names: an existing path made absolute, else as it stands."""
    if folder and value and "://" not in value and (folder / value).is_file():
        return str((folder / value).resolve())
    return clean_text(value)


def _images(ids: pd.Series, folder: Path) -> np.ndarray:
    """Paths FOLDER/ITEM.jpg (or .jpeg, .png, .webp) of the items that have one, else ""."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FormatError(f"{folder}: no such folder; expected the images of the items")
    paths: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            paths.setdefault(path.stem, str(path.resolve()))
    return np.array([paths.get(item, "") for item in ids], object)
