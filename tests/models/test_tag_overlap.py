"""How alike tags are, worked out by hand, and what TEMA makes of it."""

import pytest
import torch

from recbole_tema.data.item_features import ItemTags
from recbole_tema.models.items import TagModality
from recbole_tema.models.layers import Packing
from recbole_tema.models.tag_overlap import TagOverlap
from recbole_tema.models.views import Events

# Items 1 to 4: a; a and b; b; nothing. "all" is a tag of all that have any, and says nothing.
TAGS = ItemTags(
    names=["a", "b", "all"],
    index=torch.tensor([[0, 0, 0], [1, 3, 0], [2, 1, 3], [3, 2, 0], [0, 0, 0]]),
    scores=torch.tensor([[0, 0, 0], [0.2, 0.9, 0], [0.5, 0.5, 1.0], [0.3, 1.0, 0], [0, 0, 0]]),
    vectors=None,
)
HALF = 0.5**0.5


def events_of(histories):
    longest = max(map(len, histories))
    keep = torch.tensor([[at < len(each) for at in range(longest)] for each in histories])
    items = torch.tensor([item for each in histories for item in each])
    return Events(items, Packing.of(keep))


@pytest.fixture
def overlap():
    """``overlap(histories, decay)``: (B, 4) with the items 1 to 4."""

    def of(histories, decay=1.0, tags=TAGS, weighted=True, among=(1, 5)):
        tag = TagModality(tags, 2, weighted=weighted, trainable=True)
        domain = torch.tensor([-1] + [0] * (len(tags.index) - 1))
        overlap = TagOverlap(tag, domain, decay)
        return overlap(events_of(histories), 0, among)

    return of


def test_items_share_what_their_tags_share(overlap):
    # Of the three items with tags two have a, two b: with equal scores the cosine is 1 / √2. What
    # has no tags is as the mean of the others.
    mean = [(1 + HALF) / 3, (1 + 2 * HALF) / 3, (1 + HALF) / 3, 0]
    expected = [[1, HALF, 0], [HALF, 1, HALF], [0, HALF, 1], [0, 0, 0]]
    expected = [[*each, last] for each, last in zip(expected, mean, strict=True)]
    torch.testing.assert_close(overlap([[1], [2], [3], [4]]), torch.tensor(expected))


def test_later_events_count_more(overlap):
    # 1 before 3, half as much: a third and two thirds. An event without tags is none.
    found = overlap([[1, 3], [1, 4], [3, 1, 4, 1]], decay=0.5)[:, :3]
    expected = [[1 / 3, HALF, 2 / 3], [1, HALF, 0], [1.25 / 1.375, HALF, 0.125 / 1.375]]
    torch.testing.assert_close(found, torch.tensor(expected))
    torch.testing.assert_close(overlap([[1, 3]])[:, :3], torch.tensor([[0.5, HALF, 0.5]]))


def test_some_of_the_items(overlap):
    torch.testing.assert_close(overlap([[2]], among=(2, 4)), torch.tensor([[1, HALF]]))


def test_scores_and_rare_tags_weigh(overlap):
    # Of five items with tags five have a (worth nothing), two b (ln 2.5) and one c (ln 5).
    tags = ItemTags(
        names=["a", "b", "c"],
        index=torch.tensor([[0, 0, 0], [1, 2, 3], [1, 2, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0]]),
        scores=torch.tensor([[0.0] * 3, [1, 0.8, 0.5], [1, 0.4, 0], *[[1.0, 0, 0]] * 3]),
        vectors=None,
    )
    b, c = torch.tensor(2.5).log(), torch.tensor(5.0).log()
    scored = 0.8 * b / ((0.8 * b) ** 2 + (0.5 * c) ** 2).sqrt()
    alike = b / (b**2 + c**2).sqrt()
    assert overlap([[1]], tags=tags, among=(2, 3)).item() == pytest.approx(scored.item())
    assert overlap([[1]], tags=tags, weighted=False, among=(2, 3)).item() == pytest.approx(
        alike.item()
    )


@pytest.mark.parametrize("join", ["probabilities", "log_probabilities", "vectors"])
def test_tema_multiplies_probabilities_by_a_power_of_it(tiny_dataset, build, batch, join):
    tiny, rows = tiny_dataset(), batch([([1, 14, 3], 5), ([20], 2)])
    settings = {"view_join": join, "tag_overlap_smoothing": 0.2, "tag_overlap_decay": 0.9}
    without = build("TEMA", tiny, **settings, tag_overlap=0)
    model = build("TEMA", tiny, **settings, tag_overlap=0.3)
    assert without.overlap is None
    with torch.no_grad():
        for domain, (start, stop) in enumerate(model.candidate_ranges[:2]):
            factor = (model.overlap(model.events_of(rows), domain, (start, stop)) + 0.2) ** 0.3
            assert factor.std() > 0.01
            scores = without.domain_scores(rows, domain)
            in_logs = join == "log_probabilities"
            expected = scores + factor.log() if in_logs else scores * factor
            torch.testing.assert_close(model.domain_scores(rows, domain), expected)
        assert model.calculate_loss(rows) == without.calculate_loss(rows)


def test_a_domain_has_its_own_mean():
    tag = TagModality(TAGS, 2, weighted=True, trainable=True)
    overlap = TagOverlap(tag, torch.tensor([-1, 0, 1, 1, 1]), 1.0)
    found = overlap(events_of([[1], [3]]), 1, (2, 5))
    expected = [[HALF, 0, HALF / 2], [HALF, 1, (1 + HALF) / 2]]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_the_same_in_every_run():
    """Sums of many terms by several threads: not a bit may differ."""
    torch.manual_seed(0)
    n_items, n_tags = 600, 20
    tags = ItemTags(
        names=[str(each) for each in range(n_tags)],
        index=torch.randint(1, n_tags + 1, (n_items + 1, 8)),
        scores=torch.rand(n_items + 1, 8),
        vectors=None,
    )
    overlap = TagOverlap(TagModality(tags, 2, True, True), torch.zeros(n_items + 1), 0.95)
    events = events_of(torch.randint(1, n_items + 1, (255, 40)).tolist())
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        first = overlap(events, 0, (1, n_items + 1))
        for _ in range(50):
            assert torch.equal(overlap(events, 0, (1, n_items + 1)), first)
    finally:
        torch.set_num_threads(threads)


def test_without_tags_there_is_none(tiny_dataset, build):
    assert build("TEMA", tiny_dataset(tags=False)).overlap is None
    assert build("TEMA", tiny_dataset(), modalities=["id", "text"]).overlap is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tag_overlap": -1}, "tag_overlap: expected a number of at least 0, got -1"),
        ({"tag_overlap": "yes"}, "tag_overlap: expected a number"),
        ({"tag_overlap": float("inf")}, "tag_overlap: expected a number"),
        ({"tag_overlap": float("nan")}, "tag_overlap: expected a number"),
        (
            {"tag_overlap_smoothing": 0},
            "tag_overlap_smoothing: expected a number of at least 1e-06",
        ),
        ({"tag_overlap_decay": 0}, r"tag_overlap_decay: expected a number in \(0, 1\], got 0"),
        ({"tag_overlap_decay": 1.1}, r"tag_overlap_decay: expected a number in \(0, 1\], got 1.1"),
    ],
)
def test_wrong_settings_are_named(tiny_dataset, build, settings, message):
    with pytest.raises(ValueError, match=message):
        build("TEMA", tiny_dataset(), **settings)
