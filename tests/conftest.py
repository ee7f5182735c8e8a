"""Fixtures that all tests share."""

import logging
import os
import signal
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recbole_tema.formats import (
    DOMAIN,
    HISTORY,
    ITEM,
    LEAVE_ONE_OUT,
    SPLITS,
    TIME,
    USER,
    DatasetFiles,
    Features,
    Graph,
    dataset_properties,
    tag_vocabulary,
    write_features,
    write_graph,
    write_histories,
    write_interactions,
    write_items,
    write_properties,
    write_tags,
)

# One thread, as below, in the processes that tests start too.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A background job ignores Ctrl-C, and so would the processes that tests start and interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder with the real data; tests that need it skip where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"the real data are not on this machine (looked for {SHARED})")
    return SHARED


# ---- a tiny data set of two domains ----------------------------------------------------------

DOMAINS = ("food", "kitchen")
FOOD = tuple(f"f{number}" for number in range(1, 13))
KITCHEN = tuple(f"k{number}" for number in range(1, 10))
TAGS = ("baking", "blue", "coffee", "quick", "steel", "sweet")


@dataclass(frozen=True)
class TinyDataset:
    """A data set on disk and what it was made from, all by token.

    ``items`` stand in file order, which mixes the domains. ``histories`` are [(user, [item, …])]
    in time order, oldest first; of a pre-split data set they are kept by split in ``splits``.
    """

    files: DatasetFiles
    items: tuple[str, ...]
    histories: list[tuple[str, list[str]]] = field(default_factory=list)
    splits: dict[str, list[tuple[str, list[str]]]] = field(default_factory=dict)
    vectors: dict[str, dict[str, np.ndarray | None]] = field(default_factory=dict)
    tags: dict[str, dict[str, float]] = field(default_factory=dict)
    domains: tuple[str, ...] = DOMAINS

    def domain_of(self, item: str) -> str:
        return DOMAINS[item not in FOOD]


def vector_of(token: str, size: int) -> np.ndarray:
    """Some vector that depends on the token alone."""
    return np.random.default_rng(zlib.crc32(token.encode())).normal(size=size).astype(np.float32)


def random_histories(number: int, seed: int, least: int = 1, most: int = 9) -> list:
    """[(user, items)]: mixed domains, repeats, and lengths that start with the shortest."""
    rng = np.random.default_rng(seed)
    lengths = [least, least + 1, least + 2, *rng.integers(least, most + 1, number - 3)]
    items = np.array([*FOOD, *KITCHEN])
    return [
        (f"u{user}", [str(item) for item in rng.choice(items, size=length)])
        for user, length in enumerate(lengths)
    ]


def _write_part(files: DatasetFiles, split: str, histories: Sequence) -> None:
    write_histories(
        files.split_inter(split),
        pd.DataFrame(
            {
                USER: [user for user, _ in histories],
                HISTORY: [" ".join(items[:-1]) for _, items in histories],
                ITEM: [items[-1] for _, items in histories],
            }
        ),
    )


def _write_vectors(path: Path, kind: str, tokens: Sequence[str], vectors: Mapping) -> None:
    size = next(len(vector) for vector in vectors.values() if vector is not None)
    rows = [np.zeros(size) if vectors[token] is None else vectors[token] for token in tokens]
    present = np.array([vectors[token] is not None for token in tokens])
    matrix = np.array(rows, np.float32)
    write_features(path, Features(list(tokens), matrix, present, "by token", kind))


RELATIONS = ("brand", "tag", "also_buy")


def _write_graph(files: DatasetFiles, items: Sequence[str]) -> None:
    """Edges drawn at random; some items have none, some pairs several."""
    rng = np.random.default_rng(7)
    joined = rng.random((len(items), len(items), len(RELATIONS))) < 0.15
    joined[np.arange(len(items)), np.arange(len(items))] = False
    joined[:2] = False
    own, neighbours, relations = joined.nonzero()
    weights = rng.uniform(0.5, 3, len(own)).astype(np.float32)
    ends = np.searchsorted(own, np.arange(len(items) + 1))
    tokens, names = list(items), list(RELATIONS)
    write_graph(
        files.graph,
        Graph(tokens, names, ends, neighbours, relations.astype(np.uint8), weights, "by hand"),
    )


