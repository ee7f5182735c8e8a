"""Metrics against tables worked out by hand."""

import math

import numpy as np
import pytest

from recbole_tema.evaluation.metrics import (
    METRICS,
    metric_names,
    metrics_by_domain,
    metrics_of_ranks,
)


def test_names_and_their_order():
    assert METRICS == ("hr@5", "hr@10", "ndcg@5", "ndcg@10", "mrr")
    assert metric_names([20]) == ("hr@20", "ndcg@20", "mrr")


@pytest.mark.parametrize(
    ("rank", "hr5", "hr10", "ndcg5", "ndcg10", "mrr"),
    [
        (1, 1, 1, 1, 1, 1),
        (3, 1, 1, 0.5, 0.5, 1 / 3),  # log2(1 + 3) = 2
        (5, 1, 1, 1 / math.log2(6), 1 / math.log2(6), 0.2),
        (5.5, 0, 1, 0, 1 / math.log2(6.5), 2 / 11),  # a tie over the edge of the top 5 is out
        (7, 0, 1, 0, 1 / 3, 1 / 7),  # log2(1 + 7) = 3
        (10, 0, 1, 0, 1 / math.log2(11), 0.1),
        (10.5, 0, 0, 0, 0, 2 / 21),
        (1000, 0, 0, 0, 0, 0.001),  # MRR is not cut at k
    ],
)
def test_one_case(rank, hr5, hr10, ndcg5, ndcg10, mrr):
    values = metrics_of_ranks(np.array([rank], dtype=float), (5, 10))
    assert tuple(values) == METRICS
    assert tuple(values.values()) == pytest.approx((hr5, hr10, ndcg5, ndcg10, mrr), rel=1e-14)


def test_means_over_cases():
    # hr@5: 2 of 4; ndcg@5: (1 + 1/2) / 4; ndcg@10: (1 + 1/2 + 1/3) / 4
    values = metrics_of_ranks(np.array([1, 3, 7, 20]), (5, 10))
    assert values == pytest.approx(
        {
            "hr@5": 0.5,
            "hr@10": 0.75,
            "ndcg@5": 0.375,
            "ndcg@10": 11 / 24,
            "mrr": (1 + 1 / 3 + 1 / 7 + 1 / 20) / 4,
        }
    )


def test_a_k_beyond_all_candidates():
    assert metrics_of_ranks(np.array([2.0]), [100])["hr@100"] == 1.0


def test_by_domain_and_together():
    metrics = metrics_by_domain(
        np.array([1.0, 2.0, 4.0]), np.array([1, 0, 1]), ["food", "kitchen"], (1,)
    )
    assert list(metrics) == ["food", "kitchen", "all"]
    assert metrics["food"] == {"hr@1": 0.0, "ndcg@1": 0.0, "mrr": 0.5}
    assert metrics["kitchen"] == {"hr@1": 0.5, "ndcg@1": 0.5, "mrr": 0.625}
    # The mean of the three cases, not of the two domains.
    assert metrics["all"]["mrr"] == pytest.approx(1.75 / 3)


def test_a_domain_without_cases_has_no_metrics():
    metrics = metrics_by_domain(np.array([1.0]), np.array([0]), ["food", "kitchen"])
    assert tuple(metrics["kitchen"]) == METRICS
    assert all(math.isnan(value) for value in metrics["kitchen"].values())
    assert metrics["all"] == metrics["food"]


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.5, 0.0, -1.0])
def test_unusable_ranks_are_refused(bad):
    with pytest.raises(ValueError, match=r"1 of 3 ranks .* at case 1"):
        metrics_of_ranks(np.array([1.0, bad, 2.0]))


def test_k_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        metrics_of_ranks(np.array([1.0]), [0])


@pytest.mark.parametrize("domains", [[0], [0, 2], [0, -1]])
def test_domains_that_do_not_fit_are_refused(domains):
    with pytest.raises(ValueError, match="domain"):
        metrics_by_domain(np.array([1.0, 2.0]), np.array(domains), ["food", "kitchen"])
