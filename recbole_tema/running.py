"""All that is asked for: looked at as a whole, then trained one data set after the other."""

import contextlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_tema.asked import Asked, seeds_in
from recbole_tema.comparison import check_all_begun, impossible_rows, train_all
from recbole_tema.distributed import barrier, from_first, is_first, process_group
from recbole_tema.outcome import Outcome
from recbole_tema.report import (
    Table,
    in_one_order,
    metrics_of_results,
    side_by_side,
    to_text,
    write_comparison_plot,
    write_tables,
)
from recbole_tema.report.results import METRICS_FILE
from recbole_tema.rows import check_alike
from recbole_tema.rows.comparison import Comparison
from recbole_tema.training.resume import RunCheckpoints


def run_asked(asked: Asked, folder: Path) -> dict[str, dict[str, Any]]:
    """What :func:`recbole_tema.run_on_datasets` does, in each of the processes that share it.

    The first one writes to ``folder`` and prints.
    """
    with process_group():
        folder = from_first(folder)
        prepared = _prepare(asked, folder)
        barrier()  # until all have looked, before the first one writes
        found: dict[str, dict[str, Any]] = {}
        tables: dict[str, list[Table]] = {}
        more_files: list[Path] = []
        for dataset, each in prepared.items():
            found[dataset], outcome = _train_and_report(each)
            if outcome.tables:
                tables[dataset] = outcome.tables
            more_files += outcome.more_files
            if is_first() and len(prepared) > 1:
                print(f"\nResults of {dataset}: {each.folder}")
        if is_first():
            # Not before the last one: a run that is gone on with has them whole already.
            for table in _side_by_side(folder, prepared, tables):
                print(f"\n{to_text(table, shutil.get_terminal_size((120, 24)).columns)}")
            for path in more_files:
                if path.suffix == ".md":
                    print(f"\nRow against row: {path}")
            print(f"\nResults: {folder}")
        return found


@dataclass(frozen=True)
class _Prepared:
    """What is to be trained on one data set, after all that can be known beforehand was looked at.

    left_out: rows that cannot be run, and why. alone: whether this is one run, and all there is.
    """

    comparison: Comparison
    seeds: list[int]
    folder: Path
    checkpoints: RunCheckpoints
    resume: bool
    left_out: dict[str, str]
    alone: bool


def _prepare(asked: Asked, folder: Path) -> dict[str, _Prepared]:
    """By data set what is to be trained. Raises what would end a run before it has begun."""
    comparisons = {dataset: asked.comparison(dataset) for dataset in asked.datasets}
    topk: dict[str, Any] = {}
    for dataset, comparison in comparisons.items():
        check_alike(comparison.configs, seeds_given=asked.seeds is not None)
        topk[dataset] = next(iter(comparison.configs.values()))["topk"]
        if topk[dataset] != topk[asked.datasets[0]]:
            raise ValueError(
                f"topk: {topk[dataset]!r} on {dataset}, but {topk[asked.datasets[0]]!r} on "
                f"{asked.datasets[0]}; their tables stand side by side: give it with --topk"
            )
    folders = asked.folders(folder)
    checkpoints = {name: RunCheckpoints(folders[name], asked.checkpoint_dir) for name in folders}
    _refuse_other_tables(asked, folder)
    begun = [name for name in folders if checkpoints[name].can_go_on()]
    # Where none was begun, the first one says so.
    resumed = {name: asked.resume and (name in begun or not begun) for name in comparisons}
    seeds_of = {
        name: asked.seeds or seeds_in(next(iter(each.configs.values()))["seed"])
        for name, each in comparisons.items()
    }
    # Of one that is not finished first, as its error says how to go on.
    for name in sorted(comparisons, key=lambda name: not checkpoints[name].unfinished.exists()):
        runs = [(label, seed) for label in comparisons[name].configs for seed in seeds_of[name]]
        checkpoints[name].check(runs, resumed[name])
    prepared = {}
    for dataset, comparison in comparisons.items():
        configs, seeds, resume = comparison.configs, seeds_of[dataset], resumed[dataset]
        for config in configs.values():
            # Else RecBole's trainers make saved/.
            config["checkpoint_dir"] = str(checkpoints[dataset].folder)
        alone = len(configs) * len(seeds) == len(comparisons) == 1
        left_out: dict[str, str] = {}
        try:
            if not alone:
                left_out = impossible_rows(configs, comparison.must_run)
            if resume and len(comparisons) > 1:
                check_all_begun(configs, seeds, checkpoints[dataset])
        except ValueError as error:
            if len(comparisons) == 1:
                raise
            raise ValueError(f"{dataset}: {error}") from error
        prepared[dataset] = _Prepared(
            comparison,
            seeds,
            folders[dataset],
            checkpoints[dataset],
            resume,
            left_out,
            alone,
        )
    return prepared


def _refuse_other_tables(asked: Asked, folder: Path) -> None:
    """Raise ValueError where tables in ``folder`` would be written over by those of other data."""
    one = (folder / METRICS_FILE).exists()
    several = not one and any(folder.glob("table_*"))
    together = len(asked.datasets) > 1
    if (one and together) or (several and not (together and asked.resume)):
        data = "one data set" if one else "several data sets"
        go_on = "go on with it by the same command with --resume; " if several else ""
        raise ValueError(
            f"{folder} holds the results of a run on {data}. Start another one with another "
            f"--output; {go_on}or delete {folder} to give it up"
        )


def _train_and_report(prepared: _Prepared) -> tuple[dict[str, Any], Outcome]:
    """What :func:`run_recbole_tema` returns, and all that was written."""
    comparison, folder, seeds = prepared.comparison, prepared.folder, prepared.seeds
    configs, checkpoints = comparison.configs, prepared.checkpoints
    if is_first():
        folder.mkdir(parents=True, exist_ok=True)
    outcome = Outcome(folder, list(configs), seeds, comparison.more)
    try:
        failures = train_all(
            configs,
            seeds,
            checkpoints,
            prepared.resume,
            outcome.add,
            outcome.note_failures,
            prepared.left_out,
            prepared.alone,
        )
    finally:
        if is_first():
            for each in (checkpoints.folder, folder):
                with contextlib.suppress(OSError):  # there is something in it
                    each.rmdir()
    outcome.note_failures(failures)  # where none is left, those of an earlier attempt go
    if is_first() and not failures:
        checkpoints.finish()
    topk = next(iter(configs.values()))["topk"]
    found = {
        "metrics": metrics_of_results(outcome.results, topk),
        "output": folder,
        "checkpoints": outcome.checkpoints,
        "failed": failures,
    }
    return found, outcome


def _side_by_side(
    folder: Path, prepared: Mapping[str, _Prepared], tables: Mapping[str, list[Table]]
) -> list[Table]:
    """The tables of all data sets; of several these are written, with pictures."""
    if len(prepared) == 1:
        return next(iter(tables.values()), [])
    orders = [list(each.comparison.configs) for each in prepared.values()]
    joined = side_by_side(tables, in_one_order(orders))
    write_tables(folder, joined)
    for table in joined:
        write_comparison_plot(folder, table)
    return joined
