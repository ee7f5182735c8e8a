"""How a model's states become the vector of a text, as its sentence-transformers files say."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_tema.formats import FormatError

if TYPE_CHECKING:
    import torch

WAYS = {"mean_tokens": "mean", "cls_token": "first", "lasttoken": "last", "max_tokens": "max"}
"""`1_Pooling/config.json` has ``pooling_mode_`` before these names."""


@dataclass(frozen=True)
class Pooling:
    """What a model's settings say; the defaults are for a model without any.

    Attributes:
        ways: of `WAYS`, joined in their order.
        normalize: scale vectors to length 1.
        lower_case: texts are lower-cased before they are split into tokens.
        max_tokens: the longest text, its marks included; None: not said.
    """

    ways: tuple[str, ...] = ("mean",)
    normalize: bool = True
    lower_case: bool = False
    max_tokens: int | None = None


def read_pooling(source: str, option: str = "--model") -> Pooling:
    """The settings of a model folder or hub name.

    Raises FormatError for those not known here; it names the ``option`` that the model was given
    by.
    """
    normalize, ways = True, Pooling.ways
    modules = _settings(source, "modules.json")
    if modules is not None:
        kinds = [str(module.get("type", "")).rpartition(".")[2] for module in modules]
        unknown = sorted(set(kinds) - {"Transformer", "Pooling", "Normalize"})
        if unknown:
            raise FormatError(
                f"{option} {source}: its modules.json asks for {', '.join(unknown)}; "
                "known are Transformer, Pooling and Normalize"
            )
        normalize = "Normalize" in kinds
    pooling = _settings(source, "1_Pooling/config.json")
    if pooling is not None:
        chosen = [
            key.removeprefix("pooling_mode_")
            for key, value in pooling.items()
            if key.startswith("pooling_mode_") and value is True
        ]
        unknown = [way for way in chosen if way not in WAYS]
        if unknown or not chosen:
            raise FormatError(
                f"{option} {source}: 1_Pooling/config.json asks for the pooling "
                f"{', '.join(unknown) or 'none'}; known are {', '.join(WAYS)}"
            )
        # sentence-transformers joins them in this order.
        order = ("first", "max", "mean", "last")
        ways = tuple(sorted((WAYS[way] for way in chosen), key=order.index))
    sentence = _settings(source, "sentence_bert_config.json")
    sentence = sentence if isinstance(sentence, dict) else {}
    limit = sentence.get("max_seq_length")
    return Pooling(ways, normalize, bool(sentence.get("do_lower_case")), limit and int(limit))


def pool(states: "torch.Tensor", mask: "torch.Tensor", pooling: Pooling) -> "torch.Tensor":
    """Vectors (b, d × ways) float32 of states (b, n, d); ``mask`` (b, n) is 1 for tokens."""
    import torch

    states = states.float()
    each = torch.arange(len(states), device=states.device)
    places = torch.arange(mask.shape[1], device=mask.device)
    wide = mask.unsqueeze(-1).to(states.dtype)
    pooled = []
    for way in pooling.ways:
        if way == "mean":
            pooled.append((states * wide).sum(1) / wide.sum(1).clamp(min=1e-9))
        elif way == "max":
            pooled.append(states.masked_fill(wide == 0, -torch.inf).amax(1))
        elif way == "last":
            pooled.append(states[each, (mask * places).argmax(1)])
        else:
            # The first token that is none of the padding, which may stand on the left.
            pooled.append(states[each, mask.argmax(1)])
    vectors = torch.cat(pooled, dim=1)
    return unit(vectors) if pooling.normalize else vectors


def unit(vectors: "torch.Tensor") -> "torch.Tensor":
    """Vectors (b, d) scaled to length 1."""
    return vectors / vectors.norm(dim=-1, keepdim=True).clamp(min=1e-12)


def _settings(source: str, name: str) -> Any:
    """A JSON file of the model's, or None when it has no such file."""
    from transformers.utils.hub import cached_file

    path = cached_file(
        source,
        name,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return json.loads(Path(path).read_text(encoding="utf-8")) if path else None
