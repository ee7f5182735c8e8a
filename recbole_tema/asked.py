"""What a run was asked for, by arguments and property files: rows, data sets, settings, seeds."""

import contextlib
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from recbole.utils import get_local_time

from recbole_tema.config import TEMAConfig, parse_value, property_file
from recbole_tema.dataset_tools.build.movielens import NAME as ML_100K
from recbole_tema.dataset_tools.build.movielens import build_ml100k
from recbole_tema.distributed import barrier, from_first, is_first
from recbole_tema.formats import file_name_of
from recbole_tema.launch import ProcessSettings
from recbole_tema.registry import MODELS
from recbole_tema.rows import Row, agreed, rows_of
from recbole_tema.rows.ablation import ablated
from recbole_tema.rows.comparison import Comparison, plain
from recbole_tema.rows.sweep import Values, sweep_values, swept

# Data sets that are made on first use, from files that an installed library brings.
BUILT_IN: dict[str, Callable[[Path], Path]] = {ML_100K: build_ml100k}


@dataclass(frozen=True)
class Asked:
    """See :func:`recbole_tema.run_recbole_tema` and :func:`recbole_tema.run_on_datasets`."""

    rows: list[Row]
    datasets: list[str]
    files: list[str]
    settings: dict[str, Any]
    seeds: list[int] | None
    ablation: bool | str | Path
    sweep: Values | None
    output: Path | None
    resume: bool
    processes: ProcessSettings
    checkpoint_dir: str | None

    @classmethod
    def of(
        cls,
        model: str | Sequence[str] | None = None,
        dataset: str | Sequence[str] | None = None,
        config_file_list: list[str] | None = None,
        config_dict: dict[str, Any] | None = None,
        output: str | Path | None = None,
        resume: bool = False,
        seeds: str | int | Sequence[int] | None = None,
        ablation: bool | str | Path = False,
        sweep: str | Sequence[str] | Mapping[str, Sequence[Any]] | None = None,
    ) -> "Asked":
        """The arguments, and what files say in place of those left out.

        Raises:
            ValueError: arguments that are wrong, or do not go together.
            OSError: a file could not be read.
        """
        if resume and not output:
            raise ValueError("--resume goes on with the run in a folder: give it with --output DIR")
        if ablation is not False and sweep is not None:
            raise ValueError("--ablation and --sweep: one of them at a time")
        files, settings = config_file_list or [], config_dict or {}
        for_all = {**settings_in(files), **settings}
        rows = rows_of(first_given(model, for_all.get("model"), "TEMA"))
        given = {row.label: {**for_all, **_settings_of(row), **settings} for row in rows}
        datasets = dataset_names(first_given(dataset, agreed("dataset", given), ML_100K))
        seeds = first_given(seeds, agreed("seeds", given))
        processes = {key: agreed(key, given) for key in ProcessSettings.__dataclass_fields__}
        return cls(
            rows,
            datasets,
            files,
            settings,
            seeds=None if seeds is None else seeds_in(seeds),
            ablation=ablation,
            sweep=None if sweep is None else sweep_values(sweep),
            output=Path(output) if output else None,
            resume=resume,
            processes=ProcessSettings.of(processes),
            checkpoint_dir=agreed("checkpoint_dir", given),
        )

    def folder(self) -> Path:
        """Where the results go; by default named after the time and the process."""
        if self.output:
            return self.output
        kind = (
            ["ablation"]
            if self.ablation is not False
            else [f"sweep-{key}" for key in self.sweep or ()]
        )
        names = [file_name_of(row.label) for row in self.rows]
        # Two runs may begin in the same second, in two processes or in one after the other.
        unique = f"{get_local_time()}-{os.getpid()}"
        first = Path("results") / "-".join([*self.datasets, *names, *kind, unique])
        more = (first.with_name(f"{first.name}-{number}") for number in itertools.count(2))
        return next(folder for folder in itertools.chain([first], more) if not folder.exists())

    def folders(self, folder: Path) -> dict[str, Path]:
        """Where those of each data set go: into ``folder``, or below it where there are several."""
        if len(self.datasets) == 1:
            return {self.datasets[0]: folder}
        return {dataset: folder / dataset for dataset in self.datasets}

    def comparison(self, dataset: str) -> Comparison:
        """The rows with their configurations, those of an ablation or a sweep among them.

        Raises:
            ValueError: settings that are wrong, or that no model has.
        """
        found = self._comparison(dataset)
        configs = list(found.configs.values())
        self._refuse_unknown_settings(configs)
        for config in configs:
            config.warn_of_unknown_keys()
        return found

    def _comparison(self, dataset: str) -> Comparison:
        def configure(row: Row) -> TEMAConfig:
            settings = {**self.settings, **row.settings}
            return config_of(row.model, dataset, [*self.files, *row.files], settings)

        if self.ablation is not False:
            return ablated(self.rows, self.ablation, configure)
        if self.sweep is not None:
            return swept(self.rows, self.sweep, configure)
        return plain(self.rows, configure)

    def _refuse_unknown_settings(self, configs: Sequence[TEMAConfig]) -> None:
        """Raise ValueError for a setting given to all rows that no model of ours has.

        Beside a model of RecBole's nothing is refused: some read more than their property files
        have.
        """
        if any(config["model"] not in MODELS for config in configs):
            return
        unknown = [config.unknown_keys() for config in configs]
        of_others = set.union(*(config.keys_of_others() for config in configs))
        for key in self.settings:
            if key not in of_others and all(key in each for each in unknown):
                names = ", ".join(dict.fromkeys(str(config["model"]) for config in configs))
                raise ValueError(f"{key}: no setting of {names}{unknown[0][key]}")


