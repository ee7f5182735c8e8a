"""Feature files by tiny random models: what is in them, and going on after a kill."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recbole_tema.dataset_tools.encode.dataset import encode_dataset
from recbole_tema.dataset_tools.encode.model_encoder import ModelEncoder
from recbole_tema.dataset_tools.encode.template import item_texts
from recbole_tema.dataset_tools.tag.dataset import tag_dataset
from recbole_tema.formats import (
    DatasetFiles,
    FormatError,
    read_features,
    read_items,
    read_tags,
    tag_vocabulary,
    write_enriched,
    write_items,
)


def test_text_and_tag_features(small: Path, bert: Path) -> None:
    tag_dataset(small)
    report = encode_dataset(small, model=str(bert), template="{title}")
    files = DatasetFiles(small)
    items = read_items(files.items)
    features = read_features(files.features("text"), items["item_id"].tolist())
    assert features.encoder == "tiny-bert of {title}"
    assert features.present.tolist() == [True, True, True, False, True, True, True]
    texts = [text for text in item_texts(items, "{title}") if text]
    expected, _ = ModelEncoder(str(bert), "cpu", 1).encode_texts(texts, "")
    np.testing.assert_allclose(features.vectors[features.present], expected, atol=2e-6)
    assert "text: 0 of 6 texts cut at 16 tokens, 0.00% of all tokens lost" in report
    vocabulary = tag_vocabulary(read_tags(files.tags))
    tags = read_features(files.features("tag"), vocabulary)
    expected, _ = ModelEncoder(str(bert), "cpu", 1).encode_texts(vocabulary, "")
    np.testing.assert_allclose(tags.vectors, expected, atol=2e-6)
    assert tags.encoder == "tiny-bert"


def test_texts_over_the_limit_are_counted(small: Path, bert: Path) -> None:
    files = DatasetFiles(small)
    items = read_items(files.items)
    # 20 tokens of which 14 fit between the marks; one of 1.
    items["title"] = ["red " * 20, "red", "", "", "", "", ""]
    write_items(files.items, items)
    report = encode_dataset(small, model=str(bert), template="{title}")
    assert "text: 1 of 2 texts cut at 16 tokens, 28.57% of all tokens lost" in report


def test_enriched_texts_by_name(small: Path, clip: Path) -> None:
    files = DatasetFiles(small)
    ids = read_items(files.items)["item_id"].tolist()
    write_enriched(files.enriched, {item: f"for {item}" for item in ids})
    encode_dataset(small, model=str(clip), template="{enriched}", name="llm")
    features = read_features(files.features("text", "llm"), ids)
    assert (features.kind, features.dims) == ("text", 4)
    assert features.present.all()
    assert not files.features("text").exists()


def put_images(files: DatasetFiles, images: list[str]) -> None:
    write_items(files.items, read_items(files.items).assign(image=images))


def test_images(small: Path, clip: Path) -> None:
    Image.new("RGB", (20, 30), "red").save(small / "red.png")
    Image.new("RGBA", (40, 20), "blue").save(small / "blue.png")
    (small / "broken.jpg").write_text("no image")
    files = DatasetFiles(small)
    # Relative to the data set's folder, absolute, damaged, not there, never fetched, none.
    url = "https://example.org/a.jpg"
    named = ["red.png", str(small / "blue.png"), "broken.jpg", "gone.png", url, "", "red.png"]
    put_images(files, named)
    report = encode_dataset(small, model=str(clip), what=["image"], batch_size=2)
    features = read_features(files.features("image"), read_items(files.items)["item_id"].tolist())
    assert features.present.tolist() == [True, True, False, False, False, False, True]
    assert (features.kind, features.encoder) == ("image", "tiny-clip")
    np.testing.assert_allclose(features.vectors[0], features.vectors[6], atol=2e-6)
    assert not np.allclose(features.vectors[0], features.vectors[1], atol=1e-3)
    with open(files.bad_images, encoding="utf-8", newline="") as file:
        rows = {row["item_id"]: row for row in csv.DictReader(file)}
    assert {item: row["reason"] for item, row in rows.items()} == {
        "x3": "not an image",
        "x4": "no such file",
        "y1": "not fetched",
    }
    assert rows["x3"]["image"] == str(small / "broken.jpg")
    assert rows["y1"]["image"] == url
    assert report[0].startswith("image: 3 of 6 cannot be used, marked absent; each is in ")
    assert "  1 × no such file\n      x4: " in report[0]
    # Mended: the list goes.
    for name in ("broken.jpg", "gone.png"):
        Image.new("L", (9, 9)).save(small / name)
    put_images(files, [*named[:4], "", "", ""])
    assert len(encode_dataset(small, model=str(clip), what=["image"])) == 1
    assert not files.bad_images.exists()


def test_images_that_are_not_there(small: Path, clip: Path) -> None:
    files = DatasetFiles(small)
    with pytest.raises(FormatError, match="no item has an image"):
        encode_dataset(small, model=str(clip), what=["image"])
    put_images(files, ["https://example.org/a.jpg", *[""] * 6])
    with pytest.raises(FormatError, match=r"none of the images \(1\) is fetched; run"):
        encode_dataset(small, model=str(clip), what=["image"])
    put_images(files, ["a.jpg", *[""] * 6])
    with pytest.raises(FormatError, match=r"none of the images \(1\) can be used, .*no such file"):
        encode_dataset(small, model=str(clip), what=["image"])


def shards(files: DatasetFiles) -> list[Path]:
    return sorted(files.shards("text").glob("*/*.safetensors"))


def stop_after(monkeypatch: pytest.MonkeyPatch, batches: int) -> list[int]:
    """Let a model make so many batches of texts, and no more; gives the sizes of those made."""
    made: list[int] = []
    whole = ModelEncoder._text_vectors

    def counted(encoder: ModelEncoder, ids: list[np.ndarray]) -> np.ndarray:
        if len(made) == batches:
            raise KeyboardInterrupt
        made.append(len(ids))
        return whole(encoder, ids)

    monkeypatch.setattr(ModelEncoder, "_text_vectors", counted)
    return made


def test_a_run_goes_on_with_another_batch_size(
    small: Path, bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = DatasetFiles(small)
    encode_dataset(small, model=str(bert))
    whole = read_features(files.features("text"))
    files.features("text").unlink()
    with monkeypatch.context() as patch:
        made = stop_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            encode_dataset(small, model=str(bert), batch_size=2, shard_size=1)
    assert made == [2, 2]
    assert len(shards(files)) == 2
    assert not files.features("text").exists()
    with monkeypatch.context() as patch:
        made = stop_after(patch, 9)
        encode_dataset(small, model=str(bert), batch_size=1)
    assert made == [1, 1]
    again = read_features(files.features("text"))
    np.testing.assert_array_equal(again.present, whole.present)
    np.testing.assert_allclose(again.vectors, whole.vectors, atol=2e-6)
    # What is whole needs no shards.
    assert not files.shards("text").exists()


def test_shards_of_another_model_or_precision_are_not_used(
    small: Path, make_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    bert = make_model("bert")

    def batches(stop: int, **settings: str) -> int:
        with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
            made = stop_after(patch, stop)
            encode_dataset(small, model=str(bert), batch_size=1, **settings)
        return len(made)

    assert batches(5) == 5
    # One of six is left, but not of these.
    assert batches(2, precision="bf16") == 2
    make_model("bert", seed=1)
    assert batches(2) == 2
    make_model("bert", seed=0)
    assert batches(9) == 1
    assert not DatasetFiles(small).shards("text").exists()
    # Nor is anything left of the others.
    assert batches(9, precision="bf16") == 6


def test_a_changed_text_alone_is_made_again(
    small: Path, bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = DatasetFiles(small)
    with monkeypatch.context() as patch:
        stop_after(patch, 5)
        with pytest.raises(KeyboardInterrupt):
            encode_dataset(small, model=str(bert), batch_size=1, template="{title}")
    items = read_items(files.items)
    write_items(files.items, items.assign(title=["wool wool wool wool wool", *items["title"][1:]]))
    made = stop_after(monkeypatch, 9)
    encode_dataset(small, model=str(bert), batch_size=1, template="{title}")
    # The changed one and the one that was not reached.
    assert made == [1, 1]
    texts = [text for text in item_texts(read_items(files.items), "{title}") if text]
    expected, _ = ModelEncoder(str(bert), "cpu", 1).encode_texts(texts, "")
    found = read_features(files.features("text"))
    np.testing.assert_allclose(found.vectors[found.present], expected, atol=2e-6)


def test_sigkill_loses_no_shard(small: Path, clip: Path) -> None:
    """A real process, killed while it encodes; the next one makes the rest."""
    files = DatasetFiles(small)
    noise = np.random.default_rng(0)
    names = [f"{number}.png" for number in range(7)]
    for name in names:
        Image.fromarray(noise.integers(0, 256, (20, 20, 3), np.uint8)).save(small / name)
    put_images(files, names)
    encode_dataset(small, model=str(clip), what=["image"])
    whole = read_features(files.features("image"))
    files.features("image").unlink()
    # The process waits before its fourth batch for a kill that is sure to come.
    script = (
        "import sys, time\n"
        "from recbole_tema.dataset_tools.cli import main\n"
        "from recbole_tema.dataset_tools.encode.model_encoder import ModelEncoder\n"
        "whole, made = ModelEncoder._image_vectors, []\n"
        "def slow(encoder, images):\n"
        "    made.append(1)\n"
        "    if len(made) > 3:\n"
        "        time.sleep(600)\n"
        "    return whole(encoder, images)\n"
        "ModelEncoder._image_vectors = slow\n"
        "main(sys.argv[1:])\n"
    )
    call = ["encode", str(small), "--what", "image", "--model", str(clip), "--device", "cpu"]
    call += ["--batch-size", "1", "--shard-size", "2"]
    process = subprocess.Popen(
        [sys.executable, "-c", script, *call], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        folder = files.shards("image")
        until = time.monotonic() + 120
        while not list(folder.glob("*/000000.safetensors")):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert not files.features("image").exists()
    encoder = ModelEncoder(str(clip), "cpu", 1)
    made: list[int] = []
    own = encoder._image_vectors

    def counted(images: list) -> np.ndarray:
        made.append(len(images))
        return own(images)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ModelEncoder, "_image_vectors", lambda _, images: counted(images))
        encode_dataset(small, model=str(clip), what=["image"], batch_size=1, device="cpu")
    # Two vectors were kept of the three that were made.
    assert len(made) == 5
    again = read_features(files.features("image"))
    np.testing.assert_allclose(again.vectors, whole.vectors, atol=2e-6)
    assert not folder.exists()
