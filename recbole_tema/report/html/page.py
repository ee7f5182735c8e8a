"""What stands on the page, put into its template."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from recbole_tema.evaluation.metrics import MRR
from recbole_tema.formats import ALL_DOMAINS, atomic_write
from recbole_tema.report.cost import cost_table
from recbole_tema.report.html import charts
from recbole_tema.report.html.analysis import (
    Groups,
    by_history,
    by_last_domain,
    by_popularity,
    confusion,
    table_of_groups,
)
from recbole_tema.report.html.items import Card
from recbole_tema.report.rendering import caption_of, cells_of
from recbole_tema.report.results import Cases, Failures, RunResult
from recbole_tema.report.tables import DECIMALS, Table

REPORT_FILE = "report.html"

_Look = Mapping[str, charts.Style]


@dataclass(frozen=True)
class DatasetFigures:
    """Sizes of a data set: its users, and of each domain the items and training interactions."""

    name: str
    users: int
    items: tuple[int, ...]
    interactions: tuple[int, ...]


@dataclass(frozen=True)
class Example:
    """One test case to look at.

    case: its number. kind: cold, rare or popular, of the target. history: the items just before the
    target, oldest first. top: of each model what it recommends, best first. rank: of each model the
    target's rank among all items that could be.
    """

    case: int
    kind: str
    target: str
    history: tuple[str, ...]
    top: dict[str, tuple[str, ...]] = field(default_factory=dict)
    rank: dict[str, float] = field(default_factory=dict)

    @property
    def items(self) -> set[str]:
        """All that are shown."""
        return {self.target, *self.history, *(item for top in self.top.values() for item in top)}


@dataclass(frozen=True)
class Report:
    """All that a page is made of.

    models, seeds: all that there will be. results: the runs so far. curves: the validation metric
    ``valid_metric`` by epoch. settings: of each model what was set by files or command. cards: of
    all items in ``examples``. versions: of programs.
    """

    models: Sequence[str]
    seeds: Sequence[int]
    results: Sequence[RunResult]
    tables: Sequence[Table]
    topk: Sequence[int]
    curves: Mapping[str, Mapping[int, Mapping[int, float]]]
    valid_metric: str
    dataset: DatasetFigures
    settings: Mapping[str, Mapping[str, Any]]
    failures: Failures
    examples: Sequence[Example]
    cards: Mapping[str, Card]
    versions: Mapping[str, str]


def write_report(folder: Path, report: Report) -> Path:
    """Write ``report.html``; it is whole at any time. There has to be a result."""
    path = Path(folder) / REPORT_FILE
    with atomic_write(path) as beside:
        beside.write_text(to_html(report), encoding="utf-8")
    return path


def to_html(report: Report) -> str:
    """The page. Names, titles and tags come out as they are, never as markup."""
    environment = Environment(
        loader=PackageLoader("recbole_tema.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["rank"] = _rank
    template = environment.get_template("page.html")
    cases = report.results[0].cases
    # Of all that there will be, so that a model keeps its colour from run to run.
    look = charts.styles(report.models)
    finished = dict.fromkeys(run.model for run in report.results)
    cost_caption, cost_head, cost_rows = cost_table(report.results)
    return template.render(
        report=report,
        cases=cases,
        domains=cases.domain_names,
        modes=[table.candidates for table in report.tables],
        ndcg=f"ndcg@{max(report.topk)}",
        k=max(report.topk),
        planned=len(report.models) * len(report.seeds),
        figures=_figures(report.dataset, cases),
        settings=_settings({model: report.settings[model] for model in finished}),
        results=[_result(table, report.topk, look) for table in report.tables],
        cost={"caption": cost_caption, "head": cost_head, "rows": cost_rows},
        curves=_curves(report, look),
        breakdowns=_breakdowns(report, cases, look),
        confusions=_confusions(report, cases),
        style_of={model: look[model] for model in finished},
    )


def _result(table: Table, topk: Sequence[int], look: _Look) -> dict[str, Any]:
    return {
        "table": _table(table, table.domains, caption_of(table, "in bold", "underlined")),
        "charts": charts.bar_charts(table, [f"ndcg@{max(topk)}", MRR], look),
        "tests": table.tests,
    }


def _table(table: Table, heads: Sequence[str], caption: str) -> dict[str, Any]:
    return {
        "caption": caption,
        "mode": table.candidates,
        "heads": heads,
        "metrics": [metric.upper() for metric in table.metrics],
        "rows": list(zip(table.models, cells_of(table), strict=True)),
    }


def _figures(dataset: DatasetFigures, cases: Cases) -> list[dict[str, Any]]:
    """A row for each domain and one for all."""
    rows = []
    for number, name in [*enumerate(cases.domain_names), (None, ALL_DOMAINS)]:
        among = np.ones(len(cases), dtype=bool) if number is None else cases.domain == number
        of = slice(None) if number is None else slice(number, number + 1)
        n = int(among.sum())
        rows.append(
            {
                "name": name,
                "items": sum(dataset.items[of]),
                "interactions": sum(dataset.interactions[of]),
                "cases": n,
                "cold": int((cases.target_count[among] == 0).sum()),
                "from_other": int(cases.from_other[among].sum()),
                "history": float(np.median(cases.history_length[among])) if n else None,
            }
        )
    return rows


def _settings(given: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, list[str]]]:
    """(key, value, models), one line where all models share a value; no models stands for all."""
    lines: list[tuple[str, str, list[str]]] = []
    for key in dict.fromkeys(key for settings in given.values() for key in settings):
        by_value: dict[str, list[str]] = {}
        for model, settings in given.items():
            if key in settings:
                value = settings[key]
                text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                by_value.setdefault(text, []).append(model)
        for text, models in by_value.items():
            lines.append((key, text, [] if len(models) == len(given) else models))
    return lines


def _curves(report: Report, look: _Look) -> dict[str, Any]:
    best = {(run.model, run.seed): run.best_epoch for run in report.results}
    rows = []
    for run in report.results:
        value = report.curves.get(run.model, {}).get(run.seed, {}).get(run.best_epoch)
        text = "–" if value is None else f"{value:.{DECIMALS}f}"
        rows.append((run.model, run.seed, run.epochs, run.best_epoch, text))
    chart = charts.curves_chart(report.curves, best, report.valid_metric, look)
    return {"chart": chart, "rows": rows}


def _breakdowns(report: Report, cases: Cases, look: _Look) -> list[dict[str, Any]]:
    """For each way to group the cases, for each mode a table and charts."""
    ways = (
        ("popularity", "Training interactions of the target", by_popularity(cases)),
        ("history", "Events before the target", by_history(cases)),
        ("last", "The event before the target", by_last_domain(cases)),
    )
    return [
        {
            "name": name,
            "x_title": x_title,
            "modes": [_breakdown(report, table, groups, x_title, look) for table in report.tables],
        }
        for name, x_title, groups in ways
    ]


def _breakdown(
    report: Report, whole: Table, groups: Groups, x_title: str, look: _Look
) -> dict[str, Any]:
    table = table_of_groups(report.results, whole.candidates, groups, report.topk)
    counts = groups.counts()
    heads = [
        f"{label} (n = {count:,})"
        for label, count in zip(table.domains, [*counts, sum(counts)], strict=True)
    ]
    return {
        "table": _table(table, heads, caption_of(table, "in bold", "underlined")),
        "charts": [
            charts.group_chart(table, metric, counts, x_title, look) for metric in table.metrics
        ],
    }


def _confusions(report: Report, cases: Cases) -> list[dict[str, Any]]:
    """For each mode the confusions of every domain with cases."""
    found = []
    for table in report.tables:
        by_domain = [
            (name, confusion(report.results, table.candidates, among, max(report.topk)))
            for number, name in enumerate(cases.domain_names)
            if (among := cases.domain == number).any()
        ]
        found.append({"mode": table.candidates, "domains": by_domain})
    return found


def _rank(rank: float) -> str:
    """A rank as text: 1,204 or 3.5."""
    return f"{rank:,.0f}" if rank == int(rank) else f"{rank:,.1f}"
