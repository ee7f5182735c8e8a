"""Small models with parameters that are far from their tame start."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from recbole.data.interaction import Interaction

from recbole_tema.data.dataset import CrossDomainDataset

SMALL = {
    "embedding_size": 8,
    "n_layers": 1,
    "n_heads": 2,
    "inner_size": 12,
    "MAX_ITEM_LIST_LENGTH": 6,
    "n_negatives": 0,
    "hidden_dropout_prob": 0.0,
    "attn_dropout_prob": 0.0,
    "temperature": 0.7,
    "time_knots": 0,
    "view_join": "probabilities",
    "tag_vectors": "text",
    "tag_overlap": 0.6,
    "tag_overlap_smoothing": 0.05,
    "tag_overlap_decay": 0.7,
}


def time_of(item: Any) -> Any:
    """When an item of a hand-made batch was bought; some times lie beyond those of training."""
    return 4.7 - 0.31 * item


@pytest.fixture
def build(config_of) -> Callable[..., Any]:
    """``build(model, tiny, **settings)``: the model in float64, all parameters drawn widely."""

    def make(model: str, tiny: Any, **settings: Any) -> Any:
        config = config_of(model, tiny, **{**SMALL, **settings})
        torch.manual_seed(0)
        built = config.model_class(config, CrossDomainDataset(config)).double().eval()
        with torch.no_grad():
            for name, parameter in built.named_parameters():
                if name not in ("modality_weights", "log_temperature"):
                    parameter.copy_(0.6 * torch.randn_like(parameter))
            for module in built.modules():
                if isinstance(module, torch.nn.Embedding) and module.padding_idx is not None:
                    module.weight[module.padding_idx] = 0
        return built

    return make


@pytest.fixture
def batch() -> Callable[..., Interaction]:
    """``batch(rows)``: RecBole's fields of rows [(inputs, target)], by item id.

    An item's time follows from its id, see :func:`time_of`.
    """

    def make(rows: list[tuple[list[int], int]], width: int | None = None) -> Interaction:
        width = width or max(len(inputs) for inputs, _ in rows)
        items = torch.tensor([inputs + [0] * (width - len(inputs)) for inputs, _ in rows])
        return Interaction(
            {
                "item_id_list": items,
                "timestamp_list": torch.where(items > 0, time_of(items), 0.0),
                "item_length": torch.tensor([len(inputs) for inputs, _ in rows]),
                "item_id": torch.tensor([target for _, target in rows]),
            }
        )

    return make
