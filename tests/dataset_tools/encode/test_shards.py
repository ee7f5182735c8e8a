"""Shards: what is kept, what is found again."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from recbole_tema.dataset_tools.encode.shards import Rows, Shards, remove_shards

DIGESTS = [hashlib.sha256(bytes([number])).digest() for number in range(7)]
VECTORS = np.arange(14, dtype=np.float32).reshape(7, 2)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_written_when_there_are_enough(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "key"
    with Shards(folder, 3) as shards:
        shards.add(DIGESTS[:2], VECTORS[:2])
        assert not folder.exists()
        # A batch goes into one file, also where that makes it longer than asked for.
        shards.add(DIGESTS[2:4], VECTORS[2:4])
        assert names(folder) == ["000000.safetensors"]
        shards.add(DIGESTS[4:5], VECTORS[4:5])
        # What is found is what was there at the start.
        assert DIGESTS[0] not in shards
    assert names(folder) == ["000000.safetensors", "000001.safetensors"]
    again = Shards(folder, 3)
    for digest, vector in zip(DIGESTS[:5], VECTORS, strict=False):
        np.testing.assert_array_equal(again.get(digest), vector)
    assert DIGESTS[5] not in again
    with again:
        again.add(DIGESTS[5:], VECTORS[5:])
    assert names(folder)[-1] == "000002.safetensors"
    remove_shards(tmp_path / "a")
    assert not (tmp_path / "a").exists()
    remove_shards(tmp_path / "a")


def test_kept_when_the_block_ends_with_an_error(tmp_path: Path) -> None:
    def interrupted() -> None:
        with Shards(tmp_path, 3) as shards:
            shards.add(DIGESTS[:1], VECTORS[:1])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert DIGESTS[0] in Shards(tmp_path, 3)


def test_a_folder_that_another_process_clears_meanwhile(tmp_path: Path, monkeypatch) -> None:
    save = safetensors.numpy.save

    def clearing(stored: dict[str, np.ndarray]) -> bytes:
        shutil.rmtree(tmp_path / "key")
        return save(stored)

    with Shards(tmp_path / "key", 3) as shards:
        with monkeypatch.context() as patch:
            patch.setattr(safetensors.numpy, "save", clearing)
            shards.add(DIGESTS[:3], VECTORS[:3])
        assert not (tmp_path / "key").exists()
        # What comes after is kept as ever.
        shards.add(DIGESTS[3:6], VECTORS[3:6])
    again = Shards(tmp_path / "key", 3)
    assert [digest in again for digest in DIGESTS] == [False] * 3 + [True] * 3 + [False]


def test_damaged_and_half_written_files_are_left_aside(tmp_path: Path) -> None:
    for at in (0, 1):
        with Shards(tmp_path, 3) as shards:
            shards.add(DIGESTS[at : at + 1], VECTORS[at : at + 1])
    first = tmp_path / "000000.safetensors"
    first.write_bytes(first.read_bytes()[:-1])
    (tmp_path / ".writing-1-0-000002.safetensors").write_bytes(b"half")
    shards = Shards(tmp_path, 3)
    assert DIGESTS[0] not in shards
    assert DIGESTS[1] in shards
    with shards:
        shards.add(DIGESTS[:1], VECTORS[:1])
    np.testing.assert_array_equal(Shards(tmp_path, 3).get(DIGESTS[0]), VECTORS[0])


def test_rows_come_from_shards_or_are_added(tmp_path: Path) -> None:
    with Shards(tmp_path, 3) as shards:
        shards.add(DIGESTS[:1], VECTORS[:1])
    with Shards(tmp_path, 3) as shards:
        rows = Rows(4, shards)
        assert [rows.take(row, DIGESTS[at]) for row, at in ((3, 0), (1, 0), (2, 1))] == [
            True,
            True,
            False,
        ]
        rows.add([2], DIGESTS[1:2], VECTORS[1:2])
        np.testing.assert_array_equal(rows.vectors, [[0, 0], [0, 1], [2, 3], [0, 1]])
    # What came from a shard is not written again.
    assert names(tmp_path) == ["000000.safetensors", "000001.safetensors"]
    alone = Rows(2, None)
    assert not alone.take(0, DIGESTS[0])
    assert alone.vectors.shape == (2, 0)
