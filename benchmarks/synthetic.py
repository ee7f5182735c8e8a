"""Synthetic data sets of any size, for measuring time and memory.

    python benchmarks/synthetic.py M --out dataset
    python benchmarks/synthetic.py MB --out dataset --features 512

write ``dataset/M`` and ``dataset/MB``, in the files that ``recbole-tema-data build`` writes. Every
size can be set; the same options give the same files. Items are drawn by popularity, each user has
a taste of its own for one domain or the other, and nothing else can be learnt from the events.
"""

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

# Run from a checkout, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from recbole_tema.formats import (
    DOMAIN,
    HISTORY,
    ITEM,
    LEAVE_ONE_OUT,
    PRE_SPLIT,
    SPLITS,
    TIME,
    USER,
    DatasetFiles,
    Features,
    dataset_properties,
    write_features,
    write_histories,
    write_interactions,
    write_items,
    write_properties,
)

DOMAINS = ("x", "y")
FEWEST_EVENTS = 3  # one to train on, one to validate, one to test
FIRST_DAY, DAYS = 1_400_000_000, 2_000
DAY = 86_400  # seconds


@dataclass(frozen=True)
class Size:
    """What is drawn.

    Attributes:
        users: histories.
        items: of each domain.
        events: of each history, on average or, where ``exactly``, of each one.
        split: leave_one_out, or pre_split: 80, 10 and 10 % of the histories.
    """

    users: int
    items: tuple[int, int]
    events: int
    exactly: bool
    split: str


SIZES = {
    "M": Size(35_000, (32_000, 32_000), 10, False, LEAVE_ONE_OUT),
    "MB": Size(58_515, (36_845, 63_937), 12, True, PRE_SPLIT),
}


def main() -> None:
    """Write one data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("size", choices=SIZES, help="what is taken where no option says otherwise")
    parser.add_argument("--out", type=Path, required=True, help="folder of all data sets")
    parser.add_argument("--name", help="of the data set; by default the size's")
    parser.add_argument("--users", type=int, help="number of histories")
    parser.add_argument("--items", type=int, nargs=2, metavar=("X", "Y"), help="of each domain")
    parser.add_argument("--events", type=int, help="of a history, on average for M")
    parser.add_argument("--split", choices=(LEAVE_ONE_OUT, PRE_SPLIT))
    parser.add_argument("--features", type=int, default=0, help="length of random text and image")
    parser.add_argument("--seed", type=int, default=2020)
    options = parser.parse_args()
    given = {
        "users": options.users,
        "items": options.items and tuple(options.items),
        "events": options.events,
        "split": options.split,
    }
    size = replace(SIZES[options.size], **{k: v for k, v in given.items() if v is not None})
    if min(size.users, *size.items) < 1 or size.events < FEWEST_EVENTS or options.features < 0:
        parser.error(
            f"expected at least one user and item a domain, {FEWEST_EVENTS} events a history"
        )
    files = DatasetFiles(options.out / (options.name or options.size))
    command = " ".join(["python benchmarks/synthetic.py", *sys.argv[1:]])
    write(files, size, options.features, options.seed, command)
    print(files.folder)


def write(files: DatasetFiles, size: Size, features: int, seed: int, command: str) -> None:
    """Draw a data set and write its files; ``features`` is the length of their vectors, or 0."""
    rng = np.random.default_rng(seed)
    tokens = np.array([f"{name}{n:07d}" for name, n in _numbered(size)], dtype=object)
    domains = np.repeat(np.array(DOMAINS, dtype=object), size.items)
    write_items(files.items, pd.DataFrame({ITEM: tokens, DOMAIN: domains}))
    users = np.array([f"u{n:07d}" for n in range(size.users)], dtype=object)
    lengths = _lengths(rng, size)
    owner = np.repeat(np.arange(size.users), lengths)
    events = tokens[_drawn_items(rng, size, owner)]
    if size.split == LEAVE_ONE_OUT:
        times = FIRST_DAY + rng.integers(0, DAYS * DAY, len(owner))
        by_time = np.argsort(times, kind="stable")
        frame = pd.DataFrame({USER: users[owner], ITEM: events, TIME: times})
        write_interactions(files.inter, frame.iloc[by_time])
    else:
        _write_parts(files, users, np.split(events, np.cumsum(lengths)[:-1]))
    write_properties(files.properties, dataset_properties(list(DOMAINS), size.split), command)
    for kind in ("text", "image") if features else ():
        vectors = rng.standard_normal((len(tokens), features), dtype=np.float32)
        present = rng.random(len(tokens)) >= 0.05
        write_features(
            files.features(kind), Features(tokens.tolist(), vectors, present, "random", kind)
        )


def _numbered(size: Size) -> list[tuple[str, int]]:
    return [(name, n) for name, many in zip(DOMAINS, size.items, strict=True) for n in range(many)]


def _lengths(rng: np.random.Generator, size: Size) -> np.ndarray:
    """(users,) events of each history: skewed, from FEWEST_EVENTS on, unless all are the same."""
    if size.exactly:
        return np.full(size.users, size.events)
    mean = size.events - FEWEST_EVENTS
    return FEWEST_EVENTS + rng.geometric(1 / (mean + 1), size.users) - 1


def _drawn_items(rng: np.random.Generator, size: Size, owner: np.ndarray) -> np.ndarray:
    """(events,) positions in the item file; ``owner`` (events,) is the user of each event."""
    taste = rng.beta(2, 2, size.users)
    in_second = rng.random(len(owner)) < taste[owner]
    drawn = np.empty(len(owner), dtype=np.int64)
    for domain, many in enumerate(size.items):
        here = np.flatnonzero(in_second == bool(domain))
        # Zipf's law, over items in random order.
        cumulated = np.cumsum(np.arange(1, many + 1) ** -0.8)
        rank = np.searchsorted(cumulated, rng.random(len(here)) * cumulated[-1])
        drawn[here] = rng.permutation(many)[rank] + (size.items[0] if domain else 0)
    return drawn


def _write_parts(files: DatasetFiles, users: np.ndarray, histories: list[np.ndarray]) -> None:
    first, second = len(users) * 8 // 10, len(users) * 9 // 10
    bounds = {"train": (0, first), "valid": (first, second), "test": (second, len(users))}
    for part in SPLITS:
        chosen = slice(*bounds[part])
        frame = pd.DataFrame(
            {
                USER: users[chosen],
                HISTORY: [" ".join(items[:-1]) for items in histories[chosen]],
                ITEM: [items[-1] for items in histories[chosen]],
            }
        )
        write_histories(files.split_inter(part), frame)


if __name__ == "__main__":
    main()
