"""What each model cost: parameters, epochs, time and memory, as ``cost.md``, ``.csv``, ``.tex``."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from recbole_tema.report.layout import (
    latex_lines,
    latex_name,
    markdown_lines,
    markdown_name,
    write_forms,
)
from recbole_tema.report.results import RunResult

COST_COLUMNS = ("model", "measure", "mean", "std", "seeds")
CAPTION = "Cost of each model"
MIB = 1 << 20
# Measure as in cost.csv: its head, its decimals, and how many of its units make one of the table's.
MEASURES = {
    "parameters": ("Parameters", 0, 1),
    "epochs": ("Epochs", 1, 1),
    "train_seconds": ("Training (s)", 1, 1),
    "seconds_per_epoch": ("s / epoch", 2, 1),
    "eval_seconds": ("Test (s)", 1, 1),
    "peak_memory": ("Memory (MiB)", 0, MIB),
    "peak_gpu_memory": ("GPU memory (MiB)", 0, MIB),
}


def write_costs(folder: Path, results: Iterable[RunResult]) -> list[Path]:
    """Write the three files, models in the order of the runs; returns their paths.

    Means over seeds, with the standard deviation (n - 1) where there are several. The CSV file is
    in seconds and bytes, unrounded. GPU memory is left out where none was measured.
    """
    by_model = _by_model(results)
    texts = {"md": _to_markdown(by_model), "csv": _to_csv(by_model), "tex": _to_latex(by_model)}
    return write_forms(folder, "cost", texts)


def cost_table(results: Iterable[RunResult]) -> tuple[str, list[str], list[list[str]]]:
    """The table as texts: caption, head, and a row for each model with its name in front."""
    by_model = _by_model(results)
    measures, rows = _texts(by_model)
    head = ["Model", *(MEASURES[measure][0] for measure in measures)]
    return (
        _caption(by_model),
        head,
        [[name, *row] for name, row in zip(by_model, rows, strict=True)],
    )


def _by_model(results: Iterable[RunResult]) -> dict[str, list[RunResult]]:
    by_model: dict[str, list[RunResult]] = {}
    for run in results:
        by_model.setdefault(run.model, []).append(run)
    return by_model


def _to_markdown(by_model: dict[str, list[RunResult]]) -> str:
    measures, rows = _texts(by_model)
    names = map(markdown_name, by_model)
    body = [[name, *row] for name, row in zip(names, rows, strict=True)]
    head = ["Model", *(MEASURES[measure][0] for measure in measures)]
    return f"{_caption(by_model)}\n\n" + "\n".join(markdown_lines([head, *body])) + "\n"


def _to_latex(by_model: dict[str, list[RunResult]]) -> str:
    measures, rows = _texts(by_model)
    rows = [[text.replace("±", r"$\pm$") for text in row] for row in rows]
    body = [[latex_name(name), *row] for name, row in zip(by_model, rows, strict=True)]
    head = ["Model", *(MEASURES[measure][0] for measure in measures)]
    return "\n".join(latex_lines(_caption(by_model), head, body)) + "\n"


def _to_csv(by_model: dict[str, list[RunResult]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COST_COLUMNS)
    for model, runs in by_model.items():
        for measure in _measured(by_model):
            mean, std = _mean_and_std(runs, measure)
            writer.writerow([model, measure, mean, "" if std is None else std, len(runs)])
    return text.getvalue()


def _caption(by_model: dict[str, list[RunResult]]) -> str:
    counts = sorted({len(runs) for runs in by_model.values()})
    if counts == [1]:
        return CAPTION
    return f"{CAPTION}; mean ± std over {'–'.join(map(str, counts))} seeds"


def _measured(by_model: dict[str, list[RunResult]]) -> list[str]:
    runs = [run for each in by_model.values() for run in each]
    return [name for name in MEASURES if all(getattr(run, name) is not None for run in runs)]


def _texts(by_model: dict[str, list[RunResult]]) -> tuple[list[str], list[list[str]]]:
    """What was measured, and a row for each model."""
    measures = _measured(by_model)
    rows = [[_text(runs, measure) for measure in measures] for runs in by_model.values()]
    return measures, rows


def _text(runs: Sequence[RunResult], measure: str) -> str:
    _, decimals, unit = MEASURES[measure]
    mean, std = _mean_and_std(runs, measure)
    spread = "" if not std else f" ± {std / unit:.{decimals}f}"  # parameters do not vary
    return f"{mean / unit:,.{decimals}f}{spread}"


def _mean_and_std(runs: Sequence[RunResult], measure: str) -> tuple[float, float | None]:
    values = [getattr(run, measure) for run in runs]
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(runs) > 1 else None
