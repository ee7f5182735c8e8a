"""What a trainer keeps of a run: the best weights, and all there is to go on from."""

import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from recbole.config import Config
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from recbole_tema.distributed import from_all, is_first, rank
from recbole_tema.models.slices import gathered, optimizer_sliced_like, sliced_like
from recbole_tema.training.averaging import WeightAverage
from recbole_tema.training.checkpoint import load_checkpoint, save_checkpoint
from recbole_tema.training.memory import gpu_peak, host_peak
from recbole_tema.training.resume import (
    LIMITS,
    CannotGoOnError,
    CheckpointFiles,
    computation,
    differences,
    environment,
    refuse_other_settings,
)
from recbole_tema.training.state import (
    attributes_now,
    changed_attributes,
    random_state,
    restore_attributes,
    restore_random_state,
)


class CheckpointKeeper:
    """The part of a trainer that writes checkpoints and goes on from them.

    Attributes:
        files: where the best weights go, and after each epoch all there is to go on from.
        curve: validation metric by epoch, as (epoch, value).
    """

    config: Config
    model: Any
    device: torch.device
    logger: Any
    start_epoch: int
    eval_step: int
    cur_step: int
    best_valid_score: float
    best_valid_result: dict[str, float]
    train_loss_dict: dict[int, float]

    def _start_keeping(self, files: CheckpointFiles) -> None:
        """After the trainer and its model were made."""
        self.keep_in(files)
        self.curve: list[tuple[int, float]] = []
        self._settings = computation(self.config, self.eval_step)
        self._attributes = attributes_now(self.model)
        self._seconds_before = 0.0
        self._peaks_before: tuple[int, int | None] = (0, None)
        # Of the weights, where one is asked for.
        self.average: WeightAverage | None = None
        # What a resumed run has still to put back, at the point where it was taken.
        self._pending: dict[str, Any] | None = None
        # Set when fit begins.
        self._started = 0.0
        self._saved = True
        self._data: dict[str, str] = {}

    def keep_in(self, files: CheckpointFiles) -> None:
        """Write the checkpoints to ``files``, and rank with the best weights from there."""
        self.files = files
        self.saved_model_file = str(files.best)  # RecBole's name for it

    @property
    def train_seconds(self) -> float:
        """Time of all epochs with their validations, those before a resumption included."""
        return self._seconds_before + time.perf_counter() - self._started

    @property
    def peak_memory(self) -> tuple[int, int | None]:
        """Bytes on the host and, where there is one, on the GPU: the larger of before and now."""
        before, now = self._peaks_before, (host_peak(), gpu_peak(self.device))
        on_gpu = [each for each in (before[1], now[1]) if each is not None]
        return max(before[0], now[0]), max(on_gpu, default=None)

    def resume_checkpoint(self, resume_file: str | Path) -> None:
        """Make the next :meth:`fit` go on from an earlier one's ``files.last``, in its files.

        The two together do what one would have done that was never stopped, bit for bit.

        Raises:
            FileNotFoundError: no such file.
            CannotGoOnError: it or the best weights beside it are damaged or missing, or it was
                made with another model or other settings.
            ValueError: it holds the best weights alone.
        """
        self.keep_in(CheckpointFiles.with_last(resume_file))
        try:
            last = load_checkpoint(resume_file, self._device_of_files())
        except ValueError as error:
            raise CannotGoOnError(
                f"{error}. It cannot be gone on from; the best weights so far lie beside it. "
                "Delete it, and --resume starts this model anew"
            ) from error
        if last["model"] != self.config["model"]:
            raise CannotGoOnError(
                f"{resume_file} holds a {last['model']}, but the model is {self.config['model']}"
            )
        refuse_other_settings(resume_file, last["settings"], self._settings)
        raised = [
            f"{key} {self._settings.get(key)} in place of {last['settings'].get(key)}"
            for key in sorted(LIMITS)
            if self._settings.get(key) != last["settings"].get(key)
        ]
        if raised:
            self.logger.warning(f"{resume_file} goes on with {', '.join(raised)}")
        if last["environment"] != (here := environment()):
            unlike = differences(last["environment"], here)
            self.logger.warning(f"{resume_file} was made elsewhere: {', '.join(unlike)}")
        if last["curve"]:
            self._check_best()
        self._load_weights(last)
        for name, state in last["optimizers"].items():
            stepper = getattr(self, name)
            if isinstance(stepper, Optimizer):
                state = optimizer_sliced_like(state, stepper)
            stepper.load_state_dict(state)
        if self.average:
            self.average.load_state_dict(last["average"])
        self.start_epoch = last["epoch"] + 1
        self.cur_step = last["cur_step"]
        self.best_valid_score = last["best_valid_score"]
        self.best_valid_result = last["best_valid_result"]
        self.train_loss_dict = last["train_loss_dict"]
        self.curve = last["curve"]
        self._seconds_before = last["train_seconds"]
        self._peaks_before = last["peak_memory"]
        self._pending = last
        self.logger.info(f"{self.start_epoch} epochs are done: going on from {resume_file}")

    def _check_best(self) -> None:
        """Now rather than after hours of training."""
        try:
            load_checkpoint(self.files.best, self._device_of_files())
        except (FileNotFoundError, ValueError) as error:
            raise CannotGoOnError(
                f"{self.files.best} holds the best weights so far and cannot be read ({error}). "
                f"Delete it and {self.files.last} to have this model trained anew"
            ) from error

    def _device_of_files(self) -> torch.device | None:
        """Where what is read goes; None: where it was. Tables that are cut are whole in files."""
        return torch.device("cpu") if getattr(self.model, "has_sliced_items", False) else None

    def evaluated_weights(self) -> AbstractContextManager[None]:
        """The model with the weights that validate and rank: their average, if there is one."""
        return self.average.in_place() if self.average else nullcontext()

    def _put_back(self, train_data: Any) -> None:
        assert self._pending is not None
        restore_attributes(self.model, self._pending["attributes"])
        restore_random_state(train_data, self._pending["random"][rank()])
        self._pending = None

    def _load_weights(self, checkpoint: dict[str, Any]) -> None:
        weights = sliced_like(checkpoint["state_dict"], self.model.state_dict())
        self.model.load_state_dict(weights)
        self.model.load_other_parameter(checkpoint["other_parameter"])

    def _save_checkpoint(self, epoch: int, verbose: bool = True, **kwargs: Any) -> None:
        """The best weights; RecBole calls it."""
        path = kwargs.pop("saved_model_file", self.saved_model_file)
        with self.evaluated_weights():
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
            "peak_memory": self.peak_memory,
            "optimizers": {name: each.state_dict() for name, each in self._steppers()},
            "average": self.average.state_dict() if self.average else None,
            "attributes": changed_attributes(self.model, self._attributes),
            "random": from_all(random_state(train_data)),
        }
        self._write(self.files.last, going_on)

    def _write(self, path: Path, more: dict[str, Any]) -> None:
        """The only place that writes checkpoints. All processes meet in it; the first writes."""
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
        whole = gathered({**state, **more})
        if is_first():
            save_checkpoint(path, whole)

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
