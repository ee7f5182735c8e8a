"""Where the marks of each chart go; ``charts.svg`` in the templates draws them.

Charts are small, and a page puts as many beside each other as there is room for, so that their
text stays readable on a phone. Lengths are in the units of a chart's viewBox, of which a screen
shows about one a pixel.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recbole_tema.report.layout import ABSENT
from recbole_tema.report.rendering import cells_of
from recbole_tema.report.tables import DECIMALS, Table

# Colours, dashes and marks of the templates; together they tell many models apart.
COLOURS, DASHES, MARKS = 7, 3, 6

WIDTH = 340
# Bars: a row has the model's name above its bar and the value behind it.
ROW, BAR_LENGTH, LONGEST_NAME = 36, 218, 46
# Lines: the area of the marks.
LEFT, RIGHT, TOP, BOTTOM, HEIGHT = 44, 334, 12, 186, 228
DODGE = 4.0


@dataclass(frozen=True)
class Style:
    """How a model is drawn: numbers of its colour, dash and mark."""

    colour: int
    dash: int
    mark: int


def styles(models: Sequence[str]) -> dict[str, Style]:
    """A style for each model, such that no two of some dozens are drawn alike."""
    return {
        model: Style(at % COLOURS, at // COLOURS % DASHES, at % MARKS)
        for at, model in enumerate(models)
    }


@dataclass(frozen=True)
class Bar:
    """One row: texts, and along the axis the bar's end and the ends of its whisker."""

    model: str
    name: str
    text: str
    best: bool
    style: Style
    end: float
    whisker: tuple[float, float] | None
    text_at: float


@dataclass(frozen=True)
class BarChart:
    """A bar for each model, of one metric in one domain."""

    title: str
    description: str
    bars: list[Bar]

    @property
    def height(self) -> int:
        return ROW * len(self.bars) + 4


def bar_charts(table: Table, metrics: Sequence[str], look: Mapping[str, Style]) -> list[BarChart]:
    """For each of ``metrics`` a chart of every domain with cases, all on one scale."""
    cells = cells_of(table)
    charts = []
    for metric in metrics:
        k = table.metrics.index(metric)
        reach = table.mean[:, :, k] + np.nan_to_num(table.std[:, :, k])
        longest = float(np.nanmax(reach, initial=0)) or 1.0
        for j, domain in enumerate(table.domains):
            if np.isnan(table.mean[:, j, k]).all():
                continue
            bars = []
            for i, model in enumerate(table.models):
                cell = cells[i][j * len(table.metrics) + k]
                mean, std = float(table.mean[i, j, k]), float(table.std[i, j, k])
                low, high = (BAR_LENGTH * each / longest for each in (mean - std, mean + std))
                whisker = (max(low, 0.0), high) if std > 0 else None
                end = BAR_LENGTH * mean / longest
                behind = (whisker[1] if whisker else end) + 6
                text = cell.mean + cell.spread
                bars.append(
                    Bar(model, _cut(model), text, cell.best, look[model], end, whisker, behind)
                )
            says = "; ".join(f"{bar.model} {bar.text}" for bar in bars)
            title = f"{domain}: {metric.upper()}, candidates {table.candidates}"
            charts.append(BarChart(title, says, bars))
    return charts


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


@dataclass(frozen=True)
class Point:
    """A mark, what it stands for, and the ends of its whisker."""

    x: float
    y: float
    text: str
    whisker: tuple[float, float] | None = None


@dataclass(frozen=True)
class Line:
    """The marks of one model, and whether a line goes through them all."""

    model: str
    style: Style
    points: list[Point]
    marked: list[Point]

    @property
    def path(self) -> str:
        """The points of an SVG polyline."""
        return " ".join(f"{point.x:.1f},{point.y:.1f}" for point in self.points)


@dataclass(frozen=True)
class LineChart:
    """Lines over ``x_ticks`` (place, label, label underneath) and ``y_ticks`` (place, label)."""

    title: str
    description: str
    lines: list[Line]
    x_ticks: list[tuple[float, str, str]]
    y_ticks: list[tuple[float, str]]
    x_title: str


