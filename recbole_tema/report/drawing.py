"""What all pictures have in common: colours, sizes, quiet axes, one legend, files of PNG.

Where matplotlib cannot be imported a warning says so and no picture is written. Figures are made
without pyplot, so a caller's own figures, backend and settings stay untouched, and the same numbers
give the same bytes.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_tema.formats import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150
TEXT_COLOUR = "#333333"
RULE_COLOUR = "#d9d9d9"
# Okabe and Ito's colours for every kind of colour vision (https://jfly.uni-koeln.de/color), but
# without yellow, which is faint on white, and with grey for black, which hides whiskers. The order
# keeps neighbours apart in lightness too.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999")
# Beyond seven models the colours come again, told apart by lines like these.
DASHES = ("-", "--", ":")
# Rows of a legend for which a figure has room, and inches of each other one.
FEW_ROWS, LEGEND_ROW = 3, 0.21
VALUE_SIZE, TICK_SIZE, LABEL_SIZE, TITLE_SIZE = 7.5, 9, 10, 11

logger = logging.getLogger(__name__)


def quiet(axes: Axes) -> None:
    """Horizontal rules only, behind the data, and no frame."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(TEXT_COLOUR)
    axes.grid(axis="y", color=RULE_COLOUR, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=TEXT_COLOUR, labelsize=LABEL_SIZE)
    axes.tick_params(axis="y", length=0, labelsize=TICK_SIZE)
    axes.locator_params(axis="y", nbins=5)


def shared_legend(figure: Figure, axes: Axes) -> None:
    """One legend for the whole figure, above it, the models in rows in their order.

    A legend of more rows than ``FEW_ROWS`` makes the figure higher by what it takes.
    """
    handles, names = axes.get_legend_handles_labels()
    inches = 0.5 + 0.09 * max(map(len, names))
    columns = max(1, min(len(names), int(figure.get_figwidth() / inches)))
    more = -(-len(names) // columns) - FEW_ROWS
    figure.set_figheight(figure.get_figheight() + LEGEND_ROW * max(more, 0))
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


def new_figure(width: float, height: float) -> Figure | None:
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


def save(figure: Figure, path: Path) -> Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with atomic_write(path) as beside:
        # matplotlib's own metadata name its version: without them the file depends on its data.
        FigureCanvasAgg(figure).print_png(beside, metadata={"Software": None})
    return path
