"""What ``report.html`` shows besides results: gathered run by run, under outside names."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from recbole_tema.config import TEMAConfig, given_settings
from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.data.facts import latest_events
from recbole_tema.evaluation.examples import popularity_classes
from recbole_tema.report import RunResult
from recbole_tema.report.html import Card, DatasetFigures, Example, read_cards
from recbole_tema.training.run import TrainedRun

# Events of a history that are shown.
LATEST = 8

# What the page says anyway.
SAID = frozenset({"model", "dataset", "seed", "seeds", "output", "config_files", "data_path"})


class PageParts:
    """The data set, the settings and the examples of a comparison.

    Attributes:
        dataset: its sizes; there from the first run on.
        settings: of each model what files and the caller set.
        cards: of all items in the examples.
    """

    dataset: DatasetFigures

    def __init__(self) -> None:
        self.settings: dict[str, dict[str, Any]] = {}
        self.cards: dict[str, Card] = {}
        self._examples: list[Example] = []
        # Of each model and seed, by example: the best items, and the target's rank.
        self._top: dict[tuple[str, int], list[tuple[tuple[str, ...], float]]] = {}

    def add(self, model: str, config: TEMAConfig, run: TrainedRun) -> None:
        """Take in what one run has to show.

        Raises:
            FormatError: the files of the items cannot be read.
        """
        given = given_settings(config)
        self.settings[model] = {key: given[key] for key in given if key not in SAID}
        dataset = run.test.loader.dataset
        if not self._top:  # one data set, and one choice of cases, for all
            self.dataset = _figures(dataset)
            self._examples = _examples(dataset, run)
        best = [_tokens(dataset, items[items > 0]) for items in run.top.items]
        self._top[model, config["seed"]] = list(zip(best, run.top.ranks.tolist(), strict=True))
        targets = _tokens(dataset, run.test.loader.cases.targets[run.top.cases])
        shown = {*targets, *(item for each in self._examples for item in each.history)}
        shown.update(item for items in best for item in items)
        if missing := shown - self.cards.keys():
            # Read once more where a run brings new ones: the texts of all items would lie in the
            # memory that models are compared by.
            self.cards.update(read_cards(dataset.files, missing))

    def examples(self, results: Iterable[RunResult]) -> list[Example]:
        """The examples, with what each model's first run in ``results`` recommends."""
        first: dict[str, int] = {}
        for run in results:
            first.setdefault(run.model, run.seed)
        tops = {model: self._top[model, seed] for model, seed in first.items()}
        return [
            replace(
                example,
                top={model: top[number][0] for model, top in tops.items()},
                rank={model: top[number][1] for model, top in tops.items()},
            )
            for number, example in enumerate(self._examples)
        ]


def _figures(dataset: CrossDomainDataset) -> DatasetFigures:
    events = dataset.domain_of(dataset.inter_feat[dataset.iid_field].numpy())
    return DatasetFigures(
        name=dataset.dataset_name,
        users=dataset.user_num - 1,
        items=tuple(stop - start for start, stop in dataset.domain_ranges),
        interactions=tuple(np.bincount(events, minlength=2).tolist()),
    )


def _examples(dataset: CrossDomainDataset, run: TrainedRun) -> list[Example]:
    cases = run.top.cases
    kinds = popularity_classes(run.facts.target_count)[cases]
    histories = latest_events(dataset, cases, LATEST)
    return [
        Example(case, str(kind), _tokens(dataset, history))
        for case, kind, history in zip(cases.tolist(), kinds, histories, strict=True)
    ]


def _tokens(dataset: CrossDomainDataset, items: np.ndarray) -> tuple[str, ...]:
    return tuple(map(str, dataset.id2token(dataset.iid_field, items)))
