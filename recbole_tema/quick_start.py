"""One call from the names of models and a data set to ranks, metrics, tables and pictures."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from recbole.utils import get_local_time

from recbole_tema.comparison import train_all
from recbole_tema.config import TEMAConfig, parse_value, property_file
from recbole_tema.dataset_tools.movielens import NAME as ML_100K
from recbole_tema.dataset_tools.movielens import build_ml100k
from recbole_tema.distributed import barrier, from_first, is_first, process_group
from recbole_tema.launch import ProcessSettings, in_processes
from recbole_tema.outcome import Outcome
from recbole_tema.report import metrics_of_results, to_text
from recbole_tema.training.resume import RunCheckpoints

# Data sets that are made on first use, from files that an installed library brings.
BUILT_IN: dict[str, Callable[[Path], Path]] = {ML_100K: build_ml100k}


class RunStopped(KeyboardInterrupt):
    """A run was interrupted; it can be gone on with in the folder ``output``."""

    def __init__(self, output: Path) -> None:
        super().__init__(f"go on with run_recbole_tema(…, output={str(output)!r}, resume=True)")
        self.output = output


def run_recbole_tema(
    model: str | Sequence[str] | None = None,
    dataset: str | None = None,
    config_file_list: list[str] | None = None,
    config_dict: dict[str, Any] | None = None,
    output: str | Path | None = None,
    resume: bool = False,
    seeds: str | int | Sequence[int] | None = None,
) -> dict[str, Any]:
    """Train one or several models, rank the same test cases with each, and write the outcome.

    A model and seed that fails is reported and left out while the others go on; what is wrong for
    all is raised. The test cases and their candidates are the same for all models and seeds.

    Args:
        model: a model's name, several joined by commas, or a list of names. None: what the files
            or the dict say, else TEMA.
        dataset: a folder below ``data_path``. None: what the files or the dict say, else
            ``ml-100k``, which is built on first use.
        config_file_list: property files.
        config_dict: settings that win over the files, such as ``{"candidates": "full,uni999"}``.
        output: folder for the results; by default one with the time in its name below ``results/``.
        resume: go on with the run in ``output`` that was stopped or killed, with the settings and
            data of then: the outcome is the same, bit for bit, as if it had never been stopped.
            What was finished is ranked again, not trained; what failed is tried again.
        seeds: numbers, or a text of them joined by commas: every model is trained with each. None:
            what the files or the dict say under ``seeds``, else their one ``seed``.

    Returns:
        ``metrics`` ({model: {seed: {candidates: {domain: {metric: value}}}}}), ``output`` (Path),
        ``checkpoints`` ({model: {seed: file of the best weights}}), ``failed`` ({model: {seed:
        reason}}).

    With ``nproc`` above 1, or under ``torchrun``, several processes share the work; see
    :func:`recbole_tema.launch.in_processes` for what the calling program has to look like.

    Raises:
        ValueError: settings that are wrong, no model that can be run on this data set (also
            FormatError), an unfinished run in ``output``, or one that cannot be gone on with.
        OSError: a file could not be read or written.
        RunStopped: a KeyboardInterrupt that names the folder to go on in.
    """
    if resume and not output:
        raise ValueError("--resume goes on with the run in a folder: give it with --output DIR")
    given = {**settings_in(config_file_list or []), **(config_dict or {})}
    names = model_names(model or given.get("model") or "TEMA")
    dataset = str(dataset or given.get("dataset") or ML_100K)
    seeds = given.get("seeds") if seeds is None else seeds
    chosen = None if seeds is None else _seeds(seeds)
    folder = Path(output) if output else _default_output(dataset, names)
    try:
        result: dict[str, Any] = in_processes(
            ProcessSettings.of(given),
            _run,
            names,
            chosen,
            dataset,
            config_file_list,
            config_dict,
            folder,
            resume,
        )
    except KeyboardInterrupt as stop:
        if RunCheckpoints(folder, given.get("checkpoint_dir")).can_go_on():
            raise RunStopped(folder) from stop
        raise
    return result


def _run(
    names: list[str],
    seeds: list[int] | None,
    dataset: str,
    config_file_list: list[str] | None,
    config_dict: dict[str, Any] | None,
    folder: Path,
    resume: bool,
) -> dict[str, Any]:
    """What :func:`run_recbole_tema` does, in each process; the first one writes and prints."""
    with process_group():
        configs = {name: config_of(name, dataset, config_file_list, config_dict) for name in names}
        seeds = seeds or _seeds(next(iter(configs.values()))["seed"])
        return _train_and_report(configs, seeds, from_first(folder), resume)


def _train_and_report(
    configs: dict[str, TEMAConfig], seeds: list[int], folder: Path, resume: bool
) -> dict[str, Any]:
    checkpoints = _checkpoints(folder, configs)
    checkpoints.check([(name, seed) for name in configs for seed in seeds], resume)
    barrier()  # until all have looked, before the first one writes
    if is_first():
        folder.mkdir(parents=True, exist_ok=True)

    outcome = Outcome(folder, list(configs), seeds)
    noted = outcome.note_failures
    failures = train_all(configs, seeds, checkpoints, resume, outcome.add, noted)
    noted(failures)  # where none is left, those of an earlier attempt go
    if is_first():
        if not failures:
            checkpoints.finish()
        for table in outcome.tables:
            print(f"\n{to_text(table)}")
        print(f"\nResults: {folder}")
    topk = next(iter(configs.values()))["topk"]
    return {
        "metrics": metrics_of_results(outcome.results, topk),
        "output": folder,
        "checkpoints": outcome.checkpoints,
        "failed": failures,
    }


def settings_in(files: list[str]) -> dict[str, Any]:
    """What property files say, later ones over earlier ones; TEMAConfig reports broken ones."""
    settings: dict[str, Any] = {}
    for file in files:
        text = Path(property_file(file)).read_text(encoding="utf-8")
        with contextlib.suppress(yaml.YAMLError):
            content = yaml.safe_load(text)
            settings.update(content if isinstance(content, dict) else {})
    return settings


def model_names(model: str | Sequence[str]) -> list[str]:
    """Different names, of a text with commas or several."""
    names = model.split(",") if isinstance(model, str) else list(model)
    names = [name.strip() for name in names if name.strip()]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if not names or repeated:
        raise ValueError(f"model: expected different names, such as TEMA,SASRec; got {model!r}")
    return names


def _seeds(seeds: Any) -> list[int]:
    """Different seeds, of a text, a number or several."""
    value = parse_value(seeds)
    numbers = list(value) if isinstance(value, (list, tuple)) else [value]
    right = all(type(number) is int and 0 <= number < 1 << 32 for number in numbers)
    if not numbers or not right or len(set(numbers)) < len(numbers):
        raise ValueError(
            f"seeds: expected different whole numbers from 0 to 4294967295, such as 1,2,3; got "
            f"{seeds!r}"
        )
    return numbers


def config_of(
    name: str,
    dataset: str,
    config_file_list: list[str] | None,
    config_dict: dict[str, Any] | None,
) -> TEMAConfig:
    """The configuration of one model; a built-in data set that is not there yet is made."""
    config = TEMAConfig(name, dataset, config_file_list, config_dict)
    folder = Path(config["data_path"])
    if dataset in BUILT_IN and from_first(not folder.exists()):
        if is_first():
            print(f"building {dataset} in {folder}")
            BUILT_IN[dataset](folder.parent)
        barrier()
        # Once more, as the data set brought properties of its own.
        config = TEMAConfig(name, dataset, config_file_list, config_dict)
    return config


def _checkpoints(folder: Path, configs: dict[str, TEMAConfig]) -> RunCheckpoints:
    chosen = {config.external_config_dict.get("checkpoint_dir") for config in configs.values()}
    checkpoints = RunCheckpoints(folder, chosen.pop())
    for config in configs.values():
        config["checkpoint_dir"] = str(checkpoints.folder)  # else RecBole's trainers make saved/
    return checkpoints


def _default_output(dataset: str, names: list[str]) -> Path:
    return Path("results") / f"{dataset}-{'-'.join(names)}-{get_local_time()}"
