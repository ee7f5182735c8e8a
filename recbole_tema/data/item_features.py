"""Item features and tags of a data set in memory, in the order of the item ids."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from recbole_tema.data.cache import CacheEntry, Content
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
    files: DatasetFiles,
    kind: str,
    file_tokens: list[str],
    id_tokens: list[str],
    name: str | None = None,
) -> FrozenFeatures | None:
    """The features of one kind (``text``, ``image``) by item id, or None without such a file.

    Args:
        files: the data set's files.
        kind: the modality.
        file_tokens: item tokens in the order of the ``.item`` file, which the features must match.
        id_tokens: the tokens of item ids 1, 2, … N.
        name: of one of several files of that kind, which has to be there.

    Raises:
        FormatError: the file does not fit the data set, or is named and not there.
    """
    path = files.features(kind, name)
    if not path.is_file():
        if name is not None:
            raise FormatError(f"{path}: no such file, but {kind}_features is {name!r}")
        return None
    stored = read_features(path, expected_tokens=file_tokens)
    if stored.kind != kind:
        raise FormatError(f"{path}: holds {stored.kind} vectors, expected {kind}; encode them anew")
    row = {token: at for at, token in enumerate(file_tokens)}
    order = np.array([row[token] for token in id_tokens])
    # Written once, where it stays: the vectors of large data sets take gigabytes.
    vectors = np.zeros((len(order) + 1, stored.dims), dtype=np.float32)
    np.take(stored.vectors, order, axis=0, out=vectors[1:], mode="clip")
    present = np.append(False, stored.present[order])
    vectors[~present] = 0
    return FrozenFeatures(torch.from_numpy(vectors), torch.from_numpy(present), stored.encoder)


def load_tags(
    files: DatasetFiles,
    file_tokens: list[str],
    id_tokens: list[str],
    entry: CacheEntry | None = None,
) -> ItemTags | None:
    """The tags of the items by item id, or None without a tags file.

    The tag list is sorted by name, so that it does not depend on the order of the file.

    Args:
        files: the data set's files.
        file_tokens: item tokens of the ``.item`` file, each of which must have its line.
        id_tokens: the tokens of item ids 1, 2, … N.
        entry: where the tags of these items are kept, apart from the vectors of their strings.

    Raises:
        FormatError: the tags or the vectors of the tag strings do not fit the data set.
    """
    if not files.tags.is_file():
        return None
    content = entry.read() if entry else None
    if content is None:
        content = _tags_of_items(files, file_tokens, id_tokens)
        if entry:
            entry.write(content)
    names = content.about
    index, scores = (torch.from_numpy(content.arrays[name]) for name in ("index", "scores"))
    return ItemTags(names, index, scores, _tag_vectors(files.features("tag"), names))


def shuffled_tags(tags: ItemTags, domain: Tensor, number: int) -> ItemTags:
    """The same tags among the same items, but not on their own: the control for what tags say.

    The items of a domain that have tags exchange them, all tags of an item with their scores as a
    whole: how many tags there are, how often each is used, and which go together stays as it was.

    Args:
        tags: of the items.
        domain: (N + 1,) 0 or 1, the domain of each item; -1 for padding.
        number: what the exchange is drawn with; the same number gives the same exchange.
    """
    rng = np.random.default_rng(number)
    source = torch.arange(len(domain))
    for each in (0, 1):
        owners = (tags.present & (domain == each)).nonzero().squeeze(1)
        source[owners] = owners[torch.from_numpy(rng.permutation(len(owners)))]
    return replace(tags, index=tags.index[source], scores=tags.scores[source])


def _tags_of_items(files: DatasetFiles, file_tokens: list[str], id_tokens: list[str]) -> Content:
    """``names``, ``index`` and ``scores`` of :class:`ItemTags`."""
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
    return Content(names, {"index": index, "scores": scores})


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
    vectors = np.zeros((len(names) + 1, stored.dims), dtype=np.float32)
    vectors[1:] = stored.vectors[[row[name] for name in names]]
    return torch.from_numpy(vectors)
