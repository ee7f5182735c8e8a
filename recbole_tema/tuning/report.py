"""The files of a study: the best settings, all trials as tables, and the history as a picture."""

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from optuna.trial import FrozenTrial, TrialState

from recbole_tema.formats import atomic_write
from recbole_tema.report.layout import ABSENT, markdown_name
from recbole_tema.report.plots import write_history_plot
from recbole_tema.report.tables import DECIMALS
from recbole_tema.tuning.space import Space
from recbole_tema.tuning.study import (
    BEST_EPOCH,
    EPOCHS,
    ERROR,
    SECONDS,
    ModelStudy,
    value_of,
)

COLUMNS = ("number", "state", "value", "epochs", "best_epoch", "seconds")


@dataclass(frozen=True)
class Search:
    """What the files of a study tell beside its trials.

    Attributes:
        space: what was searched.
        dataset, checksum: the data set's name and checksum.
        metric: the validation metric that was searched for, as the settings name it.
        command: the command that goes on with it.
    """

    space: Space
    dataset: str
    checksum: str
    metric: str
    command: str


def best_file(folder: Path, model: str) -> Path:
    """Where the best settings of a model are."""
    return folder / f"best-{model}.yaml"


def write_best(
    folder: Path, study: ModelStudy, search: Search, settings: Mapping[str, Any]
) -> Path:
    """Write ``best-MODEL.yaml``, which ``--config_files`` takes; there is a complete trial.

    Args:
        settings: all that were set for that trial, tuned or not.
    """
    best = study.best()
    assert best is not None
    path = best_file(folder, study.model)
    head = [
        f"recbole-tema --model {study.model} --dataset {search.dataset} --config_files {path}",
        "",
        "The best settings found on the validation cases; the test cases had no part in it. By",
        f"  {search.command}",
        f"Validation {search.metric}: {best.value:.6f}, trial {number_of(best)}, best epoch "
        f"{best.user_attrs[BEST_EPOCH] + 1} of {best.user_attrs[EPOCHS]}",
        f"Trials: {budget(study.trials())}",
        f"Tuned: {', '.join(search.space.ranges)}",
        f"Data: {search.checksum}",
    ]
    comment = "".join(f"# {line}".rstrip() + "\n" for line in head)
    body = yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True)
    with atomic_write(path) as beside:
        beside.write_text(comment + body, encoding="utf-8")
    return path


def write_trials(folder: Path, study: ModelStudy, search: Search) -> None:
    """Write ``trials-MODEL.csv``, ``trials-MODEL.md`` and ``history-MODEL.png``."""
    trials = study.trials()
    table = [_row(trial, study.bigger, search.space) for trial in trials]
    head = [*COLUMNS, *search.space.ranges, "error"]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([head, *table])
    _write(folder / f"trials-{study.model}.csv", text.getvalue())
    _write(folder / f"trials-{study.model}.md", _markdown(study, search, head, table))
    finished = sorted(trials, key=lambda trial: trial.number)
    values = [value_of(trial, study.bigger) for trial in finished]
    write_history_plot(
        folder / f"history-{study.model}.png",
        [(number_of(trial), value) for trial, value in zip(finished, values, strict=True)],
        {number_of(trial) for trial in finished if trial.state == TrialState.COMPLETE},
        study.bigger,
        f"{study.model}: validation {search.metric} by trial",
    )


def budget(trials: list[FrozenTrial]) -> str:
    """How many trials there were of each kind, and what all of them took."""
    kinds = Counter(state_of(trial) for trial in trials)
    epochs = sum(_epochs(trial) for trial in trials)
    seconds = sum(trial.user_attrs.get(SECONDS, 0) for trial in trials)
    parts = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
    return f"{parts}; epochs: {epochs}, in {seconds:.0f} s"


def number_of(trial: FrozenTrial) -> int:
    """What a trial is called everywhere, from 1 on; ``study.db`` counts from 0."""
    return trial.number + 1


def state_of(trial: FrozenTrial) -> str:
    """``complete``, ``pruned``, ``running``, ``error`` (of its own) or ``killed``."""
    if trial.state != TrialState.FAIL:
        return trial.state.name.lower()
    return "error" if ERROR in trial.user_attrs else "killed"


def _epochs(trial: FrozenTrial) -> int:
    """A killed trial says nothing of them, but has reported those that were validated."""
    begun = max(trial.intermediate_values, default=-1) + 1
    return int(trial.user_attrs.get(EPOCHS, begun))


def _row(trial: FrozenTrial, bigger: bool, space: Space) -> list[str]:
    value = value_of(trial, bigger)
    best_epoch = trial.user_attrs.get(BEST_EPOCH)
    settings = space.values(trial.params)
    return [
        str(number_of(trial)),
        state_of(trial),
        "" if value is None else repr(value),
        str(_epochs(trial)),
        "" if best_epoch is None else str(best_epoch + 1),
        str(trial.user_attrs.get(SECONDS, "")),
        *(_text(settings[key]) if key in settings else "" for key in space.ranges),
        str(trial.user_attrs.get(ERROR, "")),
    ]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _markdown(study: ModelStudy, search: Search, head: list[str], table: list[list[str]]) -> str:
    def cell(name: str, text: str) -> str:
        if name == "value" and text:
            return f"{float(text):.{DECIMALS}f}"
        if name in search.space.ranges:
            text = _short(text)
        return markdown_name(" ".join(text.split())) or ABSENT

    rows = [[cell(name, text) for name, text in zip(head, row, strict=True)] for row in table]
    names = [markdown_name(name) for name in head]
    lines = ["| " + " | ".join(row) + " |" for row in (names, ["---"] * len(head), *rows)]
    intro = [
        f"# {study.model} on {search.dataset}: trials by validation {search.metric}",
        "",
        f"Budget: {budget(study.trials())}. The value of a trial is the best of its epochs; that "
        "of a pruned or killed one as far as it came. Trials and epochs count from 1.",
        "",
        f"    {search.command}",
        "",
    ]
    return "\n".join([*intro, *lines, ""])


def _short(text: str) -> str:
    try:
        return f"{float(text):.4g}"
    except ValueError:
        return text


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as beside:
        beside.write_text(text, encoding="utf-8")
