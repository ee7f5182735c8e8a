"""Pictures of a comparison: bars of the metrics, and learning curves.

Where matplotlib cannot be imported a warning says so and no picture is written; tables and metrics
do not depend on it. Figures are made without pyplot, so a caller's own figures, backend and
settings stay untouched, and the same numbers give the same bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recbole_tema.evaluation.metrics import MRR
from recbole_tema.formats import atomic_write
from recbole_tema.report.tables import DECIMALS, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES_FILE = "learning_curves.png"
DPI = 150
TEXT_COLOUR = "#333333"
RULE_COLOUR = "#d9d9d9"
# Okabe and Ito's colours for every kind of colour vision (https://jfly.uni-koeln.de/color), but
# without yellow, which is faint on white, and with grey for black, which hides whiskers. The order
# keeps neighbours apart in lightness too.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999")
# Beyond seven models the colours come again, told apart by these.
HATCHES = ("", "////", "....")
DASHES = ("-", "--", ":")
VALUE_SIZE, TICK_SIZE, LABEL_SIZE, TITLE_SIZE = 7.5, 9, 10, 11
# Inches: of a figure with few bars and with many, and of a bar with a readable value above it.
NARROW, WIDE, VALUE_WIDTH = 6.5, 14.0, 0.42

logger = logging.getLogger(__name__)


def write_comparison_plot(folder: Path, table: Table) -> Path | None:
    """Write ``comparison_MODE.png``: a panel each for NDCG@k (the largest k) and MRR.

    Domains side by side, a bar for each model, whiskers of one standard deviation where a model has
    several seeds. Returns the path, or None without matplotlib.
    """
    metrics = [*[name for name in table.metrics if name.startswith("ndcg@")][-1:], MRR]
    wanted = VALUE_WIDTH * len(table.domains) * (len(table.models) + 1)
    width = min(max(NARROW, wanted), WIDE)
    figure = _figure(width, 3.1 * len(metrics) + 0.5)
    if figure is None:
        return None
    panels = figure.subplots(len(metrics), 1, sharex=True, squeeze=False)[:, 0]
    for axes, metric in zip(panels, metrics, strict=True):
        _bars(axes, table, table.metrics.index(metric), upright=wanted > WIDE)
        title = f"{metric.upper()}, candidates {table.candidates}"
        axes.set_title(title, loc="left", fontsize=TITLE_SIZE, color=TEXT_COLOUR)
    panels[-1].set_xticks(range(len(table.domains)), table.domains, parse_math=False)
    _legend(figure, panels[0])
    return _save(figure, Path(folder) / f"comparison_{table.candidates}.png")


def write_learning_curves(
    folder: Path, curves: Mapping[str, Mapping[int, Mapping[int, float]]], metric: str
) -> Path | None:
    """Write ``learning_curves.png``: the validation metric of each model over its epochs.

    A line for each seed, thin where a model has several. Its best epoch (the first, of equals) is
    marked with a dot.

    Args:
        curves: {model: {seed: {epoch: value}}}; what has no epochs or only NaN is left out.
        metric: the name of what is drawn.

    Returns:
        The path, or None when there is nothing to draw or no matplotlib.
    """
    points = {
        model: [
            np.array(drawn, dtype=float)
            for curve in seeds.values()
            if (drawn := sorted((e, v) for e, v in curve.items() if np.isfinite(v)))
        ]
        for model, seeds in curves.items()
    }
    points = {model: lines for model, lines in points.items() if lines}
    figure = _figure(NARROW, 3.9) if points else None
    if figure is None:
        return None
    axes = figure.subplots()
    for index, (model, lines) in enumerate(points.items()):
        colour, turn = COLOURS[index % len(COLOURS)], index // len(COLOURS) % len(DASHES)
        width, dot = (1.8, 6) if len(lines) == 1 else (0.9, 4)
        for seed, line in enumerate(lines):
            epochs, values = line.T
            best = values.argmax()
            name = "_" if seed else model  # one entry a model in the legend
            axes.plot(
                epochs, values, color=colour, linestyle=DASHES[turn], linewidth=width, label=name
            )
            axes.plot(epochs[best], values[best], "o", color=colour, markersize=dot)
    _quiet(axes)
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel("Epoch", fontsize=LABEL_SIZE, color=TEXT_COLOUR)
    title = f"{metric.upper()} on the validation cases (dot: best epoch)"
    axes.set_title(title, loc="left", fontsize=TITLE_SIZE, color=TEXT_COLOUR)
    _legend(figure, axes)
    return _save(figure, Path(folder) / CURVES_FILE)


def write_history_plot(
    path: Path,
    values: Sequence[tuple[int, float | None]],
    complete: Set[int],
    bigger: bool,
    title: str,
) -> Path | None:
    """Write a picture of a search: the value of each trial, and the best so far as a line.

    Args:
        path: the file.
        values: (number, value) of each trial in their order; without a value it is left out.
        complete: the numbers of those that count for the best; the others are drawn hollow.
        bigger: whether a bigger value is better.
        title: what is drawn.

    Returns:
        The path, or None when there is nothing to draw or no matplotlib.
    """
    drawn = [(number, value) for number, value in values if value is not None]
    figure = _figure(NARROW, 3.9) if drawn else None
    if figure is None:
        return None
    axes = figure.subplots()
    whole = [point for point in drawn if point[0] in complete]
    for points, name, face in (
        (whole, "complete", COLOURS[0]),
        ([point for point in drawn if point[0] not in complete], "pruned or not finished", "white"),
    ):
        if points:
            axes.plot(
                *zip(*points, strict=True),
                "o",
                color=COLOURS[0],
                markerfacecolor=face,
                markersize=6,
                label=name,
            )
    if whole:
        # On to the last trial, however it ended.
        steps = np.array([*whole, (drawn[-1][0], whole[-1][1])], dtype=float)
        best = (np.maximum if bigger else np.minimum).accumulate(steps[:, 1])
        axes.step(steps[:, 0], best, where="post", color=COLOURS[1], label="best so far")
    _quiet(axes)
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel("Trial", fontsize=LABEL_SIZE, color=TEXT_COLOUR)
    axes.set_title(title, loc="left", fontsize=TITLE_SIZE, color=TEXT_COLOUR)
    _legend(figure, axes)
    return _save(figure, path)


def _bars(axes: Axes, table: Table, metric: int, upright: bool) -> None:
    """The bars of one metric: a group for each domain, a bar for each model, its value above it.

    upright: write the values from bottom to top, where the bars are narrow.
    """
    mean, std = table.mean[:, :, metric], table.std[:, :, metric]
    width = min(0.82 / len(table.models), 0.3)
    for index, model in enumerate(table.models):
        centres = np.arange(len(table.domains)) + (index - (len(table.models) - 1) / 2) * width
        axes.bar(
            centres,
            mean[index],
            width * 0.92,
            label=model,
            color=COLOURS[index % len(COLOURS)],
            hatch=HATCHES[index // len(COLOURS) % len(HATCHES)],
            edgecolor="white",
            linewidth=0,
        )
        spread = np.nan_to_num(std[index])
        if spread.any():
            axes.errorbar(
                centres, mean[index], yerr=spread, fmt="none", ecolor=TEXT_COLOUR, capsize=2
            )
        for centre, value, above in zip(centres, mean[index], spread, strict=True):
            if np.isfinite(value):
                axes.annotate(
                    f"{value:.{DECIMALS}f}".removeprefix("0"),
                    (centre, value + above),
                    xytext=(0, 3),
                    textcoords="offset points",
                    ha="center",
                    va="bottom",
                    rotation=90 if upright else 0,
                    fontsize=VALUE_SIZE,
                    color=TEXT_COLOUR,
                    # White behind the digits, so that no rule runs through them.
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
                )
    _quiet(axes)
    axes.set_xlim(-0.5, len(table.domains) - 0.5)
    axes.margins(y=0.25 if upright else 0.1)
    axes.set_ylim(bottom=0)
    axes.tick_params(axis="x", length=0)


def _quiet(axes: Axes) -> None:
    """Horizontal rules only, behind the data, and no frame."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(TEXT_COLOUR)
    axes.grid(axis="y", color=RULE_COLOUR, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=TEXT_COLOUR, labelsize=LABEL_SIZE)
    axes.tick_params(axis="y", length=0, labelsize=TICK_SIZE)
    axes.locator_params(axis="y", nbins=5)


