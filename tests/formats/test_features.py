"""Feature files: round trip, same bytes each time, and every refusal."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from recbole_tema.formats import Features, FormatError, read_features, write_features

TOKENS = ["a", "ü2", "c"]


def features(**changes: object) -> Features:
    values: dict[str, object] = {
        "tokens": TOKENS,
        "vectors": np.array([[1, 2], [np.nan, 9], [3, 4]], np.float32),
        "present": np.array([True, False, True]),
        "encoder": "hand",
        "kind": "text",
    }
    return Features(**(values | changes))  # type: ignore[arg-type]


def test_features_come_back_and_absent_rows_hold_zeros(tmp_path: Path) -> None:
    path = tmp_path / "d.text.safetensors"
    write_features(path, features())
    back = read_features(path, TOKENS)
    assert (back.tokens, back.encoder, back.kind, back.dims) == (TOKENS, "hand", "text", 2)
    assert back.vectors.dtype == np.float32
    assert back.vectors.tolist() == [[1, 2], [0, 0], [3, 4]]
    assert back.present.tolist() == [True, False, True]


def test_the_file_is_the_same_byte_for_byte(tmp_path: Path) -> None:
    for name in ("1", "2", "3"):
        write_features(tmp_path / name, features())
    assert len({(tmp_path / name).read_bytes() for name in ("1", "2", "3")}) == 1


def test_no_tokens_at_all(tmp_path: Path) -> None:
    empty = features(tokens=[], vectors=np.zeros((0, 4)), present=np.zeros(0, bool))
    write_features(tmp_path / "f", empty)
    assert read_features(tmp_path / "f", []).vectors.shape == (0, 4)


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        (["a", "c", "ü2"], "another order; first difference at row 1: 'ü2', expected 'c'"),
        (
            ["a", "ü2"],
            "expected 2; 0 missing, 1 too many: 'c'; .* row 2: 'c', .* the end",
        ),
        (["a", "ü2", "c", "d"], "1 missing: 'd', 0 too many; first difference at row 3: the end"),
        (["a", "x", "c"], "1 missing: 'x', 1 too many: 'ü2'; first difference at row 1"),
    ],
)
def test_tokens_that_do_not_fit_are_named(
    tmp_path: Path, expected: list[str], message: str
) -> None:
    write_features(tmp_path / "f", features())
    with pytest.raises(FormatError, match=message):
        read_features(tmp_path / "f", expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vectors": np.full((3, 2), np.inf)}, r"row 0 \(token 'a'\): NaN or infinite, as 2 of 3"),
        ({"vectors": np.zeros((2, 2))}, r"shape \(2, 2\) for 3 tokens"),
        ({"present": np.ones(2, bool)}, r"mask of shape \(2,\)"),
        ({"kind": "sound"}, "kind 'sound'"),
        ({"tokens": ["a", "a", "c"]}, "more than once: 'a'"),
    ],
)
def test_bad_features_are_not_written(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        write_features(tmp_path / "f", features(**changes))
    assert list(tmp_path.iterdir()) == []


def tampered(path: Path, **tensors: np.ndarray) -> None:
    """Write the file of `features()` again with some tensors exchanged, its metadata as it was."""
    from safetensors import safe_open

    write_features(path, features())
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
        old = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(old | tensors, path, metadata=metadata)


def test_nan_in_a_present_row_is_refused_on_reading(tmp_path: Path) -> None:
    tampered(tmp_path / "f", vectors=np.array([[1, 2], [0, 0], [3, np.nan]], np.float32))
    with pytest.raises(FormatError, match=r"row 2 \(token 'c'\)"):
        read_features(tmp_path / "f")


def test_changed_tokens_do_not_pass_the_checksum(tmp_path: Path) -> None:
    tampered(tmp_path / "f", tokens=np.frombuffer("bü2c".encode(), np.uint8))
    with pytest.raises(FormatError, match="checksum"):
        read_features(tmp_path / "f")


def test_foreign_and_missing_files_are_refused(tmp_path: Path) -> None:
    save_file({"vectors": np.zeros((1, 1))}, tmp_path / "foreign")
    with pytest.raises(FormatError, match="not a feature file of this project"):
        read_features(tmp_path / "foreign")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(FormatError, match="not a readable safetensors file"):
        read_features(tmp_path / "text")
    with pytest.raises(FormatError, match="no such file"):
        read_features(tmp_path / "none")
