"""Comparison tables from metrics alone: a row for each model, a column for each domain and metric.

One table a candidates mode, as Markdown, CSV, LaTeX and plain text.
"""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recbole_tema.formats import atomic_write
from recbole_tema.report.results import DomainMetrics

DECIMALS = 4
ABSENT = "–"
CSV_COLUMNS = ("candidates", "model", "domain", "metric", "mean", "std", "seeds")
LATEX_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        **{character: f"\\{character}" for character in "&%$#_{}"},
    }
)
MARKDOWN_ESCAPES = str.maketrans({character: f"\\{character}" for character in "\\`*_|<[]"})


@dataclass(frozen=True)
class Table:
    """Means and spreads over seeds of every model under one candidates mode.

    mean, std: float64, shape (models, domains, metrics). A mean is NaN where a domain has no cases;
    a std (ddof = 1) is NaN for a model with one seed. seeds: the number of each model's seeds.
    """

    candidates: str
    models: tuple[str, ...]
    domains: tuple[str, ...]
    metrics: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    seeds: tuple[int, ...]

    def best(self) -> np.ndarray:
        """Bool, shape (models, domains, metrics): whether a value is the highest of its column.

        Values are compared as they are printed, so two that read the same are both best. With one
        model there is nothing to compare, and nothing is best.
        """
        if len(self.models) < 2:
            return np.zeros(self.mean.shape, dtype=bool)
        printed = np.array([float(f"{mean:.{DECIMALS}f}") for mean in self.mean.flat])
        printed = np.where(np.isnan(printed), -np.inf, printed).reshape(self.mean.shape)
        return (printed == printed.max(axis=0)) & ~np.isnan(self.mean)


def tables_of_metrics(
    metrics: Mapping[str, Mapping[int, Mapping[str, DomainMetrics]]],
) -> list[Table]:
    """One table for each candidates mode, in the order in which ``metrics`` names them.

    ``metrics`` is what ``metrics_of_results`` or ``read_metrics`` gives. A model that was not
    scored under a mode has no row in that table. Raises ValueError when domains or metrics differ.
    """
    modes = dict.fromkeys(
        mode for seeds in metrics.values() for run in seeds.values() for mode in run
    )
    return [_table(metrics, mode) for mode in modes]


def _table(metrics: Mapping[str, Mapping[int, Mapping[str, DomainMetrics]]], mode: str) -> Table:
    runs = {
        model: [run[mode] for run in seeds.values() if mode in run]
        for model, seeds in metrics.items()
    }
    runs = {model: seeds for model, seeds in runs.items() if seeds}
    domains, names = _axes(next(iter(runs.values()))[0])
    mean, std = [], []
    for model, seeds in runs.items():
        for run in seeds:
            if _axes(run) != (domains, names):
                raise ValueError(
                    f"{model} has the domains and metrics {_axes(run)} under {mode}, but the other "
                    f"models have {(domains, names)}; compare runs of one data set and one topk"
                )
        values = np.array([[[run[d][m] for m in names] for d in domains] for run in seeds])
        mean.append(values.mean(axis=0))
        spread = values.std(axis=0, ddof=1) if len(seeds) > 1 else np.full(mean[-1].shape, np.nan)
        std.append(spread)
    return Table(
        candidates=mode,
        models=tuple(runs),
        domains=domains,
        metrics=names,
        mean=np.array(mean),
        std=np.array(std),
        seeds=tuple(map(len, runs.values())),
    )


def _axes(run: DomainMetrics) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(run), tuple(next(iter(run.values())))


def to_markdown(table: Table) -> str:
    """A Markdown table, the best of each column in bold."""

    def cell(value: str, best: bool) -> str:
        return f"**{value}**" if best else value

    head = [
        f"{domain} {metric.upper()}".translate(MARKDOWN_ESCAPES)
        for domain in table.domains
        for metric in table.metrics
    ]
    body = [
        [model.translate(MARKDOWN_ESCAPES), *row]
        for model, row in zip(table.models, _cells(table, cell), strict=True)
    ]
    rows = _aligned([["Model", *head], *body])
    widths = [len(text) for text in rows[0]]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [f"| {' | '.join(row)} |" for row in (rows[0], rule, *rows[1:])]
    return f"{_caption(table, 'in bold')}\n\n" + "\n".join(lines) + "\n"


def to_csv(table: Table) -> str:
    """A line for each model, domain and metric: ``CSV_COLUMNS``, unrounded.

    What is absent (the std of one seed, the mean of no cases) is empty.
    """

    def number(value: np.ndarray) -> str:
        return "" if np.isnan(value) else repr(float(value))

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for i, j, k in np.ndindex(table.mean.shape):
        names = table.candidates, table.models[i], table.domains[j], table.metrics[k]
        mean, std = number(table.mean[i, j, k]), number(table.std[i, j, k])
        writer.writerow([*names, mean, std, table.seeds[i]])
    return text.getvalue()


