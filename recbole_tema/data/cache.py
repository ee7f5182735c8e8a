"""Prepared data kept on disk, so that the same files and settings need not be worked through again.

An entry is one safetensors file: arrays, and the rest as JSON text in an array of bytes. Nothing in
it is ever executed. Its name holds a checksum (SHA-256) of all that it follows from: the contents
of the files, the settings, the versions of the libraries and the source of the code that prepares
the data. A second checksum, of the entry's own contents, tells a damaged one.
"""

import glob
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np
from recbole.config import Config

from recbole_tema import __version__
from recbole_tema.formats import DatasetFiles, atomic_write, sha256_of_files

FORMAT = "recbole_tema.prepared"
ABOUT = "about"
FOLDER = ".cache"
LIBRARIES = ("recbole", "numpy", "pandas")
ENTRIES_KEPT = 8
"""The latest of a data set; each is for other settings, or files that have changed since."""


@dataclass(frozen=True)
class Content:
    """What an entry holds: ``about``, anything that JSON can hold, and arrays by name."""

    about: Any
    arrays: dict[str, np.ndarray]


class CacheEntry:
    """One entry of the cache, there or not yet.

    Args:
        folder: of the cache.
        name: what the file's name begins with.
        settings: all that the content follows from besides the files.
        sources: the files that the content follows from; absent ones are passed over.
    """

    def __init__(
        self, folder: Path, name: str, settings: Mapping[str, Any], sources: Sequence[Path]
    ) -> None:
        self.folder = folder
        self.name = name
        self._settings = json.dumps(settings, sort_keys=True, default=str)
        self._sources = list(sources)
        self._key = self._checksum()

    @property
    def path(self) -> Path:
        return self.folder / f"{self.name}-{self._key}.safetensors"

    def read(self) -> Content | None:
        """What was written for the same files and settings; None: nothing, or it is damaged."""
        try:
            if not self.path.is_file():
                return None
            content = _read(self.path)
        except Exception as error:  # a damaged file can fail in any way, and is only a copy
            getLogger().warning(f"{self.path}: cannot be used and is made anew ({error})")
            return None
        getLogger().info(f"prepared data read from {self.path}")
        return content

    def write(self, content: Content) -> None:
        """Write the entry, unless the files changed since this object was made.

        A folder that cannot be written to, or a full disk, costs no more than a line in the log.
        """
        if self._checksum() != self._key:
            return
        try:
            _write(self.path, content)
        except OSError as error:
            getLogger().info(
                f"prepared data are not kept ({error}); set data_cache to a folder to write to"
            )
            return
        with suppress(OSError):  # another process may be at it
            for path in self._superfluous():
                path.unlink(missing_ok=True)

    def _checksum(self) -> str:
        files = sha256_of_files(path for path in self._sources if path.is_file())
        parts = (self._settings, files, _code())
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _superfluous(self) -> list[Path]:
        """Older entries of this name, and what writers that were killed left behind."""
        name = glob.escape(self.name)
        patterns = (f"{name}-*.safetensors", f".writing-*-*-{name}-*.safetensors")
        found = [path for pattern in patterns for path in self.folder.glob(pattern)]
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)[:-ENTRIES_KEPT]


def cache_folder(config: Config, files: DatasetFiles) -> Path | None:
    """Where ``data_cache`` has the prepared data kept; None: nowhere.

    Raises:
        ValueError: the setting is neither True, False nor a folder.
    """
    chosen = config["data_cache"]
    if chosen is None or chosen is False:
        return None
    if chosen is True:
        return files.folder / FOLDER
    if not isinstance(chosen, str) or not chosen or Path(chosen).is_file():
        raise ValueError(f"data_cache: expected True, False or a folder, got {chosen!r}")
    return Path(chosen).expanduser()


@cache
def _code() -> str:
    """What prepares the data: versions, and a checksum of the source in this folder and formats."""
    package = Path(__file__).parents[1]
    sources = [*package.glob("data/*.py"), *package.glob("formats/*.py")]
    versions = [f"{name} {metadata.version(name)}" for name in LIBRARIES]
    return " ".join([__version__, *versions, sha256_of_files(sorted(sources))])


def _read(path: Path) -> Content:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        noted = (file.metadata() or {}).get(FORMAT)
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if _digest(arrays) != noted:
        raise ValueError("its contents do not have the checksum noted beside them")
    about = json.loads(arrays.pop(ABOUT).tobytes())
    return Content(about, arrays)


def _write(path: Path, content: Content) -> None:
    from safetensors.numpy import save

    text = json.dumps(content.about).encode()
    arrays = {name: np.ascontiguousarray(array) for name, array in content.arrays.items()}
    arrays[ABOUT] = np.frombuffer(text, np.uint8)
    with atomic_write(path) as beside:
        beside.write_bytes(save(arrays, metadata={FORMAT: _digest(arrays)}))


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
