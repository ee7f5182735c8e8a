"""RecBole's trainers, evaluating per domain: one mixin before whichever trainer a model needs."""

import os
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recbole.config import Config
from recbole.utils import get_local_time, get_trainer
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from recbole_tema.evaluation.metrics import metric_names, metrics_by_domain
from recbole_tema.evaluation.ranker import CaseRanker
from recbole_tema.formats import ALL_DOMAINS
from recbole_tema.training.checkpoint import load_checkpoint, save_checkpoint
from recbole_tema.training.resume import CheckpointFiles, computation, differences, environment
from recbole_tema.training.state import (
    attributes_now,
    changed_attributes,
    random_state,
    restore_attributes,
    restore_random_state,
)


class _TimeIsUp(Exception):
    """Ends RecBole's training loop between two epochs."""


class PerDomainTrainer:
    """What our trainers change in RecBole's: evaluation and checkpoints.

    The validation metrics are those over all cases, by their plain names (``ndcg@10``), and each
    domain's behind its name (``food/ndcg@10``), in lower case; ``valid_metric`` may name any of
    them (:func:`validation_metric`).

    Attributes:
        files: where the best weights go, and after each epoch all there is to go on from.
        curve: validation metric by epoch, as (epoch, value).
    """

    config: Config
    model: Any
    device: torch.device
    logger: Any

    def __init__(self, config: Config, model: Any) -> None:
        super().__init__(config, model)  # type: ignore[call-arg]
        # RecBole names it by model and second: two runs started together would share the file.
        name = f"{config['model']}-{config['dataset']}-{config['seed']}"
        unique = f"{get_local_time()}-{os.getpid()}"
        self.keep_in(CheckpointFiles.named(config["checkpoint_dir"], f"{name}-{unique}"))
        self.curve: list[tuple[int, float]] = []
        self._settings = computation(config, self.eval_step)
        self._attributes = attributes_now(model)
        self._seconds_before = 0.0
        # What a resumed run has still to put back, at the point where it was taken.
        self._pending: dict[str, Any] | None = None

    def keep_in(self, files: CheckpointFiles) -> None:
        """Write the checkpoints to ``files``, and rank with the best weights from there."""
        self.files = files
        self.saved_model_file = str(files.best)  # RecBole's name for it

    @property
    def train_seconds(self) -> float:
        """Time of all epochs with their validations, those before a resumption included."""
        return self._seconds_before + time.perf_counter() - self._started

    # ---- training ----------------------------------------------------------------------------

    def fit(
        self,
        train_data: Any,
        valid_data: CaseRanker | None = None,
        verbose: bool = True,
        saved: bool = True,
        show_progress: bool = False,
        callback_fn: Callable[[int, float], None] | None = None,
    ) -> tuple[float, dict[str, float]]:
        """RecBole's training loop, which ends early when ``max_train_seconds`` are over.

        Raises:
            ValueError: resumed on other data than it began with.
            OSError: a checkpoint could not be written.
        """
        self._started = time.perf_counter()
        self._saved = saved
        self._data = train_data._dataset.checksum()
        if self._pending and self._pending["data"] != self._data:
            raise ValueError(
                f"{self.files.last} was made with other data: their checksum was "
                f"{self._pending['data'][:12]} and is {self._data[:12]} now. Put the data of then "
                "back, or give another --output"
            )
        if self._pending and self._is_over():
            self._put_back(train_data)
            return self.best_valid_score, self.best_valid_result
        with warnings.catch_warnings():
            # RecBole spells its GradScaler the old way.
            warnings.filterwarnings("ignore", r".*torch\.cuda\.amp\.GradScaler", FutureWarning)
            try:
                super().fit(  # type: ignore[misc]
                    train_data, valid_data, verbose, saved, show_progress, callback_fn
                )
            except _TimeIsUp as stop:
                self.logger.warning(f"{self.config['model']} {stop}")
        self._save_last(train_data)
        return self.best_valid_score, self.best_valid_result

    def _build_optimizer(self, **kwargs: Any) -> torch.optim.Optimizer:
        """RecBole's optimizer; Adam by torch's fused kernel, one pass over memory for a dozen."""
        optimizer = super()._build_optimizer(**kwargs)  # type: ignore[misc]
        if type(optimizer) not in (torch.optim.Adam, torch.optim.AdamW):
            return optimizer
        for group in optimizer.param_groups:
            group["fused"] = True
        return type(optimizer)(optimizer.param_groups, fused=True)

    def _train_epoch(self, train_data: Any, epoch_idx: int, *args: Any, **kwargs: Any) -> Any:
        if self._pending:
            self._put_back(train_data)
        elif epoch_idx > self.start_epoch:
            limit = self.config["max_train_seconds"]
            if limit and self.train_seconds > limit:
                raise _TimeIsUp(
                    f"stopped after {epoch_idx} epochs: max_train_seconds ({limit}) are over, and "
                    "it may not have learnt all it can"
                )
            self._save_last(train_data)
        return super()._train_epoch(  # type: ignore[misc]
            train_data, epoch_idx, *args, **kwargs
        )

    def _valid_epoch(self, *args: Any, **kwargs: Any) -> tuple[float, dict[str, float]]:
        score, result = super()._valid_epoch(*args, **kwargs)  # type: ignore[misc]
        # RecBole notes an epoch's loss before it validates.
        self.curve.append((max(self.train_loss_dict), float(score)))
        return score, result

    def _is_over(self) -> bool:
        """Whether an earlier part of the run has trained all that the settings allow."""
        limit = self.config["max_train_seconds"]
        stopped_early = self.cur_step > self.stopping_step
        out_of_time = bool(limit) and self._seconds_before > limit
        return self.start_epoch >= self.epochs or stopped_early or out_of_time

    # ---- evaluation --------------------------------------------------------------------------

    @torch.no_grad()
    def evaluate(
        self,
        eval_data: CaseRanker,
        load_best_model: bool = True,
        model_file: str | None = None,
        show_progress: bool = False,
    ) -> dict[str, float]:
        """Metrics of the ranker's first candidate mode; see :meth:`ranks`."""
        ranks = self.ranks(eval_data, load_best_model, model_file, show_progress)
        return self._metrics(eval_data, ranks[eval_data.modes[0]])

    def ranks(
        self,
        ranker: CaseRanker,
        load_best_model: bool = True,
        model_file: str | None = None,
        show_progress: bool = False,
    ) -> dict[str, np.ndarray]:
        """Every case's rank under each candidate mode, by the model as it is or the best saved."""
        if load_best_model:
            self._load_weights(load_checkpoint(model_file or self.saved_model_file, self.device))
        return ranker.ranks(self.model, self.device, show_progress)

    def _metrics(self, ranker: CaseRanker, ranks: np.ndarray) -> dict[str, float]:
        domains = ranker.loader.dataset.domains
        by_domain = metrics_by_domain(ranks, ranker.loader.domain, domains, self.config["topk"])
        flat = dict(by_domain[ALL_DOMAINS])
        for domain in domains:
            for name, value in by_domain[domain].items():
                flat[f"{domain}/{name}".lower()] = value
        return flat

    # ---- checkpoints -------------------------------------------------------------------------

    def resume_checkpoint(self, resume_file: str | Path) -> None:
        """Make the next :meth:`fit` go on from an earlier one's ``files.last``, in its files.

        The two together do what one would have done that was never stopped, bit for bit.

        Raises:
            FileNotFoundError: no such file, or no best weights beside it.
            ValueError: it is damaged, holds the best weights alone, or was made with another model
                or other settings.
        """
        self.keep_in(CheckpointFiles.with_last(resume_file))
        try:
            last = load_checkpoint(resume_file, None)
        except ValueError as error:
            raise ValueError(
                f"{error}. It cannot be gone on from; the best weights so far lie beside it. "
                "Delete it, and --resume starts this model anew"
            ) from error
        if last["model"] != self.config["model"]:
            raise ValueError(
                f"{resume_file} holds a {last['model']}, but the model is {self.config['model']}"
            )
        if differing := differences(last["settings"], self._settings):
            raise ValueError(
                f"{resume_file} was made with other settings: {', '.join(differing)}. Resume with "
                "those of then (epochs, stopping_step and max_train_seconds may be raised), or "
                "give another --output"
            )
        if last["environment"] != (here := environment()):
            unlike = differences(last["environment"], here)
            self.logger.warning(f"{resume_file} was made elsewhere: {', '.join(unlike)}")
        if last["curve"]:
            load_checkpoint(self.files.best, self.device)  # now rather than after hours
        self._load_weights(last)
        for name, state in last["optimizers"].items():
            getattr(self, name).load_state_dict(state)
        self.start_epoch = last["epoch"] + 1
        self.cur_step = last["cur_step"]
        self.best_valid_score = last["best_valid_score"]
        self.best_valid_result = last["best_valid_result"]
        self.train_loss_dict = last["train_loss_dict"]
        self.curve = last["curve"]
        self._seconds_before = last["train_seconds"]
        self._pending = last
        self.logger.info(f"{self.start_epoch} epochs are done: going on from {resume_file}")

    def _put_back(self, train_data: Any) -> None:
        assert self._pending is not None
        restore_attributes(self.model, self._pending["attributes"])
        restore_random_state(train_data, self._pending["random"])
        self._pending = None

    def _load_weights(self, checkpoint: dict[str, Any]) -> None:
        self.model.load_state_dict(checkpoint["state_dict"])
        self.model.load_other_parameter(checkpoint["other_parameter"])

    def _save_checkpoint(self, epoch: int, verbose: bool = True, **kwargs: Any) -> None:
        """The best weights; RecBole calls it."""
        path = kwargs.pop("saved_model_file", self.saved_model_file)
        self._write(Path(path), {"epoch": epoch})
        if verbose:
            self.logger.info(f"Saved current: {path}")

    def _save_last(self, train_data: Any) -> None:
        """All that :meth:`resume_checkpoint` needs, between two epochs and after the last."""
        if not self._saved:
            return
        going_on = {
            "epoch": max(self.train_loss_dict, default=-1),
            "cur_step": self.cur_step,
            "best_valid_result": self.best_valid_result,
            "train_loss_dict": self.train_loss_dict,
            "curve": self.curve,
            "train_seconds": self.train_seconds,
            "optimizers": {name: each.state_dict() for name, each in self._steppers()},
            "attributes": changed_attributes(self.model, self._attributes),
            "random": random_state(train_data),
        }
        self._write(self.files.last, going_on)

    def _write(self, path: Path, more: dict[str, Any]) -> None:
        """The only place that writes checkpoints."""
        state = {
            "model": self.config["model"],
            "dataset": self.config["dataset"],
            "settings": self._settings,
            "data": self._data,
            "environment": environment(),
            "best_valid_score": self.best_valid_score,
            "state_dict": self.model.state_dict(),
            # Some of RecBole's models name whole modules there, which state_dict holds already.
            "other_parameter": {
                name: value
                for name, value in self.model.other_parameter().items()
                if not isinstance(value, torch.nn.Module)
            },
        }
        save_checkpoint(path, {**state, **more})

    def _steppers(self) -> list[tuple[str, Any]]:
        """Optimizers and schedulers by attribute; some trainers have several.

        RecVAE's puts each of two in turn into ``optimizer`` as well: its own names come first.
        """
        found = [
            (name, value)
            for name, value in sorted(vars(self).items(), key=lambda each: each[0] == "optimizer")
            if isinstance(value, (Optimizer, LRScheduler))
        ]
        first = {id(value): name for name, value in reversed(found)}
        return [(name, value) for name, value in found if first[id(value)] == name]

    start_epoch: int
    epochs: int
    eval_step: int
    stopping_step: int
    cur_step: int
    best_valid_score: float
    best_valid_result: dict[str, float]
    train_loss_dict: dict[int, float]


def validation_metric(config: Config, domains: Sequence[str]) -> str:
    """The trainer's name of ``valid_metric``, such as ``ndcg@10``; RecBole's Hit@k is hr@k.

    Raises:
        ValueError: it names no metric that is computed.
    """
    names = metric_names(config["topk"])
    known = [*names, *(f"{domain}/{name}".lower() for domain in domains for name in names)]
    asked = str(config["valid_metric"]).lower().replace("hit@", "hr@")
    if asked not in known:
        raise ValueError(
            f"valid_metric: expected one of {', '.join(known)} (the k are those of topk, and mrr "
            f"is over all ranks); got {config['valid_metric']!r}"
        )
    return asked


def trainer_class(config: Config) -> type[Any]:
    """The trainer that RecBole has for the model, evaluating our way."""
    base = get_trainer(config["MODEL_TYPE"], config["model"])
    return type(base.__name__, (PerDomainTrainer, base), {})
