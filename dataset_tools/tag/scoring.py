"""Scores of item and tag pairs by a text encoder: how near the tag's vector is to the item's."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from ..wording import counted
from .titles import split_tag, tag_key

SEED = 0
SAME = 0.95
"""Tags of one of `OPEN_TYPES` whose vectors have at least this cosine are one tag."""
OPEN_TYPES = frozenset(["", "kind", "use"])
"""Types that an item may have without saying so: what it is, and what it is for. A brand, a colour
or a diet that a title does not name is a guess."""
SURE = 0.95
"""Score from which an item that does not carry a tag may get it."""
BLOCK = 256

Scored = list[dict[str, float]]


class TextEncoder(Protocol):
    """What makes vectors of texts, as `ModelEncoder` does."""

    def encode_texts(self, texts: Sequence[str], what: str) -> tuple[np.ndarray, int]:
        """Vectors (n, d) float32, and how many texts were cut."""


def embedding_scores(
    encoder: TextEncoder,
    texts: Sequence[str],
    tagged: Sequence[dict[str, float]],
    min_items: int,
    expand: int,
) -> tuple[Scored, str]:
    """The tags of each item with scores in [0, 1] by the encoder, and a line of report.

    The cosine of an item's text and a tag's value depends on the tag more than on the item, so it
    is first taken relative to the items that do not carry the tag (less their mean, over their
    standard deviation). A logistic curve for each type of tag, fitted to pairs that occur against
    as many that do not, makes that the score: 0.5 is as likely among the one as among the other.
    An item without a text keeps the scores it came with.

    Args:
        encoder: of texts.
        texts: what is known of each item; "" where nothing is.
        tagged: the tags of each item with the scores of the rules.
        min_items: tags on fewer items are dropped.
        expand: up to so many tags of `OPEN_TYPES` go to an item that its text does not spell out:
            the best of those of a score of `SURE` or more that suit it as well as the half of
            their own items that they suit best.
    """
    tagged, merged = _merge(encoder, tagged, min_items)
    names = sorted({tag for own in tagged for tag in own})
    rows = [row for row, text in enumerate(texts) if text]
    if not names or not rows:
        return tagged, "embedding: no tag or no text to score"
    items, _ = encoder.encode_texts([texts[row] for row in rows], "items")
    tags, _ = encoder.encode_texts([split_tag(name)[1] for name in names], "tags")
    place = {name: at for at, name in enumerate(names)}
    carriers: list[list[int]] = [[] for _ in names]
    for at, row in enumerate(rows):
        for name in tagged[row]:
            carriers[place[name]].append(at)
    types = np.array([split_tag(name)[0] for name in names])
    distances = _Distances(unit(items), unit(tags), carriers)
    curves = {kind: _curve(distances, np.flatnonzero(types == kind)) for kind in set(types)}
    scored = [dict(own) for own in tagged]
    more: list[list[tuple[float, str]]] = [[] for _ in rows]
    for tag, standing in distances.by_tag():
        name = names[tag]
        scale, shift = curves[types[tag]]
        scores = 1 / (1 + np.exp(-(scale * standing + shift)))
        of_tag = carriers[tag]
        for at in of_tag:
            scored[rows[at]][name] = float(scores[at])
        if expand and types[tag] in OPEN_TYPES and of_tag:
            near = scores >= max(SURE, float(np.median(scores[of_tag])))
            near[of_tag] = False
            for at in np.flatnonzero(near).tolist():
                more[at].append((float(scores[at]), name))
    added = 0
    for row, found in zip(rows, more, strict=True):
        for score, name in sorted(found, key=lambda pair: (-pair[0], pair[1]))[:expand]:
            scored[row][name] = score
            added += 1
    line = f"{counted(merged, 'tag')} merged into others, {counted(added, 'tag')} added to items"
    return scored, f"embedding: {line}"


class _Distances:
    """Cosines of all items with each tag, relative to those of the items that do not carry it."""

    def __init__(self, items: np.ndarray, tags: np.ndarray, carriers: list[list[int]]) -> None:
        self._items, self._tags, self.carriers = items, tags, carriers

    def by_tag(self, wanted: np.ndarray | None = None) -> Iterator[tuple[int, np.ndarray]]:
        """Number of each (wanted) tag and the standing (n items,) of the items to it."""
        numbers = np.arange(len(self._tags)) if wanted is None else wanted
        for start in range(0, len(numbers), BLOCK):
            block = numbers[start : start + BLOCK]
            cosines = self._tags[block] @ self._items.T
            for tag, row in zip(block, cosines, strict=True):
                others = np.ones(len(row), bool)
                others[self.carriers[tag]] = False
                rest = row[others] if others.any() else row
                yield int(tag), (row - rest.mean()) / max(float(rest.std()), 1e-6)


def _curve(distances: _Distances, tags: np.ndarray) -> tuple[float, float]:
    """Slope and shift of the logistic curve of the tags of one type."""
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(SEED)
    positive, negative = [], []
    for tag, standing in distances.by_tag(tags):
        own = distances.carriers[tag]
        others = np.setdiff1d(random.integers(0, len(standing), len(own)), own)
        positive.append(standing[own])
        negative.append(standing[others])
    values = np.concatenate([*positive, *negative])
    labels = np.arange(len(values)) < sum(map(len, positive))
    if labels.all():
        return 1.0, 0.0
    fitted = LogisticRegression(class_weight="balanced").fit(values[:, None], labels)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])


def _merge(
    encoder: TextEncoder, tagged: Sequence[dict[str, float]], min_items: int
) -> tuple[Scored, int]:
    """Tags of one type that say the same become the most frequent of them; how many went."""
    spread: Counter[str] = Counter()
    spelt: dict[str, Counter[str]] = defaultdict(Counter)
    for own in tagged:
        spread.update({tag_key(tag) for tag in own})
        for tag in own:
            spelt[tag_key(tag)][tag] += 1
    shown = {
        key: min(counts, key=lambda tag: (-counts[tag], tag))
        for key, counts in spelt.items()
        if spread[key] >= min_items
    }
    into: dict[str, str] = {}
    by_type: dict[str, list[str]] = defaultdict(list)
    for key in sorted(shown, key=lambda key: (-spread[key], key)):
        by_type[split_tag(key)[0]].append(key)
    for kind, keys in by_type.items():
        if kind not in OPEN_TYPES:
            # Steps such as "4-8 oz" and "8-16 oz" look alike to an encoder.
            into.update((key, key) for key in keys)
            continue
        vectors, _ = encoder.encode_texts([split_tag(shown[key])[1] for key in keys], "tags")
        vectors = unit(vectors)
        for at, key in enumerate(keys):
            same = np.flatnonzero(vectors[:at] @ vectors[at] >= SAME).tolist()
            into[key] = into[keys[same[0]]] if same else key
    merged: Scored = []
    for own in tagged:
        kept: dict[str, float] = {}
        for tag, score in own.items():
            if (name := into.get(tag_key(tag))) is not None:
                kept[shown[name]] = max(score, kept.get(shown[name], 0.0))
        merged.append(kept)
    return merged, sum(key != other for key, other in into.items())


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (n, d) scaled to length 1; zeros stay zeros."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