def group_chart(
    table: Table, metric: str, counts: Sequence[int], x_title: str, look: Mapping[str, Style]
) -> LineChart:
    """A line for each model over the groups that stand in ``table`` as domains.

    The last column, of all cases, is left out; so are groups without cases.
    """
    k = table.metrics.index(metric)
    mean, std = table.mean[:, :-1, k], np.nan_to_num(table.std[:, :-1, k])
    ticks = _ticks(0.0, float(np.nanmax(mean + std, initial=0)))
    step = (RIGHT - LEFT) / max(len(counts), 1)
    places = [LEFT + step * (number + 0.5) for number in range(len(counts))]
    spread = min(DODGE, 0.6 * step / len(table.models))
    lines, says = [], []
    for i, model in enumerate(table.models):
        shift = (i - (len(table.models) - 1) / 2) * spread
        points = []
        for j, label in enumerate(table.domains[:-1]):
            if np.isnan(mean[i, j]):
                continue
            low, high = (_height(mean[i, j] + sign * std[i, j], ticks) for sign in (-1, 1))
            value = f"{mean[i, j]:.{DECIMALS}f}" + (f" ± {std[i, j]:.4f}" if std[i, j] else "")
            points.append(
                Point(
                    places[j] + shift,
                    _height(mean[i, j], ticks),
                    f"{model}, {label}: {value}",
                    (low, high) if std[i, j] else None,
                )
            )
        lines.append(Line(model, look[model], points, points))
        values = ", ".join(f"{value:.3f}" for value in mean[i])
        says.append(f"{model} {values.replace('nan', ABSENT)}")
    return LineChart(
        title=f"{metric.upper()}, candidates {table.candidates}",
        description=f"From {table.domains[0]} to {table.domains[-2]}: {'; '.join(says)}",
        lines=lines,
        x_ticks=[
            (place, label, f"n = {count:,}")
            for place, label, count in zip(places, table.domains, counts, strict=False)
        ],
        y_ticks=[(_height(tick, ticks), f"{tick:.{_decimals(ticks)}f}") for tick in ticks],
        x_title=x_title,
    )


def curves_chart(
    curves: Mapping[str, Mapping[int, Mapping[int, float]]],
    best: Mapping[tuple[str, int], int],
    metric: str,
    look: Mapping[str, Style],
) -> LineChart | None:
    """The validation metric over the epochs, a line for each model and seed; None: nothing to draw.

    Args:
        curves: {model: {seed: {epoch: value}}}; what is not finite is left out.
        best: the epoch that was chosen, by model and seed.
        metric: the name of what is drawn.
        look: of each model.
    """
    found = {
        (model, seed): [(e, v) for e, v in sorted(curve.items()) if math.isfinite(v)]
        for model, seeds in curves.items()
        for seed, curve in seeds.items()
    }
    found = {run: points for run, points in found.items() if points}
    if not found:
        return None
    values = [value for points in found.values() for _, value in points]
    ticks = _ticks(min(values), max(values))
    last = max(epoch for points in found.values() for epoch, _ in points)
    epochs = [round(tick) for tick in _ticks(0, max(last, 1)) if tick == round(tick) <= last]

    def across(epoch: float) -> float:
        return LEFT + 8 + (RIGHT - LEFT - 16) * epoch / max(last, 1)

    lines = []
    for (model, seed), drawn in found.items():
        points = {
            epoch: Point(
                across(epoch),
                _height(value, ticks),
                f"{model}, seed {seed}, epoch {epoch}: {value:.{DECIMALS}f}",
            )
            for epoch, value in drawn
        }
        chosen = [points[epoch] for epoch in [best[model, seed]] if epoch in points]
        lines.append(Line(model, look[model], list(points.values()), chosen))
    return LineChart(
        title=f"{metric.upper()} on the validation cases by epoch",
        description="The table beside it has each model's best epoch.",
        lines=lines,
        x_ticks=[(across(epoch), str(epoch), "") for epoch in epochs],
        y_ticks=[(_height(tick, ticks), f"{tick:.{_decimals(ticks)}f}") for tick in ticks],
        x_title="Epoch (mark: the chosen one)",
    )


def _height(value: float, ticks: Sequence[float]) -> float:
    """Where a value is drawn between the first and the last tick."""
    share = (value - ticks[0]) / (ticks[-1] - ticks[0])
    return BOTTOM - (BOTTOM - TOP) * min(max(share, 0.0), 1.0)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers, four to seven steps, around ``low`` … ``high``."""
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / 4))
    step = next(each * power for each in (1, 2, 2.5, 5, 10) if span / (each * power) <= 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * number for number in range(first, max(last, first + 1) + 1)]


def _decimals(ticks: Sequence[float]) -> int:
    """As many as tell neighbouring ticks apart."""
    step = ticks[1] - ticks[0]
    return next(n for n in range(10) if abs(round(step, n) - step) < 1e-6 * step)
