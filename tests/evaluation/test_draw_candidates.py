"""The sampler: uniform, without replacement, never the target, never an owned item."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import chisquare

from recbole_tema.evaluation.ranks import CASES_PER_DRAW, draw_candidates


def draw(target, owned, first, size, n, seed=0):
    """Candidates for lists of owned items, one list a case."""
    offsets = np.cumsum([0, *map(len, owned)])
    flat = np.array([item for row in owned for item in row], dtype=np.int64)
    return draw_candidates(np.asarray(target), flat, offsets, first, size, n, seed)


def random_cases(n, rng):
    """Two domains, 1..60 and 61..500, with histories of both and repeats in them."""
    domain = rng.integers(0, 2, n)
    first, size = np.array([1, 61])[domain], np.array([60, 440])[domain]
    owned = [rng.integers(1, 501, rng.integers(0, 40)).tolist() for _ in range(n)]
    return rng.integers(first, first + size), owned, first, size


@pytest.mark.parametrize("n_negatives", [1, 7, 30, 99, 600])
def test_only_allowed_items_and_none_twice(n_negatives):
    target, owned, first, size = random_cases(CASES_PER_DRAW + 100, np.random.default_rng(1))
    items, counts = draw(target, owned, first, size, n_negatives)
    assert items.dtype == counts.dtype == np.int32
    assert items.shape == (len(target), n_negatives)
    for case, row in enumerate(items):
        allowed = set(range(first[case], first[case] + size[case]))
        allowed -= {int(target[case]), *owned[case]}
        drawn = row[: counts[case]].tolist()
        assert counts[case] == min(n_negatives, len(allowed))
        assert len(set(drawn)) == len(drawn)
        assert set(drawn) <= allowed
        assert drawn == sorted(drawn)
        assert (row[counts[case] :] == -1).all()


def test_a_short_domain_by_hand():
    # Items 10..15, target 12; the user has 10, 15 and items of another domain.
    items, counts = draw([12], [[3, 10, 15, 99]], 10, 6, 5)
    assert items.tolist() == [[11, 13, 14, -1, -1]]
    assert counts.tolist() == [3]


def test_a_domain_of_the_target_alone():
    items, counts = draw([7, 7], [[], [7]], 7, 1, 2)
    assert items.tolist() == [[-1, -1], [-1, -1]]
    assert counts.tolist() == [0, 0]


def test_short_and_long_domains_side_by_side():
    items, counts = draw([1, 50], [[2], [60]], np.array([1, 4]), np.array([3, 100]), 4)
    assert items[0].tolist() == [3, -1, -1, -1]
    assert counts.tolist() == [1, 4]
    assert 50 not in items[1]
    assert 60 not in items[1]
    assert (items[1] >= 4).all()


@pytest.mark.parametrize("n_negatives", [2, 4])  # below and above half of the allowed items
def test_every_subset_is_equally_likely(n_negatives):
    n = 30_000
    # Items 1..8 without 3 (target) and 6 (owned): {1, 2, 4, 5, 7, 8}.
    items, _ = draw([3] * n, [[6]] * n, 1, 8, n_negatives, seed=5)
    subsets = list(combinations([1, 2, 4, 5, 7, 8], n_negatives))
    found, counts = np.unique(items, axis=0, return_counts=True)
    assert [tuple(row) for row in found.tolist()] == subsets
    assert chisquare(counts).pvalue > 0.01


def test_every_item_of_a_large_domain_is_equally_likely():
    n, size, n_negatives = 5_000, 1_000, 300
    items, _ = draw([500] * n, [[1, 1000]] * n, 1, size, n_negatives, seed=6)
    counts = np.bincount(items.ravel(), minlength=size + 1)
    assert counts[[0, 1, 500, 1000]].tolist() == [0, 0, 0, 0]
    counts = np.delete(counts, [0, 1, 500, 1000])
    # Without replacement the counts vary less than a multinomial's, by 1 - n_negatives / allowed.
    statistic = ((counts - counts.mean()) ** 2 / counts.mean()).sum() / (1 - n_negatives / 997)
    assert abs(statistic - 996) < 4 * np.sqrt(2 * 996)


def test_the_seed_decides():
    cases = random_cases(200, np.random.default_rng(2))
    once, again, other = draw(*cases, 20, 42), draw(*cases, 20, 42), draw(*cases, 20, 43)
    assert np.array_equal(once[0], again[0])
    assert np.array_equal(once[1], again[1])
    assert not np.array_equal(once[0], other[0])


def test_cases_differ_from_each_other():
    items, _ = draw([1] * (2 * CASES_PER_DRAW), [[]] * (2 * CASES_PER_DRAW), 1, 1_000, 10)
    assert len(np.unique(items, axis=0)) == len(items)


def test_no_cases():
    items, counts = draw([], [], 1, 10, 3)
    assert items.shape == (0, 3)
    assert counts.shape == (0,)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"target of case 1 is item 11, outside .* 1 to 10"):
        draw([1, 11], [[], []], 1, 10, 3)
    with pytest.raises(ValueError, match="at least one negative"):
        draw([1], [[]], 1, 10, 0)
    for offsets in ([0, 1], [0, 1, 3], [1, 1, 2], [0, 3, 2]):
        with pytest.raises(ValueError, match="offsets must be 3 ascending numbers from 0 to 2"):
            draw_candidates(np.array([1, 2]), np.array([4, 5]), np.array(offsets), 1, 10, 3, 0)
