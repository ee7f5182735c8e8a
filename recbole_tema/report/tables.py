"""Comparison tables: a row for each model, a column for each domain and metric.

One table a candidates mode, of one data set or of several side by side; ``rendering`` writes them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from recbole_tema.evaluation.metrics import TOPK
from recbole_tema.formats import ALL_DOMAINS
from recbole_tema.report.results import DomainMetrics, RunResult, metrics_of_results
from recbole_tema.report.significance import PairedTest, paired_tests

DECIMALS = 4
# What marks a column's best model where it is better than the best other one, p below a level.
LEVELS = {0.01: "‡", 0.05: "†"}


@dataclass(frozen=True)
class Table:
    """Means and spreads over seeds of every model under one candidates mode.

    mean, std: float64, shape (models, domains, metrics). A mean is NaN where a domain has no cases;
    a std (ddof = 1) is NaN for a model with one seed. seeds: int, shape (models, domains), how many
    there are. tests: what is known about the best of each column.
    """

    candidates: str
    models: tuple[str, ...]
    domains: tuple[str, ...]
    metrics: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    seeds: np.ndarray
    tests: tuple[PairedTest, ...] = ()

    def best(self) -> np.ndarray:
        """Bool, shape (models, domains, metrics): whether a value is the highest of its column.

        Values are compared as they are printed, so two that read the same are both best. With one
        model there is nothing to compare, and nothing is best.
        """
        return self._highest(self._printed())

    def second(self) -> np.ndarray:
        """As ``best``, of what remains when the best values of a column are left out."""
        return self._highest(np.where(self.best(), -np.inf, self._printed()))

    def marks(self) -> np.ndarray:
        """Str, shape (models, domains, metrics): how certain it is that the best is better.

        Of the corrected p-values in ``tests``, by ``LEVELS``; empty where nothing can be said.
        """
        marks = np.full(self.mean.shape, "", dtype=object)
        for test in self.tests:
            place = (
                self.models.index(test.best),
                self.domains.index(test.domain),
                self.metrics.index(test.metric),
            )
            marks[place] = next((LEVELS[p] for p in sorted(LEVELS) if test.p_holm < p), "")
        return marks

    def of_rows(self, models: Iterable[str]) -> "Table":
        """These rows alone, in this order, as far as they are here; without tests."""
        chosen = [model for model in models if model in self.models]
        at = [self.models.index(model) for model in chosen]
        return replace(
            self,
            models=tuple(chosen),
            mean=self.mean[at],
            std=self.std[at],
            seeds=self.seeds[at],
            tests=(),
        )

    def _printed(self) -> np.ndarray:
        """The means as they are printed; -inf for none."""
        printed = np.array([float(f"{mean:.{DECIMALS}f}") for mean in self.mean.flat])
        return np.where(np.isnan(printed), -np.inf, printed).reshape(self.mean.shape)

    def _highest(self, values: np.ndarray) -> np.ndarray:
        if len(self.models) < 2:
            return np.zeros(values.shape, dtype=bool)
        return (values == values.max(axis=0)) & np.isfinite(values)


def tables_of_results(results: Iterable[RunResult], topk: Sequence[int] = TOPK) -> list[Table]:
    """One table for each candidates mode, with its tests.

    Raises ValueError as ``metrics_of_results`` does, and for domains or metrics that differ.
    """
    results = list(results)
    return [
        replace(table, tests=tuple(paired_tests(results, table.candidates, topk)))
        for table in tables_of_metrics(metrics_of_results(results, topk))
    ]


def tables_of_metrics(
    metrics: Mapping[str, Mapping[int, Mapping[str, DomainMetrics]]],
) -> list[Table]:
    """One table for each candidates mode, in the order in which ``metrics`` names them.

    ``metrics`` is what ``metrics_of_results`` or ``read_metrics`` gives. A model that was not
    scored under a mode has no row in that table. Raises ValueError when domains or metrics differ.
    """
    modes = dict.fromkeys(
        mode for seeds in metrics.values() for run in seeds.values() for mode in run
    )
    return [_table(metrics, mode) for mode in modes]


def in_one_order(orders: Iterable[Sequence[str]]) -> list[str]:
    """What any of ``orders`` names, each behind what it follows in the first that names it."""
    found: list[str] = []
    for order in orders:
        at = 0
        for name in order:
            if name not in found:
                found.insert(at, name)
            at = found.index(name) + 1
    return found


def side_by_side(tables: Mapping[str, Sequence[Table]], models: Sequence[str]) -> list[Table]:
    """For each candidates mode one table of several data sets: the domains of all of them.

    Tests stay those of each data set's own table. ``all``, which stands for all cases of one data
    set, is left out.

    Args:
        tables: by data set. They have the same metrics.
        models: the order of the rows.

    Returns:
        Tables in which a domain is called as it is, or ``DATASET: DOMAIN`` where two data sets have
        one of that name; a model that a data set has no row of has NaN there.
    """
    count = Counter(domain for each in tables.values() for domain in each[0].domains)
    modes = dict.fromkeys(table.candidates for each in tables.values() for table in each)
    found = []
    for mode in modes:
        parts = {
            dataset: table
            for dataset, each in tables.items()
            for table in each
            if table.candidates == mode
        }
        there = {model for part in parts.values() for model in part.models}
        rows = tuple(model for model in models if model in there)
        renamed = [
            _of_models(part, rows, dataset, {name for name in count if count[name] > 1})
            for dataset, part in parts.items()
        ]
        found.append(
            replace(
                renamed[0],
                domains=tuple(name for part in renamed for name in part.domains),
                mean=np.concatenate([part.mean for part in renamed], axis=1),
                std=np.concatenate([part.std for part in renamed], axis=1),
                seeds=np.concatenate([part.seeds for part in renamed], axis=1),
                tests=tuple(test for part in renamed for test in part.tests),
            )
        )
    return found


def _of_models(table: Table, models: tuple[str, ...], dataset: str, shared: set[str]) -> Table:
    """The domains of one data set with a row for each of ``models``, NaN and no seeds for others.

    shared: names of domains that want the data set's before them.
    """
    kept = [j for j, domain in enumerate(table.domains) if domain != ALL_DOMAINS]
    at = [models.index(model) for model in table.models]
    names = {
        domain: f"{dataset}: {domain}" if domain in shared else domain for domain in table.domains
    }

    def filled(values: np.ndarray, absent: float) -> np.ndarray:
        whole = np.full((len(models), len(kept), *values.shape[2:]), absent, dtype=values.dtype)
        whole[at] = values[:, kept]
        return whole

    return replace(
        table,
        models=models,
        domains=tuple(names[table.domains[j]] for j in kept),
        mean=filled(table.mean, np.nan),
        std=filled(table.std, np.nan),
        seeds=filled(table.seeds, 0),
        tests=tuple(
            replace(test, domain=names[test.domain])
            for test in table.tests
            if test.domain != ALL_DOMAINS
        ),
    )


def _table(metrics: Mapping[str, Mapping[int, Mapping[str, DomainMetrics]]], mode: str) -> Table:
    runs = {
        model: [run[mode] for run in seeds.values() if mode in run]
        for model, seeds in metrics.items()
    }
    runs = {model: seeds for model, seeds in runs.items() if seeds}
    domains, names = _axes(next(iter(runs.values()))[0])
    mean, std = [], []
    for model, seeds in runs.items():
        for run in seeds:
            if _axes(run) != (domains, names):
                raise ValueError(
                    f"{model} has the domains and metrics {_axes(run)} under {mode}, but the other "
                    f"models have {(domains, names)}; compare runs of one data set and one topk"
                )
        values = np.array([[[run[d][m] for m in names] for d in domains] for run in seeds])
        mean.append(values.mean(axis=0))
        spread = values.std(axis=0, ddof=1) if len(seeds) > 1 else np.full(mean[-1].shape, np.nan)
        std.append(spread)
    return Table(
        candidates=mode,
        models=tuple(runs),
        domains=domains,
        metrics=names,
        mean=np.array(mean),
        std=np.array(std),
        seeds=np.repeat([[len(seeds)] for seeds in runs.values()], len(domains), axis=1),
    )


def _axes(run: DomainMetrics) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(run), tuple(next(iter(run.values())))
