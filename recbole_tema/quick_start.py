"""One call from the names of models and a data set to ranks, metrics, tables and pictures."""

import contextlib
import json
import logging
import platform
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from recbole.utils import get_local_time, init_logger

from recbole_tema.config import TEMAConfig, plain_settings, property_file
from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.dataset_tools.movielens import NAME as ML_100K
from recbole_tema.dataset_tools.movielens import build_ml100k
from recbole_tema.distributed import (
    barrier,
    from_first,
    is_first,
    process_group,
    world_size,
)
from recbole_tema.formats import atomic_write
from recbole_tema.launch import ProcessSettings, in_processes
from recbole_tema.report import (
    Cases,
    RunResult,
    metrics_of_results,
    tables_of_metrics,
    to_text,
    write_comparison_plot,
    write_learning_curves,
    write_metrics,
    write_ranks,
    write_tables,
    write_timing,
)
from recbole_tema.training.resume import RunCheckpoints
from recbole_tema.training.run import TrainedRun, train_and_rank

# Data sets that are made on first use, from files that an installed library brings.
BUILT_IN: dict[str, Callable[[Path], Path]] = {ML_100K: build_ml100k}

LIBRARIES = ("recbole_tema", "recbole", "torch", "numpy", "pandas", "scipy", "transformers")


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
) -> dict[str, Any]:
    """Train one or several models, rank the same test cases with each, and write the outcome.

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
            Models that were finished are ranked again, not trained.

    Returns:
        ``metrics`` ({model: {seed: {candidates: {domain: {metric: value}}}}}), ``output`` (Path),
        ``checkpoints`` ({model: file of the best weights}).

    With ``nproc`` above 1, or under ``torchrun``, several processes share the work; see
    :func:`recbole_tema.launch.in_processes` for what the calling program has to look like.

    Raises:
        ValueError: a setting or a model that cannot be run on this data set (also FormatError), an
            unfinished run in ``output``, or one that cannot be gone on with.
        OSError: a file could not be read or written.
        RunStopped: a KeyboardInterrupt that names the folder to go on in.
    """
    if resume and not output:
        raise ValueError("--resume goes on with the run in a folder: give it with --output DIR")
    given = {**_settings_in(config_file_list or []), **(config_dict or {})}
    names = _model_names(model or given.get("model") or "TEMA")
    dataset = str(dataset or given.get("dataset") or ML_100K)
    folder = Path(output) if output else _default_output(dataset, names)
    try:
        result: dict[str, Any] = in_processes(
            ProcessSettings.of(given),
            _run,
            names,
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
    dataset: str,
    config_file_list: list[str] | None,
    config_dict: dict[str, Any] | None,
    folder: Path,
    resume: bool,
) -> dict[str, Any]:
    """What :func:`run_recbole_tema` does, in each process; the first one writes and prints."""
    with process_group():
        configs = {name: _config(name, dataset, config_file_list, config_dict) for name in names}
        return _train_and_report(configs, dataset, from_first(folder), resume)


def _train_and_report(
    configs: dict[str, TEMAConfig], dataset: str, folder: Path, resume: bool
) -> dict[str, Any]:
    checkpoints = _checkpoints(folder, configs)
    checkpoints.check([(name, config["seed"]) for name, config in configs.items()], resume)
    barrier()  # until all have looked, before the first one writes
    if is_first():
        folder.mkdir(parents=True, exist_ok=True)

    results: list[RunResult] = []
    curves: dict[str, dict[int, float]] = {}
    files: dict[str, str] = {}
    for name, config in configs.items():
        _log_to_own_file(config)
        data = CrossDomainDataset(config)
        logging.getLogger().info(f"{name} on {dataset}, {len(results) + 1} of {len(configs)}")
        run = train_and_rank(config, data, checkpoints, resume)
        results.append(_result(name, config, run))
        curves[name] = dict(run.curve)
        files[name] = run.checkpoint
        if not is_first():
            continue
        _write_config(folder / f"config-{name}.yaml", config)
        if len(results) == 1:  # one data set and one machine for all models
            _write_environment(folder / "environment.json", data)
        _write_results(folder, results, curves, config)
    metrics = metrics_of_results(results, config["topk"])
    if is_first():
        checkpoints.finish()
        for table in tables_of_metrics(metrics):
            print(f"\n{to_text(table)}")
        print(f"\nResults: {folder}")
    return {"metrics": metrics, "output": folder, "checkpoints": files}


