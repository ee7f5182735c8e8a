"""Where a run keeps its checkpoints, and whether one can go on from them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recbole_tema.config import TEMAConfig, plain_settings
from recbole_tema.distributed import world_size
from recbole_tema.formats import atomic_write, file_name_of
from recbole_tema.report.results import METRICS_FILE

_LAST = "-last.pth"

# Settings that change where things lie or what is shown, not what is computed; candidates choose
# what the trained model is asked, and the one that validates stands in eval_args too.
FREE = frozenset(
    {
        "candidates",
        "checkpoint_dir",
        "data_cache",
        "data_path",
        "gpu_id",
        "log_wandb",
        "seeds",
        "show_progress",
        "state",
    }
    | {"use_gpu", "wandb_project"}
    # Which machines they are on; their number is looked at apart, however they were started.
    | {"nproc", "world_size", "ip", "port", "group_offset"}
)
# Limits that may be raised: training goes on beyond where it would have ended.
LIMITS = frozenset({"epochs", "stopping_step", "max_train_seconds"})


class CannotGoOnError(ValueError):
    """What was begun does not fit what is asked for, or is damaged; nothing of it was changed."""


@dataclass(frozen=True)
class CheckpointFiles:
    """One row and seed: the weights of the best epoch, and all there is to go on from."""

    best: Path
    last: Path

    @classmethod
    def named(cls, folder: str | Path, stem: str) -> "CheckpointFiles":
        """``STEM-best.pth`` and ``STEM-last.pth``."""
        return cls(Path(folder) / f"{stem}-best.pth", Path(folder) / f"{stem}{_LAST}")

    @classmethod
    def with_last(cls, last: str | Path) -> "CheckpointFiles":
        """The two of which one is ``last``. Raises ValueError where it is named otherwise."""
        folder, name = Path(last).parent, Path(last).name
        if not name.endswith(_LAST):
            raise ValueError(f"{last}: one can go on from a file named …{_LAST} alone")
        return cls.named(folder, name.removesuffix(_LAST))


class RunCheckpoints:
    """The checkpoints of all rows (models with their settings) of one output folder.

    They lie in its ``checkpoints/``, or in a folder named after it below ``checkpoint_dir``. As
    long as the run is not finished, ``UNFINISHED.txt`` in the output folder says so, and names what
    is to be trained.
    """

    def __init__(self, output: Path, checkpoint_dir: str | None = None) -> None:
        self.output = output
        self.folder = output / "checkpoints"
        if checkpoint_dir:
            # Outputs of one name in different places must not share their files.
            place = hashlib.sha256(str(output.resolve()).encode()).hexdigest()[:8]
            self.folder = Path(checkpoint_dir) / f"{output.resolve().name}-{place}"
        self.unfinished = output / "UNFINISHED.txt"
        self._wanted: list[tuple[str, int]] = []

    def files(self, label: str, seed: int) -> CheckpointFiles:
        """Where those of one row and seed are."""
        return CheckpointFiles.named(self.folder, _stem(label, seed))

    def can_go_on(self) -> bool:
        """Whether there is a run here to resume, finished or not."""
        return self.unfinished.exists() or any(self.folder.glob("[!.]*.pth"))

    def check(self, wanted: list[tuple[str, int]], resume: bool) -> None:
        """Refuse a start that would lose work, and a resumption of something else.

        Args:
            wanted: label and seed of everything that the run is to train.
            resume: whether it is to go on where it was stopped.

        Raises:
            ValueError: the folder holds a run, finished or not, and ``resume`` is False; or
                ``resume`` is True and the folder holds no run, or one of other rows or seeds.
        """
        self._wanted = wanted
        has_results = (self.output / METRICS_FILE).exists()
        found = {path.name.removesuffix(_LAST) for path in self.folder.glob(f"[!.]*{_LAST}")}
        if self.unfinished.exists():
            # What an earlier, finished run of this folder left is no part of it.
            found &= set(self.unfinished.read_text(encoding="utf-8").splitlines())
        if not resume:
            if found and self.unfinished.exists():
                raise ValueError(
                    f"{self.output} holds a run that is not finished. Go on with it: the same "
                    "command with --resume (run_recbole_tema: resume=True); or start another one "
                    f"with another --output; or delete {self.folder} to give it up"
                )
            if has_results and not self.unfinished.exists():
                add = (
                    "or add models or seeds to this one: all of them with --resume "
                    "(run_recbole_tema: resume=True); "
                )
                raise ValueError(
                    f"{self.output} holds the results of a run. Start another one with another "
                    f"--output; {add if self.can_go_on() else ''}or delete {self.output} to give "
                    "it up"
                )
            return
        if not self.can_go_on():
            start_anew = "another one" if has_results else "leave --resume out"
            raise ValueError(
                f"{self.output}: nothing to resume, there is no checkpoint in {self.folder}; give "
                f"the --output of the run that was stopped, or {start_anew}"
            )
        if others := sorted(found - {_stem(label, seed) for label, seed in wanted}):
            raise ValueError(
                f"{self.output} was made with other models or seeds than those asked for: "
                f"{', '.join(others)} (model-seed) would be lost. Name all models with --model, "
                "and --ablation or --sweep, with the seed of then; or give another --output"
            )

    def begin(self, files: CheckpointFiles, resume: bool) -> None:
        """Before a model is trained: what an earlier run or a killed process left goes away."""
        with atomic_write(self.unfinished) as beside:
            beside.write_text(
                "This run is not finished. The same command with --output (this folder) and "
                "--resume goes on\nwith it where it was stopped. What it trains, as model-seed:\n"
                + "".join(f"{_stem(label, seed)}\n" for label, seed in self._wanted),
                encoding="utf-8",
            )
        for folder in (self.output, self.folder):
            for half_written in folder.glob(".writing-*"):
                half_written.unlink(missing_ok=True)
        if not resume:
            files.best.unlink(missing_ok=True)
            files.last.unlink(missing_ok=True)

    def finish(self) -> None:
        """After the last model: nothing is left to do."""
        self.unfinished.unlink(missing_ok=True)


def _stem(label: str, seed: int) -> str:
    return f"{file_name_of(label)}-{seed}"


def computation(config: TEMAConfig, eval_step: int) -> dict[str, Any]:
    """The settings that a run cannot go on without, as plain values.

    What only other models have a setting for is none of them: it was given for these.

    Args:
        config: the run's.
        eval_step: what the trainer made of it; RecBole caps it at ``epochs``.
    """
    left_out = FREE | config.keys_of_others()
    settings = {key: value for key, value in plain_settings(config).items() if key not in left_out}
    return {
        **settings,
        "eval_step": eval_step,
        "train_neg_sample_args": config["train_neg_sample_args"],
        "device": torch.device(config["device"]).type,
        "processes": world_size(),
    }


def environment() -> dict[str, Any]:
    """What may change the last bits of a result though the settings are the same."""
    libraries = {name: metadata.version(name) for name in ("recbole", "torch")}
    return {**libraries, "numpy": np.__version__, "threads": torch.get_num_threads()}


def differences(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Each setting in which a resumed run differs and may not, ``key (then …, now …)``."""
    return [
        f"{key} (then {then.get(key)!r}, now {now.get(key)!r})"
        for key in sorted({*then, *now})
        if then.get(key) != now.get(key)
        and not (key in LIMITS and _limit(now.get(key)) > _limit(then.get(key)))
    ]


