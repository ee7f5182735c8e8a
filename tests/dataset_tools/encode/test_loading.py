"""Loading models, and how many tokens they read."""

from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, RobertaConfig, RobertaModel, T5Config, T5EncoderModel

from recbole_tema.dataset_tools.encode.loading import (
    load_image_processor,
    load_model,
    load_tokenizer,
    token_limit,
)
from recbole_tema.formats import FormatError


def without(folder: Path, part: str) -> None:
    """Take weights out of a model's file."""
    path = folder / "model.safetensors"
    kept = {name: tensor for name, tensor in load_file(path).items() if part not in name}
    save_file(kept, path, metadata={"format": "pt"})


def test_weights_that_are_not_there(bert: Path, clip: Path) -> None:
    without(bert, "pooler")
    loaded = load_model(str(bert))
    assert loaded.made_up == {"pooler.dense.weight", "pooler.dense.bias"}
    assert not loaded.has_features
    without(bert, "attention.self.query")
    with pytest.raises(FormatError, match=r"its bert model lacks 2 weights, such as"):
        load_model(str(bert))
    without(clip, "text_projection")
    with pytest.raises(FormatError, match=r"such as text_projection.weight"):
        load_model(str(clip))


def test_the_encoder_of_a_model_with_a_decoder(tmp_path: Path) -> None:
    config = T5Config(
        vocab_size=12, d_model=8, d_kv=4, d_ff=16, num_layers=1, num_decoder_layers=1, num_heads=2
    )
    T5EncoderModel(config).save_pretrained(tmp_path)
    loaded = load_model(str(tmp_path))
    assert not loaded.has_features
    assert not any("decoder" in name for name in loaded.model.state_dict())


def test_what_is_no_model(tmp_path: Path, clip: Path) -> None:
    with pytest.raises(FormatError, match="neither a folder with a transformers model nor one"):
        load_model(str(tmp_path))
    with pytest.raises(FormatError, match="its tokenizer cannot be read"):
        load_tokenizer(str(tmp_path))
    (clip / "preprocessor_config.json").unlink()
    with pytest.raises(FormatError, match="its image processor cannot be read"):
        load_image_processor(str(clip))


@pytest.mark.parametrize("load", [load_model, load_tokenizer, load_image_processor])
def test_errors_name_the_option_that_was_given(tmp_path: Path, load) -> None:
    with pytest.raises(FormatError, match=f"^--model {tmp_path}: "):
        load(str(tmp_path))
    with pytest.raises(FormatError, match=f"^--encoder {tmp_path}: "):
        load(str(tmp_path), "--encoder")


@pytest.mark.parametrize(
    ("kind", "limit"),
    # The tokenizer's; the table of positions; and of 9 positions those behind the padding's.
    [("bert", 16), ("clip", 8), ("siglip", 8), ("siglip2", 8), ("altclip", 8)],
)
def test_token_limits(make_model: Callable[..., Path], kind: str, limit: int) -> None:
    source = str(make_model(kind))
    model, tokenizer = load_model(source).model, load_tokenizer(source)
    assert token_limit(model, tokenizer, None) == limit
    assert token_limit(model, tokenizer, 5) == 5
    tokenizer.model_max_length = 10**30
    assert token_limit(model, tokenizer, 10**30) == limit
    tokenizer.model_max_length = 6
    assert token_limit(model, tokenizer, None) == 6


def test_positions_begin_behind_the_padding(bert: Path) -> None:
    config = RobertaConfig(
        vocab_size=12,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=14,
        pad_token_id=1,
    )
    tokenizer = AutoTokenizer.from_pretrained(bert)
    assert token_limit(RobertaModel(config), tokenizer, None) == 12


def test_a_model_without_a_limit(bert: Path) -> None:
    config = T5Config(vocab_size=12, d_model=8, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
    tokenizer = AutoTokenizer.from_pretrained(bert)
    tokenizer.model_max_length = 10**30
    assert token_limit(T5EncoderModel(config), tokenizer, None) == 512


def test_pillows_image_processor_without_warnings(
    clip: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    assert load_image_processor(str(clip)).backend == "pil"
    assert not recwarn.list
    assert capfd.readouterr() == ("", "")
