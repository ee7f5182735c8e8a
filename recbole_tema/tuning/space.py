"""A search space, read from YAML: ranges of some settings, and fixed values of others."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from recbole_tema._layout import properties_dir
from recbole_tema.config import MEASURED_ALIKE, parse_value

if TYPE_CHECKING:
    from optuna import Trial

KINDS = ("choice", "float", "log", "int")
# With them trials would be measured differently, or the luckiest would win.
NOT_TUNED = MEASURED_ALIKE | {"gpu_id", "load_col", "max_train_seconds", "model"}


@dataclass(frozen=True)
class Range:
    """The values of one setting that are tried.

    Attributes:
        kind: ``choice``, ``float``, ``log`` (a float, even in its logarithm) or ``int``.
        values: the choices, or the lowest and the highest value.
        step: between whole numbers.
    """

    kind: str
    values: tuple[Any, ...]
    step: int = 1

    def suggest(self, trial: "Trial", key: str) -> Any:
        """The value that the trial is to take."""
        if self.kind == "choice":
            # As text, for lists too: a study keeps only numbers and texts.
            return json.loads(trial.suggest_categorical(key, [*map(json.dumps, self.values)]))
        low, high = self.values
        if self.kind == "int":
            return trial.suggest_int(key, low, high, step=self.step)
        return trial.suggest_float(key, low, high, log=self.kind == "log")

    def value(self, kept: Any) -> Any:
        """The value of the setting from what a study has kept of it."""
        return json.loads(kept) if self.kind == "choice" else kept

    def kept(self, value: Any) -> Any:
        """What a study keeps of a value; None for one that is not tried."""
        if self.kind == "choice":
            text = json.dumps(value, default=str)
            return text if text in map(json.dumps, self.values) else None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        low, high = self.values
        whole = self.kind != "int" or (value - low) % self.step == 0
        return value if low <= value <= high and whole else None


@dataclass(frozen=True)
class Space:
    """What ``--tune`` names: ``ranges`` and ``fixed`` settings by key, and the file they are of."""

    file: Path
    ranges: dict[str, Range]
    fixed: dict[str, Any]

    def suggest(self, trial: "Trial") -> dict[str, Any]:
        """The settings that the trial is to take, those that are tuned."""
        return {key: each.suggest(trial, key) for key, each in self.ranges.items()}

    def start(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """What a study keeps of those of the settings that lie in their ranges."""
        kept = {key: each.kept(settings.get(key)) for key, each in self.ranges.items()}
        return {key: value for key, value in kept.items() if value is not None}

    def values(self, kept: Mapping[str, Any]) -> dict[str, Any]:
        """Settings from the parameters that a study has kept of a trial, in the file's order."""
        return {key: each.value(kept[key]) for key, each in self.ranges.items() if key in kept}


def space_file(name: str, model: str) -> Path:
    """The space of a model: the file ``name``, or ``MODEL.yaml`` in a folder of that name.

    Where there is none, one that the project ships is looked for: ``tune/TEMA.yaml``, ``tune``.

    Raises:
        FileNotFoundError: neither is there.
    """
    for path in (Path(name), properties_dir() / name):
        if path.is_file():
            return path
        if (path / f"{model}.yaml").is_file():
            return path / f"{model}.yaml"
    shipped = sorted(path.stem for path in (properties_dir() / "tune").glob("*.yaml"))
    raise FileNotFoundError(
        f"--tune: {name} is no file, nor a folder with {model}.yaml; the project ships tune/NAME"
        f".yaml of {', '.join(shipped)}, and another model takes a file of your own"
    )


def read_space(path: Path) -> Space:
    """Read ``KEY: {choice: […]}``, ``{float: […]}``, ``{log: […]}``, ``{int: […]}`` and the rest.

    Raises:
        ValueError: naming the file, the key, what came and what was expected.
        OSError: it cannot be read.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: expected YAML of keys and values ({error})") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ValueError(f"{path}: expected keys and values, such as n_layers: {{int: [1, 2]}}")
    ranges: dict[str, Range] = {}
    fixed: dict[str, Any] = {}
    for key, value in content.items():
        try:
            found = _range(value)
            if key in ("model", "dataset") or (found and key in NOT_TUNED):
                raise ValueError("cannot be tuned: all trials have to be measured alike")
        except ValueError as error:
            raise ValueError(f"{path}: {key}: {error}") from error
        if found:
            ranges[key] = found
        else:
            fixed[key] = parse_value(value)
    if not ranges:
        raise ValueError(f"{path}: nothing to tune, no key has one of {', '.join(KINDS)}")
    return Space(path, ranges, fixed)


def _range(value: Any) -> Range | None:
    """The range that a value describes; None: it is a fixed setting."""
    if not isinstance(value, dict):
        return None
    kinds = [kind for kind in KINDS if kind in value]
    if not kinds:
        for key in value:
            close = difflib.get_close_matches(str(key), KINDS, 1, cutoff=0.7)
            if close and key not in KINDS:
                raise ValueError(f"{key!r} is no kind of range; did you mean {close[0]}?")
        return None
    kind = kinds[0]
    unknown = set(value) - {kind} - ({"step"} if kind == "int" else set())
    if unknown:
        raise ValueError(f"expected {kind} alone, got {', '.join(map(repr, value))}")
    listed = value[kind]
    if not isinstance(listed, list):
        raise ValueError(f"{kind}: expected a list, got {listed!r}")
    values = tuple(parse_value(each) for each in listed)  # 1e-3 is a text in YAML
    return _choice(values) if kind == "choice" else _numbers(kind, values, value.get("step", 1))


def _choice(values: tuple[Any, ...]) -> Range:
    if not values:
        raise ValueError("choice: expected at least one value, got []")
    try:
        texts = [json.dumps(each) for each in values]
    except TypeError as error:
        raise ValueError(f"choice: {error}; put texts into quotes") from error
    if len(set(texts)) < len(texts):
        raise ValueError(f"choice: a value is given twice in {list(values)}")
    return Range("choice", values)


def _numbers(kind: str, values: tuple[Any, ...], step: Any) -> Range:
    wanted = (int,) if kind == "int" else (int, float)
    fitting = all(isinstance(each, wanted) and not isinstance(each, bool) for each in values)
    if len(values) != 2 or not fitting:
        numbers = "whole numbers" if kind == "int" else "numbers"
        raise ValueError(f"{kind}: expected [lowest, highest], two {numbers}; got {list(values)}")
    low, high = values
    if not low < high < float("inf") or low == -float("inf"):
        raise ValueError(f"{kind}: expected the lowest below the highest, got {list(values)}")
    if kind == "log" and low <= 0:
        raise ValueError(f"log: expected numbers above 0, got {list(values)}")
    whole = isinstance(step, int) and not isinstance(step, bool)
    if not whole or step < 1 or (kind == "int" and (high - low) % step):
        raise ValueError(
            f"step: expected a whole number that leads from {low} to {high}, got {step!r}"
        )
    return Range(kind, values if kind == "int" else (float(low), float(high)), step)
