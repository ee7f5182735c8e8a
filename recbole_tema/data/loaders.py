"""Batches for training and for evaluation, for every kind of model."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from logging import getLogger
from typing import Any

import numpy as np
import torch
from recbole.config import Config
from recbole.data.dataloader import TrainDataLoader
from recbole.data.interaction import Interaction
from recbole.data.utils import get_dataloader
from recbole.sampler import RepeatableSampler, Sampler
from recbole.utils import ModelType
from torch import Tensor

from recbole_tema import distributed
from recbole_tema.config import flag
from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.data.sequences import (
    Histories,
    Ints,
    Rows,
    training_prefixes,
    training_windows,
)

# RecBole's sequential models with a vector for each user besides the history.
KNOW_USERS = frozenset({"Caser", "DIN", "FOSSIL", "FPMC", "HGN", "HRM", "NPE", "SHAN", "TransRec"})

# A field of the row that a process without a part of the batch computes in its place.
_STAND_IN = "stand_in"

# RecBole's sequential models to which padding behind a history makes no difference.
ANY_WIDTH = frozenset({"BERT4Rec", "CORE", "GCSAN", "GRU4Rec", "NARM", "SASRec", "SRGNN"})

# For those, cases are as wide as a multiple of it. Sums over positions then fill a processor's
# vectors as they do at full width, and come out the same to the last bit: measured for SASRec,
# GRU4Rec and NARM, but no library promises it.
WIDTH_STEP = 16


@dataclass(frozen=True)
class EvalBatch:
    """Some cases whose targets lie in one domain.

    Attributes:
        cases: (B,) case numbers.
        domain: 0 or 1.
        interaction: RecBole's fields of the cases.
    """

    cases: Ints
    domain: int
    interaction: Interaction


class CaseLoader:
    """Evaluation batches: every case exactly once, one target domain a batch.

    Cases are taken by domain and length, which keeps padding short; :attr:`EvalBatch.cases` says
    which they are.

    Args:
        dataset: with the cases as a model reads them.
        whole: the same cases with all that came before their targets, whatever a model's
            MAX_ITEM_LIST_LENGTH.
        batch_size: cases at once.
    """

    def __init__(self, dataset: CrossDomainDataset, whole: Rows, batch_size: int) -> None:
        if len(dataset) == 0:
            raise ValueError("no case to evaluate: no history is long enough to be split")
        self.dataset = dataset
        self.whole = whole
        self.batch_size = batch_size
        self.domain = dataset.domain_of(dataset.rows.targets)
        lengths = dataset.rows.stops - dataset.rows.starts
        self._order = np.lexsort((lengths, self.domain))

    @property
    def cases(self) -> Rows:
        """All cases, by case number."""
        return self.dataset.rows

    def __len__(self) -> int:
        return len(self._cuts()) - 1

    def __iter__(self) -> Iterator[EvalBatch]:
        return self.part(0, 1)

    def part(self, number: int, of: int) -> Iterator[EvalBatch]:
        """Every ``of``-th batch from ``number`` on: all parts together hold each batch once."""
        for start, stop in list(pairwise(self._cuts()))[number::of]:
            yield self._batch(self._order[start:stop])

    def batches_of(self, cases: Ints) -> Iterator[EvalBatch]:
        """Some cases (n,), one batch for each target domain among them."""
        for domain in np.unique(self.domain[cases]):
            yield self._batch(cases[self.domain[cases] == domain])

    def unseen(self, batch: EvalBatch, first: int, stop: int) -> Tensor:
        """(B, stop - first) bool: which of the items ``first`` … ``stop`` - 1 are new to a case.

        New is what its whole history does not hold, and its target even where that does.
        """
        items, _ = self.whole.inputs(batch.cases)
        targets = self.whole.targets[batch.cases, None]
        held = (items >= first) & (items < stop) & (items != targets)
        new = torch.ones(len(items), stop - first, dtype=torch.bool)
        new[held.nonzero()[0], items[held] - first] = False
        return new

    def _batch(self, cases: Ints) -> EvalBatch:
        return EvalBatch(cases, int(self.domain[cases[0]]), self.dataset[cases])

    def _cuts(self) -> list[int]:
        first = int((self.domain == 0).sum())
        cuts = {*range(0, first, self.batch_size), *range(first, len(self.domain), self.batch_size)}
        return sorted({*cuts, len(self.domain)})


class SharedBatches:
    """What several processes change in RecBole's training loaders: each takes a part of a batch.

    The batches are those of one process, in its order: every loader shuffles by the same seed. Of a
    batch of n rows process p of W takes the rows p, p + W, p + 2 W, …; where that is none, as in a
    last batch of fewer rows than processes, it gets one row in their place, for which
    :func:`weighs_nothing` holds.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # The loader's own processes, of RecBole's setting worker, know of no group.
        self._number, self._of = distributed.rank(), distributed.world_size()
        super().__init__(*args, **kwargs)

    def collate_fn(self, index: Any) -> Interaction:
        """RecBole's fields of this process's part of the batch of rows ``index``."""
        own = index[self._number :: self._of]
        batch = super().collate_fn(own or index[:1])  # type: ignore[misc]
        if not own:
            batch.update(Interaction({_STAND_IN: torch.ones(len(batch))}))
        return batch


def weighs_nothing(interaction: Interaction) -> bool:
    """Whether a batch only stands for a part without rows (:class:`SharedBatches`)."""
    return _STAND_IN in interaction.columns


def trains_on_windows(model_class: type[Any]) -> bool:
    """Whether a model learns from all positions of a row (ours) or only from its target."""
    return getattr(model_class, "trains_on_windows", False)


