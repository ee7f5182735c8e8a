"""Raw rows that cannot be used: counted and named, never dropped in silence."""

import csv
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from recbole_tema.formats import FormatError, atomic_write

from ..wording import counted

EXAMPLES = 3
CONTENT_LENGTH = 200
SPOOL_BYTES = 1 << 20


class BadRowsError(FormatError):
    """Rows cannot be used and nobody allowed to leave them out; the text is the whole report."""


class BadRows:
    """The bad rows of one build, in the order in which they were found: where a row starts (file
    and line, from 1), why it is bad, what it holds.

    There may be as many as a file has rows, so all but some examples wait in a temporary file.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}
        self._spool = tempfile.SpooledTemporaryFile(  # noqa: SIM115 (as long as this object)
            SPOOL_BYTES, "w+", encoding="utf-8", newline=""
        )
        self._writer = csv.writer(self._spool)

    def __len__(self) -> int:
        return self._counts.total()

    def add(self, path: Path, line: int, reason: str, content: str) -> None:
        # Damaged bytes could be neither printed nor written.
        shown = content[:CONTENT_LENGTH].encode(errors="backslashreplace").decode()
        self._counts[reason] += 1
        examples = self._examples.setdefault(reason, [])
        if len(examples) < EXAMPLES:
            examples.append(f"{path}, line {line}: {shown}")
        self._writer.writerow([path, line, reason, shown])

    def take(
        self, path: Path, frame: pd.DataFrame, bad: np.ndarray, reason: str, column: str
    ) -> pd.DataFrame:
        """Note the rows of ``frame`` where ``bad`` (n,) holds; return the others.

        ``frame`` has a column ``line``; what ``column`` holds is shown.
        """
        if not bad.any():
            return frame
        for line, content in frame.loc[bad, ["line", column]].itertuples(index=False):
            self.add(path, line, reason, f"{column} = {content!r}")
        return frame[~bad].reset_index(drop=True)

    def counts(self) -> dict[str, int]:
        """Number of bad rows of each reason, most frequent first."""
        return dict(self._counts.most_common())

    def report(self) -> str:
        """The number of rows and the first examples of each reason."""
        lines = []
        for reason, number in self.counts().items():
            lines.append(f"  {number:,} × {reason}")
            lines += [f"      {example}" for example in self._examples[reason]]
        return "\n".join(lines)

    def stop_unless(self, allowed: bool) -> None:
        """Raise BadRowsError with the report when there are bad rows that are not allowed."""
        if len(self) and not allowed:
            raise BadRowsError(
                f"{counted(len(self), 'bad row')}, nothing was written:\n{self.report()}\n"
                "Mend them, or leave them out with --allow-bad-rows"
            )

    def write(self, path: Path) -> None:
        """Write all rows as CSV: file, line, reason, content."""
        with atomic_write(path) as beside, open(beside, "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerow(["file", "line", "reason", "content"])
            self._spool.seek(0)
            shutil.copyfileobj(self._spool, file)
