"""``--sweep KEY=V1,V2,…``: each model with one setting varied, all others as they were given."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import yaml

from recbole_tema.config import MEASURED_ALIKE, parse_value
from recbole_tema.report.sensitivity import Point, Sweep, value_text, write_sweeps
from recbole_tema.rows.comparison import Comparison, Configure
from recbole_tema.rows.row import Row, check_labels
from recbole_tema.training.resume import FREE

Values = dict[str, list[Any]]
"""{key: the values that are tried}"""


def sweep_values(asked: str | Sequence[str] | Mapping[str, Sequence[Any]]) -> Values:
    """What ``--sweep`` was given, or a program as ``{key: values}``.

    Values are read as YAML: ``n_layers=0,1,2``, ``views=[single],[merged]``,
    ``weight_decay=0,1e-3``.

    Raises:
        ValueError: naming the key, what came and what was expected.
    """
    if isinstance(asked, Mapping):
        pairs = [_listed(key, values) for key, values in asked.items()]
    else:
        pairs = [_parsed(text) for text in ([asked] if isinstance(asked, str) else asked)]
    found: Values = {}
    for key, values in pairs:
        if key in found:
            raise ValueError(f"--sweep {key}: given twice; name all values in one")
        if key in MEASURED_ALIKE | FREE | {"model"}:
            raise ValueError(
                f"--sweep {key}: cannot be varied, all rows have to be measured alike; vary a "
                "setting of the model or of its training"
            )
        if not values:
            raise ValueError(f"--sweep {key}: expected values, such as n_layers=0,1,2; got none")
        for number, value in enumerate(values):
            if any(_same(value, each) for each in values[:number]):
                raise ValueError(f"--sweep {key}: {value_text(value)} is given twice")
        found[key] = values
    if not found:
        raise ValueError("--sweep: expected KEY=V1,V2,…, such as n_layers=0,1,2; got none")
    return found


def swept(rows: Sequence[Row], values: Values, configure: Configure) -> Comparison:
    """The rows as they are given, each followed by a row for every other value of every key.

    The settings as given are a point of every key's curve, also where their value was not named.

    Raises:
        ValueError: a model has no such setting.
    """
    found = Comparison()
    labels: list[Row] = []
    points: dict[str, list[Point]] = {key: [] for key in values}
    for row in rows:
        base = configure(row)
        found.configs[row.label] = base
        labels.append(row)
        for key, wanted in values.items():
            points[key].append(Point(row.label, base[key], row.label, given=True))
            for value in wanted:
                varied = row.varied(f"{key}={value_text(value)}", {key: value})
                config = configure(varied)
                if key in (unknown := config.unknown_keys()):
                    raise ValueError(
                        f"--sweep {key}: {row.model} has no such setting{unknown[key]}; every "
                        "model of --model has to have it"
                    )
                if not _same(value, base[key]):
                    found.configs[varied.label] = config
                    found.must_run.add(varied.label)
                    labels.append(varied)
                    points[key].append(Point(row.label, value, varied.label))
    check_labels(labels)
    found.more = partial(write_sweeps, [Sweep(key, tuple(each)) for key, each in points.items()])
    return found


def _listed(key: str, values: Any) -> tuple[str, list[Any]]:
    if not isinstance(values, (list, tuple)):
        raise ValueError(f"--sweep {key}: expected a list of values, got {values!r}")
    return key, [parse_value(each) for each in values]


def _parsed(text: str) -> tuple[str, list[Any]]:
    key, equals, listed = text.partition("=")
    key = key.strip().removeprefix("--")
    if not equals or not key:
        raise ValueError(f"--sweep: expected KEY=V1,V2,…, such as n_layers=0,1,2; got {text!r}")
    try:
        values = yaml.safe_load(f"[{listed}]")
    except yaml.YAMLError as error:
        raise ValueError(
            f"--sweep {key}: expected values in YAML between commas, such as 0,1,2 or "
            f"[single],[single, merged]; got {listed!r}"
        ) from error
    if not isinstance(values, list) or listed.rstrip().endswith(","):
        raise ValueError(f"--sweep {key}: expected a value after every comma; got {listed!r}")
    return key, [parse_value(each) for each in values]


def _same(value: Any, other: Any) -> bool:
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)
