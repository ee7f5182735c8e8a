"""Vectors of tiny random models, beside those of the model's own ways."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer, BertModel, BertTokenizer

from recbole_tema.dataset_tools.cli import main
from recbole_tema.dataset_tools.encode.model_encoder import ModelEncoder
from recbole_tema.dataset_tools.encode.shards import Shards
from recbole_tema.formats import DatasetFiles, FormatError, read_tags

TEXTS = ["red bag", "red cotton bags wool yarn paper", "wool", "paper yarn", "red"]
FEATURES = ["clip", "siglip", "siglip2", "chinese_clip", "altclip"]


def states(bert: Path, text: str) -> np.ndarray:
    """The last hidden states of one text alone, without padding."""
    tokens = BertTokenizer.from_pretrained(bert)(text, return_tensors="pt")
    with torch.inference_mode():
        return BertModel.from_pretrained(bert).eval()(**tokens).last_hidden_state[0].numpy()


def images(folder: Path) -> list[Path]:
    """Pictures of several shapes."""
    noise = np.random.default_rng(0)
    paths = []
    for number, (width, height) in enumerate([(20, 30), (40, 16), (3, 3), (7, 1), (64, 64)]):
        pixels = noise.integers(0, 256, (height, width, 3), np.uint8)
        paths.append(folder / f"{number}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def own_vectors(source: Path, texts: list[str], paths: list[Path]) -> list[np.ndarray]:
    """What the model itself makes of each pair, one at a time, and compares: text and image."""
    model = AutoModel.from_pretrained(source).eval()
    tokenizer = AutoTokenizer.from_pretrained(source)
    processor = AutoImageProcessor.from_pretrained(source, backend="pil")
    padding = "max_length" if "siglip" in source.name else "longest"
    limit = 16 if "chinese" in source.name else 8
    pairs = []
    for text, path in zip(texts, paths, strict=True):
        read = tokenizer(
            text, truncation=True, max_length=limit, padding=padding, return_tensors="pt"
        ) | dict(processor(images=Image.open(path), return_tensors="pt"))
        with torch.inference_mode():
            found = model(**read)
        pairs.append(torch.cat([found.text_embeds, found.image_embeds]).numpy())
    return [np.stack(side) for side in zip(*pairs, strict=True)]


@pytest.mark.parametrize("kind", FEATURES)
def test_features_are_the_models_own_whatever_the_batch(
    make_model: Callable[..., Path], tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    source, paths = make_model(kind), images(tmp_path)
    texts, pictures = own_vectors(source, TEXTS, paths)
    capfd.readouterr()
    for batch_size in (1, 2, 5):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            encoder = ModelEncoder(str(source), "cpu", batch_size, workers=2)
            found, cut = encoder.encode_texts(TEXTS, "text")
            seen, problems = encoder.encode_images(paths)
        np.testing.assert_allclose(found, texts, atol=2e-6)
        np.testing.assert_allclose(seen, pictures, atol=2e-6)
        # "[CLS] red cotton bag ##s wool yarn paper [SEP]" has nine tokens; others count letters.
        assert cut == {"clip": 2, "siglip2": 2, "altclip": 1}.get(kind, 0)
        assert problems == {}
    # Far apart: a vector in another's place would be seen.
    for vectors in (texts, pictures):
        apart = np.linalg.norm(vectors[:, None] - vectors, axis=2)
        assert apart[~np.eye(5, dtype=bool)].min() > 1e-3
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "text: 100%" in shown.err
    assert "image: 100%" in shown.err
    assert "arn" not in shown.err  # No "Warning", "warn".


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_mean_pooling_and_length_one_whatever_the_batch(bert: Path, batch_size: int) -> None:
    vectors, cut = ModelEncoder(str(bert), "cpu", batch_size).encode_texts(TEXTS, "text")
    means = np.stack([states(bert, text).mean(0) for text in TEXTS])
    expected = means / np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    assert cut == 0


def test_pooling_and_scaling_as_the_model_says(
    bert: Path, settings_of: Callable[..., None]
) -> None:
    settings_of(
        ["Transformer", "Pooling"],
        {"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True, "include_prompt": True},
    )
    vectors, _ = ModelEncoder(str(bert), "cpu", 3).encode_texts(TEXTS, "text")
    expected = [np.concatenate([s[0], s.max(0)]) for s in (states(bert, text) for text in TEXTS)]
    np.testing.assert_allclose(vectors, np.stack(expected), atol=1e-5)


def test_token_limit_and_case_as_the_model_says(
    bert: Path, settings_of: Callable[..., None]
) -> None:
    mean = {"pooling_mode_mean_tokens": True}
    settings_of(["Transformer", "Pooling"], mean, max_seq_length=4, do_lower_case=True)
    encoder = ModelEncoder(str(bert), "cpu", 3)
    vectors, cut = encoder.encode_texts(TEXTS, "text")
    assert cut == 1
    assert encoder.token_limit == 4
    # [CLS] red cotton [SEP] is what is left of the long one.
    short, _ = encoder.encode_texts(["RED cotton"], "text")
    np.testing.assert_allclose(vectors[1], short[0], atol=1e-5)


def test_mixed_precision_is_near_and_pooled_in_full(bert: Path, clip: Path, tmp_path: Path) -> None:
    paths = images(tmp_path)
    for source in (bert, clip):
        whole = ModelEncoder(str(source), "cpu", 2, precision="fp32")
        half = ModelEncoder(str(source), "cpu", 2, precision="bf16")
        pairs = [(whole.encode_texts(TEXTS, "")[0], half.encode_texts(TEXTS, "")[0])]
        if source == clip:
            pairs.append((whole.encode_images(paths)[0], half.encode_images(paths)[0]))
        for exact, mixed in pairs:
            assert mixed.dtype == np.float32
            np.testing.assert_allclose(mixed, exact, atol=0.05)
            assert not np.array_equal(mixed, exact)
            # bfloat16 has 8 bits: a length taken in it would be off by some thousandths.
            np.testing.assert_allclose(np.linalg.norm(mixed, axis=1), 1, atol=1e-6)
        assert (whole.name, half.name) == (source.name, f"{source.name} (bf16)")


def test_shards_stand_for_what_is_not_made_again(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = images(tmp_path)
    encoder = ModelEncoder(str(clip), "cpu", 2)
    texts, pictures = encoder.encode_texts(TEXTS, "")[0], encoder.encode_images(paths)[0]
    made: list[int] = []
    for way in ("_text_vectors", "_image_vectors"):
        whole = getattr(encoder, way)
        monkeypatch.setattr(
            encoder, way, lambda batch, whole=whole: made.append(len(batch)) or whole(batch)
        )
    with Shards(tmp_path / "shards", 2) as shards:
        encoder.encode_tokens(encoder.split(TEXTS[1:4]), "", shards)
        encoder.encode_images([paths[3], paths[0]], shards)
    assert made == [2, 1, 2]
    made.clear()
    with Shards(tmp_path / "shards", 2) as shards:
        found = encoder.encode_tokens(encoder.split(TEXTS), "", shards)
        seen, _ = encoder.encode_images(paths, shards)
    # Two texts and three images are left, all others come from the shards.
    assert made == [2, 2, 1]
    np.testing.assert_allclose(found, texts, atol=2e-6)
    np.testing.assert_allclose(seen, pictures, atol=2e-6)
    made.clear()
    encoder.encode_images(paths, Shards(tmp_path / "shards"))
    assert made == []


def test_images_that_cannot_be_used_do_not_stop_the_others(clip: Path, tmp_path: Path) -> None:
    paths = images(tmp_path)
    (tmp_path / "broken.jpg").write_text("no image")
    mixed = [tmp_path / "none.jpg", *paths[:3], tmp_path / "broken.jpg", *paths[3:], tmp_path]
    encoder = ModelEncoder(str(clip), "cpu", 2, workers=3, max_pixels=4095)
    found, problems = encoder.encode_images(mixed)
    assert {row: error.reason for row, error in problems.items()} == {
        0: "no such file",
        4: "not an image",
        6: "too many pixels",
        7: "not a file",
    }
    whole, _ = encoder.encode_images(paths[:4])
    np.testing.assert_allclose(found[[1, 2, 3, 5]], whole, atol=2e-6)
    assert not found[list(problems)].any()
    with pytest.raises(
        FormatError, match=r"none of the images \(2\) can be used, such as .*none.jpg"
    ):
        encoder.encode_images([tmp_path / "none.jpg", tmp_path])


def test_keys_name_what_determines_the_vectors(
    make_model: Callable[..., Path], settings_of: Callable[..., None], bert: Path
) -> None:
    def key(source: Path, kind: str = "text", batch_size: int = 2, **settings: str) -> str:
        return ModelEncoder(str(source), "cpu", batch_size, **settings).key(kind)

    clip = make_model("clip")
    first = key(clip)
    moved = clip.parent / "moved"
    clip.rename(moved)
    assert key(moved) == key(moved, batch_size=7) == first
    assert len({first, key(moved, "image"), key(moved, precision="bf16")}) == 3
    clip = make_model("clip", seed=1)
    assert key(clip) != first
    plain = key(bert)
    assert key(bert) == plain
    settings_of(["Transformer", "Pooling"], {"pooling_mode_max_tokens": True})
    assert key(bert) != plain


def test_refusals(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="a bert model reads no images here"):
        ModelEncoder(str(bert), "cpu", 2).encode_images([tmp_path])
    with pytest.raises(FormatError, match=f"^--encoder {bert}: a bert model reads no"):
        ModelEncoder(str(bert), "cpu", 2, option="--encoder").encode_images([tmp_path])
    for option in ("batch_size", "workers", "max_pixels"):
        with pytest.raises(FormatError, match=f"--{option.replace('_', '-')} must be 1 or more"):
            ModelEncoder(str(bert), "cpu", **{option: 0})


def test_too_little_memory_names_the_option(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = ModelEncoder(str(bert), "cpu", 2)

    def full(**_: object) -> None:
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(encoder._model, "forward", full)
    with pytest.raises(FormatError, match="--batch-size 2: the memory of cpu is too small"):
        encoder.encode_texts(TEXTS, "text")


def test_minilm_knows_what_is_alike(shared_dir: Path) -> None:
    encoder = ModelEncoder(str(shared_dir / "models" / "all-MiniLM-L6-v2"), "cpu", 8)
    texts = ["a red cotton bag", "crimson tote made of cotton", "ground coffee"]
    vectors, _ = encoder.encode_texts(texts, "text")
    assert vectors.shape == (3, 384)
    assert vectors[0] @ vectors[1] > 0.5 > vectors[0] @ vectors[2]


def test_an_encoder_scores_tags(
    small: Path, bert: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tag", str(small)]) == 0
    by_rules = read_tags(DatasetFiles(small).tags)
    call = ["tag", str(small), "--scorer", "embedding", "--encoder", str(bert)]
    assert main(call) == 0
    assert "0 tags added to items" in capsys.readouterr().out
    found = read_tags(DatasetFiles(small).tags)
    assert {item: set(own) for item, own in found.items()} == {
        item: set(own) for item, own in by_rules.items()
    }
    assert found != by_rules
    first = DatasetFiles(small).tags.read_bytes()
    assert main([*call, "--batch-size", "1"]) == 0
    again = read_tags(DatasetFiles(small).tags)
    for item, own in found.items():
        assert again[item] == pytest.approx(own, abs=2e-4)
    assert main(call) == 0
    assert DatasetFiles(small).tags.read_bytes() == first
