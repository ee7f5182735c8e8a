"""Random generators and counters: taken, moved on, put back."""

import random

import numpy as np
import torch
from torch.utils.data import DataLoader

from recbole_tema.training.checkpoint import load_checkpoint, save_checkpoint
from recbole_tema.training.state import (
    attributes_now,
    changed_attributes,
    random_state,
    restore_attributes,
    restore_random_state,
)


def draws(loader):
    """Some numbers of every generator, the order of the loader included."""
    order = [batch.tolist() for batch in loader]
    return random.random(), np.random.normal(), torch.rand(1).item(), order


def test_every_generator_goes_on_where_it_was(tmp_path):
    loader = DataLoader(range(50), 7, shuffle=True, generator=torch.Generator().manual_seed(3))
    np.random.normal()  # it draws two at a time: the other one is part of the state
    draws(loader)
    save_checkpoint(tmp_path / "state.pth", {"random": random_state(loader)})
    expected = [draws(loader), draws(loader)]
    assert expected[0] != expected[1]
    state = load_checkpoint(tmp_path / "state.pth", None)["random"]
    fresh = DataLoader(range(50), 7, shuffle=True, generator=torch.Generator())
    restore_random_state(fresh, state)
    assert [draws(fresh), draws(fresh)] == expected


class Counting(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)
        self.inner = torch.nn.Module()
        self.inner.steps = 0
        self.rate = 0.5
        self.order = np.arange(4)
        self.history = torch.zeros(3)
        self.constant = torch.ones(3)
        self.names = np.array(["a", None], dtype=object)
        self.cache = None


def test_what_training_changed_is_put_into_a_fresh_model():
    model, fresh = Counting(), Counting()
    before = attributes_now(model)
    assert changed_attributes(model, before) == {}
    model.eval()
    model.inner.steps += 3
    model.order[:] = [3, 1, 2, 0]
    model.history[1] = 7
    model.cache = torch.ones(9)
    with torch.no_grad():
        model.layer.weight.zero_()
    changed = changed_attributes(model, before)
    assert sorted(changed) == [".history", ".order", "inner.steps"]
    restore_attributes(fresh, changed)
    assert (fresh.inner.steps, fresh.rate, fresh.cache) == (3, 0.5, None)
    assert fresh.order.tolist() == [3, 1, 2, 0]
    assert fresh.history.tolist() == [0, 7, 0]


def test_a_tensor_in_anothers_place_is_a_change():
    model = Counting()
    before = attributes_now(model)
    model.constant = torch.ones(3, requires_grad=True) * 2
    changed = changed_attributes(model, before)
    assert changed[".constant"].tolist() == [2, 2, 2]
    assert not changed[".constant"].requires_grad
