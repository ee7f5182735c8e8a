"""The store of answers: what is kept, who may ask, and files that are no store."""

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from recbole_tema.dataset_tools.llm.request import Reply
from recbole_tema.dataset_tools.llm.store import Answer, Store, question_key
from recbole_tema.formats import FormatError

ANSWER = Answer(Reply("yes\0\n", 10, 5, {"yes": 0.75, "no": 0.25}, cut=True), 1.5, 0.02, "EUR")


def test_answers_come_back_as_they_were_kept_and_in_order(store_path, question) -> None:
    refused = Answer(Reply("", 1, 0), refused="content filter")
    with Store(store_path) as store:
        assert store.attempts("k") == []
        store.add("k", "m", question("a"), 0.5, ANSWER)
        store.add("k", "m", question("a"), 0.5, refused)
        store.add("other", "m", question("b"), 0.5, ANSWER)
    with Store(store_path) as store:
        assert store.attempts("k") == [ANSWER, refused]
        assert store.has("k")
        assert not store.has("j")


def test_what_makes_another_question(question) -> None:
    base = question("a")
    key = question_key("m", base, 0.0)
    assert question_key("m", question("a", stage="other", subject="b"), 0.0) == key
    others = [
        question_key("n", base, 0.0),
        question_key("m", base, 0.1),
        question_key("m", question("b"), 0.0),
        question_key("m", question("a", prompt="test-2"), 0.0),
        question_key("m", question("a", max_tokens=51), 0.0),
        question_key("m", question("a", schema={}), 0.0),
        question_key("m", question("a", choices=("yes", "no")), 0.0),
        question_key("m", question("a", messages=(("system", "a"),)), 0.0),
    ]
    assert len({key, *others}) == 9


def test_one_claims_what_another_may_not(store_path) -> None:
    with Store(store_path) as one, Store(store_path) as other:
        assert one.claim("k", 60)
        assert one.claim("k", 60)
        assert not other.claim("k", 60)
        assert other.claim("j", 60)
        other.release("k")
        assert not other.claim("k", 60)
        one.release("k")
        assert other.claim("k", 60)


def test_claims_end_when_they_are_not_renewed(store_path) -> None:
    with Store(store_path) as one, Store(store_path) as other:
        assert one.claim("k", -1)
        one.renew(60)
        assert not other.claim("k", 60)
        one.renew(-1)
        assert other.claim("k", 60)


def test_claims_end_with_the_store_and_with_the_process(store_path) -> None:
    with Store(store_path) as one:
        assert one.claim("k", 60)
    with Store(store_path) as other:
        assert other.claim("k", 60)
        other.release("k")
        program = (
            "import os, sys; from pathlib import Path\n"
            "from recbole_tema.dataset_tools.llm.store import Store\n"
            "Store(Path(sys.argv[1])).claim('k', 600); os._exit(9)"
        )
        assert subprocess.run([sys.executable, "-c", program, str(store_path)]).returncode == 9
        with closing(sqlite3.connect(store_path)) as database:
            assert database.execute("SELECT COUNT(*) FROM claims").fetchone() == (1,)
        assert other.claim("k", 60)


def test_many_writers_at_once(store_path, question) -> None:
    """Eight stores write to one new file; each of 40 keys is claimed by one of them."""
    claimed: list[str] = []
    # A thread that fails must not leave the others waiting.
    start = threading.Barrier(8, timeout=60)

    def work() -> None:
        start.wait()
        with Store(store_path) as store:
            for key in map(str, range(40)):
                if store.claim(key, 60):
                    claimed.append(key)
                    store.add(key, "m", question(key), 0.0, ANSWER)
            start.wait()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed, key=int) == [str(at) for at in range(40)]
    with Store(store_path) as store:
        assert all(len(store.attempts(str(at))) == 1 for at in range(40))


def test_a_new_file_that_is_being_written_is_waited_for(store_path) -> None:
    """SQLite refuses to change it to a write-ahead log, and does so without waiting."""
    with closing(sqlite3.connect(store_path, isolation_level=None, check_same_thread=False)) as db:
        db.execute("BEGIN IMMEDIATE")
        other = threading.Timer(0.3, lambda: db.execute("COMMIT"))
        other.start()
        try:
            with Store(store_path) as store:
                assert store.claim("k", 60)
        finally:
            other.join()


def test_a_new_file_that_stays_locked_is_not_waited_for_for_ever(store_path, monkeypatch) -> None:
    monkeypatch.setattr("recbole_tema.dataset_tools.llm.store.BUSY_SECONDS", 0.2)
    with closing(sqlite3.connect(store_path, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        with pytest.raises(FormatError, match="answers: database is locked"):
            Store(store_path)


def test_totals_by_stage(store_path, question) -> None:
    with Store(store_path) as store:
        for key, attempt in (("a", "x"), ("a", "x"), ("b", "x"), ("c", "y")):
            store.add(key, "m", question(key, stage=attempt), 0.0, ANSWER)
        store.add("d", "m", question("d", stage="y"), 0.0, Answer(Reply("", 1, 2)))
        totals = store.totals()
        assert store.mean_output("y", "m") == (2, 3.5)
        assert store.mean_output("y", "n") == (0, 0.0)
    x, y = totals["x"], totals["y"]
    assert (x.requests, x.asked, x.input_tokens, x.output_tokens) == (2, 3, 30, 15)
    assert x.cost == pytest.approx(0.06)
    assert (y.asked, y.cost) == (2, None)


def test_an_absent_store_that_is_only_looked_at(store_path) -> None:
    with Store(store_path, create=False) as store:
        assert not store.has("k")
    assert not store_path.exists()


def fill(path: Path, question) -> None:
    with Store(path) as store:
        for at in range(200):
            store.add(str(at), "m", question("a"), 0.0, Answer(Reply("text " * 50, 1, 1)))


@pytest.mark.parametrize("damage", ["cut", "overwritten", "text"])
def test_a_damaged_store_says_so(store_path, question, damage) -> None:
    fill(store_path, question)
    data = store_path.read_bytes()
    store_path.write_bytes(
        {
            "cut": data[: len(data) // 2],
            "overwritten": data[:4096] + b"\xff" * 8192 + data[12288:],
            "text": b"this is no database at all, but long enough to be one" * 100,
        }[damage]
    )
    with pytest.raises(FormatError, match=r"x.llm.sqlite: the store of answers is damaged"):
        Store(store_path)


def test_another_database_and_another_version(store_path, tmp_path: Path, question) -> None:
    with closing(sqlite3.connect(tmp_path / "other.sqlite")) as database:
        database.execute("CREATE TABLE answers (x)")
    with pytest.raises(FormatError, match="not a store of answers"):
        Store(tmp_path / "other.sqlite")
    fill(store_path, question)
    with closing(sqlite3.connect(store_path)) as database:
        database.execute("PRAGMA user_version = 7")
    with pytest.raises(FormatError, match="a store of version 7; this release reads 1"):
        Store(store_path)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder.sqlite").mkdir()
    with pytest.raises(FormatError, match="no use of the store of answers"):
        Store(tmp_path / "folder.sqlite")
