"""A study of one model: trials shared by processes, gone on with after a kill."""

import contextlib
import json
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning, TrialPruned
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState

# Seconds between the signs of life of a running trial, and after how many without one it counts as
# killed. Two processes that wait for each other's writes must not look dead.
HEARTBEAT, GRACE = 5, 60
# Seconds between looks at trials of other processes, when there is nothing else to do.
POLL = 1.0
# From this trial on the sampler learns from the earlier ones.
WARM_UP_TRIALS = 5
# From this epoch on a trial is compared with the median of the complete ones, where so many of them
# came as far.
WARM_UP_EPOCHS, COMPLETE_TRIALS = 5, 2
# When nothing else has happened so many errors in a row end the study.
ERRORS = 3
DATABASE = "study.db"

# Attributes of a trial: why it failed by itself, what it took.
ERROR, EPOCHS, SECONDS, BEST_EPOCH = "error", "epochs", "seconds", "best_epoch"
_IDENTITY = "identity"

AfterEpoch = Callable[[int, float], None]


@dataclass(frozen=True)
class Outcome:
    """What the training of a trial brought: the best validation metric, epochs and the best one."""

    value: float
    epochs: int
    best_epoch: int


class ModelStudy:
    """The trials of one model, in ``study.db`` of a folder.

    Several processes may work on it at once. A trial counts when it is complete, pruned, or failed
    by an error of its own; one that was killed is marked as failed, does not count, and is tried
    again with its settings.

    Args:
        folder: it exists; all models of a folder share the database.
        model: names the study.
        identity: what trials need in common to be compared, as values that JSON can hold.
        bigger: whether a bigger value is better.
        start: parameters of the first trial, as the study keeps them; the sampler draws the others.
        seed: of the sampler. One process draws the same trials whether or not it was stopped.

    Raises:
        ValueError: the folder holds trials of the model with another ``identity``.
    """

    def __init__(
        self,
        folder: Path,
        model: str,
        identity: dict[str, Any],
        bigger: bool,
        start: dict[str, Any],
        seed: int,
    ) -> None:
        self.database = folder / DATABASE
        self.model, self.bigger, self._seed = model, bigger, seed
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with self._alone(), _quietly():
            storage = RDBStorage(
                f"sqlite:///{self.database.absolute()}",
                # Seconds that a write waits for those of other processes.
                engine_kwargs={"connect_args": {"timeout": 60}},
                heartbeat_interval=HEARTBEAT,
                grace_period=GRACE,
                heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
            )
            self._study = optuna.create_study(
                study_name=model,
                storage=storage,
                direction="maximize" if bigger else "minimize",
                pruner=MedianPruner(COMPLETE_TRIALS, WARM_UP_EPOCHS, n_min_trials=COMPLETE_TRIALS),
                load_if_exists=True,
            )
            self._check(json.loads(json.dumps(identity)))
            # One that was killed before it had taken any of them is no start.
            if not any(
                each.params or each.state == TrialState.WAITING for each in self._study.trials
            ):
                self._study.enqueue_trial(start)

    def _check(self, identity: dict[str, Any]) -> None:
        then = self._study.user_attrs.get(_IDENTITY)
        if then is None:
            self._study.set_user_attr(_IDENTITY, identity)
            return
        changed = [
            f"{key} (then {then.get(key)!r}, now {identity.get(key)!r})"
            for key in sorted({*then, *identity})
            if then.get(key) != identity.get(key)
        ]
        if changed:
            raise ValueError(
                f"{self.database} holds trials of {self.model} that cannot be compared with those "
                f"asked for: {', '.join(changed)}. Use what was used then, or give another --output"
            )

    def run(
        self,
        trials: int,
        suggest: Callable[[optuna.Trial], dict[str, Any]],
        train: Callable[[dict[str, Any], AfterEpoch], Outcome],
        after_trial: Callable[[FrozenTrial], None],
    ) -> None:
        """Go on until so many trials count, those of other processes included.

        Args:
            trials: how many.
            suggest: the settings that a trial is to take.
            train: train with them; calls its second argument after each epoch that is validated,
                which ends a trial that is pruned.
            after_trial: called after each trial of this process.

        Raises:
            ValueError: the first trials all failed.
        """

        def objective(trial: optuna.Trial) -> float:
            settings = suggest(trial)
            self._claim.close()  # others see what is tried here
            return self._run_trial(trial, settings, train)

        waited = False
        while True:
            with contextlib.ExitStack() as self._claim:
                self._claim.enter_context(self._alone())
                counted, running = self._look()
                if counted >= trials:
                    return
                if claimed := counted + running < trials:
                    # By its place: the same trial after a kill, and another one than the last.
                    self._study.sampler = _sampler(self._seed + counted + running)
                    with _quietly():
                        self._study.optimize(
                            objective, n_trials=1, catch=(Exception,), gc_after_trial=True
                        )
            if claimed:
                after_trial(self._study.trials[self._last])
                self._give_up_if_all_fail(trials)
                continue
            if not waited:
                print(f"{self.model}: waiting for trials that other processes run or have left")
            waited = True
            time.sleep(POLL)

    def _run_trial(
        self,
        trial: optuna.Trial,
        settings: dict[str, Any],
        train: Callable[[dict[str, Any], AfterEpoch], Outcome],
    ) -> float:
        self._last = trial.number
        epochs = 0

        def after_epoch(epoch: int, value: float) -> None:
            nonlocal epochs
            epochs = epoch + 1
            trial.report(value, epoch)
            if trial.should_prune():
                raise TrialPruned

        started = time.perf_counter()
        try:
            outcome = train(settings, after_epoch)
            epochs = outcome.epochs
            trial.set_user_attr(BEST_EPOCH, outcome.best_epoch)
            return outcome.value
        except KeyboardInterrupt:
            with _quietly():
                RetryHeartbeatStaleTrialCallback()(self._study, self._study.trials[trial.number])
            raise
        except TrialPruned:
            raise
        except Exception as error:
            trial.set_user_attr(ERROR, f"{type(error).__name__}: {error}")
            raise
        finally:
            trial.set_user_attr(EPOCHS, epochs)
            trial.set_user_attr(SECONDS, round(time.perf_counter() - started, 1))

    def trials(self) -> list[FrozenTrial]:
        """All that have begun, best first; those without a value last, in their order."""
        begun = [each for each in self._study.trials if each.state != TrialState.WAITING]
        sign = -1 if self.bigger else 1

        def order(trial: FrozenTrial) -> tuple[bool, float, int]:
            value = value_of(trial, self.bigger)
            return value is None, sign * (value or 0.0), trial.number

        return sorted(begun, key=order)

    def best(self) -> FrozenTrial | None:
        """The complete trial of the best value, the first of equals."""
        return next((each for each in self.trials() if each.state == TrialState.COMPLETE), None)

    def counted(self) -> int:
        """How many trials count."""
        return sum(map(_counts, self._study.trials))

    def _look(self) -> tuple[int, int]:
        """How many trials count and how many run, after those that were killed are put back."""
        with _quietly():
            fail_stale_trials(self._study)
        counted, running, long_ago = 0, 0, datetime.now() - timedelta(seconds=GRACE)
        # Read once: a trial that ends meanwhile is not to be in both numbers.
        for trial in self._study.trials:
            counted += _counts(trial)
            if trial.state != TrialState.RUNNING:
                continue
            begun = trial.datetime_start
            # Killed between its beginning and its first sign of life.
            if not trial.params and begun is not None and begun < long_ago:
                self._study.tell(trial.number, state=TrialState.FAIL)
            else:
                running += 1
        return counted, running

    def _give_up_if_all_fail(self, trials: int) -> None:
        own = [each for each in self._study.trials if _counts(each)]
        if len(own) >= min(ERRORS, trials) and all(ERROR in each.user_attrs for each in own):
            raise ValueError(
                f"{self.model}: no trial succeeded, {len(own)} failed; the last one with "
                f"{own[-1].user_attrs[ERROR]}. What stands in the space cannot be run; after a "
                "change of it give another --output"
            )

    def _alone(self) -> FileLock:
        """One process of this folder at a time; one that is killed lets go."""
        # Not study.db itself, which others write to meanwhile.
        return FileLock(self.database.with_suffix(".lock"), timeout=600)


def value_of(trial: FrozenTrial, bigger: bool) -> float | None:
    """The best validation metric of a trial, as far as it came; None: it never was validated."""
    if trial.state == TrialState.COMPLETE:
        return trial.value
    values = trial.intermediate_values.values()
    return (max if bigger else min)(values, default=None)


def _counts(trial: FrozenTrial) -> bool:
    finished = trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
    return finished or (trial.state == TrialState.FAIL and ERROR in trial.user_attrs)


def _sampler(seed: int) -> TPESampler:
    with _quietly():
        # constant_liar: away from what other processes try at the moment.
        return TPESampler(n_startup_trials=WARM_UP_TRIALS, seed=seed, constant_liar=True)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Optuna calls heartbeats experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
