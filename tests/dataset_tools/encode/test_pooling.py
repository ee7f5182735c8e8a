"""Pooling: what settings say, and vectors worked out by hand."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from recbole_tema.dataset_tools.encode.pooling import Pooling, pool, read_pooling
from recbole_tema.formats import FormatError

STATES = torch.tensor([[[9.0, 9], [1, 4], [3, 2]], [[1, 4], [3, 2], [9, 9]]], dtype=torch.bfloat16)
# Padding on the left, and on the right.
MASK = torch.tensor([[0, 1, 1], [1, 1, 0]])


@pytest.mark.parametrize(
    ("ways", "vector"),
    [
        (("mean",), [2, 3]),
        (("max",), [3, 4]),
        (("first",), [1, 4]),
        (("last",), [3, 2]),
        (("first", "mean"), [1, 4, 2, 3]),
    ],
)
def test_pooling_passes_over_the_padding(ways: tuple[str, ...], vector: list[float]) -> None:
    found = pool(STATES, MASK, Pooling(ways, normalize=False))
    assert found.dtype == torch.float32
    assert found.tolist() == [vector, vector]


def test_length_one() -> None:
    states = torch.tensor([[[3.0, 4.0]]])
    assert pool(states, torch.ones(1, 1), Pooling()).tolist()[0] == pytest.approx([0.6, 0.8])


def test_a_model_without_settings(bert: Path) -> None:
    assert read_pooling(str(bert)) == Pooling(("mean",), True, False, None)


def test_settings_are_read(bert: Path, settings_of: Callable[..., None]) -> None:
    pooling = {
        "word_embedding_dimension": 8,
        "pooling_mode_lasttoken": True,
        "pooling_mode_mean_tokens": True,
        "pooling_mode_cls_token": False,
        "pooling_mode_max_tokens": True,
        "include_prompt": True,
    }
    settings_of(["Transformer", "Pooling"], pooling, max_seq_length=4, do_lower_case=True)
    assert read_pooling(str(bert)) == Pooling(("max", "mean", "last"), False, True, 4)
    settings_of(["Transformer", "Pooling", "Normalize"], {"pooling_mode_cls_token": True})
    assert read_pooling(str(bert)) == Pooling(("first",), True, False, None)


@pytest.mark.parametrize(
    ("modules", "pooling", "message"),
    [
        (["Transformer", "Pooling", "Dense"], {"pooling_mode_mean_tokens": True}, "asks for Dense"),
        (
            ["Transformer", "Pooling"],
            {"pooling_mode_weightedmean_tokens": True},
            "pooling weightedmean_tokens; known are mean_tokens, cls_token",
        ),
        (["Transformer", "Pooling"], {"pooling_mode_mean_tokens": False}, "pooling none"),
    ],
)
def test_settings_that_are_not_known_are_refused(
    bert: Path, settings_of: Callable[..., None], modules, pooling, message
) -> None:
    settings_of(modules, pooling)
    with pytest.raises(FormatError, match=message):
        read_pooling(str(bert))
    with pytest.raises(FormatError, match=f"^--encoder {bert}: "):
        read_pooling(str(bert), "--encoder")
