"""Unit vectors against torch's own, values and gradients."""

import torch
from torch.nn.functional import normalize

from recbole_tema.models.similarity import unit_vectors


def test_three_four_five():
    vectors = torch.tensor([[3.0, 4.0]], dtype=torch.float64, requires_grad=True)
    unit = unit_vectors(vectors)
    assert unit.tolist() == [[0.6, 0.8]]
    # Along the first axis: (1 - 0.36) / 5 and -0.6 * 0.8 / 5.
    unit[0, 0].backward()
    torch.testing.assert_close(vectors.grad, torch.tensor([[0.128, -0.096]], dtype=torch.float64))


def test_as_torch_does():
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(7, 5, generator=generator, dtype=torch.float64)
    weights = torch.randn(7, 5, generator=generator, dtype=torch.float64)
    found = []
    for function in (unit_vectors, normalize):
        leaf = vectors.clone().requires_grad_()
        result = function(leaf)
        (result * weights).sum().backward()
        found.append((result.detach(), leaf.grad))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


def test_zeros_stay_zeros():
    assert unit_vectors(torch.zeros(2, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert unit_vectors(torch.zeros(0, 3)).shape == (0, 3)


def test_gradcheck():
    vectors = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(unit_vectors, (vectors,))
