"""Every row with every seed, one after the other; one that fails does not stop the others."""

import copy
import logging
from collections.abc import Callable, Collection, Mapping, Sequence

from recbole.utils import init_logger

from recbole_tema.config import TEMAConfig
from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.distributed import from_first, is_first, world_size
from recbole_tema.formats import is_no_room
from recbole_tema.report import Failures
from recbole_tema.training.resume import CannotGoOnError, RunCheckpoints, check_begun
from recbole_tema.training.run import TrainedRun, rehearse, train_and_rank

# What a row, its settings or the machine may raise; anything else is an error of the program.
FAILURES = (ValueError, RuntimeError, OSError)

Finished = Callable[[str, TEMAConfig, CrossDomainDataset, TrainedRun], None]


def train_all(
    configs: Mapping[str, TEMAConfig],
    seeds: Sequence[int],
    checkpoints: RunCheckpoints,
    resume: bool,
    finished: Finished,
    failed: Callable[[Failures], None],
    left_out: Mapping[str, str],
    alone: bool,
) -> Failures:
    """Train and rank all rows (models with their settings) with the first seed, then with the next.

    What was begun by a run that is resumed comes first, so that a refusal to go on with it does not
    come after hours. A run that raises one of ``FAILURES`` is reported and left out. With several
    processes none is: what is raised in training ends them all, as each waits for the others.

    Args:
        configs: by the row's label.
        seeds: different numbers.
        checkpoints: of the output folder.
        resume: go on where an earlier run was stopped; finished ones are ranked again alone, and
            failed ones tried again.
        finished: called with label, configuration, data and outcome after each run.
        failed: called with all failures so far after each.
        left_out: rows that cannot be run, and why; see :func:`impossible_rows`.
        alone: whether there is a single run to do, so that its failure is raised.

    Raises:
        ValueError, RuntimeError, OSError: of a run that is alone.
        CannotGoOnError: what was begun does not fit, or is damaged.
        OSError: there is no room left to write, which would end every other run too.
    """
    failures: Failures = {label: dict.fromkeys(seeds, why) for label, why in left_out.items()}
    if failures:
        failed(failures)
    runs = [(label, seed) for seed in seeds for label in configs if label not in failures]
    runs.sort(key=lambda run: not (resume and from_first(checkpoints.files(*run).last.exists())))
    # Where one of several processes fails nobody knows how far the others are.
    caught = () if alone or world_size() > 1 else FAILURES
    for number, (label, seed) in enumerate(runs, start=1):
        config = _with_seed(configs[label], seed)
        log_to_own_file(config)
        logger = logging.getLogger()
        try:
            data = CrossDomainDataset(config)
            logger.info(f"{label} on {data.dataset_name}, seed {seed}, {number} of {len(runs)}")
            run = train_and_rank(config, data, checkpoints, resume, label)
        except caught as error:
            if isinstance(error, CannotGoOnError) or is_no_room(error):
                raise
            unforeseen = isinstance(error, RuntimeError)
            logger.error(f"{label} with seed {seed} failed: {_reason(error)}", exc_info=unforeseen)
            failures.setdefault(label, {})[seed] = _reason(error)
            failed(failures)
        else:
            finished(label, config, data, run)
    return failures


def impossible_rows(configs: Mapping[str, TEMAConfig], must_run: Collection[str]) -> dict[str, str]:
    """Which rows cannot be run on their data, found before any is trained, and why.

    Args:
        configs: by the row's label.
        must_run: labels of those that are not left out.

    Raises:
        ValueError, RuntimeError, OSError: of the first row, where none can be run.
        ValueError: one of ``must_run`` cannot be run.
    """
    found: dict[str, str] = {}
    errors: list[Exception] = []
    # What settings and data do not allow, all processes find alike; not so other errors.
    caught = FAILURES if world_size() == 1 else (ValueError,)
    for label, config in configs.items():
        config = copy.deepcopy(config)
        try:
            rehearse(config, CrossDomainDataset(config))
        except caught as error:
            errors.append(error)
            found[label] = _reason(error)
    if len(errors) == len(configs):
        raise errors[0]
    if wrong := [label for label in found if label in must_run]:
        raise ValueError(f"{wrong[0]}: {found[wrong[0]]}")
    for label, reason in found.items() if is_first() else ():
        where = configs[label]["dataset"]
        logging.getLogger().error(f"{label} cannot be run on {where} and is left out: {reason}")
    return found


def check_all_begun(
    configs: Mapping[str, TEMAConfig], seeds: Sequence[int], checkpoints: RunCheckpoints
) -> None:
    """Refuse what a resumed run would refuse when it comes to it, as far as it can be seen now.

    Raises:
        CannotGoOnError: something was begun with other settings or data.
    """
    for label, config in configs.items():
        data: dict[str, str] = {}
        for seed in seeds:
            last = checkpoints.files(label, seed).last
            if last.exists():
                data = data or CrossDomainDataset(copy.deepcopy(config)).checksums()
                check_begun(last, _with_seed(config, seed), data)


def _reason(error: Exception) -> str:
    plain = isinstance(error, (ValueError, OSError))
    return str(error) if plain else f"{type(error).__name__}: {error}"


def _with_seed(config: TEMAConfig, seed: int) -> TEMAConfig:
    """A copy, as what is made from a configuration may write into it."""
    config = copy.deepcopy(config)
    config["seed"] = seed
    return config


# RecBole's handlers for the run at hand; those of the program that calls us are left alone.
_log_handlers: list[logging.Handler] = []


def log_to_own_file(config: TEMAConfig) -> None:
    """RecBole's log of this model, beside the handlers that the calling program has."""
    root = logging.getLogger()
    theirs = [handler for handler in root.handlers if handler not in _log_handlers]
    for handler in _log_handlers:
        handler.close()
    # RecBole's init_logger does nothing while there are any.
    root.handlers = []
    if is_first():
        init_logger(config)
    else:
        logging.basicConfig(level=logging.ERROR)
    _log_handlers[:] = root.handlers
    # RecBole names TensorBoard's folder by the first handler that writes to a file.
    root.handlers = [*_log_handlers, *theirs]
