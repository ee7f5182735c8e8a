"""Scores of tags by an encoder whose vectors are given here."""

from collections.abc import Sequence

import numpy as np
import pytest

from recbole_tema.dataset_tools.tag.scoring import embedding_scores


class Circle:
    """Texts are angles in degrees; names of tags have theirs in a table."""

    def __init__(self, **angles: float) -> None:
        self.angles = angles

    def encode_texts(self, texts: Sequence[str], what: str) -> tuple[np.ndarray, int]:
        angles = np.radians([self.angles.get(text) or float(text or 0) for text in texts])
        # Lengths must not matter.
        return 3 * np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32), 0


TEXTS = ["1", "2", "5", "88", "90", "92", "3", "45", ""]
CARRY = [
    {"use: tea": 0.7, "size: big": 0.6},
    {"use: tea": 0.7},
    {"use: tea": 0.7},
    {"kind: pan": 0.7},
    {"kind: pan": 0.7, "size: big": 0.6},
    {"kind: pan": 0.7, "kind: pans": 0.9},
    {},
    {"use: tea": 0.7},
    {"use: tea": 0.7},
]
ENCODER = Circle(tea=0.001, pan=90, pans=91, skillet=93, big=1)


def scores(expand: int) -> list[dict[str, float]]:
    return embedding_scores(ENCODER, TEXTS, CARRY, 2, expand)[0]


def test_near_pairs_score_higher() -> None:
    found = scores(0)
    # 1 and 2 degrees from the tag; 45 degrees; no text.
    assert found[0]["use: tea"] > found[1]["use: tea"] > 0.5
    assert found[7]["use: tea"] < found[2]["use: tea"]
    assert found[8]["use: tea"] == 0.7
    assert all(0 <= score <= 1 for own in found for score in own.values())
    assert [set(own) for own in found] == [set(own) - {"kind: pans"} for own in CARRY]


def test_scores_by_hand() -> None:
    # One type: one tag. Cosines with tea: carriers .9998, .9994, .9962 and .7071; the others' (88,
    # 90, 92, 3 degrees) are .0349, 0, -.0349, .9986. Standing: less their mean .2497 over their
    # deviation .4331. The score falls with it, along one curve.
    found = scores(0)
    logits = [np.log(s / (1 - s)) for s in (found[at]["use: tea"] for at in (0, 1, 2, 7))]
    standing = (np.cos(np.radians([1, 2, 5, 45])) - 0.24965) / 0.43310
    slopes = np.diff(logits) / np.diff(standing)
    assert slopes == pytest.approx(slopes[-1] * np.ones(3), rel=0.02)
    assert slopes[-1] > 0


def test_expanding_adds_what_suits() -> None:
    tea = ["0"] * 40
    others = [str(100 + at) for at in range(40)]
    carry = [{"use: tea": 0.7, "size: big": 0.6}] * 39 + [{}] + [{"kind: pan": 0.7}] * 40
    encoder = Circle(tea=0.001, pan=120, big=1)
    found, line = embedding_scores(encoder, tea + others, carry, 2, 1)
    # The item at 0 degrees says nothing of tea; a size it does not say is never added.
    assert set(found[39]) == {"use: tea"}
    assert found[39]["use: tea"] == pytest.approx(found[0]["use: tea"])
    assert all(set(own) == {"kind: pan"} for own in found[40:])
    assert line.endswith("1 tag added to items")
    assert embedding_scores(encoder, tea + others, carry, 2, 0)[0][39] == {}


def test_tags_that_say_the_same_are_one() -> None:
    carry = [
        {"kind: pan": 0.5},
        {"kind: pan": 0.5},
        {"kind: skillet": 0.9},
        {"kind: skillet": 0.9, "use: skillet": 0.8},
        {"kind: rare": 0.9, "use: skillet": 0.8},
    ]
    encoder = Circle(pan=90, skillet=93, rare=10)
    found, line = embedding_scores(encoder, ["1", "2", "3", "4", "5"], carry, 2, 0)
    # 3 degrees apart: cosine .9986. Of equally frequent tags the first by name stays; another type
    # keeps its own; what one item alone carries goes.
    assert [set(own) for own in found] == [
        {"kind: pan"},
        {"kind: pan"},
        {"kind: pan"},
        {"kind: pan", "use: skillet"},
        {"use: skillet"},
    ]
    assert line.startswith("embedding: 1 tag merged")


def test_values_of_closed_types_are_never_merged() -> None:
    carry = [{"size: big": 0.5}, {"size: large": 0.5}]
    found, _ = embedding_scores(Circle(big=10, large=10.1), ["1", "2"], carry, 1, 0)
    assert [set(own) for own in found] == [{"size: big"}, {"size: large"}]


def test_nothing_to_score() -> None:
    found, line = embedding_scores(ENCODER, ["", ""], [{"use: tea": 0.7}, {}], 1, 1)
    assert found == [{"use: tea": 0.7}, {}]
    assert "no tag or no text" in line