def write_tiny_dataset(
    root: Path,
    name: str = "tiny",
    split: str = LEAVE_ONE_OUT,
    histories: list | None = None,
    splits: dict | None = None,
    text: int = 6,
    image: int = 4,
    tags: bool = True,
    tag: int = 5,
    graph: bool = True,
    absent: Mapping[str, Sequence[str]] | None = None,
) -> TinyDataset:
    """Write a data set of 12 food and 9 kitchen items below ``root``.

    Args:
        root: the folder of data sets.
        name: of the data set.
        split: leave_one_out or pre_split.
        histories: [(user, items)]; random by default.
        splits: {part: [(user, items)]} for pre-split; random by default.
        text, image, tag: the lengths of those vectors; 0: no such file.
        tags, graph: whether there are any.
        absent: {kind: items without}.
    """
    files = DatasetFiles(root / name)
    rng = np.random.default_rng(5)
    items = tuple(str(item) for item in rng.permutation([*FOOD, *KITCHEN]))
    domains = [DOMAINS[item not in FOOD] for item in items]
    write_items(files.items, pd.DataFrame({ITEM: items, DOMAIN: domains}))
    write_properties(files.properties, dataset_properties(list(DOMAINS), split), "by hand")

    if split == LEAVE_ONE_OUT:
        histories = random_histories(40, seed=1) if histories is None else histories
        rows = [(user, item) for user, events in histories for item in events]
        frame = pd.DataFrame(rows, columns=[USER, ITEM])
        # Days of several events each: the order within a day is that of the file.
        frame[TIME] = frame.groupby(USER).cumcount() // 3
        write_interactions(files.inter, frame)
    else:
        if splits is None:
            everyone = random_histories(60, seed=2, least=2)
            parts = (everyone[:40], everyone[40:50], everyone[50:])
            splits = dict(zip(SPLITS, parts, strict=True))
        for part in SPLITS:
            _write_part(files, part, splits[part])

    if graph:
        _write_graph(files, items)
    lacking = {"text": ("f2", "k3"), "image": ("f2", "k1", "k4"), "tags": ("f3", "k5")}
    lacking = {**lacking, **(absent or {})}
    vectors = {
        kind: {
            item: None if item in lacking[kind] else vector_of(f"{kind} of {item}", size)
            for item in items
        }
        for kind, size in (("text", text), ("image", image))
        if size
    }
    for kind, by_item in vectors.items():
        _write_vectors(files.features(kind), kind, items, by_item)
    tags_of: dict[str, dict[str, float]] = {}
    if tags:
        for item in items:
            number = 0 if item in lacking["tags"] else int(rng.integers(1, 4))
            chosen = rng.choice(TAGS, size=number, replace=False)
            tags_of[item] = {str(each): round(float(rng.uniform(0.1, 1)), 3) for each in chosen}
        write_tags(files.tags, tags_of)
        if tag:
            names = tag_vocabulary(tags_of)
            of_tags = {each: vector_of(f"tag {each}", tag) for each in names}
            _write_vectors(files.features("tag"), "tag", names, of_tags)
            vectors["tag"] = dict(of_tags)
    return TinyDataset(files, items, histories or [], splits or {}, vectors, tags_of)


@pytest.fixture
def tiny_dataset(tmp_path: Path) -> Callable[..., TinyDataset]:
    """``tiny_dataset(**choices)``: see :func:`write_tiny_dataset`, in a folder of this test's."""
    return partial(write_tiny_dataset, tmp_path / "dataset")


@pytest.fixture(scope="session")
def tiny_dataset_in() -> Callable[..., TinyDataset]:
    """``tiny_dataset_in(root, **choices)``: :func:`write_tiny_dataset`, for fixtures that last."""
    return write_tiny_dataset


# ---- configurations and data sets of RecBole's kind ------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny tensors are slower on several threads, much so where others use the processors."""
    import torch

    torch.set_num_threads(1)


@contextmanager
def root_logger_kept() -> Iterator[None]:
    """RecBole sets the root logger's level and handlers for the whole process."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    try:
        yield
    finally:
        root.setLevel(level)
        for handler in set(root.handlers) - set(handlers):
            handler.close()
        root.handlers[:] = handlers


@pytest.fixture(autouse=True)
def logging_kept() -> Iterator[None]:
    with root_logger_kept():
        yield


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef) -> Iterator[None]:
    """Runs in fixtures of a whole module: those are made before any test's ``logging_kept``."""
    with nullcontext() if fixturedef.scope == "function" else root_logger_kept():
        return (yield)


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder: RecBole writes logs and checkpoints below the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def quick_config(model: str, tiny: TinyDataset, **settings: Any) -> Any:
    """A configuration for tests: one quick and quiet epoch on a processor."""
    from recbole_tema.config import TEMAConfig

    quick = {
        "data_path": str(tiny.files.folder.parent),
        "epochs": 1,
        "train_batch_size": 32,
        "show_progress": False,
        "MAX_ITEM_LIST_LENGTH": 5,
        "candidates": "full,uni4",
        "gpu_id": "",
    }
    return TEMAConfig(model, tiny.files.name, config_dict={**quick, **settings})


@pytest.fixture
def config_of(in_tmp: Path, one_thread: None) -> Callable[..., Any]:
    """``config_of(model, tiny, **settings)``: :func:`quick_config`, in a folder of this test's."""
    return quick_config


@pytest.fixture(scope="session")
def lasting_config_of(one_thread: None) -> Callable[..., Any]:
    """``config_of`` for fixtures that last; they have to see to the current folder themselves."""
    return quick_config


@pytest.fixture
def tiny(tiny_dataset, in_tmp, one_thread):
    """The tiny data set for a run by the command."""
    return tiny_dataset()


@pytest.fixture
def trained(monkeypatch):
    """The (model, seed) of every run that is trained, gone on with or ranked again."""
    from recbole_tema import comparison
    from recbole_tema.training.run import train_and_rank

    done = []

    def counting(config, *arguments):
        done.append((config["model"], config["seed"]))
        return train_and_rank(config, *arguments)

    monkeypatch.setattr(comparison, "train_and_rank", counting)
    return done
