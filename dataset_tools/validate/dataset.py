"""One data set folder, checked as a whole."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from recbole_tema.formats import (
    CATEGORIES,
    DESCRIPTION,
    IMAGE,
    TITLE,
    DatasetFiles,
    read_items,
    read_properties,
)

from ..text_table import table
from ..wording import counted
from .features import check_features
from .figures import coverage_table, length_table, one_domain_table, target_table
from .findings import Finding, Findings
from .graph import check_graph
from .images import check_images
from .interactions import check_events
from .items import check_items
from .texts import check_enriched, check_tags, has_any


@dataclass(frozen=True)
class Validation:
    """What was found in a folder."""

    folder: Path
    findings: Findings

    @property
    def good(self) -> bool:
        return not self.findings.problems

    @property
    def report(self) -> str:
        """Tables, then warnings, then problems, then what it comes to."""
        found = self.findings
        parts = [table(each.headings, each.rows) for each in found.tables]
        if found.warnings:
            parts.append(f"{counted(len(found.warnings), 'warning')}\n{_lines(found.warnings)}")
        if found.problems:
            parts.append(f"{counted(len(found.problems), 'problem')}\n{_lines(found.problems)}")
        problems = counted(len(found.problems), "problem")
        verdict = "is in order" if self.good else f"has {problems}"
        return "\n\n".join([*parts, f"{self.folder} {verdict}"])

    def as_json(self) -> str:
        """The same for machines."""
        record = {"folder": str(self.folder), "good": self.good, **asdict(self.findings)}
        return json.dumps(record, ensure_ascii=False, indent=1, default=int) + "\n"


def validate_dataset(folder: Path, images: Path | None = None) -> Validation:
    """Check every file of a data set against the others.

    Args:
        folder: data set folder.
        images: folder of the fetched images; by default the data set's own.

    Raises:
        FormatError: the folder is no data set at all.
    """
    files = DatasetFiles(folder)
    files.check()
    findings = Findings()
    properties = findings.attempt("files", lambda: read_properties(files.properties))
    items = findings.attempt("files", lambda: read_items(files.items))
    if items is not None and items.empty:
        findings.problem("files", f"{files.items.name}: no items")
    if properties is None or items is None or items.empty:
        findings.warn("files", "the other files were not checked: there is nothing to hold them to")
        return Validation(files.folder, findings)
    check_items(files, items, properties, findings)
    events = check_events(files, properties["split"], items, findings)
    has = {
        column: items[column].ne("").to_numpy(bool)
        for column in (TITLE, DESCRIPTION, CATEGORIES, IMAGE)
    }
    tables = findings.tables
    if events is not None:
        tables.append(length_table(items, events))
        tables.append(one_domain_table(items, events, findings))
        tables.append(target_table(items, events))
    has |= _beside(files, items, images, findings)
    tables.append(coverage_table(items, has, events))
    return Validation(files.folder, findings)


def _beside(
    files: DatasetFiles, items: pd.DataFrame, images: Path | None, findings: Findings
) -> dict[str, np.ndarray]:
    """Check what lies beside items and events; which items (n,) have what."""
    has = {}
    if items[IMAGE].ne("").any():
        has["image file"] = check_images(files, items, images, findings)
    enriched = check_enriched(files, items, findings)
    if enriched is not None:
        has["enriched"] = has_any(enriched, items)
    tags = check_tags(files, items, findings)
    if tags is not None:
        has["tags"] = has_any(tags, items)
    neighbours = check_graph(files, items, findings)
    if neighbours is not None:
        has["neighbours"] = neighbours
    vectors = check_features(files, items, tags, findings)
    return has | {f"{short} vector": present for short, present in vectors.items()}


def _lines(findings: list[Finding]) -> str:
    return "\n".join(f"  {found.check}: {found.message}" for found in findings)