def _limit(value: float | None) -> float:
    return float("inf") if value is None else value


def refuse_other_settings(last: str | Path, then: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise CannotGoOnError where a run with settings ``now`` may not go on from ``last``."""
    if differing := differences(then, now):
        raise CannotGoOnError(
            f"{last} was made with other settings: {', '.join(differing)}. Resume with "
            "those of then (epochs, stopping_step and max_train_seconds may be raised), or "
            "give another --output"
        )


def changed_files(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Names of files with other checksums, or that are in one of the two alone."""
    return sorted(name for name in {*then, *now} if then.get(name) != now.get(name))


def refuse_other_data(last: str | Path, then: Mapping[str, str], now: Mapping[str, str]) -> None:
    """The same for checksums of the files that the model reads."""
    if changed := changed_files(then, now):
        raise CannotGoOnError(
            f"{last} was made with other data: {', '.join(changed)} changed since. Put the data "
            "of then back, or give another --output"
        )


def check_begun(last: Path, config: TEMAConfig, data: Mapping[str, str]) -> None:
    """Refuse to go on from ``last`` as far as that can be said before data and model are prepared.

    What is damaged, and what preparation adds to the settings, is looked at when it is read.

    Args:
        last: a checkpoint to go on from.
        config: the run's, with its seed.
        data: checksums of the files that its model reads.

    Raises:
        CannotGoOnError: other settings or data.
    """
    try:
        begun = torch.load(last, map_location="cpu", mmap=True, weights_only=True)
        then, data_then = begun["settings"], begun["data"]
    except Exception:  # torch raises many kinds
        return
    now = computation(config, then["eval_step"])
    both = now.keys() & then.keys()
    refuse_other_settings(last, {key: then[key] for key in both}, {key: now[key] for key in both})
    refuse_other_data(last, data_then, data)
