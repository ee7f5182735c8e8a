"""One raw file as numbered lines, read in blocks: plain or gzip, whatever its encoding."""

import codecs
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from tqdm import tqdm

from recbole_tema.formats import FormatError

from ..wording import counted

BLOCK_BYTES = 8 << 20
LONGEST_LINE = 64 << 20
"""No record is as long (bytes); a file without line breaks must not fill the memory."""
PROGRESS_FROM = 64 << 20
"""Smaller files (bytes on disk) are read before a progress bar is worth its line."""
_GZIP_MAGIC = b"\x1f\x8b"
_WIDE = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}

Block = tuple[int, list[str]]
"""Number of the first line (from 1), and the lines without their ends."""


@dataclass
class Source:
    """A raw file, and what became of reading it.

    ``allow_truncated``: use what is there of a gzip file that ends in the middle; None where no
    option can allow it. ``lines``: lines read by the last pass that reached the end, blank ones
    too. ``truncated``: that pass met a gzip file that ends in the middle.
    """

    path: Path
    allow_truncated: bool | None = None
    lines: int = field(default=0, init=False)
    truncated: bool = field(default=False, init=False)

    def blocks(self, progress: bool = True) -> Iterator[Block]:
        """Lines in blocks of about `BLOCK_BYTES`; damaged bytes come as surrogates.

        Raises FormatError when there is no such file, when a gzip file is damaged, and when it ends
        in the middle, unless that is allowed. Its last line, of which a part is missing, is then
        no line.
        """
        number = 1
        self.truncated = False
        for data in self._whole_lines(progress):
            lines = _decoded(data.removesuffix(b"\n"))
            yield number, lines
            number += len(lines)
        self.lines = number - 1

    def numbered(self) -> Iterator[tuple[int, str]]:
        """Every line with its number."""
        for first, lines in self.blocks():
            yield from enumerate(lines, start=first)

    def sample(self, number: int) -> list[str]:
        """The first lines, ``number`` at most, that are not blank."""
        found: list[str] = []
        for _, lines in self.blocks(progress=False):
            found += [line for line in lines if line.strip()]
            if len(found) >= number:
                break
        return found[:number]

    def ending(self) -> str:
        """What to say of a file that was used although it ends in the middle."""
        return (
            f"{self.path}: the gzip file ends in the middle; before that "
            f"{counted(self.lines, 'line was', 'lines were')} read "
            f"({self.path.stat().st_size:,} bytes on disk), what follows is missing"
        )

    def _whole_lines(self, progress: bool) -> Iterator[bytes]:
        carry = b""
        encoding = ""
        for place, data in enumerate(self._data(progress)):
            if place == 0:
                data, encoding = _without_mark(data)
                decoder = codecs.getincrementaldecoder(encoding or "utf-8")("replace")
            if encoding:
                data = decoder.decode(data).encode()
            end = data.rfind(b"\n") + 1
            if end:
                yield carry + data[:end]
                carry = data[end:]
            else:
                carry += data
            if len(carry) > LONGEST_LINE:
                raise FormatError(
                    f"{self.path}: a line of more than {LONGEST_LINE >> 20} MiB; expected a record "
                    "a line, as CSV, TSV or JSON lines"
                )
        if carry and not self.truncated:
            yield carry

    def _data(self, progress: bool) -> Iterator[bytes]:
        path = Path(self.path)
        if not path.is_file():
            raise FormatError(f"{path}: no such file")
        size = path.stat().st_size
        silent = not progress or size < PROGRESS_FROM
        with (
            open(path, "rb") as raw,
            tqdm(total=size, desc=path.name, unit="B", unit_scale=True, disable=silent) as bar,
        ):
            zipped = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)
            for data in self._unzipped(raw) if zipped else iter(lambda: raw.read(BLOCK_BYTES), b""):
                yield data
                bar.update(raw.tell() - bar.n)

    def _unzipped(self, raw: BinaryIO) -> Iterator[bytes]:
        parts: list[bytes] = []
        held = 0
        with gzip.GzipFile(fileobj=raw) as stream:
            while True:
                try:
                    # read1, unlike read, loses nothing of what came before an error.
                    data = stream.read1(BLOCK_BYTES)
                except EOFError:
                    if not self.allow_truncated:
                        allowing = ", or use what is there with --allow-truncated"
                        raise FormatError(
                            f"{self.path}: the gzip file ends early, it was not fetched whole; "
                            f"fetch it again{'' if self.allow_truncated is None else allowing}"
                        ) from None
                    self.truncated = True
                    break
                except (zlib.error, gzip.BadGzipFile) as error:
                    raise FormatError(
                        f"{self.path}: the gzip file is damaged ({error}); fetch it again"
                    ) from None
                if not data:
                    break
                parts.append(data)
                held += len(data)
                if held >= BLOCK_BYTES:
                    yield b"".join(parts)
                    parts, held = [], 0
        if parts:
            yield b"".join(parts)


def _without_mark(data: bytes) -> tuple[bytes, str]:
    """The file's first bytes without a byte order mark, and the encoding if it is not UTF-8."""
    for mark, encoding in _WIDE.items():
        if data.startswith(mark):
            return data.removeprefix(mark), encoding
    return data.removeprefix(codecs.BOM_UTF8), ""


def _decoded(data: bytes) -> list[str]:
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").removesuffix(b"\r")
    return data.decode("utf-8", "surrogateescape").split("\n")
