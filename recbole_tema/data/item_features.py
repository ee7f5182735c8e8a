"""Item features and tags of a data set in memory, in the order of the item ids."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from recbole_tema.data.sequences import ranges
from recbole_tema.formats import (
    DatasetFiles,
    FormatError,
    read_features,
    read_tags,
    tag_vocabulary,
)


@dataclass(frozen=True)
class FrozenFeatures:
    """One frozen vector an item, such as CLIP's image or text embedding.

    Attributes:
        vectors: (N + 1, e) float32; row 0 (padding) and absent rows hold zeros.
        present: (N + 1,) bool; False for padding and for items without that modality.
        encoder: name of the encoder that made them.
    """

    vectors: Tensor
    present: Tensor
    encoder: str


@dataclass(frozen=True)
class ItemTags:
    """The tags of each item with their scores, padded to the item with the most tags.

    Attributes:
        names: (T,) the tag list; tag t has index t + 1, index 0 is padding.
        index: (N + 1, K) int64 tag indices; 0 where an item has fewer tags.
        scores: (N + 1, K) float32 matching scores w_it in [0, 1]; 0 at padding.
        vectors: (T + 1, e) float32 text vectors of the tag strings with zeros at row 0, or None.
    """

    names: list[str]
    index: Tensor
    scores: Tensor
    vectors: Tensor | None

    @property
    def present(self) -> Tensor:
        """(N + 1,) bool: the item has at least one tag of positive score."""
        return (self.scores > 0).any(dim=1)


def load_features(
    files: DatasetFiles, kind: str, file_tokens: list[str], id_tokens: list[str]
) -> FrozenFeatures | None:
    """The features of one kind (``text``, ``image``) by item id, or None without such a file.

    Args:
        files: the data set's files.
        kind: the modality.
        file_tokens: item tokens in the order of the ``.item`` file, which the features must match.
        id_tokens: the tokens of item ids 1, 2, … N.

    Raises:
        FormatError: the file does not fit the data set.
    """
    path = files.features(kind)
    if not path.is_file():
        return None
    stored = read_features(path, expected_tokens=file_tokens)
    if stored.kind != kind:
        raise FormatError(f"{path}: holds {stored.kind} vectors, expected {kind}; encode them anew")
    row = {token: at for at, token in enumerate(file_tokens)}
    order = [row[token] for token in id_tokens]
    present = stored.present[order]
    vectors = np.where(present[:, None], stored.vectors[order], 0)
    return FrozenFeatures(
        vectors=_below_padding(torch.from_numpy(vectors.astype(np.float32))),
        present=_below_padding(torch.from_numpy(present)),
        encoder=stored.encoder,
    )


def load_tags(files: DatasetFiles, file_tokens: list[str], id_tokens: list[str]) -> ItemTags | None:
    """The tags of the items by item id, or None without a tags file.

    The tag list is sorted by name, so that it does not depend on the order of the file.

    Args:
        files: the data set's files.
        file_tokens: item tokens of the ``.item`` file, each of which must have its line.
        id_tokens: the tokens of item ids 1, 2, … N.

    Raises:
        FormatError: the tags or the vectors of the tag strings do not fit the data set.
    """
    if not files.tags.is_file():
        return None
    tags = read_tags(files.tags, known_items=file_tokens)
    names = tag_vocabulary({token: tags[token] for token in id_tokens})
    if not names:
        raise FormatError(
            f"{files.tags}: no item has a tag; make the tags anew with: recbole-tema-data tag "
            f"{files.folder}, or leave tag out of modalities"
        )
    number = {name: at + 1 for at, name in enumerate(names)}
    owned = [tags[token] for token in id_tokens]
    counts = np.fromiter(map(len, owned), dtype=np.int64, count=len(owned))
    shape = (len(owned) + 1, int(counts.max()))
    cells = np.repeat(np.arange(1, len(owned) + 1), counts), ranges(np.zeros_like(counts), counts)
    index, scores = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.float32)
    index[cells] = [number[name] for own in owned for name in own]
    scores[cells] = [score for own in owned for score in own.values()]
    vectors = _tag_vectors(files.features("tag"), names)
    return ItemTags(names, torch.from_numpy(index), torch.from_numpy(scores), vectors)


def _tag_vectors(path: Path, names: list[str]) -> Tensor | None:
    if not path.is_file():
        return None
    stored = read_features(path, expected_tokens=None)
    row = {token: at for at, token in enumerate(stored.tokens)}
    if missing := [name for name in names if name not in row]:
        raise FormatError(
            f"{path}: no vector for {len(missing)} of the {len(names)} tags, first {missing[:3]}; "
            "the tags changed after they were encoded: run recbole-tema-data encode --what tag"
        )
    vectors = stored.vectors[[row[name] for name in names]].astype(np.float32)
    return _below_padding(torch.from_numpy(vectors))


def _below_padding(rows: Tensor) -> Tensor:
    """``rows`` with a row of zeros (False) in front, for id 0."""
    return torch.cat([torch.zeros_like(rows[:1]), rows])