def scores_histories(config: Config) -> bool:
    """Whether a general model scores a case by its history, which any user's will do for."""
    asked = getattr(config.model_class, "scores_histories", None)
    return asked is not None and asked(config)


def knows_users(config: Config) -> bool:
    """Whether a model scores a user by id, and so only one that it has seen in training."""
    if config["model"] == "Pop":
        return False
    by_history = config["MODEL_TYPE"] == ModelType.SEQUENTIAL or scores_histories(config)
    return not by_history or config["model"] in KNOW_USERS


def data_preparation(
    config: Config, dataset: CrossDomainDataset
) -> tuple[TrainDataLoader, CaseLoader, CaseLoader]:
    """Split the data set and wrap its parts for the model that ``config`` names.

    Returns:
        the training loader and the loaders of the validation and the test cases.

    Raises:
        ValueError: nothing to train on or to evaluate; the model scores users by id, and some users
            to evaluate have no training row; or negatives are asked for where none can be used.
    """
    reads_histories = config["MODEL_TYPE"] == ModelType.SEQUENTIAL
    windows = trains_on_windows(config.model_class)
    dataset.reads_histories = reads_histories
    dataset._change_feat_format()
    # RecBole's models may be built for one width; ours take any.
    dataset.row_width = None if windows else config["MAX_ITEM_LIST_LENGTH"]
    dataset.width_step = None
    histories, valid, test = dataset.split()

    events = _events(dataset, histories)
    reads_times = windows and bool(config["time_knots"])
    dataset.gives_times = reads_times and histories.times is not None
    train_set = dataset.with_rows(_training_rows(config, dataset, histories, events), events)
    if reads_histories and flag(config, "shuffle_ties") and histories.times is not None:
        train_set.shuffle_ties_of(histories)
    if len(train_set) == 0:
        raise ValueError("no row to train on: no history has two items in the training part")
    if knows_users(config):
        evaluated = np.concatenate([valid.users, test.users])
        _refuse_unknown_users(config, events[dataset.uid_field].numpy(), evaluated)
    train = _loader_class(config)(
        config, train_set, _sampler(config, dataset, train_set), shuffle=config["shuffle"]
    )
    if scores_histories(config):
        dataset.reads_histories = True
        dataset._change_feat_format()
    max_length = config["MAX_ITEM_LIST_LENGTH"]
    dataset.width_step = WIDTH_STEP if config["model"] in ANY_WIDTH else None
    cases = [
        CaseLoader(
            dataset.with_rows(rows.shortened(max_length), events), rows, config["eval_batch_size"]
        )
        for rows in (valid, test)
    ]
    getLogger().info(
        f"{len(train_set)} training rows, {len(valid)} validation and {len(test)} test cases"
    )
    return train, cases[0], cases[1]


def _loader_class(config: Config) -> type[Any]:
    """RecBole's training loader for the model, its batches shared where there are processes."""
    base = get_dataloader(config, "train")
    # What computes its model from all rows at once does so in every process.
    if distributed.world_size() == 1 or config["MODEL_TYPE"] == ModelType.TRADITIONAL:
        return base
    return type(base.__name__, (SharedBatches, base), {})


def _events(dataset: CrossDomainDataset, histories: Histories) -> Interaction:
    """User and item of every training event; pre-split rows of one user overlap and count once."""
    users = np.repeat(histories.users, np.diff(histories.offsets))
    items = histories.items
    if len(np.unique(histories.users)) < len(histories):
        _, first = np.unique(users * dataset.item_num + items, return_index=True)
        users, items = users[np.sort(first)], items[np.sort(first)]
    return Interaction(
        {dataset.uid_field: torch.from_numpy(users), dataset.iid_field: torch.from_numpy(items)}
    )


def _training_rows(
    config: Config, dataset: CrossDomainDataset, histories: Histories, events: Interaction
) -> Rows:
    max_length = config["MAX_ITEM_LIST_LENGTH"]
    if trains_on_windows(config.model_class):
        return training_windows(histories, max_length)
    if dataset.reads_histories:
        return training_prefixes(histories, max_length)
    at = np.arange(len(events))
    items = events[dataset.iid_field].numpy()
    return Rows(items, at, at + 1, events[dataset.uid_field].numpy())


def _sampler(config: Config, dataset: CrossDomainDataset, train_set: CrossDomainDataset) -> Any:
    """RecBole's sampler of training negatives; None for models that need none."""
    args = config["train_neg_sample_args"]
    if args["distribution"] == "none":
        return None
    if trains_on_windows(config.model_class):
        # RecBole's loader would put sampled items in the place of targets.
        raise ValueError(
            f"train_neg_sample_args: {config['model']} samples its negatives itself (n_negatives); "
            "leave this one at ~"
        )
    if dataset.reads_histories:
        sampler = RepeatableSampler(["train"], train_set, args["distribution"], args["alpha"])
    else:
        sampler = Sampler(["train"], [train_set], args["distribution"], args["alpha"])
    return sampler.set_phase("train")


def _refuse_unknown_users(config: Config, trained: Ints, evaluated: Ints) -> None:
    """A model with a vector for each user cannot score one it never saw."""
    unknown = np.setdiff1d(evaluated, trained)
    if len(unknown):
        raise ValueError(
            f"{config['model']} scores users by id, and {len(unknown)} of "
            f"{len(np.unique(evaluated))} users to evaluate have no training row in this data set "
            "(its split holds users apart). Compare models that read histories, such as SASRec, "
            "GRU4Rec or ItemKNN with knn_method: item"
        )
