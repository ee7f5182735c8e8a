"""One row of a comparison: a model, the settings that are its own, and what it is called."""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from recbole_tema.config import MEASURED_ALIKE, TEMAConfig, property_file
from recbole_tema.formats import file_name_of

# Of file names, which hold more than the label.
LONGEST = 120


@dataclass(frozen=True)
class Row:
    """A model with settings of its own.

    Attributes:
        model: its name.
        details: what tells it from other rows of that model, as in ``TEMA (paper; n_layers=2)``.
        files: property files of this row; they win over those of all rows.
        settings: what is varied in it; wins over everything.
    """

    model: str
    details: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What tables, files of results and messages call it."""
        return f"{self.model} ({'; '.join(self.details)})" if self.details else self.model

    def varied(self, detail: str, settings: Mapping[str, Any]) -> "Row":
        """This row with some settings changed."""
        settings = {**self.settings, **settings}
        return replace(self, details=(*self.details, detail), settings=settings)


def rows_of(models: str | Sequence[str]) -> list[Row]:
    """The rows that ``--model`` names: ``TEMA``, ``TEMA@paper/TEMA.yaml``, ``TEMA@A.yaml+B.yaml``.

    Args:
        models: a text with commas, or several of them without.

    Raises:
        ValueError: no model, an empty name, a file that is not there, or rows that could not be
            told apart.
    """
    listed = models.split(",") if isinstance(models, str) else models
    texts = [str(text).strip() for text in listed]
    if not texts or not all(texts) or len(set(texts)) < len(texts):
        raise ValueError(
            "model: expected different names, none of them empty, such as TEMA,SASRec or "
            f"TEMA,TEMA@paper/TEMA.yaml; got {models!r}"
        )
    rows = [_row(text) for text in texts]
    check_labels(rows)
    return rows


def model_names(models: str | Sequence[str]) -> list[str]:
    """The models that ``--model`` names, where rows with files of their own have no place."""
    rows = rows_of(models)
    if with_files := [row.label for row in rows if row.files]:
        raise ValueError(
            f"model: {', '.join(with_files)}: expected names alone here; give a file for all of "
            "them with --config_files"
        )
    return [row.model for row in rows]


def check_labels(rows: Sequence[Row]) -> None:
    """Raise ValueError for rows that are called alike, in tables or in the names of files."""
    for name in (lambda row: row.label, lambda row: file_name_of(row.label).casefold()):
        count = Counter(map(name, rows))
        if same := [row.label for row in rows if count[name(row)] > 1]:
            raise ValueError(
                f"rows of one name: {', '.join(map(repr, same))}. A row is called after its file, "
                "or after the folder of a file that is named after the model: rename or copy one"
            )
    if long := [row.label for row in rows if len(row.label) > LONGEST]:
        raise ValueError(
            f"a row's name has at most {LONGEST} characters, as files are named after it; got "
            f"{long[0]!r}"
        )


def agreed(key: str, given: Mapping[str, Mapping[str, Any]]) -> Any:
    """What the rows say of a setting that they share; None: nothing.

    Args:
        key: the setting.
        given: by label what files and caller set.

    Raises:
        ValueError: two rows say different things.
    """
    said = {label: each[key] for label, each in given.items() if each.get(key) is not None}
    for label, value in said.items():
        first, expected = next(iter(said.items()))
        if value != expected:
            raise ValueError(
                f"{key}: {value!r} by the file of {label}, but {expected!r} by that of {first}; "
                f"all rows share it: give it with --{key}"
            )
    return next(iter(said.values()), None)


def check_alike(configs: Mapping[str, TEMAConfig], seeds_given: bool) -> None:
    """Refuse rows of which a file sets what all are measured by.

    Args:
        configs: by label.
        seeds_given: whether the seeds are said apart from the rows.

    Raises:
        ValueError: naming the row, the key and both values.
    """
    (first, expected), *others = configs.items()
    for key in sorted(MEASURED_ALIKE - ({"seed"} if seeds_given else set())):
        for label, config in others:
            if config[key] != expected[key]:
                raise ValueError(
                    f"{key}: {config[key]!r} in {label}, but {expected[key]!r} in {first}; all "
                    f"rows have to be measured alike: give it with --{key}, or take it out of a "
                    "row's file"
                )


def _row(text: str) -> Row:
    model, at, listed = text.partition("@")
    if not at:
        return Row(model)
    files = re.split(r"(?<=\.yaml)\+|(?<=\.yml)\+", listed)
    for file in files:
        if not Path(property_file(file)).is_file():
            raise ValueError(
                f"model: {text}: no file {file!r}; expected NAME@FILE.yaml, with several files "
                "NAME@A.yaml+B.yaml; paper/TEMA.yaml and paper/LLMEMF.yaml come with the package"
            )
    return Row(model, ("+".join(_detail(model, file) for file in files),), tuple(files))


def _detail(model: str, file: str) -> str:
    """What a file adds to the model: its name, without what is the model's already."""
    path = Path(os.path.abspath(file))
    for known in (f"best-{model}", f"config-{model}", model):
        if path.stem == known:
            return path.parent.name or path.stem
        if path.stem.startswith((f"{known}-", f"{known}_")):
            return path.stem[len(known) + 1 :]
    return path.stem
