"""What is in a data set, as text for people."""

from collections.abc import Mapping

import pandas as pd

from recbole_tema.formats import (
    CATEGORIES,
    DESCRIPTION,
    DOMAIN,
    HISTORY,
    IMAGE,
    ITEM,
    TITLE,
    USER,
)

from ..text_table import table

QUANTILES = (0, 0.25, 0.5, 0.75, 1)


def leave_one_out_summary(items: pd.DataFrame, interactions: pd.DataFrame) -> str:
    """Users, items, interactions and test targets per domain of sorted interactions with domain."""
    targets = interactions.groupby(USER, sort=False).tail(1)
    names = [str(name) for name in items[DOMAIN].unique()]
    rows: list[list[object]] = []
    for name in [*names, "all"]:
        here = interactions if name == "all" else interactions[interactions[DOMAIN] == name]
        own = items if name == "all" else items[items[DOMAIN] == name]
        tested = targets if name == "all" else targets[targets[DOMAIN] == name]
        unseen = int((~own[ITEM].isin(here[ITEM])).sum())
        rows.append([name, here[USER].nunique(), len(own), unseen, len(here), len(tested)])
    headings = ["domain", "users", "items", "never used", "interactions", "test targets"]
    both = interactions.groupby(USER)[DOMAIN].nunique() == len(names)
    repeated = interactions.duplicated([USER, ITEM])
    lengths = interactions.groupby(USER).size()
    lines = [
        table(headings, rows),
        f"users with interactions in all domains: {int(both.sum()):,}",
        _lengths("interactions a user", lengths),
        f"repeated interactions of a user with an item: {int(repeated.sum()):,} "
        f"(test targets among them: {int(repeated[targets.index].sum()):,})",
    ]
    return "\n".join([*lines, coverage(items)])


def pre_split_summary(items: pd.DataFrame, histories: Mapping[str, pd.DataFrame]) -> str:
    """Histories, users and targets per part and domain."""
    names = [str(name) for name in items[DOMAIN].unique()]
    home = items.set_index(ITEM)[DOMAIN]
    rows: list[list[object]] = []
    lines = []
    for split, frame in histories.items():
        lengths = frame[HISTORY].str.count(" ") + 2
        last = frame[ITEM].map(home)
        per_domain = [int((last == name).sum()) for name in names]
        rows.append([split, frame[USER].nunique(), len(frame), int(lengths.sum()), *per_domain])
        lines.append(_lengths(f"{split} items a history", lengths))
        before = sum(
            target in history.split(" ")
            for history, target in zip(frame[HISTORY], frame[ITEM], strict=True)
        )
        lines.append(f"{split} histories whose last item is among those before: {before:,}")
    headings = ["part", "users", "histories", "items in them", *(f"last in {n}" for n in names)]
    return "\n".join([table(headings, rows), *lines, coverage(items)])


def coverage(items: pd.DataFrame) -> str:
    """How many items of each domain have a title, description, categories, an image."""
    columns = (TITLE, DESCRIPTION, CATEGORIES, IMAGE)
    rows = []
    for name, own in items.groupby(DOMAIN, sort=False):
        shares = [f"{(own[column] != '').mean():.1%}" for column in columns]
        rows.append([name, len(own), *shares])
    return table(["items with", "items", *columns], rows)


def _lengths(what: str, lengths: pd.Series) -> str:
    if lengths.empty:
        return f"{what}: none"
    values = " / ".join(f"{value:g}" for value in lengths.quantile(list(QUANTILES)))
    return f"{what}: min / quartiles / max = {values}, mean {lengths.mean():.1f}"
