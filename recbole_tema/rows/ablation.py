"""``--ablation``: beside each model what it does without one of its parts, or with another."""

import json
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from recbole_tema._layout import properties_dir
from recbole_tema.config import MEASURED_ALIKE, TEMAConfig, parse_value, plain_settings
from recbole_tema.distributed import is_first
from recbole_tema.formats import DatasetFiles
from recbole_tema.models.items import ID, IMAGE, MODALITIES, TAG, TEXT
from recbole_tema.report.ablation import FULL, Changed, LeftOut, write_ablation
from recbole_tema.rows.comparison import Comparison, Configure
from recbole_tema.rows.row import Row, check_labels
from recbole_tema.training.resume import FREE

WITHOUT = "without"
"""In a row of an ablation file: modalities that are taken out of the full model's."""
_NAMES = {ID: "ids", IMAGE: "image vectors", TEXT: "text vectors", TAG: "tags"}
# Settings that say nothing where an item has no tags.
_OF_TAGS = (
    *("shuffle_tags", "tag_fusion", "tag_overlap", "tag_overlap_decay", "tag_overlap_smoothing"),
    *("tag_vectors", "train_tag_embedding", "weighted_tags"),
)
# Settings that say nothing where events have no times.
_OF_TIMES = ("shuffle_ties", "time_knots")

Entries = dict[str, dict[str, Any]]
"""{what is changed: settings}"""


def ablated(rows: Sequence[Row], choice: bool | str | Path, configure: Configure) -> Comparison:
    """The rows, each followed by its ablations.

    A row that the data set cannot have is left out, and so is one whose settings come down to those
    of an earlier row; both are told.

    Args:
        rows: the full models.
        choice: True: the file that the project ships for a model; else a file for all models that
            have its settings, or a folder with ``MODEL.yaml``. Other models are compared as they
            are.
        configure: the configuration of a row.

    Raises:
        ValueError: no model has an ablation, or a file is wrong.
    """
    found = Comparison()
    labels: list[Row] = []
    changed: list[Changed] = []
    left_out: list[LeftOut] = []
    problems: list[str] = []
    for row in rows:
        base = configure(row)
        found.configs[row.label] = base
        labels.append(row)
        entries: Entries = {}
        if file := ablation_file(choice, row.model):
            entries = read_ablation(file)
            if unknown := _unknown(row, entries, configure):
                problems.append(f"{file}: {unknown}")
                entries = {}
        changed.append(Changed(row.label, row.label, FULL if entries else None))
        variations, absent = _variations(row, base, entries, configure)
        left_out += absent
        for what, varied, config in variations:
            labels.append(varied)
            found.configs[varied.label] = config
            changed.append(Changed(varied.label, row.label, what))
            if choice is not True:
                found.must_run.add(varied.label)
    if all(each.what is None for each in changed):
        raise ValueError(f"--ablation: {problems[0] if problems else _nothing_known_of(rows)}")
    check_labels(labels)
    if is_first():
        for problem in problems:
            logging.getLogger().warning(f"--ablation: {problem}; it is compared as it is")
        for each in left_out:
            logging.getLogger().warning(f"{each.full} ({each.what}) is left out: {each.reason}")
    found.more = partial(write_ablation, changed, left_out)
    return found


def _variations(
    row: Row, base: TEMAConfig, entries: Entries, configure: Configure
) -> tuple[list[tuple[str, Row, TEMAConfig]], list[LeftOut]]:
    """What is changed, row and configuration of those that the data set can have, and the rest."""
    found: list[tuple[str, Row, TEMAConfig]] = []
    left_out: list[LeftOut] = []
    seen = {_computed(base): FULL}
    for what, settings in entries.items():
        reason, settings = _for_data(settings, base)
        if not reason:
            varied = row.varied(what, settings)
            config = configure(varied)
            same = seen.setdefault(_computed(config), what)
            if same == what:
                found.append((what, varied, config))
                continue
            reason = f"on {config['dataset']} the same as {same!r}"
        left_out.append(LeftOut(row.label, what, reason))
    return found, left_out


def _nothing_known_of(rows: Sequence[Row]) -> str:
    shipped = sorted(path.stem for path in (properties_dir() / "ablation").glob("*.yaml"))
    return (
        f"{', '.join(row.model for row in rows)}: no ablation is known of it. The project ships "
        f"those of {', '.join(shipped)}; for another model give a file of your own: --ablation "
        "FILE.yaml"
    )


def ablation_file(choice: bool | str | Path, model: str) -> Path | None:
    """The file of a model's ablations; None: there is none.

    Raises:
        ValueError: ``choice`` is neither a file nor a folder.
    """
    if choice is True:
        path = properties_dir() / "ablation" / f"{model}.yaml"
        return path if path.is_file() else None
    for path in (Path(choice), properties_dir() / choice) if choice else ():
        if path.is_file():
            return path
        if path.is_dir():
            return path / f"{model}.yaml" if (path / f"{model}.yaml").is_file() else None
    raise ValueError(
        f"--ablation: no file {str(choice)!r}, nor a folder with MODEL.yaml; --ablation alone "
        "takes what the project ships"
    )


