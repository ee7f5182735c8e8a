"""Atomic files: what is written comes back, for RecBole's reader too; refusals."""

from pathlib import Path

import pandas as pd
import pytest

from recbole_tema.formats import (
    FormatError,
    read_histories,
    read_interactions,
    read_items,
    write_histories,
    write_interactions,
    write_items,
)


def interactions(rows: list[tuple[str, str, float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])


def test_interactions_come_back_with_whole_times_written_without_a_fraction(tmp_path: Path) -> None:
    path = tmp_path / "d.inter"
    write_interactions(path, interactions([("u1", "007", 1381536001), ("u2", "1e5", 5)]))
    assert path.read_text() == (
        "user_id:token\titem_id:token\ttimestamp:float\nu1\t007\t1381536001\nu2\t1e5\t5\n"
    )
    back = read_interactions(path)
    assert back.to_numpy().tolist() == [["u1", "007", 1381536001.0], ["u2", "1e5", 5.0]]
    assert back["timestamp"].dtype == "float64"


def test_fractional_times_come_back_exactly(tmp_path: Path) -> None:
    path = tmp_path / "d.inter"
    times = [0.1, 1381536000.123456, 3.0]
    write_interactions(path, interactions([("u", "i", time) for time in times]))
    assert read_interactions(path)["timestamp"].tolist() == times


def test_other_columns_of_a_recbole_file_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "d.inter"
    path.write_text("item_id:token\trating:float\tuser_id:token\ttimestamp:float\ni\t3\tu\t7\n")
    assert read_interactions(path).to_numpy().tolist() == [["u", "i", 7.0]]


HEADER = "user_id:token\titem_id:token\ttimestamp:float\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user_id:token\titem_id:token\nu\ti\n", "line 1: no column timestamp:float"),
        ("user_id:token\titem_id\ttimestamp:float\n", "expected 'item_id:token'"),
        (HEADER + "u\ti\t1\nu\t\t1\n", "line 3: no value"),
        (HEADER + "u\ti\n", "line 2: no value for timestamp"),
        (
            "user_id:token\titem_id:token\ttimestamp:float\nu\ti\t1\nu\ti\tx\n",
            "line 3: timestamp 'x'",
        ),
        (HEADER + "u\ti\tinf\n", "line 2: timestamp 'inf'"),
        (HEADER + "u\ti\t1\t9\n", "line 2 has more fields"),
        (HEADER + "u\ti\t1\nu\ti\t1\t9\n", "line 3, saw 4"),
        (HEADER + "\nu\ti\t1\n", "line 2: no value"),
        ("user_id:token\tuser_id:token\titem_id:token\ttimestamp:float\n", "twice"),
    ],
)
def test_damaged_interactions_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "d.inter"
    path.write_text(text)
    with pytest.raises(FormatError, match=message):
        read_interactions(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no such file"):
        read_items(tmp_path / "d.item")


@pytest.mark.parametrize("bad", ["", "a b", "a\tb", "NA", "nan", "None"])
def test_ids_that_would_not_come_back_are_refused(tmp_path: Path, bad: str) -> None:
    with pytest.raises(FormatError):
        write_interactions(tmp_path / "d.inter", interactions([("u", bad, 1)]))
    assert list(tmp_path.iterdir()) == []


def test_histories_come_back(tmp_path: Path) -> None:
    path = tmp_path / "d.train.inter"
    frame = pd.DataFrame(
        [("u", "1 2 3", "4"), ("u", "5", "6")], columns=["user_id", "item_id_list", "item_id"]
    )
    write_histories(path, frame)
    assert path.read_text().startswith("user_id:token\titem_id_list:token_seq\titem_id:token\n")
    pd.testing.assert_frame_equal(read_histories(path), frame)


def test_items_come_back_with_quotes_and_without_empty_columns(tmp_path: Path) -> None:
    path = tmp_path / "d.item"
    frame = pd.DataFrame(
        {
            "item_id": ["b", "a", "c"],
            "domain": ["x", "x", "y"],
            "title": ['12" "pan"', "", "a\tb\nc"],
            "description": ["", "", ""],
        }
    )
    write_items(path, frame)
    assert path.read_text().splitlines()[0] == "item_id:token\tdomain:token\ttitle:token_seq"
    back = read_items(path)
    assert back["item_id"].tolist() == ["b", "a", "c"]
    assert back["title"].tolist() == ['12" "pan"', "", "a b c"]
    assert back["image"].tolist() == ["", "", ""]
    # RecBole reads with pandas' Python engine.
    recbole = pd.read_csv(path, delimiter="\t", dtype=str, engine="python")
    assert recbole["title:token_seq"].fillna("").tolist() == ['12" "pan"', "", "a b c"]


def test_items_twice_and_without_domain_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.item"
    path.write_text("item_id:token\tdomain:token\na\tx\nb\tx\na\ty\n")
    with pytest.raises(FormatError, match="line 4: item 'a' stands on line 2"):
        read_items(path)
    path.write_text("item_id:token\tdomain:token\na\tx\nb\t\n")
    with pytest.raises(FormatError, match="line 3: no value for domain"):
        read_items(path)


def test_a_text_too_long_for_recbole_is_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame({"item_id": ["a"], "domain": ["x"], "title": ["t" * 131_001]})
    with pytest.raises(FormatError, match="131,001 characters"):
        write_items(tmp_path / "d.item", frame)
