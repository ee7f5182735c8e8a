"""Models, tokenizers and image processors of transformers, from a folder or the hub."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recbole_tema.formats import FormatError

from ..wording import counted

if TYPE_CHECKING:
    import torch

POSITIONS = ("position_embedding", "position_embeddings")
UNBOUNDED = 10**6
"""Tokenizers without a limit of their own name a huge one."""
DEFAULT_LIMIT = 512


@dataclass(frozen=True)
class Loaded:
    """A model to encode with.

    Attributes:
        model: in float32, on the processor, for inference.
        config: of the whole model.
        has_features: whether it gives text and image features as CLIP does.
        made_up: names of weights that the files lack, random and of no use here.
    """

    model: "torch.nn.Module"
    config: Any
    has_features: bool
    made_up: frozenset[str]


def load_model(source: str, option: str = "--model") -> Loaded:
    """The model of a folder or hub name; the encoder of one that also has a decoder.

    Raises FormatError when there is no such model, or weights that are needed are not there; it
    names the ``option`` that the model was given by.
    """
    import torch
    import transformers

    # What matters of its reports (weights that are not there) is an error below.
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        config = transformers.AutoConfig.from_pretrained(source)
        model, found = transformers.AutoModel.from_pretrained(
            source, config=config, dtype=torch.float32, output_loading_info=True
        )
    except (OSError, ValueError) as error:
        raise FormatError(
            f"{option} {source}: neither a folder with a transformers model nor one that the hub "
            f"gives ({_first_line(error)})"
        ) from None
    has_features = hasattr(model, "get_text_features") and hasattr(model, "get_image_features")
    made_up = frozenset(found["missing_keys"])
    # Files of a text encoder often lack what is of no use here: a pooler, a decoder.
    lacking = sorted(
        name
        for name in made_up
        if has_features or not ("pooler" in name or name.startswith("decoder."))
    )
    if lacking:
        raise FormatError(
            f"{option} {source}: its {config.model_type} model lacks "
            f"{counted(len(lacking), 'weight')}, such as {lacking[0]}"
        )
    # Its configuration need not say so: that of an encoder saved alone does not.
    if not has_features and hasattr(model, "encoder") and hasattr(model, "decoder"):
        model = model.get_encoder()
    return Loaded(model.eval(), config, has_features, made_up)


def load_tokenizer(source: str, option: str = "--model") -> Any:
    """The tokenizer; one without a padding token pads with that of the end. See `load_model`."""
    import transformers

    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise FormatError(
            f"{option} {source}: its tokenizer cannot be read ({_first_line(error)})"
        ) from None
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_image_processor(source: str, option: str = "--model") -> Any:
    """The image processor, always Pillow's: torchvision's gives slightly other vectors.

    See `load_model`.
    """
    import transformers

    try:
        return transformers.AutoImageProcessor.from_pretrained(source, backend="pil")
    except (OSError, ValueError) as error:
        raise FormatError(
            f"{option} {source}: its image processor cannot be read ({_first_line(error)})"
        ) from None


def token_limit(model: "torch.nn.Module", tokenizer: Any, setting: int | None) -> int:
    """The least of what the tokenizer, a setting and the model's table of positions allow."""
    import torch

    config: Any = model.config
    positions = getattr(config.get_text_config(), "max_position_embeddings", None)
    limits = [tokenizer.model_max_length, setting, positions]
    for name, module in getattr(model, "text_model", model).named_modules():
        if isinstance(module, torch.nn.Embedding) and name.endswith(POSITIONS):
            # RoBERTa and its like begin to count behind the number of the padding.
            first = 0 if module.padding_idx is None else module.padding_idx + 1
            limits.append(module.num_embeddings - first)
    least = min(limit for limit in limits if limit)
    return int(least) if least < UNBOUNDED else DEFAULT_LIMIT


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
