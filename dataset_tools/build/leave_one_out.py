"""Which interactions stay: ids to integers, k-core, each user's last ones; SQL of any engine.

It is the SQL that DuckDB and Spark share. ``place`` is a row's rank among all raw rows. A user's
integer ``user_at`` is the place of the first row, an item's ``item_at`` likewise, so that the
order of first appearance and the way back to the ids need no table of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from recbole_tema.formats import ITEM, TIME, USER, FormatError

from .engines import Engine

LEAST_HISTORY = 3
"""A test target, a validation target and an item to train on."""


@dataclass(frozen=True)
class Filters:
    """What a user and an item need to stay (k-core, to the fixed point), and how much is kept.

    ``min_user``: interactions of a user in all; ``min_user_domain``: in every domain;
    ``min_item``: interactions of an item; ``max_length``: a user's last interactions that are
    kept, cut after the other filters.
    """

    min_user: int = LEAST_HISTORY
    min_user_domain: int = 0
    min_item: int = 0
    max_length: int | None = None

    def __post_init__(self) -> None:
        for option, number in (("--min-user", self.min_user), ("--max-length", self.max_length)):
            if number is not None and number < LEAST_HISTORY:
                raise FormatError(
                    f"{option} {number}: leave-one-out needs {LEAST_HISTORY} interactions of each "
                    "user (test target, validation target, one to train on)"
                )


@dataclass(frozen=True)
class Kept:
    """What stays.

    ``interactions``: user_id, item_id, timestamp (float64) and the number of the domain, sorted by
    user (in order of first appearance), then time; ties keep their place. ``items``: ids that the
    k-core kept, before long histories were cut. ``all_users``: users before the filters.
    """

    interactions: pd.DataFrame
    items: pd.Series
    all_users: int


def keep_interactions(engine: Engine, filters: Filters, units: Sequence[int]) -> Kept:
    """Filter the engine's ``interactions``; ``units``: ticks a second of each domain's times."""
    all_users = _code_ids(engine, units)
    _k_core(engine, filters, len(units))
    items = engine.frame(
        "SELECT item_id FROM interactions WHERE place IN (SELECT item_at FROM core)"
    )
    interactions = engine.frame(
        f"SELECT i.user_id AS {USER}, i.item_id AS {ITEM}, l.moment AS seconds, l.domain "
        f"FROM (SELECT * FROM {_last(filters)}) AS l JOIN interactions AS i ON i.place = l.place "
        "ORDER BY l.user_at, l.moment, l.place"
    )
    return Kept(interactions.rename(columns={"seconds": TIME}), items[ITEM], all_users)


def left_by_each(
    engine: Engine, filters: Filters, units: Sequence[int]
) -> list[tuple[str, list[int]]]:
    """How many interactions of each domain are left by each filter and those before it.

    Of the filters that are set, as an option with its value, in the order in which they count. The
    arguments are those of `keep_interactions`.
    """
    _code_ids(engine, units)
    domains = len(units)
    so_far = Filters(min_user=filters.min_user)
    _k_core(engine, so_far, domains)
    left = [(f"--min-user {filters.min_user}", _per_domain(engine, "core", domains))]
    if filters.min_user_domain:
        so_far = replace(so_far, min_user_domain=filters.min_user_domain)
        _k_core(engine, so_far, domains)
        option = f"--min-user-domain {filters.min_user_domain}"
        left.append((option, _per_domain(engine, "core", domains)))
    if filters.min_item:
        _k_core(engine, replace(so_far, min_item=filters.min_item), domains)
        left.append((f"--min-item {filters.min_item}", _per_domain(engine, "core", domains)))
    if filters.max_length is not None:
        option = f"--max-length {filters.max_length}"
        left.append((option, _per_domain(engine, _last(filters), domains)))
    return left


def _last(filters: Filters) -> str:
    """What is left of ``core`` when long histories are cut, as a table of a query."""
    if filters.max_length is None:
        return "core"
    return (
        "(SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY user_at ORDER BY moment "
        "DESC, place DESC) AS from_end FROM core) AS ranked "
        f"WHERE from_end <= {filters.max_length}) AS last"
    )


def _code_ids(engine: Engine, units: Sequence[int]) -> int:
    """Make ``core`` of all interactions; return the number of users."""
    for who in ("user", "item"):
        engine.make(
            f"{who}s_at",
            f"SELECT {who}_id, MIN(place) AS {who}_at FROM interactions GROUP BY {who}_id",
        )
    ticks = " ".join(f"WHEN {domain} THEN {unit}" for domain, unit in enumerate(units))
    engine.make(
        "core",
        "SELECT i.place, u.user_at, t.item_at, i.domain, "
        f"i.moment / CASE i.domain {ticks} END AS moment FROM interactions AS i "
        "JOIN users_at AS u ON i.user_id = u.user_id JOIN items_at AS t ON i.item_id = t.item_id",
    )
    return _count(engine, "users_at")


def _k_core(engine: Engine, filters: Filters, domains: int) -> None:
    """Take from ``core`` what the filters do not keep, until nothing more falls out."""
    needs = [f"COUNT(*) >= {filters.min_user}"]
    if filters.min_user_domain:
        needs += [
            f"SUM(CASE WHEN domain = {domain} THEN 1 ELSE 0 END) >= {filters.min_user_domain}"
            for domain in range(domains)
        ]
    users = f"SELECT user_at FROM core GROUP BY user_at HAVING {' AND '.join(needs)}"
    query = f"SELECT * FROM core WHERE user_at IN ({users})"
    if filters.min_item:
        items = f"SELECT item_at FROM core GROUP BY item_at HAVING COUNT(*) >= {filters.min_item}"
        query += f" AND item_at IN ({items})"
    before = _count(engine, "core")
    while True:
        engine.make("core", query)
        after = _count(engine, "core")
        if after == before:
            return
        before = after


def _per_domain(engine: Engine, table: str, domains: int) -> list[int]:
    found = engine.frame(f"SELECT domain, COUNT(*) AS n FROM {table} GROUP BY domain")
    counts = dict(zip(found["domain"], found["n"], strict=True))
    return [int(counts.get(domain, 0)) for domain in range(domains)]


def _count(engine: Engine, table: str) -> int:
    return int(engine.frame(f"SELECT COUNT(*) AS n FROM {table}")["n"].iloc[0])