def settings_in(files: list[str]) -> dict[str, Any]:
    """What property files say, later ones over earlier ones; TEMAConfig reports broken ones.

    Raises:
        OSError, ValueError: naming one that cannot be read.
    """
    settings: dict[str, Any] = {}
    for file in files:
        try:
            text = Path(property_file(file)).read_text(encoding="utf-8")
        except OSError as error:
            why = f"this file cannot be read ({error.strerror})"
            raise type(error)(f"--config_files {file}: {why}") from error
        except UnicodeDecodeError as error:
            raise ValueError(f"--config_files {file}: not in UTF-8 ({error.reason})") from error
        with contextlib.suppress(yaml.YAMLError):
            content = yaml.safe_load(text)
            settings.update(content if isinstance(content, dict) else {})
    return settings


def _settings_of(row: Row) -> dict[str, Any]:
    """What a row's own files say, which are files of its model."""
    found = settings_in(list(row.files))
    if found.setdefault("model", row.model) != row.model:
        raise ValueError(
            f"model: {row.label}: {' and '.join(row.files)} are settings of {found['model']}, not "
            f"of {row.model}"
        )
    return found


def first_given(*values: Any) -> Any:
    """The first that is not None, else None. Empty texts are given, to be refused."""
    return next((value for value in values if value is not None), None)


def dataset_names(datasets: str | Sequence[str]) -> list[str]:
    """Those that ``--dataset`` names, joined by commas, or a list of them.

    Raises:
        ValueError: none, an empty one, or one twice.
    """
    listed = datasets if isinstance(datasets, (list, tuple)) else str(datasets).split(",")
    names = [str(each).strip() for each in listed]
    if not names or not all(names) or len(set(names)) < len(names):
        raise ValueError(
            "dataset: expected different names, none of them empty, such as "
            f"food-kitchen,arts-office; got {datasets!r}"
        )
    return names


def seeds_in(seeds: Any) -> list[int]:
    """Different seeds, of a text, a number or several."""
    value = parse_value(seeds)
    numbers = list(value) if isinstance(value, (list, tuple)) else [value]
    right = all(type(number) is int and 0 <= number < 1 << 32 for number in numbers)
    # Python's literals may end with a comma.
    right = right and not str(seeds).strip().endswith(",")
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
    """The configuration of one model; a built-in data set that is not there yet is made.

    Of settings that the model does not have nothing is said.
    """
    config = TEMAConfig(name, dataset, config_file_list, config_dict, warn=False)
    folder = Path(config["data_path"])
    if dataset in BUILT_IN and from_first(not folder.exists()):
        if is_first():
            print(f"building {dataset} in {folder}")
            try:
                BUILT_IN[dataset](folder.parent)
            except (ValueError, OSError):
                # Another process may have made it meanwhile.
                if not folder.exists():
                    raise
        barrier()
        # Once more, as the data set brought properties of its own.
        config = TEMAConfig(name, dataset, config_file_list, config_dict, warn=False)
    return config