def to_latex(table: Table) -> str:
    r"""A LaTeX ``tabular`` with booktabs rules, the best of each column in ``\textbf``."""

    def cell(value: str, best: bool) -> str:
        mean, plus_minus, std = value.replace(ABSENT, "--").partition(" ± ")
        mean = rf"\textbf{{{mean}}}" if best else mean
        return rf"{mean} $\pm$ {std}" if plus_minus else mean

    width = len(table.metrics)
    groups = [
        rf"\multicolumn{{{width}}}{{c}}{{{domain.translate(LATEX_ESCAPES)}}}"
        for domain in table.domains
    ]
    rules = [
        rf"\cmidrule(lr){{{2 + j * width}-{1 + (j + 1) * width}}}"
        for j in range(len(table.domains))
    ]
    names = [metric.upper().translate(LATEX_ESCAPES) for metric in table.metrics]
    body = [
        " & ".join([model.translate(LATEX_ESCAPES), *row]) + r" \\"
        for model, row in zip(table.models, _cells(table, cell), strict=True)
    ]
    lines = [
        f"% {_caption(table, 'in bold')}",
        r"% Needs \usepackage{booktabs}.",
        rf"\begin{{tabular}}{{l{'r' * (width * len(table.domains))}}}",
        r"\toprule",
        " & ".join(["", *groups]) + r" \\",
        "".join(rules),
        " & ".join(["Model", *names * len(table.domains)]) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def to_text(table: Table, width: int = 120) -> str:
    """A table for a terminal of ``width`` columns; domains that do not fit come underneath."""

    def cell(value: str, best: bool) -> str:
        return value + ("*" if best else " ")

    cells = _cells(table, cell)
    metrics = [f"{metric.upper()} " for metric in table.metrics]
    names = ["", "Model", *table.models]
    names = [name.ljust(max(map(len, names))) for name in names]
    blocks: list[list[str]] = []
    for j, domain in enumerate(table.domains):
        columns = slice(j * len(metrics), (j + 1) * len(metrics))
        rows = _aligned([["", *metrics], *(["", *row[columns]] for row in cells)])
        lines = ["  ".join(row) for row in rows]
        title = "  " + f" {domain} ".center(len(lines[0]) - 2, "-")
        lines = [title.ljust(len(lines[0])), *lines]
        if blocks and len(blocks[-1][0]) + len(lines[0]) <= width:
            blocks[-1] = [left + right for left, right in zip(blocks[-1], lines, strict=True)]
        else:
            blocks.append([name + line for name, line in zip(names, lines, strict=True)])
    text = "\n\n".join("\n".join(line.rstrip() for line in block) for block in blocks)
    return f"{_caption(table, 'marked *')}\n\n{text}\n"


def write_tables(folder: Path, tables: Iterable[Table]) -> list[Path]:
    """Write ``table_MODE.md``, ``.csv`` and ``.tex`` for each table; returns their paths."""
    renderers = {"md": to_markdown, "csv": to_csv, "tex": to_latex}
    paths = []
    for table in tables:
        for suffix, render in renderers.items():
            paths.append(Path(folder) / f"table_{table.candidates}.{suffix}")
            with atomic_write(paths[-1]) as beside:
                beside.write_text(render(table), encoding="utf-8", newline="")
    return paths


def _caption(table: Table, mark: str) -> str:
    counts = sorted(set(table.seeds))
    seeds = "" if counts == [1] else f"; mean ± std over {'–'.join(map(str, counts))} seeds"
    best = f"; best {mark}" if len(table.models) > 1 else ""
    return f"Candidates: {table.candidates}{seeds}{best}"


def _cells(table: Table, cell: Callable[[str, bool], str]) -> list[list[str]]:
    """The texts of each model's row, domain after domain, put through ``cell(text, is_best)``."""
    best = table.best()
    return [
        [
            cell(_value(mean, std), bool(is_best))
            for mean, std, is_best in zip(
                table.mean[i].ravel(), table.std[i].ravel(), best[i].ravel(), strict=True
            )
        ]
        for i in range(len(table.models))
    ]


def _value(mean: float, std: float) -> str:
    if np.isnan(mean):
        return ABSENT
    spread = "" if np.isnan(std) else f" ± {std:.{DECIMALS}f}"
    return f"{mean:.{DECIMALS}f}{spread}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """The rows with each column padded to one width: the first to the right, others to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows]
