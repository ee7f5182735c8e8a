"""Which rows of an item table each process keeps."""

import pytest
import torch

from recbole_tema.models import slices


@pytest.mark.parametrize(("rows", "of"), [(22, 2), (23, 2), (5, 4), (3, 4), (7, 1)])
def test_slices_are_those_of_dtensor(monkeypatch, rows, of):
    monkeypatch.setattr(slices, "world_size", lambda: of)
    bounds = slices.slice_bounds(rows)
    chunks = [chunk.tolist() for chunk in torch.arange(rows).chunk(of)]
    assert [list(range(*each)) for each in bounds] == chunks + [[]] * (of - len(chunks))
    assert slices.slice_bounds(0) == [(0, 0)] * of
