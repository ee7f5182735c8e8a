"""Comparison tables as Markdown, CSV, LaTeX and plain text."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from recbole_tema.report.layout import (
    ABSENT,
    aligned,
    latex_lines,
    latex_name,
    markdown_lines,
    markdown_name,
    write_forms,
)
from recbole_tema.report.significance import write_tests
from recbole_tema.report.tables import DECIMALS, LEVELS, Table

CSV_COLUMNS = ("candidates", "model", "domain", "metric", "mean", "std", "seeds")
LATEX_MARKS = {"†": r"$^{\dagger}$", "‡": r"$^{\ddagger}$", "": ""}


@dataclass(frozen=True)
class Cell:
    """One value: ``mean`` and ``spread`` (" ± std" or nothing), and what there is to it."""

    mean: str
    spread: str
    best: bool
    second: bool
    mark: str


@dataclass(frozen=True)
class Layout:
    """What a table has beside its values.

    first: columns in front by their head, a text for each row. last: columns at the end, likewise;
    numbers that may carry a mark of ``LEVELS``. notes: more of the caption. underneath: sentences
    below the table.
    """

    first: Mapping[str, Sequence[str]]
    last: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    underneath: Sequence[str] = ()


def to_markdown(table: Table, layout: Layout | None = None) -> str:
    """A Markdown table, the best of each column in bold and the second underlined."""
    layout = layout or Layout({"Model": table.models})

    def text(cell: Cell) -> str:
        value = cell.mean + cell.spread
        value = f"**{value}**" if cell.best else f"<u>{value}</u>" if cell.second else value
        return value + cell.mark

    head = [
        markdown_name(f"{domain} {metric.upper()}")
        for domain in table.domains
        for metric in table.metrics
    ]
    rows = [[*map(markdown_name, layout.first), *head, *map(markdown_name, layout.last)]]
    for names, values, more in _rows(layout, _texts(table, text)):
        rows.append([*map(markdown_name, names), *values, *more])
    lines = markdown_lines(rows, len(layout.first))
    notes = [f"- {markdown_name(note)}" for note in layout.underneath]
    parts = [
        "; ".join([caption_of(table, "in bold", "underlined"), *layout.notes]),
        "\n".join(lines),
        *(["\n".join(notes)] if notes else []),
    ]
    return "\n\n".join(parts) + "\n"


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
        writer.writerow([*names, mean, std, table.seeds[i, j]])
    return text.getvalue()


def to_latex(table: Table, layout: Layout | None = None) -> str:
    r"""A LaTeX ``tabular`` with booktabs rules, the best in ``\textbf``, then ``\underline``."""
    layout = layout or Layout({"Model": table.models})

    def text(cell: Cell) -> str:
        mean = cell.mean.replace(ABSENT, "--")
        mean = rf"\textbf{{{mean}}}" if cell.best else mean
        mean = rf"\underline{{{mean}}}" if cell.second else mean
        return mean + cell.spread.replace("±", r"$\pm$") + LATEX_MARKS[cell.mark]

    width = len(table.metrics)
    groups = [rf"\multicolumn{{{width}}}{{c}}{{{latex_name(domain)}}}" for domain in table.domains]
    before = len(layout.first)
    rules = [
        rf"\cmidrule(lr){{{1 + before + j * width}-{before + (j + 1) * width}}}"
        for j in range(len(table.domains))
    ]
    names = [latex_name(metric.upper()) for metric in table.metrics]
    body = [
        [*map(latex_name, first), *row, *map(_latex_last, last)]
        for first, row, last in _rows(layout, _texts(table, text))
    ]
    blank = [""] * before
    above = [" & ".join([*blank, *groups, *([""] * len(layout.last))]) + r" \\", "".join(rules)]
    head = [*map(latex_name, layout.first), *names * len(table.domains)]
    head += map(_latex_last, layout.last)
    caption = "; ".join([caption_of(table, "in bold", "underlined"), *layout.notes])
    lines = latex_lines(caption, head, body, above, before)
    return "\n".join([*lines, *(f"% {note}" for note in layout.underneath)]) + "\n"


def to_text(table: Table, width: int = 120) -> str:
    """A table for a terminal of ``width`` columns; domains that do not fit come underneath."""

    marked = any(table.marks().flat)

    def text(cell: Cell) -> str:
        value = cell.mean + cell.spread + ("*" if cell.best else " ")
        return value + (cell.mark or " ") if marked else value

    cells = _texts(table, text)
    metrics = [f"{metric.upper()} {' ' * marked}" for metric in table.metrics]
    names = ["", "Model", *table.models]
    names = [name.ljust(max(map(len, names))) for name in names]
    blocks: list[list[str]] = []
    for j, domain in enumerate(table.domains):
        columns = slice(j * len(metrics), (j + 1) * len(metrics))
        rows = aligned([["", *metrics], *(["", *row[columns]] for row in cells)])
        lines = ["  ".join(row) for row in rows]
        title = "  " + f" {domain} ".center(len(lines[0]) - 2, "-")
        lines = [title.ljust(len(lines[0])), *lines]
        if blocks and len(blocks[-1][0]) + len(lines[0]) <= width:
            blocks[-1] = [left + right for left, right in zip(blocks[-1], lines, strict=True)]
        else:
            blocks.append([name + line for name, line in zip(names, lines, strict=True)])
    whole = "\n\n".join("\n".join(line.rstrip() for line in block) for block in blocks)
    return f"{caption_of(table, 'marked *')}\n\n{whole}\n"


def write_table(
    folder: Path, stem: str, table: Table, as_csv: str, layout: Layout | None = None
) -> list[Path]:
    """Write ``STEM.md``, ``.csv`` (the text ``as_csv``) and ``.tex``; returns their paths."""
    texts = {"md": to_markdown(table, layout), "csv": as_csv, "tex": to_latex(table, layout)}
    return write_forms(folder, stem, texts)


def write_tables(folder: Path, tables: Iterable[Table]) -> list[Path]:
    """Write ``table_MODE.md``, ``.csv`` and ``.tex`` for each table; returns their paths.

    Beside them ``tests_MODE.csv``, where there are tests.
    """
    paths = []
    for table in tables:
        paths += write_table(folder, f"table_{table.candidates}", table, to_csv(table))
        if table.tests:
            paths.append(write_tests(folder, table.candidates, table.tests))
    return paths


def _rows(
    layout: Layout, values: list[list[str]]
) -> Iterator[tuple[Sequence[str], list[str], Sequence[str]]]:
    """For each row the texts in front, of the values, and at the end."""
    first = list(zip(*layout.first.values(), strict=True))
    last = list(zip(*layout.last.values(), strict=True)) if layout.last else [()] * len(values)
    return zip(first, values, last, strict=True)


def _latex_last(text: str) -> str:
    """A text with signs and marks: -3.1‡, Δ NDCG@10 (%)."""
    text = latex_name(text).replace(ABSENT, "--").replace("Δ", r"$\Delta$")
    text = re.sub(r"^[+-][\d.]+", lambda number: f"${number[0]}$", text)
    for mark in LEVELS.values():
        text = text.replace(mark, LATEX_MARKS[mark])
    return text


def caption_of(table: Table, best: str, second: str = "") -> str:
    """What a table holds, and how its best and second values are marked."""
    counts = np.unique(table.seeds[table.seeds > 0]).tolist()
    parts = [f"Candidates: {table.candidates}"]
    if counts != [1]:
        parts.append(f"mean ± std over {'–'.join(map(str, counts))} seeds")
    if len(table.models) > 1:
        parts.append(f"best {best}{second and f', second {second}'}")
    if any(table.marks().flat):
        levels = " or ".join(f"{mark} p < {level}" for level, mark in sorted(LEVELS.items())[::-1])
        parts.append(f"{levels}: better than the best other model (paired, Holm)")
    return "; ".join(parts)


def cells_of(table: Table) -> list[list[Cell]]:
    """Each model's row, domain after domain."""
    each = (table.mean, table.std, table.best(), table.second(), table.marks())
    return [
        [_cell(*values) for values in zip(*(array[i].ravel() for array in each), strict=True)]
        for i in range(len(table.models))
    ]


def _texts(table: Table, text: Callable[[Cell], str]) -> list[list[str]]:
    """Those rows as ``text`` writes them."""
    return [list(map(text, row)) for row in cells_of(table)]


def _cell(mean: float, std: float, best: bool, second: bool, mark: str) -> Cell:
    if np.isnan(mean):
        return Cell(ABSENT, "", False, False, "")
    spread = "" if np.isnan(std) else f" ± {std:.{DECIMALS}f}"
    return Cell(f"{mean:.{DECIMALS}f}", spread, best, second, mark)
