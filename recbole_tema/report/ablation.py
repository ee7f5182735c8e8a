"""``ablation_MODE``: what a model loses without each of its parts, beside the full model."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recbole_tema.evaluation.metrics import MRR, TOPK
from recbole_tema.report.layout import ABSENT
from recbole_tema.report.rendering import Layout, write_table
from recbole_tema.report.results import RunResult
from recbole_tema.report.significance import (
    DIGITS,
    cases_of_domains,
    holm,
    signed_rank_p,
    values_of_models,
)
from recbole_tema.report.tables import LEVELS, Table

FULL = "full model"
ABLATION_COLUMNS = (
    *("candidates", "model", "full", "changed", "domain", "metric", "mean", "std", "seeds"),
    *("difference_percent", "p", "p_holm", "cases", "different"),
)


@dataclass(frozen=True)
class Changed:
    """A row of the comparison: its label, that of its full model, and what is changed.

    The full model's ``what`` is ``FULL``, and None that of a model without an ablation.
    """

    label: str
    full: str
    what: str | None


@dataclass(frozen=True)
class LeftOut:
    """A row that was not run: the label of its full model, what would be changed, and why not."""

    full: str
    what: str
    reason: str


@dataclass(frozen=True)
class Difference:
    """A row against its full model, on one domain by one metric.

    percent: of the full model's mean, NaN where that is 0. p, p_holm: two-sided, and corrected over
    all differences of one table. cases: how many both were tested on, of which ``different``
    differ.
    """

    label: str
    domain: str
    metric: str
    percent: float
    p: float
    p_holm: float
    cases: int
    different: int


def write_ablation(
    changed: Sequence[Changed],
    left_out: Sequence[LeftOut],
    folder: Path,
    results: Sequence[RunResult],
    tables: Sequence[Table],
    topk: Sequence[int] = TOPK,
) -> list[Path]:
    """Write ``ablation_MODE.md``, ``.csv`` and ``.tex`` for each table; returns their paths.

    Args:
        changed: the rows, in the order of the table; those without a result yet are left out.
        left_out: what is told underneath.
        folder, results, tables, topk: of the comparison.
    """
    paths = []
    for table in tables:
        own = table.of_rows(each.label for each in changed)
        rows = [each for each in changed if each.label in own.models]
        found = differences(results, rows, table.candidates, topk)
        layout = _layout(own, rows, left_out, found)
        as_csv = _to_csv(own, rows, found)
        paths += write_table(folder, f"ablation_{table.candidates}", own, as_csv, layout)
    return paths


def differences(
    results: Sequence[RunResult],
    changed: Sequence[Changed],
    mode: str,
    topk: Sequence[int] = TOPK,
) -> list[Difference]:
    """Each row against its full model, by NDCG@k (the largest k) and MRR on each domain.

    The paired test is that of :mod:`recbole_tema.report.significance`, in the direction of the
    difference of the means. Rows whose full model has no result yet are left out, and so are
    domains without cases.
    """
    results = [run for run in results if mode in run.ranks]
    means = values_of_models(results, mode, topk)
    found = []
    for row in changed:
        if row.what in (None, FULL) or not {row.label, row.full} <= set(means):
            continue
        for domain, among in _domains(results[0]).items():
            for metric in (f"ndcg@{max(topk)}", MRR):
                full = means[row.full][metric][among]
                change = np.round(means[row.label][metric][among] - full, DIGITS)
                percent = 100 * change.mean() / full.mean() if full.any() else np.nan
                p = signed_rank_p(change if change.mean() >= 0 else -change)
                number = len(change), int(np.count_nonzero(change))
                found.append((row.label, domain, metric, float(percent), p, *number))
    corrected = holm([row[4] for row in found])
    return [Difference(*row[:5], p, *row[5:]) for row, p in zip(found, corrected, strict=True)]


def _domains(run: RunResult) -> dict[str, np.ndarray]:
    """Which cases are of each domain that has any; not all together."""
    found = cases_of_domains(run.cases)
    return {name: found[name] for name in run.cases.domain_names if found[name].any()}


def _layout(
    table: Table,
    rows: Sequence[Changed],
    left_out: Sequence[LeftOut],
    found: Sequence[Difference],
) -> Layout:
    # With one model the rows need not name it.
    alone = len({each.full for each in rows}) == 1

    def name(full: str, what: str | None) -> str:
        return what or full if alone or not what else f"{full}: {what}"

    texts = {(each.label, each.domain, each.metric): _text(each) for each in found}
    columns = dict.fromkeys((each.domain, each.metric) for each in found)
    last = {
        f"Δ {domain} {metric.upper()} (%)": [
            texts.get((each.label, domain, metric), ABSENT) for each in rows
        ]
        for domain, metric in columns
    }
    notes = []
    if found:
        levels = ", ".join(f"{mark} p < {level}" for level, mark in sorted(LEVELS.items())[::-1])
        notes = [f"Δ: difference from the full model in per cent ({levels}: paired, Holm)"]
    return Layout(
        first={"Changed": [name(each.full, each.what) for each in rows]},
        last=last,
        notes=notes,
        underneath=[f"{name(each.full, each.what)}: left out, {each.reason}" for each in left_out],
    )


def _text(difference: Difference) -> str:
    if np.isnan(difference.percent):
        return ABSENT
    mark = next((LEVELS[p] for p in sorted(LEVELS) if difference.p_holm < p), "")
    # + 0.0: no minus before nothing.
    return f"{round(difference.percent, 1) + 0.0:+.1f}{mark}"


def _to_csv(table: Table, rows: Sequence[Changed], found: Sequence[Difference]) -> str:
    """A line for each row, domain and metric, unrounded; empty what is absent."""
    by_place = {(each.label, each.domain, each.metric): each for each in found}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(ABLATION_COLUMNS)
    for i, j, k in np.ndindex(table.mean.shape):
        domain, metric = table.domains[j], table.metrics[k]
        numbers = [table.mean[i, j, k], table.std[i, j, k]]
        line = [table.candidates, rows[i].label, rows[i].full, rows[i].what or "", domain, metric]
        line += ["" if np.isnan(number) else repr(float(number)) for number in numbers]
        line.append(str(table.seeds[i, j]))
        each = by_place.get((rows[i].label, domain, metric))
        if each:
            percent = "" if np.isnan(each.percent) else repr(each.percent)
            line += [percent, repr(each.p), repr(each.p_holm), str(each.cases), str(each.different)]
        writer.writerow([*line, *([""] * (len(ABLATION_COLUMNS) - len(line)))])
    return text.getvalue()
