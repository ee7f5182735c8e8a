"""One model, one seed: train, choose the epoch on validation, rank the test cases."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from logging import getLogger
from typing import Any

import numpy as np
from recbole.config import Config
from recbole.utils import ModelType, init_seed

from recbole_tema import distributed
from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.data.facts import CaseFacts, facts_of_test_cases
from recbole_tema.data.loaders import CaseLoader, data_preparation
from recbole_tema.evaluation.examples import choose_examples
from recbole_tema.evaluation.ranker import CaseRanker, TopItems
from recbole_tema.models.sharding import shard_items, shards_items
from recbole_tema.training.memory import begin_peaks
from recbole_tema.training.resume import RunCheckpoints
from recbole_tema.training.sharing import shares_training
from recbole_tema.training.trainer import trainer_class, validation_metric

# Items that are shown of a model's recommendations in each example.
TOP = 5


@dataclass(frozen=True)
class TrainedRun:
    """What training one model brought.

    Attributes:
        ranks: for each candidate mode (cases,) the rank of every test case's target.
        test: the ranker of the test cases, with their loader and data set.
        facts: about every test case.
        top: what the model recommends in a few of them, the same for all models and seeds.
        curve: validation metric by epoch, as (epoch, value).
        best_epoch: the epoch whose weights ranked the test cases; counted from 0.
        checkpoint: file of those weights.
        epochs: how many were trained; ``curve`` has fewer where ``eval_step`` is above 1.
        train_seconds: time of all epochs with their validations.
        eval_seconds: time to score and rank all test cases, all modes together.
        peak_memory: bytes of this process at its peak, see :mod:`recbole_tema.training.memory`.
        peak_gpu_memory: bytes on its GPU; None: no GPU.
    """

    ranks: dict[str, np.ndarray]
    test: CaseRanker
    facts: CaseFacts
    top: TopItems
    curve: list[tuple[int, float]]
    best_epoch: int
    parameters: int
    checkpoint: str
    epochs: int
    train_seconds: float
    eval_seconds: float
    peak_memory: int
    peak_gpu_memory: int | None


def train_and_rank(
    config: Config,
    dataset: CrossDomainDataset,
    checkpoints: RunCheckpoints | None = None,
    resume: bool = False,
    label: str | None = None,
) -> TrainedRun:
    """Train the model of ``config`` and rank the test cases with its best weights.

    The candidates of validation and test depend on ``candidate_seed`` alone, not on the model.

    Args:
        config: of one model.
        dataset: read with it.
        checkpoints: where they go; None: files of unique names in ``checkpoint_dir``.
        resume: go on from the last checkpoint, where there is one: bit for bit as if never stopped.
        label: what the checkpoints are called by; None: the model's name.

    Raises:
        ValueError: settings or data with which it cannot run.
        CannotGoOnError: a checkpoint to resume from that does not fit or is damaged.
        OSError: a checkpoint could not be written.
    """
    begin_peaks(config["device"])
    train_data, valid_data, test_data = data_preparation(config, dataset)
    _refuse_idle_processes(len(train_data._dataset), len(valid_data.cases), len(test_data.cases))
    # Not the validation's seed, so that a user's two cases do not share their draws.
    test = CaseRanker(test_data, config["candidates"], config["candidate_seed"] + 1)
    trainer = train(config, train_data, valid_data, checkpoints, resume, label=label)
    train_seconds = trainer.train_seconds
    trained = time.perf_counter()
    ranks = trainer.ranks(test, show_progress=config["show_progress"])
    eval_seconds = time.perf_counter() - trained
    facts = facts_of_test_cases(test_data.dataset)
    examples = choose_examples(facts, test_data.domain)
    peak_memory, peak_gpu_memory = trainer.peak_memory
    return TrainedRun(
        ranks=ranks,
        test=test,
        facts=facts,
        top=test.top(trainer.model, trainer.device, examples, TOP),
        curve=trainer.curve,
        best_epoch=best_epoch(trainer.curve, config["valid_metric_bigger"]),
        parameters=sum(each.numel() for each in trainer.model.parameters() if each.requires_grad),
        checkpoint=trainer.saved_model_file,
        epochs=len(trainer.train_loss_dict),
        train_seconds=train_seconds,
        eval_seconds=eval_seconds,
        peak_memory=peak_memory,
        peak_gpu_memory=peak_gpu_memory,
    )


def train(
    config: Config,
    train_data: Any,
    valid_data: CaseLoader,
    checkpoints: RunCheckpoints | None = None,
    resume: bool = False,
    keep: bool = True,
    after_epoch: Callable[[int, float], None] | None = None,
    label: str | None = None,
) -> Any:
    """Train the model of ``config``; what it is tested on is not seen here.

    Args:
        config, checkpoints, resume, label: see :func:`train_and_rank`.
        train_data, valid_data: of ``data_preparation``.
        keep: False: no file is written, and the model is left as the last epoch made it.
        after_epoch: called with the epoch and its validation metric; what it raises ends training.

    Returns:
        The trainer, with the ``model``, the ``curve`` and the ``best_valid_score``.

    Raises:
        ValueError, OSError: see :func:`train_and_rank`.
    """
    valid_metric = validation_metric(config, valid_data.dataset.domains)
    valid = CaseRanker(valid_data, [config["eval_args"]["mode"]["valid"]], config["candidate_seed"])

    init_seed(config["seed"], config["reproducibility"])
    model = config.model_class(config, train_data._dataset)
    if shards_items(config, model):
        shard_items(config, model)
    model = model.to(config["device"])
    getLogger().info(model)
    if distributed.rank() and shares_training(config):
        # One model in all processes; from here on each draws its own dropout and negatives.
        init_seed(config["seed"] + distributed.rank(), config["reproducibility"])
    trainer = trainer_class(config)(config, model)
    trainer.valid_metric = valid_metric
    if checkpoints:
        files = checkpoints.files(label or config["model"], config["seed"])
        trainer.keep_in(files)
        if resume and distributed.from_first(files.last.exists()):
            trainer.resume_checkpoint(files.last)
        distributed.barrier()  # until all have read it
        if distributed.is_first():
            checkpoints.begin(files, resume)
    trainer.fit(
        train_data,
        valid,
        verbose=True,
        saved=keep,
        show_progress=config["show_progress"],
        callback_fn=after_epoch,
    )
    return trainer


def rehearse(config: Config, dataset: CrossDomainDataset) -> None:
    """Find out, short of training, what :func:`train_and_rank` would refuse.

    Models whose making is their training (ItemKNN, EASE, …) are not made.

    Raises:
        ValueError, RuntimeError, OSError: what it would raise.
    """
    validation_metric(config, dataset.domains)
    train_data, valid_data, test_data = data_preparation(config, dataset)
    _refuse_idle_processes(len(train_data._dataset), len(valid_data.cases), len(test_data.cases))
    trainer_class(config)
    if config["MODEL_TYPE"] != ModelType.TRADITIONAL:
        config.model_class(config, train_data._dataset)


def _refuse_idle_processes(rows: int, valid: int, test: int) -> None:
    if distributed.world_size() > min(rows, valid, test):
        raise ValueError(
            f"world_size: {distributed.world_size()} processes for {rows} training rows, {valid} "
            f"validation and {test} test cases; start at most {min(rows, valid, test)}"
        )


def best_epoch(curve: list[tuple[int, float]], bigger: bool) -> int:
    """The epoch of the best value, -1 without any; RecBole keeps the last of equals."""
    if not curve:
        return -1
    sign = 1 if bigger else -1
    return max(curve, key=lambda point: (sign * point[1], point[0]))[0]
