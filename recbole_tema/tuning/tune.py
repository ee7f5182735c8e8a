"""One call from the names of models and search spaces to the settings that validate best."""

import importlib.util
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_tema import distributed
from recbole_tema.asked import config_of, dataset_names, first_given, settings_in
from recbole_tema.comparison import log_to_own_file
from recbole_tema.config import TEMAConfig, given_settings, plain_settings
from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.data.loaders import data_preparation
from recbole_tema.dataset_tools.build.movielens import NAME as ML_100K
from recbole_tema.launch import ProcessSettings
from recbole_tema.rows import model_names
from recbole_tema.training.resume import FREE
from recbole_tema.training.run import best_epoch, train
from recbole_tema.training.trainer import validation_metric
from recbole_tema.tuning.space import Space, read_space, space_file

if TYPE_CHECKING:
    from recbole_tema.tuning.study import AfterEpoch, Outcome

# What a file of the best settings leaves to those who use it.
_THEIRS = (FREE - {"candidates"}) | {"model", "dataset"}


class TuningStopped(KeyboardInterrupt):
    """A search was interrupted; the same call goes on with it in the folder ``output``."""

    def __init__(self, output: Path) -> None:
        super().__init__(f"go on with the same call and output={str(output)!r}")
        self.output = output


def tune_models(
    model: str | Sequence[str] | None = None,
    dataset: str | None = None,
    config_file_list: list[str] | None = None,
    config_dict: dict[str, Any] | None = None,
    *,
    space: str | Path,
    trials: int,
    output: str | Path | None = None,
) -> dict[str, Path]:
    """Look for the settings with the best ``valid_metric``, for one or several models in turn.

    Every model gets as many trials; ``max_train_seconds`` limits each of them. The first takes the
    settings as they are, as far as they lie in the space. The same call goes
    on with a study that was stopped, until as many trials count, and several at once share one.
    The test cases are not ranked.

    Args:
        model, dataset, config_file_list, config_dict: see
            :func:`recbole_tema.run_recbole_tema`. What the space fixes wins over the files, and
            the dict over the space.
        space: a YAML file, or a folder with ``MODEL.yaml``; those of ``tune/`` come with the
            package. See :func:`recbole_tema.tuning.space.read_space`.
        trials: how many for each model.
        output: folder for the study and what was found; by default ``results/tune-DATASET``.

    Returns:
        For each model with a complete trial the file of its best settings, for ``config_files``.

    Raises:
        ValueError: settings, a space or data that cannot be run, a study of something else in
            ``output``, or Optuna is not installed.
        OSError: a file could not be read or written.
        TuningStopped: a KeyboardInterrupt that names the folder to go on in.
    """
    _require_optuna()
    if isinstance(trials, bool) or not isinstance(trials, int) or trials < 1:
        raise ValueError(f"--trials: expected a whole number of at least 1, got {trials!r}")
    given = {**settings_in(config_file_list or []), **(config_dict or {})}
    if distributed.launched() or ProcessSettings.of(given).world_size > 1:
        raise ValueError(
            "nproc: a trial is trained by one process; to use several, start the same command "
            "several times, and they share the trials"
        )
    names = model_names(first_given(model, given.get("model"), "TEMA"))
    datasets = dataset_names(first_given(dataset, given.get("dataset"), ML_100K))
    if len(datasets) > 1:
        raise ValueError(
            f"dataset: --tune searches on one data set, got {', '.join(datasets)}; give each a "
            "command of its own"
        )
    dataset = datasets[0]
    folder = Path(output) if output else Path("results") / f"tune-{dataset}"
    spaces = {name: read_space(space_file(str(space), name)) for name in names}
    files = config_file_list or []
    searches = [
        _Tuning(name, dataset, files, config_dict or {}, spaces[name], trials, folder, str(space))
        for name in names
    ]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        found = {each.model: each.run() for each in searches}
    except KeyboardInterrupt as stop:
        raise TuningStopped(folder) from stop
    print(f"\nResults: {folder}")
    return {name: path for name, path in found.items() if path}


def _require_optuna() -> None:
    if importlib.util.find_spec("optuna") is None:
        raise ValueError(
            "--tune needs Optuna, which is not installed. Run:\n    pip install 'optuna>=5'"
        )


