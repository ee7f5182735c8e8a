"""RecBole's Config with this project's defaults, model registry and data set properties."""

import ast
import difflib
import functools
import os
from logging import getLogger
from pathlib import Path
from typing import Any

from recbole_tema.compat import add_numpy_aliases, require_compatible_versions

require_compatible_versions()

import numpy as np  # noqa: E402
import torch  # noqa: E402
import yaml  # noqa: E402
from recbole.config import Config  # noqa: E402
from recbole.utils import ModelType  # noqa: E402

from recbole_tema import distributed  # noqa: E402
from recbole_tema._layout import properties_dir  # noqa: E402
from recbole_tema.formats import DatasetFiles  # noqa: E402
from recbole_tema.registry import model_class  # noqa: E402

# Candidate modes that sample none: all items of the target's domain, or those new to the history.
FULL, UNSEEN = "full", "unseen"

# One relevant item a case: RecBole's Recall is our Hit, and Precision is Hit / k.
KNOWN_METRICS = {"hit", "ndcg", "mrr"}

# What a comparison is measured by: its rows have these in common, and no search may vary them.
MEASURED_ALIKE = frozenset(
    {"candidate_seed", "candidates", "data_path", "dataset", "domains", "eval_args", "metrics"}
    | {"seed", "topk", "valid_metric"}
    # Filters of the data.
    | {"filter_inter_by_user_or_item", "item_inter_num_interval", "rm_dup_inter"}
    | {"user_inter_num_interval", "val_interval"}
)

# The least value of settings that RecBole takes as they come.
WHOLE_NUMBERS = {
    **dict.fromkeys(("epochs", "eval_step", "stopping_step"), 0),
    **dict.fromkeys(("train_batch_size", "eval_batch_size", "MAX_ITEM_LIST_LENGTH"), 1),
}
NUMBERS = ("learning_rate", "weight_decay")

# What a configuration works out from the other settings and from the machine.
WORKED_OUT = {
    *("MODEL_TYPE", "MODEL_INPUT_TYPE", "device", "eval_type", "local_rank", "single_spec"),
    *("valid_metric_bigger", "train_neg_sample_args", "valid_neg_sample_args"),
    "test_neg_sample_args",
}


