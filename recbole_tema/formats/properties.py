"""``NAME.yaml``: what a data set is made of, read by the configuration."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from recbole_tema.formats.columns import HISTORY, ITEM
from recbole_tema.formats.errors import FormatError
from recbole_tema.formats.files import SPLITS, atomic_write
from recbole_tema.formats.tables import id_problem

LEAVE_ONE_OUT = "leave_one_out"
PRE_SPLIT = "pre_split"
SPLIT_KINDS = (LEAVE_ONE_OUT, PRE_SPLIT)


def dataset_properties(domains: list[str], split: str) -> dict[str, Any]:
    """The properties of a data set with these domains (in order) and this kind of split."""
    properties: dict[str, Any] = {"domains": list(domains), "split": split}
    if split == PRE_SPLIT:
        properties["benchmark_filename"] = list(SPLITS)
        # Without it RecBole gives the targets and the histories two different id maps.
        properties["alias_of_item_id"] = [HISTORY]
    return properties


def read_properties(path: Path) -> dict[str, Any]:
    """Read and check the properties: ``domains`` (list of str), ``split`` and the rest."""
    path = Path(path)
    try:
        properties = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FormatError(
            f"{path}: no such file; make the data set with `recbole-tema-data build`"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: not a YAML file: {error}") from None
    _check(path, properties)
    return properties


def write_properties(path: Path, properties: Mapping[str, Any], command: str) -> None:
    """Write the properties under a comment that gives the command that made the data set."""
    _check(path, properties)
    commented = "\n".join(f"#   {line}" for line in command.splitlines())
    body = yaml.safe_dump(dict(properties), sort_keys=False, allow_unicode=True)
    with atomic_write(path) as beside:
        beside.write_text(f"# Data set properties. Built by:\n{commented}\n{body}", "utf-8")


def _check(path: Path, properties: Any) -> None:
    if not isinstance(properties, Mapping):
        raise FormatError(f"{path}: expected keys and values, such as `split: {LEAVE_ONE_OUT}`")
    domains = properties.get("domains")
    if not isinstance(domains, list) or not all(isinstance(name, str) for name in domains):
        raise FormatError(f"{path}: `domains` must be a list of names, found {domains!r}")
    if not domains or len(set(domains)) < len(domains):
        raise FormatError(f"{path}: `domains` must be different names, found {domains!r}")
    for name in domains:
        if id_problem(name):
            raise FormatError(f"{path}: domain {name!r}: {id_problem(name)}")
    split = properties.get("split")
    if split not in SPLIT_KINDS:
        raise FormatError(f"{path}: `split` must be {' or '.join(SPLIT_KINDS)}, found {split!r}")
    expected = dataset_properties(domains, split)
    for key in ("benchmark_filename", f"alias_of_{ITEM}"):
        if properties.get(key) != expected.get(key):
            raise FormatError(
                f"{path}: a data set with split {split} has {key} = {expected.get(key)}, "
                f"found {properties.get(key)}"
            )
