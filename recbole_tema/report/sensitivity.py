"""``sweep_KEY_MODE``: what each value of one setting brings, as tables and as a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recbole_tema.evaluation.metrics import MRR, TOPK
from recbole_tema.formats import ALL_DOMAINS, file_name_of
from recbole_tema.report.drawing import (
    COLOURS,
    DASHES,
    LABEL_SIZE,
    TEXT_COLOUR,
    TITLE_SIZE,
    new_figure,
    quiet,
    save,
    shared_legend,
)
from recbole_tema.report.rendering import Layout, write_table
from recbole_tema.report.results import RunResult
from recbole_tema.report.tables import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SWEEP_COLUMNS = (
    *("candidates", "model", "key", "value", "given", "domain", "metric", "mean", "std", "seeds"),
)
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
# From this factor between the largest and the smallest value on, the axis is logarithmic.
LOG_FROM = 10
# Values that are written out at the axis; more are left to its own ticks.
MOST_TICKS = 10
# Inches of a panel.
PANEL_WIDTH, PANEL_HEIGHT = 4.2, 2.9


@dataclass(frozen=True)
class Point:
    """A row of the comparison as a point of a curve.

    model: the label of the row whose setting is varied. value: of the setting. label: the row's.
    given: whether the value is that of the settings as they were given.
    """

    model: str
    value: Any
    label: str
    given: bool = False


@dataclass(frozen=True)
class Sweep:
    """The points of one setting, in the order in which they were asked for."""

    key: str
    points: tuple[Point, ...]

    @property
    def models(self) -> list[str]:
        """What is varied, in order."""
        return list(dict.fromkeys(point.model for point in self.points))

    @property
    def numeric(self) -> bool:
        """Whether all values are numbers."""
        return all(
            isinstance(point.value, (int, float)) and not isinstance(point.value, bool)
            for point in self.points
        )

    def ordered(self) -> list[Point]:
        """The points model by model, numbers from the smallest on."""
        place = {model: at for at, model in enumerate(self.models)}
        return sorted(
            self.points,
            key=lambda point: (place[point.model], point.value if self.numeric else 0),
        )


def value_text(value: Any) -> str:
    """A value as ``--sweep`` takes it: ``0.001``, ``[single, merged]``, ``~``."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(value_text, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {value_text(each)}' for key, each in value.items())}}}"
    return "~" if value is None else str(value)


def write_sweeps(
    sweeps: Sequence[Sweep],
    folder: Path,
    results: Sequence[RunResult],
    tables: Sequence[Table],
    topk: Sequence[int] = TOPK,
) -> list[Path]:
    """Write ``sweep_KEY_MODE.md``, ``.csv``, ``.tex``, ``.png`` for each; returns their paths.

    Args:
        sweeps: the settings that are varied; points without a result yet are left out.
        folder, results, tables, topk: of the comparison, whose tables have all there is to tell.
    """
    paths = []
    for sweep in sweeps:
        for table in tables:
            stem = f"sweep_{file_name_of(sweep.key)}_{table.candidates}"
            points = [point for point in sweep.ordered() if point.label in table.models]
            if not points:
                continue
            own = table.of_rows(point.label for point in points)
            as_csv = _to_csv(own, sweep, points)
            paths += write_table(folder, stem, own, as_csv, _layout(sweep, points))
            picture = _write_picture(Path(folder) / f"{stem}.png", own, sweep, points)
            paths += [picture] if picture else []
    return paths


def _layout(sweep: Sweep, points: Sequence[Point]) -> Layout:
    first = {"Model": [point.model for point in points]} if len(sweep.models) > 1 else {}
    texts = [value_text(point.value) + " *" * point.given for point in points]
    return Layout({**first, sweep.key: texts}, notes=["*: as given"])


