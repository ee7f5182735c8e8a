"""Vectors that are made, kept on disk until all of them are there."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import numpy as np

from recbole_tema.formats import atomic_write

SHARD = 1024
"""Vectors in a file: what is made again at most after the process is killed."""


class Shards:
    """Vectors by the SHA-256 of what each was made from.

    A file holds ``digests`` (n, 32) uint8 and ``vectors`` (n, d) float32. What else determines the
    vectors (the model, its precision) has to stand in the folder's name. A file that cannot be read
    is left aside: its vectors are made again.

    In a ``with`` block, which also keeps what is there when it ends with an error.
    """

    def __init__(self, folder: Path, size: int = SHARD) -> None:
        self._folder = folder
        self._size = size
        self._known: dict[bytes, np.ndarray] = {}
        self._digests: list[bytes] = []
        self._vectors: list[np.ndarray] = []
        self._next = 0
        for path in sorted(folder.glob("[0-9]*.safetensors")):
            self._next = int(path.stem) + 1
            self._read(path)

    def __enter__(self) -> "Shards":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._write()

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._known

    def get(self, digest: bytes) -> np.ndarray | None:
        """The vector (d,) made in an earlier run, or None."""
        return self._known.get(digest)

    def add(self, digests: Sequence[bytes], vectors: np.ndarray) -> None:
        """Keep vectors (n, d); a file is written as soon as there are enough for one."""
        self._digests += digests
        self._vectors.append(vectors)
        if len(self._digests) >= self._size:
            self._write()

    def _read(self, path: Path) -> None:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            stored = load_file(path)
        except SafetensorError:
            return
        digests = map(bytes, stored["digests"])
        self._known.update(zip(digests, stored["vectors"], strict=True))

    def _write(self) -> None:
        from safetensors.numpy import save

        if not self._digests:
            return
        stored = {
            "digests": np.frombuffer(b"".join(self._digests), np.uint8).reshape(-1, 32),
            "vectors": np.concatenate(self._vectors),
        }
        # Another process that was done first may have cleared the folder; the vectors are held.
        place = self._folder / f"{self._next:06d}.safetensors"
        with suppress(FileNotFoundError), atomic_write(place) as beside:
            beside.write_bytes(save(stored))
        self._next += 1
        self._digests, self._vectors = [], []


class Rows:
    """The vectors of all rows, as they are made or taken from the shards."""

    def __init__(self, number: int, shards: Shards | None) -> None:
        self._shards = shards
        self.vectors = np.zeros((number, 0), np.float32)
        """(n, d); zeros where there is none, and no d before the first one."""

    def take(self, row: int, digest: bytes) -> bool:
        """Take this row's vector from the shards; False when it is not there."""
        found = None if self._shards is None else self._shards.get(digest)
        if found is None:
            return False
        self._put([row], found[None])
        return True

    def add(self, rows: Sequence[int], digests: Sequence[bytes], vectors: np.ndarray) -> None:
        """Put vectors (b, d) that were made of what has these digests."""
        self._put(rows, vectors)
        if self._shards is not None:
            self._shards.add(digests, vectors)

    def _put(self, rows: Sequence[int], vectors: np.ndarray) -> None:
        if not self.vectors.shape[1]:
            self.vectors = np.zeros((len(self.vectors), vectors.shape[1]), np.float32)
        self.vectors[list(rows)] = vectors


def remove_shards(folder: Path) -> None:
    """Remove the folder with all shards of a file, whatever model they are of."""
    shutil.rmtree(folder, ignore_errors=True)
