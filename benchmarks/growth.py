"""How a training step's time and memory grow with the items and with the length of histories.

    python benchmarks/growth.py --plot benchmarks/growth.svg

Makes synthetic data sets, takes some training steps of LLM-EMF (ids, 64 dimensions, 64 histories a
step) on each, and prints Markdown tables of processor time and of memory, with the exponents of the
growth between the last two sizes.
"""

import argparse
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from isolated import isolated

LOSSES = {
    "sampled": {"n_negatives": 512},
    "chunked": {"n_negatives": 0, "loss_implementation": "chunked"},
}
COMMON = {"embedding_size": 64, "inner_size": 128, "modalities": ["id"], "train_batch_size": 64}
HISTORIES = 64 * 12


@dataclass(frozen=True)
class Point:
    """A step at one size: processor seconds, and MiB that it adds to what the process holds."""

    size: int
    loss: str
    seconds: float
    added_mib: float


def main() -> None:
    """Measure, print and plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, nargs="+", default=[10**n for n in range(3, 7)])
    parser.add_argument("--lengths", type=int, nargs="+", default=[10, 25, 50, 100, 200])
    parser.add_argument("--at-length", type=int, default=10, help="of the histories for --items")
    parser.add_argument("--at-items", type=int, default=10_000, help="items for --lengths")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--plot", type=Path, help="file of the picture, by its ending svg or png")
    options = parser.parse_args()
    by_items, by_length = [], []
    with tempfile.TemporaryDirectory() as folder:
        for items in options.items:
            by_items += _points(folder, items, items, options.at_length, options)
        for length in options.lengths:
            by_length += _points(folder, length, options.at_items, length, options)
    print(_table(f"items (histories of {options.at_length})", by_items))
    print()
    print(_table(f"length of histories ({options.at_items:,} items)", by_length))
    if options.plot:
        _plot(options.plot, {"items": by_items, "length of histories": by_length})


def _points(
    folder: str, size: int, items: int, length: int, options: argparse.Namespace
) -> list[Point]:
    name = f"items{items}length{length}"
    isolated("growth", "make_dataset", folder, name, items, length)
    points = []
    for loss, settings in LOSSES.items():
        keys = {**COMMON, **settings, "MAX_ITEM_LIST_LENGTH": length}
        arguments = ("LLMEMF", name, folder, keys, options.steps)
        epoch = isolated("training_ways", "our_epoch", *arguments, threads=options.threads)
        added = epoch.peak_mib - epoch.held_mib
        points.append(Point(size, loss, epoch.cpu_seconds / epoch.steps, added))
    return points


def make_dataset(folder: str, name: str, items: int, length: int) -> None:
    """Training histories of ``length`` inputs and a target, over so many items."""
    from synthetic import Size, write

    from recbole_tema.formats import LEAVE_ONE_OUT, DatasetFiles

    half = items // 2
    # Leave-one-out keeps the last two events of a history from training.
    size = Size(HISTORIES, (half, items - half), length + 3, True, LEAVE_ONE_OUT)
    write(DatasetFiles(Path(folder) / name), size, 0, 2020, "python benchmarks/growth.py")


def _exponent(points: Sequence[Point], what: str) -> float:
    """The slope between the last two sizes, both axes logarithmic."""
    before, last = points[-2:]
    ratio = max(getattr(last, what), 1e-9) / max(getattr(before, what), 1e-9)
    return math.log(ratio) / math.log(last.size / before.size)


def _table(what: str, points: list[Point]) -> str:
    columns = [what, *(f"{loss}, {unit}" for loss in LOSSES for unit in ("ms", "MiB"))]
    lines = [columns, ["---:"] * len(columns)]
    for size in dict.fromkeys(point.size for point in points):
        line = [f"{size:,}"]
        for point in points:
            if point.size == size:
                line += [f"{point.seconds * 1e3:,.0f}", f"{point.added_mib:,.0f}"]
        lines.append(line)
    last = ["exponent at the end"]
    for loss in LOSSES:
        of_loss = [point for point in points if point.loss == loss]
        if len(of_loss) > 1:
            last += [f"{_exponent(of_loss, each):.2f}" for each in ("seconds", "added_mib")]
    lines.append(last)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plot(path: Path, by_axis: dict[str, list[Point]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(9, 6), constrained_layout=True)
    measures = {"seconds": "processor seconds a step", "added_mib": "MiB added by a step"}
    for column, (what, points) in enumerate(by_axis.items()):
        for row, (measure, label) in enumerate(measures.items()):
            axis = axes[row][column]
            for loss, marker in zip(LOSSES, "os", strict=True):
                chosen = [point for point in points if point.loss == loss]
                sizes = [point.size for point in chosen]
                axis.loglog(sizes, [getattr(point, measure) for point in chosen], marker=marker)
            axis.set_xlabel(what)
            axis.set_ylabel(label)
            axis.grid(True, which="major", alpha=0.3)
    axes[0][0].legend([f"{loss} loss" for loss in LOSSES], frameon=False)
    figure.savefig(path)
    print(f"\n{path}", file=sys.stderr)


if __name__ == "__main__":
    main()
