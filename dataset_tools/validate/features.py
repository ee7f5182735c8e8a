"""Feature files against the items, the tags, and what the items have."""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from recbole_tema.formats import (
    FEATURE_KINDS,
    IMAGE,
    ITEM,
    TITLE,
    DatasetFiles,
    Features,
    Tags,
    read_features,
    tag_vocabulary,
)

from ..wording import counted
from .findings import Findings, Table, share, some

MANY = 0.5
"""Share of absent vectors that is worth a warning."""


def check_features(
    files: DatasetFiles, items: pd.DataFrame, tags: Tags | None, findings: Findings
) -> dict[str, np.ndarray]:
    """Check all feature files; gives which items (n,) have a vector, by the file's short name."""
    present: dict[str, np.ndarray] = {}
    rows: list[list[object]] = []
    dims: dict[str, int] = {}
    for path, kind, short in feature_files(files):
        features = findings.attempt("features", partial(read_features, path))
        if features is None:
            continue
        absent = int((~features.present).sum())
        tokens = len(features.tokens)
        part = share(absent / max(1, tokens))
        rows.append([short, tokens, features.dims, absent, part, features.encoder])
        dims[short] = features.dims
        _check_vectors(path, kind, features, findings)
        if kind == "tag":
            _check_tag_tokens(path, features, files, tags, findings)
        elif _check_item_tokens(path, features, items, findings):
            present[short] = features.present
            _check_absent(path, kind, features.present, items, findings)
    if "text" in dims and "tag" in dims and dims["text"] != dims["tag"]:
        findings.warn(
            "features",
            f"{files.features('tag').name} has {dims['tag']} dimensions and "
            f"{files.features('text').name} {dims['text']}: made by two encoders?",
        )
    if rows:
        headings = ["vectors", "tokens", "dims", "absent", "", "by"]
        findings.tables.append(Table("features", headings, rows))
    return present


def feature_files(files: DatasetFiles) -> list[tuple[Path, str, str]]:
    """Path, kind and short name (``text``, ``text_llm``) of the feature files that are there."""
    form = re.compile(
        rf"{re.escape(files.name)}\.(({'|'.join(FEATURE_KINDS)})(?:_\w+)?)\.safetensors"
    )
    found = [(path, form.fullmatch(path.name)) for path in sorted(files.folder.iterdir())]
    return [(path, match[2], match[1]) for path, match in found if match]


def _check_vectors(path: Path, kind: str, features: Features, findings: Findings) -> None:
    if features.kind != kind:
        findings.problem("features", f"{path.name}: holds {features.kind} vectors, not {kind}")
    vectors = features.vectors[features.present]
    if not len(vectors):
        findings.problem("features", f"{path.name}: no vector is present")
        return
    zero = features.present & ~features.vectors.any(axis=1)
    if zero.any():
        findings.problem(
            "features",
            f"{path.name}, row {int(zero.argmax())} (token "
            f"{features.tokens[int(zero.argmax())]!r}): a vector of zeros marked present "
            f"({int(zero.sum()):,} in all); what has no vector is to be marked absent",
        )
    elif len(vectors) > 1 and (vectors == vectors[0]).all():
        findings.warn("features", f"{path.name}: all vectors are the same")
    absent = float((~features.present).mean())
    if absent > MANY:
        findings.warn("features", f"{path.name}: {share(absent)} of the vectors are absent")


def _check_item_tokens(
    path: Path, features: Features, items: pd.DataFrame, findings: Findings
) -> bool:
    ids = items[ITEM].tolist()
    if features.tokens == ids:
        return True
    _not_the_same(path, features.tokens, ids, findings)
    return False


def _check_tag_tokens(
    path: Path, features: Features, files: DatasetFiles, tags: Tags | None, findings: Findings
) -> None:
    if tags is None:
        if not files.tags.is_file():
            findings.problem("features", f"{path.name}: vectors of tags, but there are no tags")
        return
    vocabulary = tag_vocabulary(tags)
    missing = sorted(set(vocabulary).difference(features.tokens))
    extra = sorted(set(features.tokens).difference(vocabulary))
    if missing:
        findings.problem(
            "features",
            f"{path.name}: no vector of {len(missing):,} of {counted(len(vocabulary), 'tag')}, "
            f"{some(missing)}; make it again with `recbole-tema-data encode --what tag`",
        )
    if extra:
        findings.warn(
            "features",
            f"{path.name}: vectors of {counted(len(extra), 'tag')} that no item has, {some(extra)}",
        )


def _not_the_same(
    path: Path, found: Sequence[str], expected: Sequence[str], findings: Findings
) -> None:
    missing = sorted(set(expected).difference(found))
    extra = sorted(set(found).difference(expected))
    again = "make it again with `recbole-tema-data encode`"
    if missing or extra:
        said = [f"no row of {counted(len(missing), 'item')}, {some(missing)}"] if missing else []
        said += [f"rows of {counted(len(extra), 'unknown item')}, {some(extra)}"] if extra else []
        findings.problem("features", f"{path.name}: {'; '.join(said)}; {again}")
        return
    row = next(at for at, (a, b) in enumerate(zip(found, expected, strict=True)) if a != b)
    findings.problem(
        "order",
        f"{path.name}, row {row}: the items of the data set in another order, {found[row]!r} in "
        f"place of {expected[row]!r}; {again}",
    )


def _check_absent(
    path: Path, kind: str, present: np.ndarray, items: pd.DataFrame, findings: Findings
) -> None:
    """Vectors of items that have nothing to make one of, and the reverse."""
    named = (items[IMAGE] if kind == "image" else items[TITLE]).ne("").to_numpy()
    what = "an image" if kind == "image" else "a title"
    without = named & ~present
    if without.any():
        findings.warn(
            "features",
            f"{path.name}: {counted(int(without.sum()), 'item')} with {what} and no vector, "
            f"such as {items[ITEM].iloc[int(without.argmax())]!r}",
        )
    if kind == "image" and (present & ~named).any():
        odd = present & ~named
        findings.warn(
            "features",
            f"{path.name}: {counted(int(odd.sum()), 'item')} with a vector and no image, such as "
            f"{items[ITEM].iloc[int(odd.argmax())]!r}: have the items changed?",
        )
