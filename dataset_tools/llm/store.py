"""Every answer as it came, in one SQLite file, and who is asking what just now."""

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from recbole_tema.formats import FormatError

from .owner import is_gone, new_owner
from .request import Reply, Request
from .usage import Usage

APPLICATION = 0x54454D41
"""Stands in the file's header: a store of answers and no other database."""
VERSION = 1
BUSY_SECONDS = 60.0
BUSY_WAIT = 0.01
TABLES = """
CREATE TABLE answers (
    key TEXT NOT NULL,           -- SHA-256 of model, prompt, parameters and messages
    attempt INTEGER NOT NULL,    -- from 1
    stage TEXT NOT NULL,
    subject TEXT NOT NULL,
    model TEXT NOT NULL,
    prompt TEXT NOT NULL,
    parameters TEXT NOT NULL,    -- JSON
    text TEXT NOT NULL,          -- as it came
    probabilities TEXT,          -- JSON, of each choice
    cut INTEGER NOT NULL,        -- 1: ends where the longest answer does
    refused TEXT,                -- why there is no answer, such as a content filter
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    seconds REAL NOT NULL,
    cost REAL,                   -- NULL: the price was not known
    currency TEXT NOT NULL,
    answered_at TEXT NOT NULL,   -- UTC
    PRIMARY KEY (key, attempt)
) WITHOUT ROWID;
CREATE INDEX answers_stage ON answers (stage, model, output_tokens);
CREATE TABLE claims (
    key TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    expires REAL NOT NULL
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Answer:
    """What came for a question: a reply, and why it is none where the model refused."""

    reply: Reply
    seconds: float = 0.0
    cost: float | None = None
    currency: str = "USD"
    refused: str | None = None


def parameters_of(request: Request, temperature: float) -> dict[str, Any]:
    """What an answer depends on beside model, prompt and messages."""
    return {
        "max_tokens": request.max_tokens,
        "temperature": temperature,
        "schema": request.schema,
        "choices": list(request.choices),
    }


def question_key(model: str, request: Request, temperature: float) -> str:
    """SHA-256 of a question, as 64 hexadecimal digits; stage and subject are not part of it."""
    asked = [model, request.prompt, parameters_of(request, temperature), request.messages]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


class Store:
    """Answers by question; several processes of one machine may use the same file at once.

    An answer that was added is there after the process is killed. A claim says that a question is
    being asked; it ends with `release`, when its process is gone, or when it is not renewed.

    Args:
        path: the file, made when absent.
        create: False to leave an absent file so; it is then an empty store in memory.

    Raises:
        FormatError: here and in each call, when the file is damaged, no store of answers, or
            cannot be opened or written.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = Path(path)
        self.owner = new_owner()
        # The event loop's thread writes, the caller's reads.
        self._lock = threading.RLock()
        place = str(path) if create or self.path.exists() else ":memory:"
        if place != ":memory:":
            self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._speaking():
            self._db = sqlite3.connect(
                place, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release what is claimed and close the file."""
        try:
            with self._speaking():
                self._db.execute("DELETE FROM claims WHERE owner = ?", (self.owner,))
        finally:
            self._db.close()

    def attempts(self, key: str) -> list[Answer]:
        """The answers to a question, in the order in which they came."""
        with self._speaking():
            rows = self._db.execute(
                "SELECT text, input_tokens, output_tokens, probabilities, cut, seconds, cost, "
                "currency, refused FROM answers WHERE key = ? ORDER BY attempt",
                (key,),
            ).fetchall()
        return [
            Answer(
                Reply(text, taken, given, json.loads(told) if told else None, bool(cut)),
                seconds,
                cost,
                currency,
                refused,
            )
            for text, taken, given, told, cut, seconds, cost, currency, refused in rows
        ]

    def has(self, key: str) -> bool:
        with self._speaking():
            found = self._db.execute("SELECT 1 FROM answers WHERE key = ? LIMIT 1", (key,))
            return found.fetchone() is not None

    def add(
        self, key: str, model: str, request: Request, temperature: float, answer: Answer
    ) -> None:
        """Keep an answer, as the next attempt at its question."""
        reply = answer.reply
        told = None if reply.probabilities is None else json.dumps(dict(reply.probabilities))
        with self._speaking():
            self._db.execute(
                "INSERT INTO answers SELECT ?, 1 + COALESCE(MAX(attempt), 0), ?, ?, ?, ?, ?, ?, ?, "
                "?, ?, ?, ?, ?, ?, ?, ? FROM answers WHERE key = ?",
                (
                    key,
                    request.stage,
                    request.subject,
                    model,
                    request.prompt,
                    json.dumps(parameters_of(request, temperature), sort_keys=True),
                    reply.text,
                    told,
                    int(reply.cut),
                    answer.refused,
                    reply.input_tokens,
                    reply.output_tokens,
                    answer.seconds,
                    answer.cost,
                    answer.currency,
                    datetime.now(UTC).isoformat(timespec="seconds"),
                    key,
                ),
            )

    def claim(self, key: str, lease: float) -> bool:
        """Whether this store may ask a question now: nobody else is, for ``lease`` seconds."""
        now = time.time()
        with self._speaking(), self._transaction():
            row = self._db.execute("SELECT owner, expires FROM claims WHERE key = ?", (key,))
            owner, expires = row.fetchone() or (self.owner, 0.0)
            free = owner == self.owner or expires <= now or is_gone(owner)
            if free:
                self._db.execute(
                    "INSERT OR REPLACE INTO claims VALUES (?, ?, ?)", (key, self.owner, now + lease)
                )
        return free

    def renew(self, lease: float) -> None:
        """Hold all claims for ``lease`` seconds more."""
        with self._speaking():
            self._db.execute(
                "UPDATE claims SET expires = ? WHERE owner = ?", (time.time() + lease, self.owner)
            )

    def release(self, key: str) -> None:
        with self._speaking():
            self._db.execute("DELETE FROM claims WHERE key = ? AND owner = ?", (key, self.owner))

    def mean_output(self, stage: str, model: str) -> tuple[int, float]:
        """How many answers of a stage there are, and their mean number of tokens."""
        with self._speaking():
            count, mean = self._db.execute(
                "SELECT COUNT(*), AVG(output_tokens) FROM answers WHERE stage = ? AND model = ?",
                (stage, model),
            ).fetchone()
        return int(count), float(mean or 0.0)

    def totals(self) -> Mapping[str, Usage]:
        """By stage, what all its answers took, of all runs and models; questions as requests."""
        with self._speaking():
            rows = self._db.execute(
                "SELECT stage, COUNT(DISTINCT key), COUNT(*), SUM(input_tokens), "
                "SUM(output_tokens), CASE WHEN COUNT(cost) = COUNT(*) THEN SUM(cost) END, "
                "MAX(currency), SUM(seconds) FROM answers GROUP BY stage ORDER BY stage"
            ).fetchall()
        return {
            stage: Usage(
                requests=questions,
                asked=answers,
                input_tokens=taken,
                output_tokens=given,
                cost=cost,
                currency=currency,
                seconds=seconds,
            )
            for stage, questions, answers, taken, given, cost, currency, seconds in rows
        }

    def _prepare(self) -> None:
        # A write is complete in the log when the call returns; only the loss of power, not that of
        # the process, can take the last ones back.
        self._write_ahead()
        self._db.execute("PRAGMA synchronous = NORMAL")
        with self._transaction():
            (tables,) = self._db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
            if not tables:
                for statement in TABLES.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA application_id = {APPLICATION}")
                self._db.execute(f"PRAGMA user_version = {VERSION}")
        (application,) = self._db.execute("PRAGMA application_id").fetchone()
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION:
            raise FormatError(f"{self.path}: another database, not a store of answers")
        if version != VERSION:
            raise FormatError(
                f"{self.path}: a store of version {version}; this release reads {VERSION}"
            )
        (state,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if state != "ok":
            raise sqlite3.DatabaseError(state)

    def _write_ahead(self) -> None:
        """Keep the file by a write-ahead log; several stores may change a new file to it at once.

        This is where SQLite gives up at once instead of waiting for ``BUSY_SECONDS``.
        """
        until = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > until:
                    raise
                time.sleep(BUSY_WAIT)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """One thread at a time; what SQLite says becomes an error that names the file."""
        try:
            with self._lock:
                yield
        except sqlite3.OperationalError as error:
            raise FormatError(f"{self.path}: no use of the store of answers: {error}") from None
        except sqlite3.DatabaseError as error:
            raise FormatError(
                f"{self.path}: the store of answers is damaged ({error}); rescue what is left with "
                f"`sqlite3 {self.path.name} .recover | sqlite3 rescued.sqlite`, or move the file "
                "away to ask anew"
            ) from None