def _settings_in(files: list[str]) -> dict[str, Any]:
    """What property files say, later ones over earlier ones; TEMAConfig reports broken ones."""
    settings: dict[str, Any] = {}
    for file in files:
        text = Path(property_file(file)).read_text(encoding="utf-8")
        with contextlib.suppress(yaml.YAMLError):
            content = yaml.safe_load(text)
            settings.update(content if isinstance(content, dict) else {})
    return settings


def _model_names(model: str | Sequence[str]) -> list[str]:
    names = model.split(",") if isinstance(model, str) else list(model)
    names = [name.strip() for name in names if name.strip()]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if not names or repeated:
        raise ValueError(f"model: expected different names, such as TEMA,SASRec; got {model!r}")
    return names


def _config(
    name: str,
    dataset: str,
    config_file_list: list[str] | None,
    config_dict: dict[str, Any] | None,
) -> TEMAConfig:
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


# RecBole's handlers for the model at hand; those of the program that calls us are left alone.
_log_handlers: list[logging.Handler] = []


def _log_to_own_file(config: TEMAConfig) -> None:
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
    root.handlers = [*theirs, *_log_handlers]


def _result(name: str, config: TEMAConfig, run: TrainedRun) -> RunResult:
    dataset, rows = run.test.loader.dataset, run.test.loader.cases
    cases = Cases(
        users=dataset.id2token(dataset.uid_field, rows.users).tolist(),
        targets=dataset.id2token(dataset.iid_field, rows.targets).tolist(),
        domain=run.test.loader.domain,
        domain_names=tuple(dataset.domains),
    )
    return RunResult(
        model=name,
        seed=config["seed"],
        cases=cases,
        ranks=run.ranks,
        epochs=run.epochs,
        best_epoch=run.best_epoch,
        parameters=run.parameters,
        train_seconds=run.train_seconds,
        seconds_per_epoch=run.train_seconds / max(run.epochs, 1),
        eval_seconds=run.eval_seconds,
    )


def _write_results(
    folder: Path,
    results: list[RunResult],
    curves: dict[str, dict[int, float]],
    config: TEMAConfig,
) -> None:
    """All files of the models so far: a run that stops midway keeps what it has."""
    topk = config["topk"]
    write_metrics(folder, results, topk)
    write_ranks(folder, results)
    write_timing(folder, results)
    tables = tables_of_metrics(metrics_of_results(results, topk))
    write_tables(folder, tables)
    for table in tables:
        write_comparison_plot(folder, table)
    write_learning_curves(folder, curves, config["valid_metric"])


def _write_config(path: Path, config: TEMAConfig) -> None:
    """The full configuration, such that ``--config_files`` takes it and gives the same run."""
    # Where the checkpoints lie is this run's own affair.
    plain = {key: value for key, value in plain_settings(config).items() if key != "checkpoint_dir"}
    with atomic_write(path) as beside:
        beside.write_text(yaml.safe_dump(plain, allow_unicode=True), encoding="utf-8")


def _write_environment(path: Path, data: CrossDomainDataset) -> None:
    environment = {
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in LIBRARIES},
        "dataset": data.dataset_name,
        "dataset_sha256": data.checksum(),
        "processes": world_size(),
    }
    with atomic_write(path) as beside:
        beside.write_text(json.dumps(environment, indent=2) + "\n", encoding="utf-8")


def _version(library: str) -> str:
    if library == "recbole_tema":
        from recbole_tema import __version__

        return __version__
    return metadata.version(library)
