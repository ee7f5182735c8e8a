"""Paired tests by hand, against scipy as it is, and against all flips of the signs."""

import csv
import itertools

import numpy as np
import pytest
from scipy.stats import norm, rankdata, wilcoxon

from recbole_tema.report.results import Cases, RunResult
from recbole_tema.report.significance import holm, paired_tests, signed_rank_p, write_tests

MODE = "uni999"


def run(model, ranks, seed=1, domain=None, names=("food", "kitchen"), mode=MODE):
    n = len(ranks)
    cases = Cases(
        [f"u{i}" for i in range(n)],
        [f"i{i}" for i in range(n)],
        np.zeros(n, dtype=int) if domain is None else np.array(domain),
        names,
        *np.zeros((3, n), dtype=int),
    )
    ranked = {mode: np.array(ranks, dtype=float)}
    return RunResult(model, seed, cases, ranked, 1, 0, 1, 1.0, 1.0, 1.0, 1)


def chosen(tests, domain, metric):
    (only,) = (test for test in tests if (test.domain, test.metric) == (domain, metric))
    return only


# ---- Holm ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [
        ([], []),
        ([0.04], [0.04]),
        # 3 · 0.01, 2 · 0.02, 1 · 0.03 is below the one before it
        ([0.03, 0.01, 0.02], [0.04, 0.03, 0.04]),
        # 4 · 0.005, 3 · 0.01, 2 · 0.03, 1 · 0.04 is below: Holm's own order of steps
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.5, 0.5, 1.0], [1.0, 1.0, 1.0]),
    ],
)
def test_holm(p_values, expected):
    assert holm(p_values) == pytest.approx(expected)


def test_holm_rejects_what_the_steps_reject():
    rng = np.random.default_rng(3)
    for _ in range(50):
        p_values = rng.random(8) ** 4
        rejected = np.zeros(8, dtype=bool)
        for step, index in enumerate(np.argsort(p_values)):
            if p_values[index] >= 0.05 / (8 - step):
                break
            rejected[index] = True
        assert (np.array(holm(list(p_values))) < 0.05).tolist() == rejected.tolist()


# ---- Wilcoxon --------------------------------------------------------------------------------


def test_a_few_differences_by_all_flips_of_their_signs():
    difference = np.array([0.5, -0.1, 0.3, 0.2, 0.05, 0.7])
    ranks = rankdata(np.abs(difference))
    observed = ranks[difference > 0].sum()  # 2 is lost: 21 - 2 = 19
    assert observed == 19
    flips = [sum(each) for each in itertools.product(*((0, rank) for rank in ranks))]
    greater = np.mean(np.array(flips) >= observed)
    assert signed_rank_p(difference) == pytest.approx(2 * greater)  # 2 · 3/64
    assert signed_rank_p(difference) == pytest.approx(6 / 64)


def test_many_differences_as_scipy_tests_them():
    difference = np.random.default_rng(1).normal(0.15, 1, 400)
    assert difference.sum() > 0
    expected = wilcoxon(difference).pvalue
    assert 0 < expected < 1
    assert signed_rank_p(difference) == pytest.approx(expected, rel=1e-12)


def test_equal_cases_are_left_out_and_equal_differences_share_their_ranks():
    """40 gained and 20 lost of equal size, as hr@k with one seed has them: the sign test's z."""
    difference = np.array([1.0] * 40 + [-1.0] * 20 + [0.0] * 1000)
    # Each of the 60 has the rank 30.5. W+ = 40 · 30.5, its mean 60 · 30.5 / 2, and its variance,
    # as the signs are flipped, 60 · 30.5² / 4: z = 20 / sqrt(60).
    z = (40 - 30) / np.sqrt(60 / 4)
    assert signed_rank_p(difference) == pytest.approx(2 * norm.sf(z), rel=1e-9)


def test_no_difference_and_the_wrong_direction():
    assert signed_rank_p(np.zeros(5)) == 1.0
    assert signed_rank_p(np.array([])) == 1.0
    # The mean is above 0, but all but one are below it.
    difference = np.array([100.0, *np.linspace(-1, -2, 30)])
    assert difference.mean() > 0
    assert wilcoxon(difference).pvalue < 0.01
    assert signed_rank_p(difference) == 1.0


