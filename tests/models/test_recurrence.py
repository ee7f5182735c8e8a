"""Recurrences against autograd over a plain loop, and their gradients against differences."""

import pytest
import torch

from recbole_tema.models.behaviour import Filter
from recbole_tema.models.layers import GRU, Packing
from recbole_tema.models.pinet import SharedAccountFilter
from recbole_tema.models.recurrence import recurrence
from recbole_tema.models.split import Split

LENGTHS = [2, 0, 4, 1]
D = 3


@pytest.fixture
def packing():
    return Packing.of(torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None])


def drawn(*shape):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def cell(x, u, s, factor):
    return torch.sigmoid(x[:, 0] * u[:, 1]) + factor * s + torch.tanh(u[:, 0] + x[:, 1] * s)


@pytest.mark.parametrize("between", [(), (2,)])
def test_a_recurrence_is_the_loop_over_each_sequence(packing, between):
    torch.manual_seed(0)
    x, weight, factor = drawn(sum(LENGTHS), *between, 2, D), drawn(2 * D, D), drawn(D)
    expected = []
    for events in x.split(LENGTHS):
        s = x.new_zeros(*between, D).view(-1, D)
        for event in events:
            s = cell(event.view(-1, 2, D), (s @ weight.T).view(-1, 2, D), s, factor)
            expected.append(s.view(*between, D))
    expected = torch.stack(expected)
    found = recurrence(cell, x, weight, packing, factor)
    torch.testing.assert_close(found, expected)

    into = torch.randn_like(found)
    gradients = (torch.autograd.grad(each, (x, weight, factor), into) for each in (found, expected))
    for of_found, of_expected in zip(*gradients, strict=True):
        torch.testing.assert_close(of_found, of_expected)


def test_the_gru_is_torchs_in_one_call(packing):
    """So it does not matter on which device it runs; gradients too."""
    torch.manual_seed(0)
    gru, x = GRU(D).double(), drawn(sum(LENGTHS), 2, D)
    found, expected = gru(x, packing), gru._at_once(x, packing)
    torch.testing.assert_close(found, expected)
    into = torch.randn_like(found)
    leaves = x, *gru.parameters()
    gradients = (torch.autograd.grad(each, leaves, into) for each in (found, expected))
    for of_found, of_expected in zip(*gradients, strict=True):
        torch.testing.assert_close(of_found, of_expected)


@pytest.mark.parametrize(
    "build", [lambda: Filter(D), lambda: SharedAccountFilter(D, 2), lambda: Split(D, 2)]
)
def test_gradients_are_the_slopes(packing, build):
    torch.manual_seed(0)
    unit = build().double()
    for parameter in unit.parameters():
        torch.nn.init.normal_(parameter)
    own, other = drawn(sum(LENGTHS), D), drawn(sum(LENGTHS), D)

    def of(own, other, *_):
        return unit(own, other, packing)

    assert torch.autograd.gradcheck(of, (own, other, *unit.parameters()))


def test_over_nothing():
    nothing, none = Packing.of(torch.zeros(2, 0, dtype=torch.bool)), torch.zeros(0, 4, 2, D)
    assert recurrence(cell, none, drawn(2 * D, D), nothing, drawn(D)).shape == (0, 4, D)
    assert Split(D, 2)(none[:, 0, 0], none[:, 0, 0], nothing).shape == (0, 2, D)
