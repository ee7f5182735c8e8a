"""The running average of weights, by hand and in a whole run."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.data.loaders import data_preparation
from recbole_tema.training.averaging import WeightAverage
from recbole_tema.training.checkpoint import load_checkpoint
from recbole_tema.training.resume import RunCheckpoints
from recbole_tema.training.run import train
from recbole_tema.training.trainer import trainer_class


@pytest.fixture
def layer():
    made = nn.Linear(1, 1)
    set_to(made, 0.0)
    made.bias.requires_grad_(False)
    return made


def set_to(layer: nn.Linear, value: float) -> None:
    with torch.no_grad():
        layer.weight.fill_(value)
        layer.bias.fill_(value)


def test_the_first_steps_forget_the_start_soon(layer):
    average = WeightAverage(layer, 0.3)
    found = []
    for value in (11.0, 22.0, 0.0):
        set_to(layer, value)
        average.update()
        found.append(average.state_dict()["average"]["weight"].item())
    # Decays 2/11, 3/12 and then 0.3, as 4/13 is more.
    first = 9 / 11 * 11
    second = first / 4 + 3 / 4 * 22
    assert found == pytest.approx([first, second, 0.3 * second])
    assert average.steps == 3


def test_weights_are_in_place_for_a_while(layer):
    average = WeightAverage(layer, 0.5)
    set_to(layer, 11.0)
    average.update()
    with average.in_place():
        assert layer.weight.item() == pytest.approx(9)
        assert layer.bias.item() == 11, "not trained, so not averaged"
    assert layer.weight.item() == 11
    with pytest.raises(RuntimeError, match="evaluation"), average.in_place():
        raise RuntimeError("evaluation")
    assert layer.weight.item() == 11


@pytest.mark.parametrize("decay", [1.0, -0.1, 2, "much", True])
def test_what_is_no_decay_is_refused(layer, decay):
    with pytest.raises(ValueError, match="weight_average: expected ~ or a number between 0 and 1"):
        WeightAverage(layer, decay)


@pytest.mark.parametrize("model", ["SASRec", "BPR", "RecVAE"])  # RecVAE's has two optimizers
def test_the_average_validates_and_is_kept(tiny_dataset, config_of, model):
    config = config_of(model, tiny_dataset(), epochs=1, weight_average=0.6)
    data = data_preparation(config, CrossDomainDataset(config))
    checkpoints = RunCheckpoints(Path("out"))
    config["checkpoint_dir"] = str(checkpoints.folder)

    expected, steps = {}, 0

    def follow(trainer):
        nonlocal steps
        steps += 1
        decay = min(0.6, (1 + steps) / (10 + steps))
        now = dict(trainer.model.named_parameters())
        for name, value in expected.items():
            expected[name] = decay * value + (1 - decay) * now[name].detach().numpy()

    base = trainer_class(config)
    begun = base.fit

    def fit(self, *args, **kwargs):
        for name, weight in self.model.named_parameters():
            if weight.requires_grad:  # RecVAE keeps its encoder of before beside them
                expected[name] = weight.detach().numpy().copy()
        for _, stepper in self._steppers():
            stepper.register_step_post_hook(lambda *_: follow(self))
        return begun(self, *args, **kwargs)

    base.fit = fit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recbole_tema.training.run.trainer_class", lambda _: base)
        trainer = train(config, data[0], data[1], checkpoints)
    assert steps >= 3
    best = load_checkpoint(trainer.files.best, None)["state_dict"]
    latest = load_checkpoint(trainer.files.last, None)["state_dict"]
    for name, value in expected.items():
        np.testing.assert_allclose(best[name].numpy(), value, rtol=1e-4, atol=1e-6)
    assert any(not torch.equal(best[name], latest[name]) for name in expected)
