"""The items: ids, domains, titles that are none."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from recbole_tema.formats import ALL_DOMAINS, DOMAIN, ITEM, TITLE, DatasetFiles, id_problem

from ..wording import counted
from .findings import Findings, some

_MARKUP = r"<[A-Za-z/!]|&(?:#\d+|[A-Za-z]+);|\bfunction\s*\(|\{[^}]*:[^}]*;"


def check_items(
    files: DatasetFiles, items: pd.DataFrame, properties: Mapping[str, Any], findings: Findings
) -> None:
    name = files.items.name
    bad = [item for item in items[ITEM] if id_problem(item)]
    if bad:
        findings.problem(
            "ids",
            f"{name}: {counted(len(bad), 'item id')}, such as {bad[0]!r}: {id_problem(bad[0])}",
        )
    domains = properties["domains"]
    found = [str(domain) for domain in items[DOMAIN].unique()]
    if len(domains) != 2 or ALL_DOMAINS in domains:
        findings.problem(
            "domains",
            f"{files.properties.name}: expected two domains, none of them called {ALL_DOMAINS!r}; "
            f"found {', '.join(domains)}",
        )
    if unknown := [domain for domain in found if domain not in domains]:
        own = items[DOMAIN].isin(unknown)
        findings.problem(
            "domains",
            f"{name}, line {int(own.argmax()) + 2}: {counted(int(own.sum()), 'item')} of the "
            f"domain {some(unknown)}; {files.properties.name} names {', '.join(domains)}",
        )
    if empty := [domain for domain in domains if domain not in found]:
        findings.problem("domains", f"{name}: no items of the domain {some(empty)}")
    markup = items[TITLE].str.contains(_MARKUP, regex=True)
    if markup.any():
        row = int(markup.argmax())
        findings.warn(
            "titles",
            f"{name}, line {row + 2}: HTML or script in the title {items[TITLE].iloc[row][:60]!r} "
            f"({int(markup.sum()):,} in all)",
        )