class TEMAConfig(Config):
    """RecBole's Config with more layers.

    Later wins: RecBole's defaults, ours for all models, the model's, the data set's, files, dict.

    Args:
        model: a model's name, ours (``TEMA``, ``LLMEMF``) or RecBole's.
        dataset: the name of a folder below ``data_path``.
        config_file_list: property files (``.yaml``) of the user.
        config_dict: settings that win over the files. Strings are read as Python literals.
        warn: of settings that the model does not have; see :meth:`warn_of_unknown_keys`.

    Raises:
        ValueError: an unknown model, or settings under which models could not be compared.
    """

    def __init__(
        self,
        model: str | None = None,
        dataset: str | None = None,
        config_file_list: list[str] | None = None,
        config_dict: dict[str, Any] | None = None,
        warn: bool = True,
    ) -> None:
        super().__init__(model, dataset, config_file_list, config_dict)
        if warn:
            self.warn_of_unknown_keys()

    def compatibility_settings(self) -> None:
        add_numpy_aliases(np)

    def _load_cmd_line(self) -> dict[str, Any]:
        # cli.py reads the command line, once; a program that calls us keeps its own arguments.
        return {}

    def _load_config_files(self, file_list: list[str] | None) -> dict[str, Any]:
        settings: dict[str, Any] = {}
        for file in file_list or []:
            try:
                settings.update(super()._load_config_files([property_file(file)]))
            except (yaml.YAMLError, TypeError, ValueError) as error:
                raise ValueError(f"{file}: expected YAML of keys and values ({error})") from error
        return settings

    def _convert_config_dict(self, config_dict: dict[str, Any]) -> dict[str, Any]:
        return {key: parse_value(value) for key, value in config_dict.items()}

    def _get_model_and_dataset(
        self, model: str | None, dataset: str | None
    ) -> tuple[str, type[Any], str]:
        model = model or self.external_config_dict.get("model")
        dataset = dataset or self.external_config_dict.get("dataset")
        for what, value in (("model", model), ("dataset", dataset)):
            if not value:
                raise ValueError(f"no {what} given: pass --{what} NAME, or set {what} in a file")
        if Path(str(dataset)).name != str(dataset):
            raise ValueError(
                f"dataset: expected the name of a folder below data_path, got {dataset!r}; set "
                "data_path to the folder around it"
            )
        return str(model), model_class(str(model)), str(dataset)

    def _load_internal_config_dict(self, model: str, model_class: type[Any], dataset: str) -> None:
        super()._load_internal_config_dict(model, model_class, dataset)
        ours = properties_dir()
        data_path = self.external_config_dict.get(
            "data_path", self.internal_config_dict["data_path"]
        )
        self._load_defaults(ours / "overall.yaml", ours / "model" / f"{model}.yaml")
        self._keys_of_model = frozenset(self.internal_config_dict)
        self._load_defaults(
            ours / "dataset" / f"{dataset}.yaml",
            DatasetFiles(Path(data_path) / dataset).properties,
        )

    def _load_defaults(self, *files: Path) -> None:
        """Those of the files that there are, later ones over earlier ones."""
        for file in files:
            if file.is_file():
                eval_args = self.internal_config_dict["eval_args"]
                self._update_internal_config_dict(file)
                # A file may set one of them and leave the others.
                eval_args = {**eval_args, **self.internal_config_dict["eval_args"]}
                self.internal_config_dict["eval_args"] = eval_args

    def _get_final_config_dict(self) -> dict[str, Any]:
        final = super()._get_final_config_dict()
        final["eval_args"] = self._complete_eval_args(final)
        final["candidates"] = self._candidates(final)
        _check_numbers(final)
        if "topk" in self.external_config_dict and "valid_metric" not in self.external_config_dict:
            final["valid_metric"] = _among(final["topk"], final["valid_metric"])
        limit = final.get("max_train_seconds")
        number = isinstance(limit, (int, float)) and not isinstance(limit, bool)
        if limit is not None and not (number and limit > 0):
            raise ValueError(f"max_train_seconds: expected seconds above 0 or None, got {limit!r}")
        ce_loss = final.get("loss_type") == "CE" and final["MODEL_TYPE"] == ModelType.SEQUENTIAL
        if ce_loss and "train_neg_sample_args" not in self.external_config_dict:
            # RecBole wants this set by hand: a cross-entropy over all items samples no negatives.
            final["train_neg_sample_args"] = None
        return final

    def _complete_eval_args(self, final: dict[str, Any]) -> dict[str, Any]:
        """The user's eval_args over our defaults; RecBole fills the gaps with a random split."""
        if not isinstance(final["eval_args"], dict):
            raise ValueError(
                "eval_args: expected keys and values such as {mode: uni999}, got "
                f"{final['eval_args']!r}"
            )
        if unknown := set(final["eval_args"]) - {"split", "order", "group_by", "mode"}:
            raise ValueError(f"eval_args: unknown keys {sorted(unknown)}")
        eval_args = {**self.internal_config_dict["eval_args"], **final["eval_args"]}
        if eval_args["split"] != {"LS": "valid_and_test"} or eval_args["order"] != "TO":
            raise ValueError(
                "eval_args: histories are split by leave-one-out in time order, split: {LS: "
                "valid_and_test} and order: TO, or as the data set comes (pre-split); got "
                f"split: {eval_args['split']}, order: {eval_args['order']}"
            )
        return eval_args

    def _candidates(self, final: dict[str, Any]) -> list[str]:
        """The candidate modes of the test, e.g. ["full", "uni999"]; the first one validates."""
        chosen = final.get("candidates")
        mode = final["eval_args"]["mode"]
        by_phase = mode if isinstance(mode, dict) else {"valid": mode, "test": mode}
        if chosen:
            listed = chosen if isinstance(chosen, (list, tuple)) else str(chosen).split(",")
            modes = [str(each).strip() for each in listed]
            if len(set(modes)) < len(modes):
                raise ValueError(f"candidates: a mode is given twice in {chosen!r}")
            by_phase = {"valid": modes[0], "test": modes[0]}
        else:
            modes = [by_phase[phase] for phase in ("test", "valid") if phase in by_phase][:1]
        final["eval_args"]["mode"] = by_phase
        for each in [*modes, *by_phase.values()]:
            negatives_of(each)
        return modes

    def _set_eval_neg_sample_args(self, phase: str) -> None:
        if self.final_config_dict["eval_args"]["mode"][phase] == UNSEEN:
            # RecBole does not know it; to its samplers it is as full.
            unsampled = {"distribution": "uniform", "sample_num": "none"}
            self.final_config_dict[f"{phase}_neg_sample_args"] = unsampled
        else:
            super()._set_eval_neg_sample_args(phase)

    def _set_default_parameters(self) -> None:
        data_path, metrics = self.final_config_dict["data_path"], self.final_config_dict["metrics"]
        metrics = [metrics] if isinstance(metrics, str) else metrics
        unknown = {name.lower() for name in metrics} - KNOWN_METRICS
        if unknown:
            raise ValueError(
                f"metrics: {sorted(unknown)} are not computed; every case has one target, so "
                "choose from Hit, NDCG and MRR (Recall is Hit, Precision is Hit / k)"
            )
        super()._set_default_parameters()
        # RecBole reads a data set called ml-100k from inside its own wheel; ours has domains.
        self.final_config_dict["data_path"] = os.path.join(data_path, self.dataset)

    def _init_device(self) -> None:
        # With it RecBole would make a group of its own, for GPUs only, and share out the work by
        # its own rules; to RecBole each of our processes is alone (single_spec).
        self.final_config_dict.pop("local_rank", None)
        super()._init_device()
        self.final_config_dict["local_rank"] = distributed.local_rank()
        if self.final_config_dict["device"].type == "cuda" and distributed.world_size() > 1:
            gpus, needed = self.final_config_dict["gpu_id"], distributed.local_world_size()
            if len(gpus.split(",")) < needed:
                raise ValueError(
                    f"gpu_id: expected a GPU for each of {needed} processes, such as '0,1'; got "
                    f"{gpus!r}. Give '' to run them on the processors"
                )
            self.final_config_dict["device"] = torch.device("cuda", distributed.local_rank())
            torch.cuda.set_device(self.final_config_dict["device"])
        if not distributed.is_first():
            self.final_config_dict.update(show_progress=False, log_wandb=False)

    def unknown_keys(self) -> dict[str, str]:
        """What was set and the model has no setting for, and of each a hint at what was meant.

        By the user or in the data set's property file.
        """
        by_dataset = [key for key in self.internal_config_dict if key not in self._keys_of_model]
        known = set(self._keys_of_model)
        known.update(key for keys in self.parameters.values() for key in keys)
        known.update(("model", "dataset", "seeds", "candidates", "config_files", "output"))
        # Of a data set's property file, and so of a run's config-ROW.yaml.
        known.update(("split", "benchmark_filename", "alias_of_item_id"))
        unknown = {}
        for key in dict.fromkeys([*self.external_config_dict, *by_dataset]):
            if key not in known:
                close = difflib.get_close_matches(key, known, 1)
                unknown[key] = f"; did you mean {close[0]}?" if close else ""
        return unknown

    def keys_of_others(self) -> set[str]:
        """What was set for other models of ours, which this one has no setting for.

        Of RecBole's models only those settings are known that its property files have; some read
        more.
        """
        return set(self.unknown_keys()) & _keys_of_our_models()

    def warn_of_unknown_keys(self) -> None:
        """Log what was set and the model has no setting for."""
        for key, hint in self.unknown_keys().items():
            # A data set's file is for all models.
            if key in self.external_config_dict or key not in _keys_of_our_models():
                getLogger().warning(f"{self.model} has no setting {key!r}{hint}")


