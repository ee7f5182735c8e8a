"""The outcome of runs: ``metrics.json``, ``ranks.csv.gz``, ``timing.json``, ``failures.json``.

The first two hold nothing that varies between two runs with one seed; times and memory are in the
third. The last is there only where runs failed.
"""

import csv
import gzip
import io
import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recbole_tema.evaluation.metrics import TOPK, metrics_by_domain
from recbole_tema.formats import ALL_DOMAINS, DOMAIN, USER, FormatError, atomic_write

METRICS_FILE = "metrics.json"
RANKS_FILE = "ranks.csv.gz"
TIMING_FILE = "timing.json"
FAILURES_FILE = "failures.json"
FACT_COLUMNS = ("history_length", "target_count", "from_other_domain")
RANKS_COLUMNS = (
    *("model", "seed", "candidates", USER, DOMAIN, "target_item_id"),
    *FACT_COLUMNS,
    "rank",
)

DomainMetrics = dict[str, dict[str, float]]
"""{domain: {metric: value}}"""
Metrics = dict[str, dict[int, dict[str, DomainMetrics]]]
"""{model: {seed: {candidates: {domain: {metric: value}}}}}"""
Failures = dict[str, dict[int, str]]
"""{model: {seed: why there is no result of it}}"""


@dataclass(frozen=True)
class Cases:
    """The test cases, the same for every model.

    users: n outside names of users; targets: n outside names of items; domain: int, shape (n,), the
    index into ``domain_names`` of each target's domain. history_length, target_count: int, shape
    (n,), events before the target, and training interactions of the target (0: cold). from_other:
    bool, shape (n,), whether the event before the target was in the other domain.
    """

    users: Sequence[str]
    targets: Sequence[str]
    domain: np.ndarray
    domain_names: tuple[str, ...]
    history_length: np.ndarray
    target_count: np.ndarray
    from_other: np.ndarray

    def __post_init__(self) -> None:
        columns: list[Sized] = [self.users, self.targets, self.domain, *self.facts]
        lengths = tuple(len(column) for column in columns)
        if len(set(lengths)) > 1:
            raise ValueError(
                "every case has a user, a target and a domain, a history, a count of its target "
                f"and a domain before; got {lengths} of them"
            )
        if ALL_DOMAINS in self.domain_names:
            raise ValueError(f"no domain may be called {ALL_DOMAINS!r}: it stands for all cases")

    def __len__(self) -> int:
        return len(self.users)

    @property
    def facts(self) -> tuple[np.ndarray, ...]:
        """What is known about each case, in the order of ``FACT_COLUMNS``."""
        return self.history_length, self.target_count, self.from_other

    def same_as(self, other: "Cases") -> bool:
        """Whether both hold the same cases in the same order."""
        return self is other or (
            self.domain_names == other.domain_names
            and list(self.users) == list(other.users)
            and list(self.targets) == list(other.targets)
            and np.array_equal(self.domain, other.domain)
            and all(map(np.array_equal, self.facts, other.facts))
        )


@dataclass(frozen=True)
class RunResult:
    """What one row of a comparison with one seed achieved, and what it took.

    model: the row's label: a model's name, with what is its own in brackets (``TEMA (paper)``).
    ranks: for each candidates mode (``uni999``, ``full``) float64, shape (n,), in the order of
    ``cases``. Times are in seconds of wall clock; ``eval_seconds`` is that of all modes together,
    which share one forward pass. ``peak_memory`` and ``peak_gpu_memory``
    (None: no GPU) are in bytes, see ``training.memory``.
    """

    model: str
    seed: int
    cases: Cases
    ranks: Mapping[str, np.ndarray]
    epochs: int
    best_epoch: int
    parameters: int
    train_seconds: float
    seconds_per_epoch: float
    eval_seconds: float
    peak_memory: int
    peak_gpu_memory: int | None = None

    def __post_init__(self) -> None:
        for mode, ranks in self.ranks.items():
            if np.shape(ranks) != (len(self.cases),):
                raise ValueError(
                    f"{self.model}, seed {self.seed}, {mode}: expected one rank for each of "
                    f"{len(self.cases)} cases, got an array of shape {np.shape(ranks)}"
                )


