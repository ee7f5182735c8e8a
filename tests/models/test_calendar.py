"""Vectors of moments, by hand."""

import numpy as np
import pytest
import torch

from recbole_tema.models.calendar import CalendarTime

# Quantiles 0, 1/2, 1 of these are 0, 10, 40: as many events on either side of 10.
TIMES = np.array([0.0, 2.0, 10.0, 30.0, 40.0])


@pytest.fixture
def calendar():
    made = CalendarTime(TIMES, 3, 2)
    with torch.no_grad():
        made.embedding.weight.copy_(torch.tensor([[0.0, 1.0], [10.0, 1.0], [40.0, 7.0]]))
    return made


def test_knots_are_quantiles_of_the_times(calendar):
    assert calendar.knots.tolist() == [0.0, 10.0, 40.0]


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (0.0, [0.0, 1.0]),
        (4.0, [4.0, 1.0]),
        (10.0, [10.0, 1.0]),
        (20.0, [20.0, 3.0]),  # a third of the way from 10 to 40
        (40.0, [40.0, 7.0]),
        (-5.0, [0.0, 1.0]),  # beyond the knots as at them
        (99.0, [40.0, 7.0]),
    ],
)
def test_between_two_knots_lies_a_straight_line(calendar, time, expected):
    found = calendar(torch.tensor([time], dtype=torch.float64))
    torch.testing.assert_close(found, torch.tensor([expected]))


def test_both_knots_learn_by_their_shares(calendar):
    calendar(torch.tensor([20.0], dtype=torch.float64)).sum().backward()
    gradient = calendar.embedding.weight.grad
    torch.testing.assert_close(gradient, torch.tensor([[0.0] * 2, [2 / 3] * 2, [1 / 3] * 2]))


def test_seconds_since_1970_keep_their_days():
    # In float32 neighbouring times would be two minutes apart.
    seconds = 1.4e9 + np.arange(5.0)
    calendar = CalendarTime(seconds, 5, 1)
    with torch.no_grad():
        calendar.embedding.weight.copy_(torch.arange(5.0)[:, None])
    found = calendar(torch.from_numpy(seconds))
    torch.testing.assert_close(found[:, 0], torch.arange(5.0))


def test_events_of_one_time_and_no_time_between():
    calendar = CalendarTime(np.full(4, 7.0), 8, 3)
    assert calendar.knots.tolist() == [7.0, 8.0]
    found = calendar(torch.tensor([7.0], dtype=torch.float64))
    torch.testing.assert_close(found[0], calendar.embedding.weight[0])
