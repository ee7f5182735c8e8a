"""Feature files: one vector a token (item or tag string), with the tokens and a checksum inside.

A safetensors file holds ``vectors`` (n, d) float32, ``present`` (n,) bool, ``tokens`` (the UTF-8
bytes of all tokens in a row) and ``offsets`` (n + 1,) int64, where each token begins and the last
one ends. Its metadata is one JSON text under one key: safetensors writes several keys in random
order, and a file must come out the same byte for byte each time.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from recbole_tema.formats.errors import FormatError
from recbole_tema.formats.files import FEATURE_KINDS, atomic_write, sha256_of_tokens

FORMAT = "recbole_tema.features"
VERSION = "1"


@dataclass(frozen=True)
class Features:
    """Vectors of tokens.

    ``vectors`` (n, d) float32 and ``present`` (n,) bool follow ``tokens`` (n). A row that is not
    present has no vector: what ``vectors`` holds there means nothing. ``encoder`` says what made
    the vectors, ``kind`` is "text", "image" or "tag".
    """

    tokens: list[str]
    vectors: np.ndarray
    present: np.ndarray
    encoder: str
    kind: str

    @property
    def dims(self) -> int:
        return int(self.vectors.shape[1])


def write_features(path: Path, features: Features) -> None:
    """Write a feature file; refuses shapes that do not fit and present vectors with NaN or inf."""
    from safetensors.numpy import save

    _check(path, features)
    present = np.asarray(features.present, bool)
    vectors = np.where(present[:, None], features.vectors, 0).astype(np.float32)
    encoded = [token.encode() for token in features.tokens]
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(token) for token in encoded], out=offsets[1:])
    about = {
        "format": FORMAT,
        "version": VERSION,
        "kind": features.kind,
        "encoder": features.encoder,
        "items": str(len(features.tokens)),
        "tokens_sha256": sha256_of_tokens(features.tokens),
    }
    tensors = {
        "vectors": np.ascontiguousarray(vectors),
        "present": present,
        "tokens": np.frombuffer(b"".join(encoded), np.uint8),
        "offsets": offsets,
    }
    with atomic_write(path) as beside:
        # Not `save_file`: it makes files that only their owner may read.
        beside.write_bytes(save(tensors, metadata={FORMAT: json.dumps(about, sort_keys=True)}))


def read_features(path: Path, expected_tokens: Sequence[str] | None = None) -> Features:
    """Read a feature file and check it.

    With ``expected_tokens`` (the item ids of ``NAME.item``, or the tag vocabulary) the file must
    hold exactly these in this order; the error says what differs.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FormatError(f"{path}: no such file; make it with `recbole-tema-data encode`")
    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {}).get(FORMAT, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError) as error:
        raise FormatError(f"{path}: not a readable safetensors file: {error}") from None
    if about.get("version") != VERSION or set(tensors) != {
        "vectors",
        "present",
        "tokens",
        "offsets",
    }:
        raise FormatError(
            f"{path}: not a feature file of this project ({FORMAT}, version {VERSION}; found "
            f"{about.get('version')}); make it again with `recbole-tema-data encode`"
        )
    data, offsets = tensors["tokens"].tobytes(), tensors["offsets"].tolist()
    try:
        tokens = [data[a:b].decode() for a, b in pairwise(offsets)]
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: the tokens inside are damaged: {error}") from None
    if sha256_of_tokens(tokens) != about["tokens_sha256"]:
        raise FormatError(f"{path}: the tokens inside do not have the checksum noted beside them")
    features = Features(
        tokens, tensors["vectors"], tensors["present"], about["encoder"], about["kind"]
    )
    _check(path, features)
    if expected_tokens is not None:
        _compare(path, tokens, expected_tokens)
    return features


def _check(path: Path, features: Features) -> None:
    tokens, vectors, present = features.tokens, features.vectors, features.present
    if features.kind not in FEATURE_KINDS:
        raise FormatError(
            f"{path}: kind {features.kind!r}; expected one of {', '.join(FEATURE_KINDS)}"
        )
    if vectors.ndim != 2 or vectors.shape[1] == 0 or len(vectors) != len(tokens):
        raise FormatError(
            f"{path}: vectors of shape {vectors.shape} for {len(tokens):,} tokens; expected "
            f"({len(tokens)}, d)"
        )
    if present.shape != (len(tokens),):
        raise FormatError(f"{path}: mask of shape {present.shape}, expected ({len(tokens)},)")
    bad = present.astype(bool) & ~np.isfinite(vectors).all(axis=1)
    if bad.any():
        row = int(bad.argmax())
        raise FormatError(
            f"{path}, row {row} (token {tokens[row]!r}): NaN or infinite, as {int(bad.sum()):,} of "
            f"{len(tokens):,} vectors; mark a token without a vector as not present"
        )
    twice = [token for token, number in Counter(tokens).items() if number > 1]
    if twice:
        raise FormatError(f"{path}: tokens that stand there more than once: {_some(twice)}")


def _compare(path: Path, found: Sequence[str], expected: Sequence[str]) -> None:
    expected = list(expected)
    if list(found) == expected:
        return
    have, want = set(found), set(expected)
    missing = [token for token in expected if token not in have]
    extra = [token for token in found if token not in want]
    pairs = zip(found, expected, strict=False)
    row = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(found), len(expected)))
    at = [repr(tokens[row]) if row < len(tokens) else "the end" for tokens in (found, expected)]
    detail = f"{len(missing):,} missing{_some(missing, ': ')}, {len(extra):,} too many"
    detail += _some(extra, ": ")
    if not missing and not extra:
        detail = "the same tokens in another order"
    raise FormatError(
        f"{path}: does not fit the data set: {len(found):,} tokens, expected {len(expected):,}; "
        f"{detail}; first difference at row {row}: {at[0]}, expected {at[1]}. "
        "Make it again with `recbole-tema-data encode`"
    )


def _some(tokens: Sequence[str], before: str = "") -> str:
    if not tokens:
        return ""
    return before + ", ".join(map(repr, tokens[:3])) + (", …" if len(tokens) > 3 else "")