def metrics_of_results(results: Iterable[RunResult], topk: Sequence[int] = TOPK) -> Metrics:
    """The metrics of some runs; models, seeds and candidates in the order of the runs.

    Raises ValueError when two runs have one model and seed, or when their cases differ.
    """
    results = list(results)
    check_comparable(results)
    metrics: Metrics = {}
    for run in results:
        metrics.setdefault(run.model, {})[run.seed] = {
            mode: metrics_by_domain(ranks, run.cases.domain, run.cases.domain_names, topk)
            for mode, ranks in run.ranks.items()
        }
    return metrics


def write_metrics(folder: Path, results: Iterable[RunResult], topk: Sequence[int] = TOPK) -> Path:
    """Write ``metrics.json``: {model: {seed: {candidates: {domain: {metric: value}}}}}, unrounded.

    Models and candidates are sorted by name, seeds by number; domains stand in the data set's order
    with ``all`` last, metrics in the order of ``metric_names``. NaN (a domain without cases) is
    null.
    """
    metrics = metrics_of_results(results, topk)
    tree = {
        model: {
            str(seed): {
                mode: {
                    domain: {k: None if math.isnan(v) else v for k, v in values.items()}
                    for domain, values in metrics[model][seed][mode].items()
                }
                for mode in sorted(metrics[model][seed])
            }
            for seed in sorted(metrics[model])
        }
        for model in sorted(metrics)
    }
    return _write_json(Path(folder) / METRICS_FILE, tree)


def read_metrics(path: Path) -> Metrics:
    """Read a ``metrics.json``: seeds as numbers, null as NaN. Raises FormatError."""
    try:
        tree = json.loads(Path(path).read_text(encoding="utf-8"))
        return {
            model: {
                int(seed): {
                    mode: {
                        domain: {k: math.nan if v is None else float(v) for k, v in values.items()}
                        for domain, values in domains.items()
                    }
                    for mode, domains in modes.items()
                }
                for seed, modes in seeds.items()
            }
            for model, seeds in tree.items()
        }
    except (ValueError, AttributeError, TypeError) as error:
        raise FormatError(
            f"{path}: not {{model: {{seed: {{candidates: {{domain: {{metric: value}}}}}}}}}}: "
            f"{error}; write it anew with a run"
        ) from error


def write_timing(folder: Path, results: Iterable[RunResult]) -> Path:
    """Write ``timing.json``: {model: {seed: facts about the training and the evaluation}}."""
    tree: dict[str, dict[str, Any]] = {}
    for run in sorted(results, key=lambda run: (run.model, run.seed)):
        tree.setdefault(run.model, {})[str(run.seed)] = {
            "epochs": run.epochs,
            "best_epoch": run.best_epoch,
            "parameters": run.parameters,
            "train_seconds": run.train_seconds,
            "seconds_per_epoch": run.seconds_per_epoch,
            "eval_seconds": run.eval_seconds,
            "peak_memory": run.peak_memory,
            "peak_gpu_memory": run.peak_gpu_memory,
        }
    return _write_json(Path(folder) / TIMING_FILE, tree)


def write_failures(folder: Path, failures: Failures) -> None:
    """Write ``failures.json``, {model: {seed: reason}}; without failures there is no such file."""
    if failures:
        tree = {
            model: {str(seed): reason for seed, reason in seeds.items()}
            for model, seeds in failures.items()
        }
        _write_json(Path(folder) / FAILURES_FILE, tree)
    else:
        (Path(folder) / FAILURES_FILE).unlink(missing_ok=True)


