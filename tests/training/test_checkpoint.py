"""Checkpoints: what goes in comes out, without a pickle."""

import errno
import io
import os

import numpy as np
import pytest
import scipy.sparse
import torch

from recbole_tema.training.checkpoint import load_checkpoint, save_checkpoint

CPU = torch.device("cpu")


@pytest.fixture
def round_trip(tmp_path):
    def through(state):
        save_checkpoint(tmp_path / "model.pth", state)
        torch.load(tmp_path / "model.pth", weights_only=True)  # nothing that runs code
        return load_checkpoint(tmp_path / "model.pth", CPU)

    return through


def test_plain_values_and_tensors(round_trip):
    state = {
        "model": "TEMA",
        "epoch": 3,
        "best": 0.25,
        "none": None,
        "flags": [True, False],
        "betas": (0.9, 0.999),
        "state": {0: {"step": torch.tensor(4.0)}},
    }
    found = round_trip(state)
    assert torch.equal(found["state"][0].pop("step"), torch.tensor(4.0))
    state["state"][0].pop("step")
    assert found == state
    assert isinstance(found["betas"], tuple)


def test_numbers_of_numpy_become_pythons(round_trip):
    found = round_trip({"best": np.float64(0.5), "number": np.int64(3)})
    assert found == {"best": 0.5, "number": 3}
    assert [type(value) for value in found.values()] == [float, int]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.bool_])
def test_arrays(round_trip, dtype):
    array = np.array([[0, 1, 2], [3, 0, 5]]).astype(dtype)
    found = round_trip({"deep": [{"array": array}]})["deep"][0]["array"]
    assert isinstance(found, np.ndarray)
    assert found.dtype == array.dtype
    assert np.array_equal(found, array)


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "dok"])
def test_sparse_matrices(round_trip, form):
    matrix = scipy.sparse.random(5, 4, 0.4, format=form, random_state=1, dtype=np.float32)
    found = round_trip({"matrix": matrix})["matrix"]
    assert scipy.sparse.issparse(found)
    assert found.dtype == np.float32
    assert np.array_equal(found.toarray(), matrix.toarray())
    assert found[2, :].toarray().shape == (1, 4)


def test_a_sparse_matrix_of_nothing(round_trip):
    found = round_trip({"matrix": scipy.sparse.csr_matrix((3, 2))})["matrix"]
    assert found.shape == (3, 2)
    assert found.nnz == 0


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "none.pth", CPU)


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "damaged.pth"
    save_checkpoint(path, {"model": "TEMA", "weights": torch.ones(100)})
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"damaged\.pth: not a checkpoint of recbole_tema"):
        load_checkpoint(path, CPU)


def test_a_flipped_bit_is_noticed(tmp_path):
    """torch.load itself takes it for a weight."""
    path = tmp_path / "flipped.pth"
    save_checkpoint(path, {"weights": torch.ones(1000)})
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"flipped\.pth.*checksum"):
        load_checkpoint(path, CPU)


class _Failing:
    """A file that fails after some bytes, as on a disk that fills up."""

    def __init__(self, path, room, error):
        self.file, self.room, self.error = io.FileIO(path, "w"), room, error

    def write(self, data):
        self.room -= len(data)
        if self.room < 0:
            raise self.error
        return self.file.write(data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()


@pytest.mark.parametrize("room", [0, 100, 3000, 39000])
def test_a_disk_that_fills_up_while_writing(tmp_path, monkeypatch, room):
    path = tmp_path / "model.pth"
    save_checkpoint(path, {"weights": torch.zeros(10)})
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr("builtins.open", lambda path, mode: _Failing(path, room, full))
    with pytest.raises(OSError, match=r"No space left on device .*model\.pth") as error:
        save_checkpoint(path, {"weights": torch.ones(10000)})
    monkeypatch.undo()
    assert error.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == [path]
    assert torch.equal(load_checkpoint(path, CPU)["weights"], torch.zeros(10))


def test_an_interruption_while_writing_stays_one(tmp_path, monkeypatch):
    stop = KeyboardInterrupt()
    monkeypatch.setattr("builtins.open", lambda path, mode: _Failing(path, 3000, stop))
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path / "model.pth", {"weights": torch.ones(10000)})
    monkeypatch.undo()
    assert not list(tmp_path.iterdir())


def test_what_was_on_the_cpu_stays_there(tmp_path):
    save_checkpoint(tmp_path / "model.pth", {"step": torch.tensor(3.0)})
    assert load_checkpoint(tmp_path / "model.pth", None)["step"].device == CPU
