"""From the ranks of all runs to breakdowns: which cases are hard, and for which model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recbole_tema.evaluation.metrics import MRR, TOPK, metrics_by_domain
from recbole_tema.report.results import Cases, RunResult
from recbole_tema.report.tables import Table, tables_of_metrics

# Groups of about equally many cases.
BINS = 5


@dataclass(frozen=True)
class Groups:
    """Cases in groups.

    labels: names of the groups, in their order; index: int, shape (n,), the group of each case.
    """

    labels: tuple[str, ...]
    index: np.ndarray

    def counts(self) -> list[int]:
        """How many cases are in each group."""
        return np.bincount(self.index, minlength=len(self.labels)).tolist()


def by_popularity(cases: Cases) -> Groups:
    """Cold targets, then the others in quantile bins of their training interactions."""
    seen = cases.target_count > 0
    labels, index = _quantile_bins(cases.target_count[seen], BINS - 1)
    groups = np.zeros(len(cases), dtype=np.int64)
    groups[seen] = index + 1
    if seen.all():
        return Groups(labels, groups - 1)
    return Groups(("cold", *labels), groups)


def by_history(cases: Cases) -> Groups:
    """Quantile bins of the number of events before the target."""
    return Groups(*_quantile_bins(cases.history_length, BINS))


def by_last_domain(cases: Cases) -> Groups:
    """Whether the event before the target was in the target's domain."""
    return Groups(("same domain", "other domain"), cases.from_other.astype(np.int64))


def _quantile_bins(values: np.ndarray, bins: int) -> tuple[tuple[str, ...], np.ndarray]:
    """At most ``bins`` ranges of whole numbers that split ``values`` (n,) most evenly.

    A number is in one range only, so there are fewer where many values are equal. Returns the
    ranges as texts, each named by the least and the largest value in it, and (n,) their numbers.
    """
    if not values.size:
        return (), np.zeros(0, dtype=np.int64)
    ends = np.unique(np.quantile(values, np.arange(1, bins + 1) / bins, method="inverted_cdf"))
    index = np.searchsorted(ends, values)
    inside = [values[index == number] for number in range(len(ends))]
    return tuple(_range(int(part.min()), int(part.max())) for part in inside), index


def _range(least: int, most: int) -> str:
    return f"{least:,}" if least == most else f"{least:,}–{most:,}"


def table_of_groups(
    results: Sequence[RunResult], mode: str, groups: Groups, topk: Sequence[int] = TOPK
) -> Table:
    """NDCG at the largest k and MRR of each model in each group, and of all cases.

    The groups stand in the place of the domains. Means and spreads are over seeds.
    """
    ndcg = f"ndcg@{max(topk)}"
    metrics: dict[str, dict[int, dict[str, dict[str, dict[str, float]]]]] = {}
    for run in results:
        if mode not in run.ranks:
            continue
        found = metrics_by_domain(run.ranks[mode], groups.index, groups.labels, topk)
        chosen = {name: {m: values[m] for m in (ndcg, MRR)} for name, values in found.items()}
        metrics.setdefault(run.model, {})[run.seed] = {mode: chosen}
    (table,) = tables_of_metrics(metrics)
    return table


@dataclass(frozen=True)
class Confusion:
    """What each model gets right (target among the best k) that another one misses.

    cases: their number. hits: float64, shape (models,), how many each gets right. counts: float64,
    shape (models, models), how many the row's model gets right and the column's misses. With
    several seeds these are means over pairs of runs, one of each model; on the diagonal over pairs
    of two seeds of one model (NaN with one seed), which is what chance alone brings.
    """

    models: tuple[str, ...]
    cases: int
    hits: np.ndarray
    counts: np.ndarray


def confusion(results: Sequence[RunResult], mode: str, among: np.ndarray, k: int) -> Confusion:
    """The confusion of all models under ``mode`` over the cases ``among`` (bool, shape (n,))."""
    by_model: dict[str, list[np.ndarray]] = {}
    for run in results:
        if mode in run.ranks:
            by_model.setdefault(run.model, []).append(run.ranks[mode][among] <= k)
    share = np.array([np.mean(hits, axis=0) for hits in by_model.values()])
    counts = share @ (1 - share).T
    for index, hits in enumerate(by_model.values()):
        n = len(hits)
        # Of n² pairs of runs n are of a run with itself, and differ in nothing.
        counts[index, index] = counts[index, index] * n / (n - 1) if n > 1 else np.nan
    return Confusion(tuple(by_model), int(among.sum()), share.sum(axis=1), counts)
