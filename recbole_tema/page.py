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
    """

    dataset: DatasetFigures

    def __init__(self) -> None:
        self.settings: dict[str, dict[str, Any]] = {}
        self._examples: list[Example] = []
        self._cards: dict[str, Card] = {}
        # Of each model and seed, by example: the best items, and the target's rank.
        self._top: dict[tuple[str, int], list[tuple[tuple[str, ...], float]]] = {}

    def add(self, model: str, config: TEMAConfig, run: TrainedRun) -> None:
        """Take in what one run has to show."""
        given = given_settings(config)
        self.settings[model] = {key: given[key] for key in given if key not in SAID}
        dataset = run.test.loader.dataset
        if not self._top:  # one data set, and one choice of cases, for all
            self.dataset = _figures(dataset)
            self._examples = _examples(dataset, run)
            self._files = dataset.files
        best = [_tokens(dataset, items[items > 0]) for items in run.top.items]
        self._top[model, config["seed"]] = list(zip(best, run.top.ranks.tolist(), strict=True))

    def examples(self, results: Iterable[RunResult]) -> tuple[list[Example], dict[str, Card]]:
        """The examples, with what each model's first run in ``results`` recommends.

        Returns them and the cards of all items in them.

        Raises:
            FormatError: the files of the items cannot be read.
        """
        first: dict[str, int] = {}
        for run in results:
            first.setdefault(run.model, run.seed)
        tops = {model: self._top[model, seed] for model, seed in first.items()}
        examples = [
            replace(
                example,
                top={model: top[number][0] for model, top in tops.items()},
                rank={model: top[number][1] for model, top in tops.items()},
            )
            for number, example in enumerate(self._examples)
        ]
        shown = {item for example in examples for item in example.items}
        if missing := shown - self._cards.keys():
            # Read once more for each model: the texts of all items would lie in the memory that
            # models are compared by.
            self._cards.update(read_cards(self._files, missing))
        return examples, {item: self._cards[item] for item in sorted(shown)}


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
    kinds = popularity_classes(run.facts.target_count)[cases].tolist()
    targets = _tokens(dataset, run.test.loader.cases.targets[cases])
    histories = [_tokens(dataset, items) for items in latest_events(dataset, cases, LATEST)]
    return list(map(Example, cases.tolist(), kinds, targets, histories))


def _tokens(dataset: CrossDomainDataset, items: np.ndarray) -> tuple[str, ...]:
    return tuple(map(str, dataset.id2token(dataset.iid_field, items)))
