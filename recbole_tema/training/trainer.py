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
from recbole_tema.training.averaging import WeightAverage
from recbole_tema.training.checkpoint import load_checkpoint
from recbole_tema.training.keeper import CheckpointKeeper
from recbole_tema.training.resume import CheckpointFiles, refuse_other_data
from recbole_tema.training.sharing import SharedLoss, check_trainer, shareable, shares_training


class _TimeIsUp(Exception):
    """Ends RecBole's training loop between two epochs."""


class _NoTensorBoard:
    """Takes what RecBole writes there, for processes that do not write."""

    def add_scalar(self, *args: Any, **kwargs: Any) -> None:
        """Nothing."""

    def add_hparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing."""


class PerDomainTrainer(CheckpointKeeper):
    """What our trainers change in RecBole's: evaluation, checkpoints, several processes.

    The validation metrics are those over all cases, by their plain names (``ndcg@10``), and each
    domain's behind its name (``food/ndcg@10``), in lower case; ``valid_metric`` may name any of
    them (:func:`validation_metric`).
    """

    epochs: int
    stopping_step: int
    tensorboard: Any

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
        unique = from_first(f"{get_local_time()}-{os.getpid()}")
        self._start_keeping(CheckpointFiles.named(config["checkpoint_dir"], f"{name}-{unique}"))
        if config["weight_average"]:
            self.average = WeightAverage(self.model, config["weight_average"])
            for _, stepper in self._steppers():
                if isinstance(stepper, torch.optim.Optimizer):
                    stepper.register_step_post_hook(self.average.update)

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
            CannotGoOnError: resumed on other data than it began with.
            OSError: a checkpoint could not be written.
        """
        self._started = time.perf_counter()
        self._saved = saved
        self._data = train_data._dataset.checksums()
        if self._pending:
            refuse_other_data(self.files.last, self._pending["data"], self._data)
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
        # The fused kernel takes no mixture of whole tables and sliced ones.
        sliced = getattr(self.model, "has_sliced_items", False)
        if sliced or type(optimizer) not in (torch.optim.Adam, torch.optim.AdamW):
            return optimizer
        for group in optimizer.param_groups:
            group["fused"] = True
        return type(optimizer)(optimizer.param_groups, fused=True)

    def _train_epoch(
        self,
        train_data: Any,
        epoch_idx: int,
        loss_func: Callable[..., Any] | None = None,
        show_progress: bool = False,
    ) -> Any:
        if self._pending:
            self._put_back(train_data)
        elif epoch_idx > self.start_epoch:
            limit = self.config["max_train_seconds"]
            if limit and from_first(self.train_seconds > limit):
                raise _TimeIsUp(
                    f"stopped after {epoch_idx} epochs: max_train_seconds ({limit}) are over, and "
                    "it may not have learnt all it can"
                )
            self._save_last(train_data)
        train_data._dataset.begin_epoch(epoch_idx)
        return super()._train_epoch(  # type: ignore[misc]
            train_data, epoch_idx, loss_func or self._loss, show_progress
        )

    def _valid_epoch(self, *args: Any, **kwargs: Any) -> tuple[float, dict[str, float]]:
        with self.evaluated_weights():
            score, result = super()._valid_epoch(*args, **kwargs)  # type: ignore[misc]
        # RecBole notes an epoch's loss before it validates.
        self.curve.append((max(self.train_loss_dict), float(score)))
        # As RecBole's evaluator does; the score that chooses the epoch stays whole.
        places = self.config["metric_decimal_place"]
        return score, {name: round(value, places) for name, value in result.items()}

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
            barrier()  # the first process has written it
            path, device = model_file or self.saved_model_file, self._device_of_files()
            self._load_weights(load_checkpoint(path, device or self.device))
        return ranker.ranks(self.model, self.device, show_progress)

    def _metrics(self, ranker: CaseRanker, ranks: np.ndarray) -> dict[str, float]:
        domains = ranker.loader.dataset.domains
        by_domain = metrics_by_domain(ranks, ranker.loader.domain, domains, self.config["topk"])
        flat = dict(by_domain[ALL_DOMAINS])
        for domain in domains:
            for name, value in by_domain[domain].items():
                flat[f"{domain}/{name}".lower()] = value
        return flat


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
