"""RecBole's trainers, evaluating per domain: one mixin before whichever trainer a model needs."""

import contextlib
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from recbole.config import Config
from recbole.utils import get_local_time, get_trainer

from recbole_tema.distributed import barrier, from_first, is_first
from recbole_tema.evaluation.metrics import metric_names, metrics_by_domain
from recbole_tema.evaluation.ranker import CaseRanker
from recbole_tema.formats import ALL_DOMAINS
from recbole_tema.models.slices import gathered, optimizer_sliced_like, sliced_like
from recbole_tema.training.checkpoint import load_checkpoint, save_checkpoint
from recbole_tema.training.sharing import SharedLoss, check_trainer, shareable, shares_training


class _TimeIsUp(Exception):
    """Ends RecBole's training loop between two epochs."""


class _NoTensorBoard:
    """Takes what RecBole writes there, for processes that do not write."""

    def add_scalar(self, *args: Any, **kwargs: Any) -> None:
        """Nothing."""

    def add_hparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing."""


class PerDomainTrainer:
    """What our trainers change in RecBole's: evaluation and checkpoints.

    The validation metrics are those over all cases, by their plain names (``ndcg@10``), and each
    domain's behind its name (``food/ndcg@10``), in lower case; ``valid_metric`` may name any of
    them (:func:`validation_metric`).
    """

    config: Config
    model: Any
    device: torch.device
    saved_model_file: str
    logger: Any

    def __init__(self, config: Config, model: Any) -> None:
        with contextlib.ExitStack() as elsewhere:
            if not is_first():
                # RecBole opens a file for TensorBoard in the current folder.
                nowhere = elsewhere.enter_context(tempfile.TemporaryDirectory())
                elsewhere.enter_context(contextlib.chdir(nowhere))
            super().__init__(config, shareable(config, model))  # type: ignore[call-arg]
            if not is_first():
                self.tensorboard.close()
                self.tensorboard = _NoTensorBoard()
        self._loss = SharedLoss(self.model) if shares_training(config) else None
        # RecBole names it by model and second: two runs started together would share the file.
        name = f"{config['model']}-{config['dataset']}-{config['seed']}"
        unique = f"{get_local_time()}-{os.getpid()}"
        unique = from_first(unique)
        self.saved_model_file = os.path.join(config["checkpoint_dir"], f"{name}-{unique}.pth")

    def fit(self, *args: Any, **kwargs: Any) -> tuple[float, dict[str, float]]:
        """RecBole's training loop, which ends early when ``max_train_seconds`` are over."""
        self._started = time.perf_counter()
        with warnings.catch_warnings():
            # RecBole spells its GradScaler the old way.
            warnings.filterwarnings("ignore", r".*torch\.cuda\.amp\.GradScaler", FutureWarning)
            try:
                return super().fit(*args, **kwargs)  # type: ignore[misc]
            except _TimeIsUp as stop:
                self.logger.warning(f"{self.config['model']} {stop}")
                return self.best_valid_score, self.best_valid_result

    def _train_epoch(
        self,
        train_data: Any,
        epoch_idx: int,
        loss_func: Callable[..., Any] | None = None,
        show_progress: bool = False,
    ) -> Any:
        limit = self.config["max_train_seconds"]
        late = limit and from_first(time.perf_counter() - self._started > limit)
        if late and epoch_idx > self.start_epoch:
            raise _TimeIsUp(
                f"stopped after {epoch_idx} epochs: max_train_seconds ({limit}) are over, and it "
                "may not have learnt all it can"
            )
        return super()._train_epoch(  # type: ignore[misc]
            train_data, epoch_idx, loss_func or self._loss, show_progress
        )

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
            barrier()  # the first process has written it
            self._load_weights(self._read(model_file or self.saved_model_file))
        return ranker.ranks(self.model, self.device, show_progress)

    def resume_checkpoint(self, resume_file: str) -> None:
        """Go on from a checkpoint: weights, optimizer, epoch, state of early stopping."""
        checkpoint = self._read(resume_file)
        if checkpoint["model"] != self.config["model"]:
            raise ValueError(
                f"{resume_file} holds a {checkpoint['model']}, but the model is "
                f"{self.config['model']}"
            )
        self.saved_model_file = str(resume_file)
        self.start_epoch = checkpoint["epoch"] + 1
        self.cur_step = checkpoint["cur_step"]
        self.best_valid_score = checkpoint["best_valid_score"]
        self._load_weights(checkpoint)
        state = optimizer_sliced_like(checkpoint["optimizer"], self.optimizer)
        self.optimizer.load_state_dict(state)

    def _metrics(self, ranker: CaseRanker, ranks: np.ndarray) -> dict[str, float]:
        domains = ranker.loader.dataset.domains
        by_domain = metrics_by_domain(ranks, ranker.loader.domain, domains, self.config["topk"])
        flat = dict(by_domain[ALL_DOMAINS])
        for domain in domains:
            for name, value in by_domain[domain].items():
                flat[f"{domain}/{name}".lower()] = value
        return flat

    def _read(self, path: str) -> dict[str, Any]:
        # A file has whole tables, also those that are sliced because a card cannot take them.
        sliced = getattr(self.model, "has_sliced_items", False)
        return load_checkpoint(path, torch.device("cpu") if sliced else self.device)

    def _load_weights(self, checkpoint: dict[str, Any]) -> None:
        weights = sliced_like(checkpoint["state_dict"], self.model.state_dict())
        self.model.load_state_dict(weights)
        self.model.load_other_parameter(checkpoint["other_parameter"])

    def _save_checkpoint(self, epoch: int, verbose: bool = True, **kwargs: Any) -> None:
        path = kwargs.pop("saved_model_file", self.saved_model_file)
        state = {
            "model": self.config["model"],
            "dataset": self.config["dataset"],
            "epoch": epoch,
            "cur_step": self.cur_step,
            "best_valid_score": self.best_valid_score,
            "state_dict": self.model.state_dict(),
            # Some of RecBole's models name whole modules there, which state_dict holds already.
            "other_parameter": {
                name: value
                for name, value in self.model.other_parameter().items()
                if not isinstance(value, torch.nn.Module)
            },
            "optimizer": self.optimizer.state_dict(),
        }
        state = gathered(state)
        if not is_first():
            return
        save_checkpoint(path, state)
        if verbose:
            self.logger.info(f"Saving current: {path}")

    start_epoch: int
    cur_step: int
    best_valid_score: float
    best_valid_result: dict[str, float]
    tensorboard: Any
    optimizer: torch.optim.Optimizer


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
    check_trainer(config, base)
    return type(base.__name__, (PerDomainTrainer, base), {})