def _check_numbers(settings: dict[str, Any]) -> None:
    for key, least in WHOLE_NUMBERS.items():
        value = settings[key]
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{key}: expected a whole number of at least {least}, got {value!r}")
    for key in NUMBERS:
        value = settings[key]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
            raise ValueError(f"{key}: expected a number of at least 0, got {value!r}")


def _among(topk: Any, metric: str) -> str:
    """``metric``, at the largest k of ``topk`` where its own is none of them."""
    name, at, k = metric.partition("@")
    chosen = [topk] if isinstance(topk, int) else topk
    if not at or not isinstance(chosen, list) or not chosen or k in map(str, chosen):
        return metric
    return f"{name}@{max(chosen)}"


@functools.cache
def _keys_of_our_models() -> frozenset[str]:
    files = (properties_dir() / "model").glob("*.yaml")
    return frozenset(key for file in files for key in yaml.safe_load(file.read_text("utf-8")) or {})


def plain_settings(config: Config) -> dict[str, Any]:
    """What was set, sorted by key, as values that YAML can hold; property files take it back."""
    settings = {**config.final_config_dict, "data_path": str(Path(config["data_path"]).parent)}
    return {
        key: value if _is_plain(value) else str(value)
        for key, value in sorted(settings.items())
        if key not in WORKED_OUT and value is not None
    }


def given_settings(config: Config) -> dict[str, Any]:
    """What files and the caller set, in their order, as values that YAML can hold."""
    given = config.external_config_dict.items()
    return {key: value if _is_plain(value) else str(value) for key, value in given}


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_plain(key) and _is_plain(each) for key, each in value.items())
    if isinstance(value, list):
        return all(_is_plain(each) for each in value)
    return type(value) in (str, int, float, bool, type(None))


def property_file(name: str) -> str:
    """The path of a user's file, or else of one that the project ships, ``paper/LLMEMF.yaml``."""
    shipped = properties_dir() / name
    if Path(name).is_file() or not shipped.is_file():
        return name
    return str(shipped)


def parse_value(value: Any) -> Any:
    """A setting given as text as what it says: a Python literal, ``true``/``false``, else the text.

    >>> parse_value("1e-3"), parse_value("[5, 10]"), parse_value("True"), parse_value("TEMA")
    (0.001, [5, 10], True, 'TEMA')
    """
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return {"true": True, "false": False, "null": None, "~": None}.get(value.lower(), value)


def negatives_of(mode: str) -> int | None:
    """How many sampled candidates a mode stands beside the target: ``uni999`` 999.

    None where a mode samples none: ``full`` and ``unseen``.

    Raises:
        ValueError: the mode is neither of these two nor ``uni`` with a positive number.
    """
    if mode in (FULL, UNSEEN):
        return None
    number = str(mode).removeprefix("uni")
    if not str(mode).startswith("uni") or not number.isdecimal() or int(number) == 0:
        raise ValueError(f"candidates: expected full, unseen or uniN such as uni999, got {mode!r}")
    return int(number)


def flag(config: Config, key: str) -> bool:
    """A setting that is True or False.

    Raises:
        ValueError: it is anything else, such as the text "no", which Python takes for true.
    """
    if not isinstance(config[key], bool):
        raise ValueError(f"{key}: expected True or False, got {config[key]!r}")
    return config[key]
