"""Breakdowns and confusions of a handful of cases, worked out by hand."""

import math
from itertools import pairwise

import numpy as np
import pytest

from recbole_tema.report.html.analysis import (
    by_history,
    by_last_domain,
    by_popularity,
    confusion,
    table_of_groups,
)
from recbole_tema.report.results import Cases, RunResult


def cases(count=None, length=None, other=None, domain=None):
    known = next(each for each in (count, length, other, domain) if each is not None)
    n = len(known)
    zeros = np.zeros(n, dtype=int)
    return Cases(
        [f"u{i}" for i in range(n)],
        [f"i{i}" for i in range(n)],
        zeros if domain is None else np.array(domain),
        ("food", "kitchen"),
        zeros if length is None else np.array(length),
        zeros if count is None else np.array(count),
        zeros.astype(bool) if other is None else np.array(other),
    )


def run(model, ranks, of, seed=1):
    ranked = {"uni9": np.array(ranks, dtype=float)}
    return RunResult(model, seed, of, ranked, 1, 0, 1, 1.0, 1.0, 1.0, 1)


# ---- groups ----------------------------------------------------------------------------------


def test_cold_targets_are_a_group_of_their_own():
    # Of the eight others, two each: 1 1 | 2 3 | 5 8 | 9 40.
    groups = by_popularity(cases(count=[0, 9, 1, 2, 0, 3, 1, 5, 40, 8]))
    assert groups.labels == ("cold", "1", "2–3", "5–8", "9–40")
    assert groups.index.tolist() == [0, 4, 1, 2, 0, 2, 1, 3, 4, 3]
    assert groups.counts() == [2, 2, 2, 2, 2]


def test_equal_numbers_share_a_group():
    # Quantiles at 1/4, 1/2, 3/4 and 1 of 1 1 1 1 1 7: 1, 1, 1, 7.
    groups = by_popularity(cases(count=[1, 1, 1, 7, 1, 1]))
    assert groups.labels == ("1", "7")
    assert groups.counts() == [5, 1]


def test_all_targets_may_be_cold():
    groups = by_popularity(cases(count=[0, 0]))
    assert (groups.labels, groups.counts()) == (("cold",), [2])


def test_history_lengths_in_five_groups():
    groups = by_history(cases(length=[1200, 1, 3, 2, 5, 4, 6, 10, 8, 7]))
    assert groups.labels == ("1–2", "3–4", "5–6", "7–8", "10–1,200")
    assert groups.index.tolist() == [4, 0, 1, 0, 2, 1, 2, 4, 3, 3]


def test_the_domain_before():
    groups = by_last_domain(cases(other=[True, False, True]))
    assert groups.labels == ("same domain", "other domain")
    assert groups.counts() == [1, 2]


@pytest.mark.parametrize("seed", range(5))
def test_bins_hold_every_case_once_and_do_not_overlap(seed):
    rng = np.random.default_rng(seed)
    values = rng.geometric(0.05, size=300)
    groups = by_history(cases(length=values))
    inside = [values[groups.index == number] for number in range(len(groups.labels))]
    assert sum(map(len, inside)) == 300
    assert all(a.max() < b.min() for a, b in pairwise(inside))
    assert min(map(len, inside)) > 30


# ---- tables ----------------------------------------------------------------------------------


def test_table_of_groups_by_hand():
    of = cases(other=[False, False, True, True])
    runs = [run("A", [1, 3, 20, 2], of, 1), run("A", [1, 1, 20, 2], of, 2), run("B", [4] * 4, of)]
    table = table_of_groups(runs, "uni9", by_last_domain(of), topk=(5, 10))
    assert table.domains == ("same domain", "other domain", "all")
    assert table.metrics == ("ndcg@10", "mrr")
    assert table.models == ("A", "B")
    # MRR of A: same domain (1 + 1/3) / 2 and 1; other domain (1/20 + 1/2) / 2 twice.
    assert table.mean[0, :, 1] == pytest.approx([(2 / 3 + 1) / 2, 0.275, (2 / 3 + 1.55) / 4])
    assert table.std[0, :2, 1] == pytest.approx([(1 / 3) / 2**0.5, 0])
    assert math.isnan(table.std[1, 0, 1])  # one seed
    # NDCG@10 of A in the other domain: 0 for rank 20, 1 / log2(3) for rank 2.
    assert table.mean[0, 1, 0] == pytest.approx(1 / math.log2(3) / 2)
    assert table.best()[:, :, 1].tolist() == [[True, True, True], [False] * 3]


def test_a_mode_that_a_model_has_not_is_left_out():
    of = cases(other=[False, True])
    other = RunResult("C", 1, of, {"full": np.ones(2)}, 1, 0, 1, 1.0, 1.0, 1.0, 1)
    table = table_of_groups([run("A", [1, 2], of), other], "uni9", by_last_domain(of))
    assert table.models == ("A",)


# ---- confusion -------------------------------------------------------------------------------


def test_confusion_of_single_runs():
    of = cases(domain=[0, 0, 0, 0, 1])
    runs = [run("A", [1, 10, 10.5, 99, 1], of), run("B", [99, 2, 3, 99, 1], of)]
    found = confusion(runs, "uni9", of.domain == 0, k=10)
    assert (found.models, found.cases) == (("A", "B"), 4)
    assert found.hits.tolist() == [2, 2]  # A: the first two; B: the second and the third
    assert found.counts[0, 1] == found.counts[1, 0] == 1
    assert np.isnan(np.diag(found.counts)).all()


def test_confusion_over_seeds_is_the_mean_over_pairs_of_runs():
    rng = np.random.default_rng(3)
    of = cases(domain=[0] * 40)
    ranks = {model: rng.integers(1, 21, size=(n, 40)) for model, n in (("A", 3), ("B", 2))}
    runs = [run(m, row, of, seed) for m, rows in ranks.items() for seed, row in enumerate(rows)]
    found = confusion(runs, "uni9", np.ones(40, dtype=bool), k=10)

    def mean(first, second, same):
        pairs = [
            ((a <= 10) & (b > 10)).sum()
            for i, a in enumerate(ranks[first])
            for j, b in enumerate(ranks[second])
            if not (same and i == j)
        ]
        return np.mean(pairs)

    expected = [[mean(a, b, a == b) for b in "AB"] for a in "AB"]
    assert found.counts == pytest.approx(np.array(expected))
    assert found.hits == pytest.approx([(ranks[m] <= 10).sum() / len(ranks[m]) for m in "AB"])
