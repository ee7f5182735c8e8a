"""Pictures of a comparison: bars of the metrics, and learning curves.

Where matplotlib cannot be imported no picture is written; tables and metrics do not depend on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recbole_tema.evaluation.metrics import MRR
from recbole_tema.report.drawing import (
    COLOURS,
    DASHES,
    LABEL_SIZE,
    TEXT_COLOUR,
    TITLE_SIZE,
    VALUE_SIZE,
    new_figure,
    quiet,
    save,
    shared_legend,
)
from recbole_tema.report.tables import DECIMALS, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVES_FILE = "learning_curves.png"
# As DASHES do for lines.
HATCHES = ("", "////", "....")
# Inches: of a figure with few bars and with many, and of a bar with a readable value above it.
NARROW, WIDE, VALUE_WIDTH = 6.5, 14.0, 0.42


def write_comparison_plot(folder: Path, table: Table) -> Path | None:
    """Write ``comparison_MODE.png``: a panel each for NDCG@k (the largest k) and MRR.

    Domains side by side, a bar for each model, whiskers of one standard deviation where a model has
    several seeds. Returns the path, or None without matplotlib.
    """
    metrics = [*[name for name in table.metrics if name.startswith("ndcg@")][-1:], MRR]
    wanted = VALUE_WIDTH * len(table.domains) * (len(table.models) + 1)
    width = min(max(NARROW, wanted), WIDE)
    figure = new_figure(width, 3.1 * len(metrics) + 0.5)
    if figure is None:
        return None
    panels = figure.subplots(len(metrics), 1, sharex=True, squeeze=False)[:, 0]
    for axes, metric in zip(panels, metrics, strict=True):
        _bars(axes, table, table.metrics.index(metric), upright=wanted > WIDE)
        title = f"{metric.upper()}, candidates {table.candidates}"
        axes.set_title(title, loc="left", fontsize=TITLE_SIZE, color=TEXT_COLOUR)
    panels[-1].set_xticks(range(len(table.domains)), table.domains, parse_math=False)
    shared_legend(figure, panels[0])
    return save(figure, Path(folder) / f"comparison_{table.candidates}.png")


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
    figure = new_figure(NARROW, 3.9) if points else None
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
    quiet(axes)
    axes.locator_params(axis="x", integer=True)
    if all(len(line) == 1 for lines in points.values() for line in lines):
        axes.set_xticks(sorted({int(line[0, 0]) for lines in points.values() for line in lines}))
    axes.set_xlabel("Epoch", fontsize=LABEL_SIZE, color=TEXT_COLOUR)
    title = f"{metric.upper()} on the validation cases (dot: best epoch)"
    axes.set_title(title, loc="left", fontsize=TITLE_SIZE, color=TEXT_COLOUR)
    shared_legend(figure, axes)
    return save(figure, Path(folder) / CURVES_FILE)


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
    figure = new_figure(NARROW, 3.9) if drawn else None
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
    quiet(axes)
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel("Trial", fontsize=LABEL_SIZE, color=TEXT_COLOUR)
    axes.set_title(title, loc="left", fontsize=TITLE_SIZE, color=TEXT_COLOUR)
    shared_legend(figure, axes)
    return save(figure, path)


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
    quiet(axes)
    axes.set_xlim(-0.5, len(table.domains) - 0.5)
    axes.margins(y=0.25 if upright else 0.1)
    axes.set_ylim(bottom=0)
    axes.tick_params(axis="x", length=0)
