"""Ranks of targets against tables worked out by hand."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import recbole_tema
from recbole_tema.evaluation import metrics_of_ranks, ranks
from recbole_tema.evaluation.ranks import ScoreError, rank_of_target

INF = math.inf


def rank(scores: list[float], column: int) -> float:
    """The rank of the candidate in one column, among its row."""
    row = torch.tensor([scores])
    return rank_of_target(row, row[:, column], True).item()


@pytest.mark.parametrize(
    ("scores", "column", "expected"),
    [
        ([0.9, 0.5, 0.1], 0, 1.0),
        ([0.9, 0.5, 0.1], 1, 2.0),
        ([0.9, 0.5, 0.1], 2, 3.0),
        ([0.5, 0.5, 0.1], 0, 1.5),  # one tie: half a place
        ([0.9, 0.5, 0.5, 0.5, 0.1], 2, 3.0),  # 1 + 1 higher + two ties at half
        ([0.3], 0, 1.0),  # one candidate
        ([0.0, -0.0], 0, 1.5),
        ([-INF, -INF, 0.0], 0, 2.5),
        ([INF, INF, 0.0], 0, 1.5),
        ([INF, 1.0, -INF], 1, 2.0),
    ],
)
def test_by_hand(scores, column, expected):
    assert rank(scores, column) == expected


@pytest.mark.parametrize("n", [1, 2, 9, 10, 1000])
def test_a_constant_scorer_lands_in_the_middle(n):
    assert rank([0.25] * n, 0) == (n + 1) / 2


def test_a_tie_over_the_edge_of_k_is_not_in_the_top_k():
    value = rank([5.0, 4.0, 3.0, 2.0, 1.0, 1.0], 4)
    assert value == 5.5
    assert metrics_of_ranks(torch.tensor([value]).numpy(), [5])["hr@5"] == 0.0


def test_a_cold_target_with_its_score_apart():
    # The target was never trained on: score 0 like two other cold items, below two warm ones.
    ranks = rank_of_target(
        torch.tensor([[2.0, 1.0, 0.0, 0.0], [2.0, 1.0, 0.5, 0.0]]), torch.tensor([0.0, 3.0]), False
    )
    assert ranks.tolist() == [4.0, 1.0]
    assert ranks.dtype == torch.float64


def test_padding_is_no_candidate():
    scores = torch.tensor([[9.0, 1.0, math.nan], [-INF, -INF, -INF]])
    valid = torch.tensor([[False, True, False], [True, True, False]])
    ranks = rank_of_target(scores, torch.tensor([1.0, -INF]), True, valid)
    assert ranks.tolist() == [1.0, 1.5]
    assert math.isnan(scores[0, 2])  # the caller's scores are left alone


def test_the_target_in_or_beside_its_candidates_ranks_the_same():
    scores = torch.randint(0, 20, (50, 100), generator=torch.Generator().manual_seed(0)).float()
    within = rank_of_target(scores, scores[:, 0], True)
    assert torch.equal(within, rank_of_target(scores[:, 1:], scores[:, 0], False))
    naive = [
        1 + sum(s > row[0] for s in row[1:]) + sum(s == row[0] for s in row[1:]) / 2
        for row in scores.tolist()
    ]
    assert within.tolist() == naive


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_scores_are_compared_in_their_own_dtype(dtype):
    # 1 + 1e-9 differs from 1 in float64 alone.
    row = torch.tensor([[1.0 + 1e-9, 1.0]], dtype=torch.float64).to(dtype)
    assert rank_of_target(row, row[:, 1], True).item() == (2.0 if dtype == torch.float64 else 1.5)


@pytest.mark.parametrize("at_once", [1, 100, 1000, 10**6])
@pytest.mark.parametrize("largest", [0, 1 << 24])
def test_scores_compared_in_portions_give_the_same_ranks(monkeypatch, at_once, largest):
    monkeypatch.setitem(ranks.SCORES_AT_ONCE, "cpu", at_once)
    monkeypatch.setattr(ranks, "LARGEST_FLOAT32_COUNT", largest)
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(0, 20, (53, 90), generator=generator).float()
    scores[5, 7] = -INF
    valid = torch.rand(53, 90, generator=generator) < 0.8
    valid[:, 0] = True
    naive = []
    for row, mask in zip(scores.tolist(), valid.tolist(), strict=True):
        others = [s for s, counts in zip(row[1:], mask[1:], strict=True) if counts]
        naive.append(1 + sum(s > row[0] for s in others) + sum(s == row[0] for s in others) / 2)
    assert rank_of_target(scores, scores[:, 0], True, valid).tolist() == naive
    scores[41, 3] = math.nan
    valid[41, 3] = False
    assert rank_of_target(scores, scores[:, 0], True, valid).tolist() == naive
    valid[41, 3] = True
    with pytest.raises(ScoreError, match=r"case 41 .*NaN.*\(1 of 53 cases\)"):
        rank_of_target(scores, scores[:, 0], True, valid)


def test_scores_that_still_carry_gradients():
    scores = torch.tensor([[0.9, 0.5, 0.1]], requires_grad=True)
    found = rank_of_target(scores, scores[:, 1], True)
    assert found.tolist() == [2.0]
    assert not found.requires_grad


def test_mixed_dtypes_are_refused():
    with pytest.raises(ScoreError, match=r"float32 but the targets' scores torch.float64"):
        rank_of_target(torch.zeros(1, 2), torch.zeros(1, dtype=torch.float64), False)


def test_nan_among_the_candidates_is_refused():
    scores = torch.zeros(4, 3)
    scores[2, 1] = scores[3, 0] = math.nan
    with pytest.raises(ScoreError, match=r"case 2 .*NaN.*\(2 of 4 cases\)"):
        rank_of_target(scores, scores[:, 2], True)


def test_nan_of_the_target_is_refused():
    with pytest.raises(ScoreError, match=r"case 1 .*NaN"):
        rank_of_target(torch.zeros(2, 3), torch.tensor([0.0, math.nan]), False)


def test_a_target_score_that_is_not_among_the_scores_is_refused():
    with pytest.raises(ScoreError, match=r"case 0 .*not among its candidates"):
        rank_of_target(torch.zeros(1, 3), torch.tensor([0.5]), True)


@pytest.mark.parametrize("shape", [(0,), (3,), (2, 1)])
def test_shapes_that_do_not_fit_are_refused(shape):
    with pytest.raises(ScoreError, match="expected scores of shape"):
        rank_of_target(torch.zeros(2, 3), torch.zeros(shape), False)
    with pytest.raises(ScoreError, match="valid must have"):
        rank_of_target(
            torch.zeros(2, 3), torch.zeros(2), False, torch.ones(shape, dtype=torch.bool)
        )


def test_no_candidate_column_is_refused():
    with pytest.raises(ScoreError, match="at least one candidate"):
        rank_of_target(torch.zeros(2, 0), torch.zeros(2), False)


def test_no_cases():
    assert rank_of_target(torch.zeros(0, 5), torch.zeros(0), False).shape == (0,)


def test_metrics_can_be_read_without_torch():
    code = (
        "import sys; from recbole_tema.evaluation import METRICS; assert 'torch' not in sys.modules"
    )
    root = Path(recbole_tema.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)
