"""What is made faster beside torch's own, and beside what chance has it be."""

import pytest
import torch
import torch.nn.functional as F

from recbole_tema.models.faster import Dropout, PReLU


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_dropout_keeps_a_share_and_its_mean(dtype):
    torch.manual_seed(0)
    x = torch.full((300, 400), 2.0, dtype=dtype, requires_grad=True)
    found = Dropout(0.2)(x)
    assert found.dtype == dtype
    assert set(found.unique().tolist()) == {0.0, 2.5}
    # Five standard deviations of the share.
    assert (found > 0).double().mean().item() == pytest.approx(0.8, abs=0.006)
    found.sum().backward()
    assert torch.equal(x.grad, found.detach() / 2)


@pytest.mark.parametrize(("p", "kept"), [(0.0, 1.0), (1.0, 0.0)])
def test_dropout_of_nothing_and_of_everything(p, kept):
    x = torch.randn(3, 4)
    assert torch.equal(Dropout(p)(x), x * kept)
    assert torch.equal(Dropout(p).eval()(x), x)


@pytest.mark.parametrize("slope", [0.25, -0.5, 1.0, 3.0])
def test_prelu_and_its_gradients_are_those_of_torch(slope):
    torch.manual_seed(0)
    layer = PReLU(init=slope).double()
    x = torch.cat([torch.randn(50, 7).double(), torch.zeros(1, 7).double()]).requires_grad_()
    other, weight = x.detach().clone().requires_grad_(), torch.tensor([slope]).double()
    weight.requires_grad_()
    expected = F.prelu(other, weight)
    pull = torch.randn_like(expected)
    found = layer(x)
    torch.testing.assert_close(found, expected)
    found.backward(pull)
    expected.backward(pull)
    torch.testing.assert_close(x.grad, other.grad)
    torch.testing.assert_close(layer.weight.grad, weight.grad)
