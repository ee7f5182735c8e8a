"""Item vectors by hand: the tag formula, projections, absent vectors, sums and gates."""

import math

import pytest
import torch

from recbole_tema.data.item_features import FrozenFeatures, ItemTags
from recbole_tema.models.items import FrozenModality, IdModality, Stream, TagModality

ALL = torch.arange(4)


@pytest.fixture
def tags() -> ItemTags:
    """Item 1: a 1.0, c 0.5. Item 2: b 0.25. Item 3: none (and c with a score of 0)."""
    return ItemTags(
        names=["a", "b", "c"],
        index=torch.tensor([[0, 0], [1, 3], [2, 0], [3, 0]]),
        scores=torch.tensor([[0.0, 0.0], [1.0, 0.5], [0.25, 0.0], [0.0, 0.0]]),
        vectors=torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 2.0], [6.0, 9.0]]),
    )


@pytest.fixture
def features() -> FrozenFeatures:
    """Item 2 has none."""
    return FrozenFeatures(
        vectors=torch.tensor([[0.0, 0.0], [1.0, 2.0], [0.0, 0.0], [3.0, -1.0]]),
        present=torch.tensor([False, True, False, True]),
        encoder="by hand",
    )


def tag_modality(tags, dim=2, weighted=True, trainable=True) -> TagModality:
    modality = TagModality(tags, dim, weighted, trainable)
    modality.load_tag_vectors()
    return modality


def test_weighted_tags(tags):
    # Item 1: (1 * (3, 0) + 0.5 * (6, 9)) / 1.5 = (4, 3). Item 2: its only tag, whatever its score.
    expected = torch.tensor([[0.0, 0.0], [4.0, 3.0], [0.0, 2.0], [0.0, 0.0]])
    torch.testing.assert_close(tag_modality(tags).vectors(ALL), expected)


def test_unweighted_tags(tags):
    # Item 1: ((3, 0) + (6, 9)) / 2 = (4.5, 4.5). A tag of score 0 is none, here too.
    expected = torch.tensor([[0.0, 0.0], [4.5, 4.5], [0.0, 2.0], [0.0, 0.0]])
    torch.testing.assert_close(tag_modality(tags, weighted=False).vectors(ALL), expected)


def test_which_items_have_tags(tags):
    assert tag_modality(tags).present.tolist() == [False, True, True, False]


def test_tags_are_projected_to_another_length(tags):
    modality = tag_modality(tags, dim=3)
    with torch.no_grad():
        modality.projection.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
    expected = torch.tensor([[4.0, 3.0, 7.0], [0.0, 2.0, 2.0]])
    torch.testing.assert_close(modality.vectors(torch.tensor([1, 2])), expected)


def test_gradients_reach_the_tags_by_their_weights(tags):
    modality = tag_modality(tags)
    modality.vectors(torch.tensor([1])).sum().backward()
    gradient = modality.embedding.weight.grad
    expected = torch.tensor([[0.0, 0.0], [2 / 3, 2 / 3], [0.0, 0.0], [1 / 3, 1 / 3]])
    torch.testing.assert_close(gradient, expected)


def test_tags_that_are_not_trained(tags):
    assert not tag_modality(tags, trainable=False).embedding.weight.requires_grad


def test_tags_without_vectors_have_the_models_length(tags):
    without = ItemTags(tags.names, tags.index, tags.scores, None)
    modality = tag_modality(without, dim=5)
    assert modality.embedding.weight.shape == (4, 5)
    assert not modality.embedding.weight[0].any()


def test_raw_features(features):
    modality = FrozenModality(features, None)
    assert modality.dim == 2
    assert torch.equal(modality.vectors(ALL), features.vectors)
    assert [name for name, _ in modality.named_parameters()] == ["missing"]


def test_projected_features(features):
    modality = FrozenModality(features, 3)
    expected = features.vectors @ modality.projection.weight.T
    torch.testing.assert_close(modality.vectors(ALL), expected)
    assert not modality.vectors(torch.tensor([2])).any()


def test_what_is_missing_is_learned_in_histories_alone(features):
    modality = FrozenModality(features, None)
    with torch.no_grad():
        modality.missing.copy_(torch.tensor([7.0, 8.0]))
    shown = modality.in_history(modality.vectors(ALL), ALL)
    # Padding (0) stays zero, the present ones stay themselves.
    assert shown.tolist() == [[0.0, 0.0], [1.0, 2.0], [7.0, 8.0], [3.0, -1.0]]


def test_nothing_stands_for_what_nobody_lacks():
    assert IdModality(4, 2).missing is None


def test_ids_have_no_vector_for_padding():
    modality = IdModality(4, 2)
    assert not modality.vectors(torch.tensor([0])).any()
    assert modality.present.tolist() == [False, True, True, True]


def test_a_stream_adds(features, tags):
    ids = IdModality(4, 2)
    with torch.no_grad():
        ids.embedding.weight.fill_(10.0)
    stream = Stream([ids, FrozenModality(features, None), tag_modality(tags)])
    expected = [[15.0, 15.0], [10.0, 12.0], [13.0, 9.0]]
    torch.testing.assert_close(stream.vectors(torch.tensor([1, 2, 3])), torch.tensor(expected))
    assert stream.present[1:].all()


def test_a_stream_has_what_one_of_its_members_has(features, tags):
    stream = Stream([FrozenModality(features, None), tag_modality(tags)])
    assert stream.present.tolist() == [False, True, True, True]
    stream = Stream([FrozenModality(features, None)])
    assert stream.present.tolist() == [False, True, False, True]


def test_a_gate_scales_items_that_have_tags(features, tags):
    stream = Stream([FrozenModality(features, None)], gate=tag_modality(tags))
    with torch.no_grad():
        stream.gate_projection.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    found = stream.vectors(torch.tensor([1, 3]))
    # Item 1 has e_tag (4, 3); item 3 has no tags and stays as it is.
    expected = [[2 / (1 + math.exp(-4)), 4 / (1 + math.exp(-3))], [3.0, -1.0]]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_vectors_of_different_lengths_cannot_be_added(features):
    with pytest.raises(ValueError, match=r"different lengths \(\[2, 5\]\).*feature_projection"):
        Stream([FrozenModality(features, None), IdModality(4, 5)])