def read_ablation(path: Path) -> Entries:
    """Read a list of ``- WHAT IS CHANGED: {KEY: VALUE, …}``; ``without`` takes modalities out.

    Raises:
        ValueError: naming the file, the row, what came and what was expected.
        OSError: it cannot be read.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: expected YAML, a list of rows ({error})") from error
    if not isinstance(content, list) or not content:
        raise ValueError(
            f"{path}: expected a list of rows such as - merged view: {{views: [merged]}}"
        )
    entries: Entries = {}
    for number, entry in enumerate(content, start=1):
        if not isinstance(entry, dict) or len(entry) != 1:
            raise ValueError(
                f"{path}: row {number}: expected one name with its settings, such as "
                f"- merged view: {{views: [merged]}}; got {entry!r}"
            )
        ((what, settings),) = entry.items()
        what = str(what).strip()
        if what in (*entries, FULL, ""):
            raise ValueError(f"{path}: row {number}: expected a name of its own, got {what!r}")
        if not isinstance(settings, dict) or not settings:
            raise ValueError(f"{path}: {what}: expected keys and values, got {settings!r}")
        entries[what] = {str(key): parse_value(value) for key, value in settings.items()}
        _check(f"{path}: {what}", entries[what])
    return entries


def _check(where: str, settings: dict[str, Any]) -> None:
    if shared := sorted(set(settings) & (MEASURED_ALIKE | FREE | {"model"})):
        raise ValueError(
            f"{where}: {', '.join(shared)}: cannot be varied, all rows have to be measured alike"
        )
    if WITHOUT in settings:
        out = settings[WITHOUT]
        settings[WITHOUT] = out = out if isinstance(out, list) else [out]
        if not out or set(map(str, out)) - set(MODALITIES) or "modalities" in settings:
            raise ValueError(
                f"{where}: {WITHOUT}: expected some of {', '.join(MODALITIES)}, and no modalities "
                f"beside it; got {out!r}"
            )


def _unknown(row: Row, entries: Entries, configure: Configure) -> str:
    """What a model has no setting for, with a hint; empty: nothing."""
    owner, values = {}, {}
    for what, settings in entries.items():
        for key, value in settings.items():
            name, value = ("modalities", None) if key == WITHOUT else (key, value)
            owner[name], values[name] = what, value
    unknown = configure(row.varied("", values)).unknown_keys()
    for key, what in owner.items():
        if key in unknown:
            return f"{what}: {row.model} has no setting {key!r}{unknown[key]}"
    return ""


def _for_data(settings: Mapping[str, Any], base: TEMAConfig) -> tuple[str, dict[str, Any]]:
    """Why the data set cannot have these settings (empty: it can), and they as the model has them.

    Modalities that a row names have to be there: else it would be another row under its name.
    """
    name, files = base["dataset"], DatasetFiles(Path(base["data_path"]))
    settings = dict(settings)
    text = settings.get("text_features", base["text_features"])
    if text and not (path := files.features(TEXT, text)).is_file():
        return f"{name} has no {path.name}", settings
    there = _there(files, text)
    named, out = _listed(settings.get("modalities")), settings.pop(WITHOUT, [])
    lacking = [each for each in (*out, *named) if each in _NAMES and each not in there]
    if lacking:
        return f"{name} has no {' and no '.join(_NAMES[each] for each in lacking)}", settings
    modalities = named or _listed(base["modalities"])
    if strange := [each for each in out if each not in modalities]:
        return (
            f"the full model has no {' and no '.join(_NAMES[each] for each in strange)}",
            settings,
        )
    if out:
        settings["modalities"] = modalities = [each for each in modalities if each not in out]
        if not set(modalities) & there:
            return "nothing else is left of an item", settings
    if set(settings) & set(_OF_TAGS) and not (TAG in there and TAG in modalities):
        return f"{name if TAG not in there else 'the full model'} has no tags", settings
    if set(settings) & set(_OF_TIMES) and not files.inter.is_file():
        return f"{name} has no times", settings
    return "", settings


def _there(files: DatasetFiles, text_features: str | None) -> set[str]:
    """The modalities that a data set has."""
    paths = {
        TEXT: files.features(TEXT, text_features),
        IMAGE: files.features(IMAGE),
        TAG: files.tags,
    }
    return {ID, *(modality for modality, path in paths.items() if path.is_file())}


def _listed(modalities: Any) -> list[str]:
    """The modalities that a setting names; none where it is no list, which the model refuses."""
    return list(modalities) if isinstance(modalities, (list, tuple)) else []


def _computed(config: TEMAConfig) -> str:
    """What is computed with a configuration on its data set, as a text."""
    settings = {key: value for key, value in plain_settings(config).items() if key not in FREE}
    if modalities := _listed(config["modalities"]):
        there = _there(DatasetFiles(Path(config["data_path"])), config["text_features"])
        settings["modalities"] = sorted(set(modalities) & there)
        if TAG not in settings["modalities"]:
            settings = {key: each for key, each in settings.items() if key not in _OF_TAGS}
        if TEXT not in settings["modalities"]:
            settings.pop("text_features", None)
    if not DatasetFiles(Path(config["data_path"])).inter.is_file():
        settings = {key: each for key, each in settings.items() if key not in _OF_TIMES}
    return json.dumps(settings, sort_keys=True)
