"""Tags and enriched texts against the items."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from recbole_tema.formats import (
    DOMAIN,
    ITEM,
    DatasetFiles,
    Tags,
    read_enriched,
    read_tags,
)

from ..wording import counted, fitting
from .findings import Findings, Table, some

SAME = 3
"""Items with one enriched text from which on it is worth a look."""


def check_tags(files: DatasetFiles, items: pd.DataFrame, findings: Findings) -> Tags | None:
    """The tags by item; None without a readable file."""
    if not files.tags.is_file():
        return None
    tags = findings.attempt("tags", lambda: read_tags(files.tags))
    if tags is None:
        return None
    name = files.tags.name
    if not _fits("tags", name, list(tags), items, "recbole-tema-data tag", findings):
        return tags
    numbers = Counter(tag for own in tags.values() for tag in own)
    if not numbers:
        findings.problem("tags", f"{name}: no item has a tag")
        return tags
    alone = [tag for tag, number in numbers.items() if number == 1]
    if alone:
        findings.warn(
            "tags",
            f"{name}: {len(alone):,} of {counted(len(numbers), 'tag')} "
            f"{fitting(len(alone), 'stands', 'stand')} at one item only, {some(alone)}; such tags "
            "bring no two items together (--min-items)",
        )
    spellings = Counter(tag.casefold() for tag in numbers)
    twice = [tag for tag in numbers if spellings[tag.casefold()] > 1]
    if twice:
        findings.warn(
            "tags",
            f"{name}: {counted(len(twice), 'tag differs', 'tags differ')} from "
            f"another one by capitals only, {some(twice)}",
        )
    scores = {score for own in tags.values() for score in own.values()}
    if len(scores) == 1:
        findings.warn("tags", f"{name}: every score is {scores.pop():g}; they weight nothing")
    findings.tables.append(_tag_table(tags, items))
    return tags


def check_enriched(
    files: DatasetFiles, items: pd.DataFrame, findings: Findings
) -> dict[str, str] | None:
    """The enriched texts by item; None without a readable file."""
    if not files.enriched.is_file():
        return None
    texts = findings.attempt("enriched", lambda: read_enriched(files.enriched))
    if texts is None:
        return None
    name = files.enriched.name
    command = "recbole-tema-data tag --stages enrich"
    if not _fits("enriched", name, list(texts), items, command, findings):
        return texts
    if not any(texts.values()):
        findings.problem("enriched", f"{name}: no item has a text")
    again = Counter(text for text in texts.values() if text)
    text, number = max(again.items(), key=lambda pair: pair[1], default=("", 0))
    if number >= SAME:
        findings.warn("enriched", f"{name}: {counted(number, 'item')} with one text, {text[:60]!r}")
    return texts


def _fits(
    check: str,
    name: str,
    found: Sequence[str],
    items: pd.DataFrame,
    command: str,
    findings: Findings,
) -> bool:
    """Whether a file has a line for exactly the items."""
    unknown = pd.Index(found).difference(items[ITEM], sort=False).tolist()
    missing = pd.Index(items[ITEM]).difference(found, sort=False).tolist()
    if unknown:
        findings.problem(
            check,
            f"{name}: {counted(len(unknown), 'item')} that the data set does not have, "
            f"{some(unknown)}; make it again with `{command}`",
        )
    if missing:
        findings.problem(
            check,
            f"{name}: {counted(len(missing), 'item')} without a line, {some(missing)}; make "
            f"it again with `{command}`",
        )
    return not unknown and not missing


def _tag_table(tags: Tags, items: pd.DataFrame) -> Table:
    """Tags of each domain, and those that both have."""
    by_domain: dict[str, Counter[str]] = {}
    tagged = Counter[str]()
    for item, domain in zip(items[ITEM], items[DOMAIN], strict=True):
        by_domain.setdefault(domain, Counter()).update(tags[item].keys())
        tagged[domain] += bool(tags[item])
    common = set.intersection(*(set(own) for own in by_domain.values()))
    rows = []
    for domain, own in by_domain.items():
        mean = own.total() / max(1, tagged[domain])
        rows.append([domain, tagged[domain], len(own), len(common), f"{mean:.1f}"])
    everything = sum(by_domain.values(), Counter[str]())
    mean = everything.total() / max(1, tagged.total())
    rows.append(["all", tagged.total(), len(everything), len(common), f"{mean:.1f}"])
    headings = ["tags", "items with tags", "tags", "in both domains", "tags an item with any"]
    return Table("tags", headings, rows)


def has_any(known: dict[str, str] | Tags, items: pd.DataFrame) -> np.ndarray:
    """(n,) which items have a text, or a tag."""
    return np.array([bool(known.get(item)) for item in items[ITEM]], bool)
