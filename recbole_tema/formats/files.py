"""Where each file of a data set lies, how files are written whole or not at all, and checksums."""

import errno
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from recbole_tema.formats.errors import FormatError

SPLITS = ("train", "valid", "test")
FEATURE_KINDS = ("text", "image", "tag")
_serial = count()
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class DatasetFiles:
    """Paths of a data set folder ``DATA_PATH/NAME/``; the folder's name is the data set's name."""

    folder: Path

    def __post_init__(self) -> None:
        # "." and "data/.." have no name of their own.
        object.__setattr__(self, "folder", Path(self.folder).absolute())
        if self.folder.name in ("", ".."):
            object.__setattr__(self, "folder", self.folder.resolve())

    @property
    def name(self) -> str:
        return self.folder.name

    def _file(self, suffix: str) -> Path:
        return self.folder / f"{self.name}.{suffix}"

    @property
    def inter(self) -> Path:
        """Interactions of a leave-one-out data set."""
        return self._file("inter")

    def split_inter(self, split: str) -> Path:
        """Histories of one part (``train``, ``valid`` or ``test``) of a pre-split data set."""
        if split not in SPLITS:
            raise ValueError(f"no split {split!r}; expected one of {', '.join(SPLITS)}")
        return self._file(f"{split}.inter")

    @property
    def items(self) -> Path:
        return self._file("item")

    @property
    def properties(self) -> Path:
        return self._file("yaml")

    def features(self, kind: str, name: str | None = None) -> Path:
        """Feature file of the items (``text``, ``image``) or of the tag strings (``tag``).

        ``name``: of another one of that kind, ``text_llm`` for the ``llm`` one.
        """
        if kind not in FEATURE_KINDS:
            raise ValueError(f"no features {kind!r}; expected one of {', '.join(FEATURE_KINDS)}")
        if name is not None and not re.fullmatch(r"\w+", str(name)):
            raise ValueError(
                f"{kind}_features: expected a name of letters and digits such as llm, which stands "
                f"for {self._file(f'{kind}_llm.safetensors').name}; got {name!r}"
            )
        return self._file(f"{kind}{'' if name is None else f'_{name}'}.safetensors")

    def shards(self, kind: str, name: str | None = None) -> Path:
        """Hidden folder with the vectors made so far of a feature file that is not whole yet."""
        return self.folder / f".{self.features(kind, name).stem}.shards"

    @property
    def bad_images(self) -> Path:
        """Items whose image could not be encoded, and why."""
        return self._file("bad_images.csv")

    @property
    def tags(self) -> Path:
        return self._file("tags.jsonl")

    @property
    def graph(self) -> Path:
        """What items have in common, as edges between them."""
        return self._file("graph.safetensors")

    @property
    def enriched(self) -> Path:
        """What an LLM wrote about the items."""
        return self._file("enriched.jsonl")

    @property
    def images(self) -> Path:
        """Folder of the images that were fetched from the items' URLs, with its index."""
        return self.folder / "images"

    @property
    def llm_answers(self) -> Path:
        """Every answer of an LLM about this data set, as it came (SQLite)."""
        return self._file("llm.sqlite")

    @property
    def tags_retry(self) -> Path:
        """LLM answers that could not be read, kept so that they can be asked for again."""
        return self._file("tags.retry.jsonl")

    @property
    def tag_list(self) -> Path:
        """Where each tag that an LLM proposed went when the list was refined."""
        return self._file("tag_list.jsonl")

    @property
    def tags_page(self) -> Path:
        """The report of the tags as a page for people."""
        return self._file("tags.html")

    @property
    def bad_rows(self) -> Path:
        """Raw rows that were left out when the data set was built."""
        return self._file("bad_rows.csv")

    def check(self) -> None:
        """Raise FormatError unless the folder is a data set."""
        if not self.folder.is_dir():
            raise FormatError(f"{self.folder}: no such folder; expected a data set folder")
        for path in (self.items, self.properties):
            if not path.is_file():
                raise FormatError(
                    f"{self.folder}: not a data set, {path.name} is missing; "
                    "make it with `recbole-tema-data build`"
                )


def is_no_room(error: Exception) -> bool:
    """Whether a file could not be written because the disk is full, or what one may use of it."""
    return isinstance(error, OSError) and error.errno in _NO_ROOM


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a path beside ``path`` to write to; it takes the place of ``path`` when all went well.

    The name given ends like ``path``, so that writers that look at the suffix behave the same. When
    the block raises, nothing is left and an older ``path`` stays as it was; the error of a full
    disk names ``path``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.parent / f".writing-{os.getpid()}-{next(_serial)}-{path.name}"
    try:
        yield beside
        with open(beside, "rb") as written:
            os.fsync(written.fileno())
        os.replace(beside, path)
    except OSError as error:
        if is_no_room(error):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        beside.unlink(missing_ok=True)


def file_name_of(label: str) -> str:
    """``label`` as a part of file names; what a shell or a disk may take amiss becomes ``-``.

    >>> file_name_of("TEMA (paper)"), file_name_of("TEMA (score_view_weights=[1, 0.5])")
    ('TEMA-paper', 'TEMA-score_view_weights=-1-0.5')
    """
    return re.sub(r"[^\w.+=-]+", "-", label).strip("-")


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's contents, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_files(paths: Iterable[Path]) -> str:
    """SHA-256 over names and contents of files, in the order given, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{Path(path).name}\0".encode())
        digest.update(bytes.fromhex(sha256_of_file(path)))
    return digest.hexdigest()


def sha256_of_tokens(tokens: Sequence[str]) -> str:
    """SHA-256 of a list of tokens, its order included, as 64 hexadecimal digits."""
    encoded = [token.encode() for token in tokens]
    framed = (part for data in encoded for part in (len(data).to_bytes(8, "little"), data))
    return hashlib.sha256(b"".join(framed)).hexdigest()