def write_ranks(folder: Path, results: Iterable[RunResult]) -> Path:
    """Write ``ranks.csv.gz``, one line a rank, in the order of ``metrics.json`` and of the cases.

    A line has the facts about its case (see :class:`Cases`; ``from_other_domain`` is 0 or 1), and
    the rank as short as it can be read back exactly: ``3``, ``3.5``. The same ranks give the same
    bytes. Raises ValueError as ``metrics_of_results`` does.
    """
    results = list(results)
    check_comparable(results)
    results.sort(key=lambda run: (run.model, run.seed))
    path = Path(folder) / RANKS_FILE
    columns = _case_columns(results[0].cases) if results else []
    # Without a name and a time in its header, a gzip file depends on its contents alone.
    with (
        atomic_write(path) as beside,
        open(beside, "wb") as file,
        gzip.GzipFile("", mode="wb", compresslevel=6, fileobj=file, mtime=0) as packed,
    ):
        packed.write(f"{_csv_line(RANKS_COLUMNS)}\n".encode())
        for run in results:
            for mode in sorted(run.ranks):
                prefix = _csv_line([run.model, str(run.seed), mode])
                ranks = _shortest(run.ranks[mode])
                lines = [f"{prefix},{c},{r}\n" for c, r in zip(columns, ranks, strict=True)]
                packed.write("".join(lines).encode())
    return path


def read_ranks(path: Path) -> pd.DataFrame:
    """Read a ``ranks.csv.gz``: str, but int64 for ``seed`` and facts, float64 for ``rank``.

    Raises FormatError on other columns, on an unreadable number or file, and on a rank below 1.
    """
    numbers = {**dict.fromkeys(("seed", *FACT_COLUMNS), np.int64), "rank": np.float64}
    text = dict.fromkeys(set(RANKS_COLUMNS) - set(numbers), str)
    try:
        frame = pd.read_csv(
            path,
            dtype={**text, **numbers},
            keep_default_na=False,
            na_filter=False,
            float_precision="round_trip",
        )
    except (ValueError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FormatError(f"{path}: not a rank file: {error}; write it anew with a run") from error
    if tuple(frame.columns) != RANKS_COLUMNS:
        raise FormatError(
            f"{path}: line 1: expected the columns {','.join(RANKS_COLUMNS)}, "
            f"found {','.join(map(str, frame.columns))}"
        )
    bad = np.flatnonzero(~(frame["rank"].to_numpy() >= 1))
    if bad.size:
        raise FormatError(
            f"{path}: line {bad[0] + 2}: expected a rank from 1 on, found {frame['rank'][bad[0]]}"
        )
    return frame


def check_comparable(results: Sequence[RunResult]) -> None:
    """Raise ValueError when two runs have one model and seed, or when their cases differ."""
    seen = set()
    for run in results:
        if (run.model, run.seed) in seen:
            raise ValueError(f"two runs of {run.model} with seed {run.seed}: give each its own")
        seen.add((run.model, run.seed))
        if not run.cases.same_as(results[0].cases):
            raise ValueError(
                f"{run.model} with seed {run.seed} was tested on other cases than "
                f"{results[0].model} with seed {results[0].seed}; compare runs on one data set"
            )


def _case_columns(cases: Cases) -> list[str]:
    """The part of each case's line that does not depend on the run."""
    domains = [cases.domain_names[index] for index in cases.domain.tolist()]
    facts = (map(str, fact.astype(np.int64).tolist()) for fact in cases.facts)
    rows = zip(cases.users, domains, cases.targets, *facts, strict=True)
    return [_csv_line(row) for row in rows]


def _csv_line(cells: Iterable[str]) -> str:
    """The cells between commas, quoted where they need it, without the line's end."""
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue().removesuffix("\r\n")


def _shortest(ranks: np.ndarray) -> list[str]:
    """Each rank as the shortest text that gives the same float: ``3`` and ``3.5``."""
    values, inverse = np.unique(ranks, return_inverse=True)
    texts = [repr(value).removesuffix(".0") for value in values.tolist()]
    return [texts[index] for index in inverse.tolist()]


def _write_json(path: Path, tree: Mapping[str, Any]) -> Path:
    with atomic_write(path) as beside:
        text = json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False)
        beside.write_text(text + "\n", encoding="utf-8")
    return path