def _to_csv(table: Table, sweep: Sweep, points: Sequence[Point]) -> str:
    """A line for each point, domain and metric, unrounded; empty what is absent."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(SWEEP_COLUMNS)
    for i, j, k in np.ndindex(table.mean.shape):
        point, numbers = points[i], (table.mean[i, j, k], table.std[i, j, k])
        line = [table.candidates, point.model, sweep.key, value_text(point.value)]
        line += [str(point.given), table.domains[j], table.metrics[k]]
        line += ["" if np.isnan(number) else repr(float(number)) for number in numbers]
        writer.writerow([*line, table.seeds[i, j]])
    return text.getvalue()


# ---- the picture -----------------------------------------------------------------------------


def _write_picture(path: Path, table: Table, sweep: Sweep, points: Sequence[Point]) -> Path | None:
    """A panel for each domain and for NDCG@k (the largest k) and MRR, a line for each model.

    Whiskers are one standard deviation over seeds; a ring marks the settings as given. None without
    matplotlib.
    """
    domains = [domain for domain in table.domains if domain != ALL_DOMAINS]
    metrics = [*[name for name in table.metrics if name.startswith("ndcg@")][-1:], MRR]
    figure = new_figure(PANEL_WIDTH * len(domains), PANEL_HEIGHT * len(metrics) + 0.4)
    if figure is None:
        return None
    places, names = _places(sweep, points)
    panels = figure.subplots(len(metrics), len(domains), sharex=True, sharey="row", squeeze=False)
    for row, metric in zip(panels, metrics, strict=True):
        for axes, domain in zip(row, domains, strict=True):
            j, k = table.domains.index(domain), table.metrics.index(metric)
            _lines(axes, points, places, table.mean[:, j, k], table.std[:, j, k])
            axes.set_title(
                f"{domain}: {metric.upper()}",
                loc="left",
                fontsize=TITLE_SIZE,
                color=TEXT_COLOUR,
                parse_math=False,
            )
    for axes in panels[-1]:
        axes.set_xlabel(f"{sweep.key} (ring: as given)", fontsize=LABEL_SIZE, color=TEXT_COLOUR)
        _ticks(axes, places, names)
    shared_legend(figure, panels[0, 0])
    return save(figure, path)


def _lines(
    axes: Axes, points: Sequence[Point], places: Sequence[float], mean: np.ndarray, std: np.ndarray
) -> None:
    """The curve of each model, in one panel."""
    for index, model in enumerate(dict.fromkeys(point.model for point in points)):
        own = [at for at, point in enumerate(points) if point.model == model]
        own.sort(key=lambda at: places[at])
        x, spread = [places[at] for at in own], np.nan_to_num(std[own])
        colour = COLOURS[index % len(COLOURS)]
        axes.plot(
            x,
            mean[own],
            color=colour,
            linestyle=DASHES[index // len(COLOURS) % len(DASHES)],
            marker=MARKERS[index % len(MARKERS)],
            markersize=5,
            linewidth=1.6,
            label=model,
        )
        if spread.any():
            axes.errorbar(x, mean[own], yerr=spread, fmt="none", ecolor=colour, capsize=3)
        for at in own:
            if points[at].given:
                axes.plot(
                    places[at],
                    mean[at],
                    marker="o",
                    markersize=11,
                    markerfacecolor="none",
                    markeredgecolor=colour,
                )
    quiet(axes)


def _places(sweep: Sweep, points: Sequence[Point]) -> tuple[list[float], dict[float, str]]:
    """Where each point is on the axis, and the names of the places; numbers are their own."""
    if sweep.numeric and not _uneven(points):
        return [float(p.value) for p in points], {}
    texts = [value_text(point.value) for point in points]
    if sweep.numeric:
        order = [value_text(each) for each in sorted({point.value for point in points})]
    else:
        order = list(dict.fromkeys(texts))
    at = {text: float(number) for number, text in enumerate(order)}
    return [at[text] for text in texts], {place: text for text, place in at.items()}


def _uneven(points: Sequence[Point]) -> bool:
    """Whether numbers span magnitudes and 0 or less too, which no logarithm shows."""
    return _spans([p.value for p in points if p.value > 0]) and min(p.value for p in points) <= 0


def _spans(values: Sequence[float]) -> bool:
    return bool(values) and max(values) >= LOG_FROM * min(values)


def _ticks(axes: Axes, places: Sequence[float], names: dict[float, str]) -> None:
    """A tick for each value; on a logarithmic axis where the values span it."""
    if names:
        turned = max(map(len, names.values())) * len(names) > 55
        axes.set_xticks(
            list(names),
            list(names.values()),
            rotation=30 if turned else 0,
            ha="right" if turned else "center",
            parse_math=False,
        )
        axes.set_xlim(-0.5, len(names) - 0.5)
        return
    values = sorted(set(places))
    if values[0] > 0 and _spans(values):
        axes.set_xscale("log")
    if len(values) <= MOST_TICKS:
        axes.set_xticks(values, [f"{value:g}" for value in values])
        axes.set_xticks([], minor=True)
