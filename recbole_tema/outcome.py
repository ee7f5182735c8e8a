"""The output folder of a comparison: everything but the checkpoints, anew after each run."""

import copy
import json
import platform
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

import yaml

from recbole_tema.config import TEMAConfig, plain_settings
from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.distributed import is_first, world_size
from recbole_tema.formats import atomic_write, file_name_of
from recbole_tema.page import PageParts
from recbole_tema.report import (
    Cases,
    Failures,
    RunResult,
    Table,
    tables_of_results,
    write_comparison_plot,
    write_costs,
    write_failures,
    write_learning_curves,
    write_metrics,
    write_ranks,
    write_tables,
    write_timing,
)
from recbole_tema.report.html import Report, write_report
from recbole_tema.training.run import TrainedRun

More = Callable[[Path, list[RunResult], list[Table], Sequence[int]], list[Path]]
"""Writes what a comparison has beside the usual: into a folder, of results, tables and topk.

Returns the files.
"""

LIBRARIES = ("recbole_tema", "recbole", "torch", "numpy", "pandas", "scipy", "transformers")


class Outcome:
    """The results so far, and their files: a comparison that stops midway keeps what it has.

    Args:
        folder: where the first process writes.
        models, seeds: all that there will be, in the order of every table; a model stands for a
            row by its label.
        more: what else to write after each run.

    Attributes:
        results: of the runs so far, in that order.
        tables: of these, by candidates mode.
        checkpoints: files of the best weights, {model: {seed: path}}.
        more_files: what ``more`` wrote.
    """

    # Of the configurations, which are alike in them; there from the first run on.
    _topk: list[int]
    _valid_metric: str

    def __init__(
        self, folder: Path, models: Sequence[str], seeds: Sequence[int], more: More | None = None
    ) -> None:
        self.folder = folder
        self.results: list[RunResult] = []
        self.tables: list[Table] = []
        self.checkpoints: dict[str, dict[int, str]] = {}
        self.more_files: list[Path] = []
        self._curves: dict[tuple[str, int], dict[int, float]] = {}
        self._models, self._seeds = list(models), list(seeds)
        self._more = more
        self._page = PageParts()
        self._failures: Failures = {}

    def add(
        self, model: str, config: TEMAConfig, data: CrossDomainDataset, run: TrainedRun
    ) -> None:
        """Take one more run in, and write all files."""
        seed = config["seed"]
        self.results.append(_result(model, seed, run))
        self.results.sort(
            key=lambda each: (self._models.index(each.model), self._seeds.index(each.seed))
        )
        self.checkpoints.setdefault(model, {})[seed] = run.checkpoint
        self._curves[model, seed] = dict(run.curve)
        if not is_first():
            return
        _write_config(self.folder / f"config-{file_name_of(model)}.yaml", config, self._seeds)
        if len(self.results) == 1:  # one data set and one machine for all
            _write_environment(self.folder / "environment.json", data)
        topk = config["topk"]
        write_metrics(self.folder, self.results, topk)
        write_ranks(self.folder, self.results)
        write_timing(self.folder, self.results)
        write_costs(self.folder, self.results)
        self.tables = tables_of_results(self.results, topk)
        write_tables(self.folder, self.tables)
        for table in self.tables:
            write_comparison_plot(self.folder, table)
        if self._more:
            self.more_files = self._more(self.folder, self.results, self.tables, topk)
        write_learning_curves(self.folder, self._curves_by_model(), config["valid_metric"])
        self._topk, self._valid_metric = topk, config["valid_metric"]
        self._page.add(model, config, run)
        self._write_page()

    def note_failures(self, failures: Failures) -> None:
        """Write what failed so far; where nothing is left, the file of an earlier attempt goes."""
        if not is_first():
            return
        write_failures(self.folder, failures)
        changed, self._failures = failures != self._failures, copy.deepcopy(failures)
        if changed and self.results:
            self._write_page()

    def _curves_by_model(self) -> dict[str, dict[int, dict[int, float]]]:
        curves: dict[str, dict[int, dict[int, float]]] = {}
        for each in self.results:
            curves.setdefault(each.model, {})[each.seed] = self._curves[each.model, each.seed]
        return curves

    def _write_page(self) -> None:
        examples, cards = self._page.examples(self.results)
        report = Report(
            models=self._models,
            seeds=self._seeds,
            results=self.results,
            tables=self.tables,
            topk=self._topk,
            curves=self._curves_by_model(),
            valid_metric=self._valid_metric,
            dataset=self._page.dataset,
            settings=self._page.settings,
            failures=self._failures,
            examples=examples,
            cards=cards,
            versions={name: _version(name) for name in LIBRARIES},
        )
        write_report(self.folder, report)


def _result(model: str, seed: int, run: TrainedRun) -> RunResult:
    dataset, rows = run.test.loader.dataset, run.test.loader.cases
    cases = Cases(
        users=dataset.id2token(dataset.uid_field, rows.users).tolist(),
        targets=dataset.id2token(dataset.iid_field, rows.targets).tolist(),
        domain=run.test.loader.domain,
        domain_names=tuple(dataset.domains),
        history_length=run.facts.history_length,
        target_count=run.facts.target_count,
        from_other=run.facts.from_other,
    )
    return RunResult(
        model=model,
        seed=seed,
        cases=cases,
        ranks=run.ranks,
        epochs=run.epochs,
        best_epoch=run.best_epoch,
        parameters=run.parameters,
        train_seconds=run.train_seconds,
        seconds_per_epoch=run.train_seconds / max(run.epochs, 1),
        eval_seconds=run.eval_seconds,
        peak_memory=run.peak_memory,
        peak_gpu_memory=run.peak_gpu_memory,
    )


def _write_config(path: Path, config: TEMAConfig, seeds: Sequence[int]) -> None:
    """The full configuration, such that ``--config_files`` takes it and gives the same runs."""
    # Where the checkpoints lie is this comparison's own affair.
    plain = {key: value for key, value in plain_settings(config).items() if key != "checkpoint_dir"}
    plain = {**plain, "seed": seeds[0]}
    if len(seeds) > 1:
        plain["seeds"] = list(seeds)
    else:
        plain.pop("seeds", None)
    with atomic_write(path) as beside:
        beside.write_text(yaml.safe_dump(plain, allow_unicode=True), encoding="utf-8")


def _write_environment(path: Path, data: CrossDomainDataset) -> None:
    environment = {
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in LIBRARIES},
        "dataset": data.dataset_name,
        "dataset_sha256": data.checksum(),
        "processes": world_size(),
    }
    with atomic_write(path) as beside:
        beside.write_text(json.dumps(environment, indent=2) + "\n", encoding="utf-8")


def _version(library: str) -> str:
    if library == "recbole_tema":
        from recbole_tema import __version__

        return __version__
    return metadata.version(library)
