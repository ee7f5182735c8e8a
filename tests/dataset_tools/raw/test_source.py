"""Files as lines: encodings, line ends, gzip files that end in the middle."""

import gzip
from pathlib import Path

import pytest

from recbole_tema.dataset_tools.raw import source as module
from recbole_tema.dataset_tools.raw.source import Source
from recbole_tema.formats import FormatError


def lines(path: Path, data: bytes, **options: bool) -> list[tuple[int, str]]:
    path.write_bytes(data)
    return list(Source(path, **options).numbered())


@pytest.mark.parametrize(
    "data",
    [
        b"a\nb\n",
        b"a\r\nb\r\n",
        b"a\nb",
        b"a\r\nb\r",
        b"\xef\xbb\xbfa\nb\n",
        "\ufeffa\r\nb\r\n".encode("utf-16-le"),
        "\ufeffa\nb".encode("utf-16-be"),
        gzip.compress(b"a\r\n", mtime=0) + gzip.compress(b"b\r\n", mtime=0),
    ],
)
@pytest.mark.parametrize("block", [3, 4, 5, 8 << 20])
def test_two_lines(tmp_path, monkeypatch, data: bytes, block: int) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", block)
    assert lines(tmp_path / "f", data) == [(1, "a"), (2, "b")]


def test_damaged_bytes_and_odd_line_ends_stay_in_their_line(tmp_path) -> None:
    found = lines(tmp_path / "f", b"a\xe9\nb\xe2\x80\xa8c\x0bd\n\n\xff\n")
    assert found == [(1, "a\udce9"), (2, "b\u2028c\x0bd"), (3, ""), (4, "\udcff")]


def test_a_gzip_file_that_ends_in_the_middle(tmp_path) -> None:
    text = "".join(f"line {number * 7919}\n" for number in range(20_000))
    data = gzip.compress(text.encode())
    path = tmp_path / "f.gz"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(FormatError, match=r"f\.gz: the gzip file ends early.*--allow-truncated"):
        list(Source(path, allow_truncated=False).numbered())
    with pytest.raises(FormatError, match=r"fetch it again$"):
        list(Source(path).numbered())
    source = Source(path, allow_truncated=True)
    found = [line for _, line in source.numbered()]
    # Whole lines only, and what zlib itself can make of so many bytes, but for its last line.
    assert 8_000 < len(found) < 12_000
    assert text.startswith("\n".join(found) + "\n")
    assert source.truncated
    assert source.lines == len(found)
    assert f"before that {len(found):,} lines were read" in source.ending()


@pytest.mark.parametrize("cut", [1, 4, 8])
def test_only_the_checksum_is_missing(tmp_path, cut: int) -> None:
    path = tmp_path / "f.gz"
    path.write_bytes(gzip.compress(b"a\nb\n")[:-cut])
    with pytest.raises(FormatError, match="ends early"):
        list(Source(path).numbered())
    assert [line for _, line in Source(path, allow_truncated=True).numbered()] == ["a", "b"]


def test_a_damaged_gzip_file_is_refused_whatever_is_allowed(tmp_path) -> None:
    data = bytearray(gzip.compress(bytes(range(256)) * 1000))
    data[len(data) // 2] ^= 0xFF
    path = tmp_path / "f.gz"
    path.write_bytes(data)
    with pytest.raises(FormatError, match="the gzip file is damaged"):
        list(Source(path, allow_truncated=True).numbered())


def test_a_line_without_end(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "LONGEST_LINE", 1 << 20)
    monkeypatch.setattr(module, "BLOCK_BYTES", 1 << 19)
    with pytest.raises(FormatError, match="a line of more than 1 MiB"):
        lines(tmp_path / "f", b"x" * (2 << 20))


def test_the_sample_is_the_first_lines_that_say_anything(tmp_path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"\n \na\n\nb\nc\n")
    assert Source(path).sample(2) == ["a", "b"]