class _Tuning:
    """The search for one model; what cannot be run is refused before any model is trained."""

    def __init__(
        self,
        model: str,
        dataset: str,
        files: list[str],
        given: dict[str, Any],
        space: Space,
        trials: int,
        folder: Path,
        space_name: str,
    ) -> None:
        if twice := sorted(set(space.ranges) & set(given)):
            raise ValueError(
                f"{space.file}: {', '.join(twice)}: to be tuned, but given on the command line too"
            )
        self.model, self.space = model, space
        self._dataset, self._files, self._given = dataset, files, given
        self._trials, self._folder = trials, folder
        # The first value of each range, so that the names of all settings are looked at.
        first = {key: each.values[0] for key, each in space.ranges.items()}
        config_of(model, dataset, files, given)  # makes a built-in data set
        self._check_keys(self._settings(first))
        self._base = self._settings({})
        self._base.warn_of_unknown_keys()
        arguments = ["--model", model, "--dataset", dataset]
        arguments += ["--config_files", " ".join(files)] if files else []
        arguments += ["--tune", space_name, "--trials", str(trials), "--output", str(folder)]
        arguments += [f"--{key}={value}" for key, value in given.items()]
        self._command = shlex.join(["recbole-tema", *arguments])

    def _settings(self, tuned: dict[str, Any]) -> TEMAConfig:
        """The configuration of a trial."""
        settings = {**self.space.fixed, **self._given, **tuned}
        config = TEMAConfig(self.model, self._dataset, self._files, settings, warn=False)
        config["checkpoint_dir"] = str(self._folder)  # else RecBole's trainers make saved/
        return config

    def _check_keys(self, config: TEMAConfig) -> None:
        in_space = {*self.space.ranges, *self.space.fixed}
        for key, hint in config.unknown_keys().items():
            if key in in_space:
                where = f"{self.space.file}: {key}"
                raise ValueError(f"{where}: {self.model} has no such setting{hint}")

    def run(self) -> Path | None:
        """Tune; returns the file of the best settings, None where no trial was complete."""
        from recbole_tema.tuning.report import (
            Search,
            best_file,
            number_of,
            state_of,
            write_best,
            write_trials,
        )
        from recbole_tema.tuning.study import EPOCHS, SECONDS, ModelStudy, value_of

        log_to_own_file(self._base)
        data = CrossDomainDataset(self._base)
        validation_metric(self._base, data.domains)
        bigger, metric = self._base["valid_metric_bigger"], str(self._base["valid_metric"])
        seed = self._base["seed"]
        start = self.space.start(plain_settings(self._base))
        study = ModelStudy(self._folder, self.model, self._identity(data), bigger, start, seed)
        search = Search(self.space, self._dataset, data.checksum(), metric, self._command)

        def report() -> None:
            write_trials(self._folder, study, search)
            if best := study.best():
                tuned = self.space.values(best.params)
                settings = given_settings(self._settings(tuned))
                kept = {key: value for key, value in settings.items() if key not in _THEIRS}
                write_best(self._folder, study, search, kept)

        def after_trial(trial: Any) -> None:
            report()
            value, best = value_of(trial, bigger), study.best()
            leader = f"{_number(best.value)}, trial {number_of(best)}" if best else "none"
            print(
                f"{self.model}: trial {number_of(trial)} {state_of(trial)}: {metric} "
                f"{_number(value)} (epochs: {trial.user_attrs[EPOCHS]}, "
                f"{trial.user_attrs[SECONDS]:.0f} s); best so far {leader}; "
                f"trials done: {study.counted()} of {self._trials}",
                flush=True,
            )

        print(f"{self.model}: trials done: {study.counted()} of {self._trials}", flush=True)
        study.run(self._trials, self.space.suggest, self._train, after_trial)
        report()
        return best_file(self._folder, self.model) if study.best() else None

    def _identity(self, data: CrossDomainDataset) -> dict[str, Any]:
        """What trials of one study have in common; the settings that are tuned by their ranges."""
        settings = {
            key: value
            for key, value in plain_settings(self._base).items()
            if key not in FREE and key not in self.space.ranges
        }
        ranges = {
            key: f"{each.kind} {list(each.values)} step {each.step}"
            for key, each in self.space.ranges.items()
        }
        return {**settings, **ranges, **data.checksums()}

    def _train(self, tuned: dict[str, Any], after_epoch: "AfterEpoch") -> "Outcome":
        from recbole_tema.tuning.study import Outcome

        config = self._settings(tuned)
        train_data, valid_data, _ = data_preparation(config, CrossDomainDataset(config))
        trainer = train(config, train_data, valid_data, keep=False, after_epoch=after_epoch)
        best = best_epoch(trainer.curve, config["valid_metric_bigger"])
        return Outcome(float(trainer.best_valid_score), len(trainer.train_loss_dict), best)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
