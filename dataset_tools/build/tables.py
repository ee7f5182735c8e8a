"""All that a build reads, as tables to write: from interactions, or from histories."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from recbole_tema.formats import (
    CATEGORIES,
    DESCRIPTION,
    DOMAIN,
    ITEM,
    LEAVE_ONE_OUT,
    PRE_SPLIT,
    SPLITS,
    TITLE,
    USER,
    FormatError,
)

from ..raw.bad_rows import BadRows
from ..raw.interactions import stage_interactions, take_unknown_items
from ..raw.items import (
    Mended,
    clean_items,
    items_from_interactions,
    refuse_shared_items,
    stage_items,
)
from ..raw.source import Source
from ..raw.store import Store
from ..text_table import table
from ..wording import counted
from .engines import open_engine
from .leave_one_out import Filters, keep_interactions, left_by_each
from .pre_split import load_histories, refuse_leaks
from .summary import leave_one_out_summary, pre_split_summary
from .times import compare_times


@dataclass(frozen=True)
class Tables:
    """All that is written: items, then interactions (one table) or histories (by part)."""

    items: pd.DataFrame
    parts: dict[str, pd.DataFrame]
    split: str
    summary: str


@dataclass
class RawFiles:
    """What both ways of building read with, and the files that they read."""

    store: Store
    columns: Mapping[str, str]
    images: Mapping[str, Path]
    bad: BadRows
    allow_bad_rows: bool
    allow_truncated: bool
    sources: list[Source] = field(default_factory=list)
    mended: Mended = field(default_factory=Mended)

    def source(self, path: Path) -> Source:
        self.sources.append(Source(Path(path), self.allow_truncated))
        return self.sources[-1]

    def stage_items(self, items: Mapping[str, Path], domains: Sequence[str]) -> None:
        for domain, path in items.items():
            number = domains.index(domain)
            source = self.source(path)
            stage_items(self.store, number, source, self.columns, self.bad, self.mended)

    def clean_items(
        self, items: Mapping[str, Path], domains: Sequence[str], only: pd.Series | None = None
    ) -> pd.DataFrame:
        folders = {domain: Path(path).parent for domain, path in items.items()}
        return clean_items(self.store, domains, folders, self.images, only, self.mended)

    def report(self) -> str:
        """The files with their lines; files that end in the middle by name."""
        rows: list[list[object]] = [[source.path.name, source.lines] for source in self.sources]
        cut = [source.ending() for source in self.sources if source.truncated]
        return "\n".join([table(["read", "lines"], rows), *cut])


def from_interactions(
    raw: RawFiles,
    domains: Mapping[str, Path],
    items: Mapping[str, Path],
    filters: Filters,
    engine: str,
    exchange: Path | None,
) -> Tables:
    """Interactions of each domain, sorted and filtered, for leave-one-out."""
    names, store = list(domains), raw.store
    raw.stage_items(items, names)
    files = [raw.source(path) for path in domains.values()]
    for number, file in enumerate(files):
        stage_interactions(store, number, file, raw.columns, raw.bad)
    for number, name in enumerate(names):
        if name not in items:
            items_from_interactions(store, number)
    refuse_shared_items(store, names)
    take_unknown_items(store, names, files, raw.bad)
    raw.bad.stop_unless(raw.allow_bad_rows)
    in_files = _per_domain(store, "interactions", names)
    _refuse_empty(names, in_files, "interactions")
    times = compare_times(store, names)
    with open_engine(engine, store, exchange) as running:
        kept = keep_interactions(running, filters, times.units)
        interactions = kept.interactions
        if interactions[DOMAIN].nunique() < len(names):
            left = left_by_each(running, filters, times.units)
            raise FormatError(_filtered_out(names, list(in_files.values()), left))
    interactions[DOMAIN] = np.array(names, object)[interactions[DOMAIN].to_numpy(np.int64)]
    table_of_items = raw.clean_items(items, names, kept.items if filters.min_item else None)
    summary = leave_one_out_summary(table_of_items, interactions)
    everything = sum(in_files.values())
    if len(interactions) < everything:
        lost = kept.all_users - interactions[USER].nunique()
        summary += (
            f"\nthe filters left out {counted(lost, 'user')} and "
            f"{everything - len(interactions):,} of {counted(everything, 'interaction')}"
        )
    return Tables(
        table_of_items,
        {"": interactions},
        LEAVE_ONE_OUT,
        _joined(
            raw.report(),
            times.report,
            raw.mended.report(),
            summary,
            _wordless(items, table_of_items),
        ),
    )


def from_histories(
    raw: RawFiles,
    splits: Mapping[str, Path],
    items: Mapping[str, Path],
    max_length: int | None,
) -> Tables:
    """Histories that are split already."""
    if set(splits) != set(SPLITS):
        raise FormatError("histories need all three of --train, --valid and --test")
    if not items:
        raise FormatError("histories need --items for each domain: they tell the items' domains")
    if max_length is not None and max_length < 2:
        raise FormatError("--max-length must be 2 or more: an item to see and one to predict")
    names = list(items)
    raw.stage_items(items, names)
    refuse_shared_items(raw.store, names)
    table_of_items = raw.clean_items(items, names)
    known = pd.Index(table_of_items[ITEM])
    histories = {
        split: load_histories(raw.source(splits[split]), known, raw.columns, max_length, raw.bad)
        for split in SPLITS
    }
    raw.bad.stop_unless(raw.allow_bad_rows)
    _refuse_empty(names, _per_domain(raw.store, "items", names), "items")
    for split, frame in histories.items():
        if frame.empty:
            raise FormatError(f"{splits[split]}: no {split} histories in this file")
    refuse_leaks(histories)
    summary = pre_split_summary(table_of_items, histories)
    return Tables(
        table_of_items,
        histories,
        PRE_SPLIT,
        _joined(raw.report(), raw.mended.report(), summary, _wordless(items, table_of_items)),
    )


def _wordless(files: Mapping[str, Path], items: pd.DataFrame) -> str:
    """A warning for each items file that says nothing about its items, as one of reviews does."""
    said = items[[TITLE, DESCRIPTION, CATEGORIES]].ne("").any(axis=1)
    return "\n".join(
        f"WARNING: no item of {domain} has a title, a description or categories; does {path} hold "
        "the items?"
        for domain, path in files.items()
        if not said[items[DOMAIN] == domain].any()
    )


def _joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def _per_domain(store: Store, rows: str, names: Sequence[str]) -> dict[str, int]:
    counts = dict(store.rows(f"SELECT domain, count(*) FROM {rows} GROUP BY domain"))
    return {name: counts.get(number, 0) for number, name in enumerate(names)}


def _refuse_empty(domains: Sequence[str], counts: Mapping[str, int], what: str) -> None:
    empty = [domain for domain in domains if not counts[domain]]
    if empty:
        raise FormatError(f"{_are_empty(empty)}: no {what} in the files")


def _filtered_out(
    domains: Sequence[str], in_files: Sequence[int], left: Sequence[tuple[str, Sequence[int]]]
) -> str:
    """What each filter left, up to the one that took the last interaction of a domain.

    ``in_files``: interactions of each domain before the filters; ``left``: see `left_by_each`.
    """
    counts = left[-1][1]
    empty = [domain for domain, number in zip(domains, counts, strict=True) if not number]
    steps = [("in the files", in_files)]
    for option, numbers in left:
        steps.append((f"after {option}", numbers))
        if sum(not number for number in numbers) == len(empty):
            break
    told = [
        f"{', '.join(f'{n:,} of {domain}' for n, domain in zip(numbers, domains, strict=True))} "
        f"{when}"
        for when, numbers in steps
    ]
    return f"{_are_empty(empty)}: the filters keep no interactions; {'; '.join(told)}"


def _are_empty(domains: Sequence[str]) -> str:
    if len(domains) == 1:
        return f"the domain {domains[0]} is empty"
    return f"the domains {' and '.join(domains)} are empty"