# ---- the columns of a table ------------------------------------------------------------------


def test_best_against_the_best_other_over_the_same_cases():
    results = [
        run("Pop", [5, 5, 5, 5], domain=[0, 0, 1, 1]),
        run("TEMA", [1, 2, 9, 4], domain=[0, 0, 1, 1]),
        run("SASRec", [2, 2, 2, 2], domain=[0, 0, 1, 1]),
    ]
    tests = paired_tests(results, MODE, topk=(1,))
    assert [(test.domain, test.metric) for test in tests] == [
        (domain, metric)
        for domain in ("food", "kitchen", "all")
        for metric in ("hr@1", "ndcg@1", "mrr")
    ]
    food = chosen(tests, "food", "mrr")
    assert (food.best, food.other, food.cases, food.different) == ("TEMA", "SASRec", 2, 1)
    assert food.difference == pytest.approx((1 + 0.5) / 2 - 0.5)
    kitchen = chosen(tests, "kitchen", "mrr")
    assert (kitchen.best, kitchen.other) == ("SASRec", "Pop")  # TEMA: (1/9 + 1/4) / 2 < 1/5
    assert kitchen.difference == pytest.approx(0.5 - 0.2)
    everything = chosen(tests, "all", "mrr")
    assert (everything.best, everything.other) == ("SASRec", "TEMA")
    assert everything.difference == pytest.approx(0.5 - (1 + 1 / 2 + 1 / 9 + 1 / 4) / 4)
    assert (everything.cases, everything.different) == (4, 3)
    assert [test.p_holm for test in tests] == holm([test.p for test in tests])


def test_p_values_are_those_of_reciprocal_ranks_averaged_over_seeds():
    rng = np.random.default_rng(7)
    ranks = {(m, s): rng.integers(1, 50, 80) for m in ("A", "B") for s in (1, 2, 3)}
    results = [run(model, each, seed) for (model, seed), each in ranks.items()]
    found = chosen(paired_tests(results, MODE), "all", "mrr")
    mean = {m: sum(1 / ranks[m, s] for s in (1, 2, 3)) / 3 for m in ("A", "B")}
    difference = mean[found.best] - mean[found.other]
    assert found.difference == pytest.approx(difference.mean())
    assert difference.mean() > 0
    assert found.p == pytest.approx(
        min(1, 2 * wilcoxon(difference, alternative="greater").pvalue), rel=1e-9
    )


def test_the_same_values_by_other_seeds_are_no_difference():
    values = [3, 7, 6]
    results = [run("A", [rank], seed) for seed, rank in enumerate(values)]
    results += [run("B", [rank], seed) for seed, rank in enumerate(reversed(values))]
    for test in paired_tests(results, MODE):
        assert (test.different, test.p, test.difference) == (0, 1.0, 0.0)


def test_nothing_to_compare():
    assert paired_tests([run("A", [1, 2])], MODE) == []
    assert paired_tests([run("A", [1, 2]), run("B", [1, 2], mode="full")], MODE) == []
    # kitchen has no cases
    domains = {test.domain for test in paired_tests([run("A", [1, 2]), run("B", [2, 2])], MODE)}
    assert domains == {"food", "all"}


def test_other_cases_are_refused():
    with pytest.raises(ValueError, match="tested on other cases"):
        paired_tests([run("A", [1, 2]), run("B", [1, 2, 3])], MODE)


def test_file(tmp_path):
    tests = paired_tests([run("A,1", [1, 1, 1]), run("B", [2, 1, 3])], MODE, topk=(1,))
    path = write_tests(tmp_path, MODE, tests)
    assert path.name == "tests_uni999.csv"
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(tests) == 6
    assert float(rows[2].pop("difference")) == pytest.approx((1 / 2 + 2 / 3) / 3)
    assert rows[2] == {
        "domain": "food",
        "metric": "mrr",
        "best": "A,1",
        "other": "B",
        "p": "0.5",  # 2 · 1/4, of two differences
        "p_holm": "1.0",
        "cases": "3",
        "different": "2",
    }