def _legend(figure: Figure, axes: Axes) -> None:
    """One legend for the whole figure, above it, the models in rows in their order."""
    handles, names = axes.get_legend_handles_labels()
    inches = 0.5 + 0.09 * max(map(len, names))
    columns = max(1, min(len(names), int(figure.get_figwidth() / inches)))
    # A legend fills column after column; readers go along the rows.
    order = [index for first in range(columns) for index in range(first, len(names), columns)]
    figure.legend(
        [handles[index] for index in order],
        [names[index] for index in order],
        loc="outside upper left",
        ncols=columns,
        frameon=False,
        fontsize=LABEL_SIZE,
        labelcolor=TEXT_COLOUR,
        handlelength=1.2,
        columnspacing=1.4,
    )


def _figure(width: float, height: float) -> Figure | None:
    """An empty figure of that size in inches, or None and a warning without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        logger.warning(
            "No plots were drawn: matplotlib cannot be imported (%s). "
            "The tables are complete; for the plots, pip install matplotlib.",
            error,
        )
        return None
    return Figure(figsize=(width, height), dpi=DPI, facecolor="white", layout="constrained")


def _save(figure: Figure, path: Path) -> Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with atomic_write(path) as beside:
        # matplotlib's own metadata name its version: without them the file depends on its data.
        FigureCanvasAgg(figure).print_png(beside, metadata={"Software": None})
    return path
