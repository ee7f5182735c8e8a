"""Tag files: round trip, vocabulary, refusals."""

from pathlib import Path

import pytest

from recbole_tema.formats import FormatError, read_tags, tag_vocabulary, write_tags

TAGS = {"2": {"Quilting": 1.0, "Größe L": 0.8}, "1": {}, "3": {"Quilting": 0.0}}


def test_tags_come_back_in_order_one_readable_line_an_item(tmp_path: Path) -> None:
    path = tmp_path / "d.tags.jsonl"
    write_tags(path, TAGS)
    assert path.read_text().splitlines()[0] == (
        '{"item_id": "2", "tags": {"Quilting": 1.0, "Größe L": 0.8}}'
    )
    back = read_tags(path, ["1", "2", "3"])
    assert back == TAGS
    assert list(back) == ["2", "1", "3"]


def test_vocabulary_is_sorted_and_distinct() -> None:
    assert tag_vocabulary(TAGS) == ["Größe L", "Quilting"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not a JSON line"),
        ("", "line 2: not a JSON line"),
        ("[1]", "line 2: expected"),
        ('{"item_id": 3, "tags": {}}', "line 2: expected"),
        ('{"item_id": "3", "tags": ["a"]}', "line 2: expected"),
        ('{"item_id": "1", "tags": {}}', "line 2: item '1' has a line above"),
        ('{"item_id": "3", "tags": {"a": 1.5}}', "tag 'a' has score 1.5"),
        ('{"item_id": "3", "tags": {"a": NaN}}', "tag 'a' has score nan"),
        ('{"item_id": "3", "tags": {"a": true}}', "tag 'a' has score True"),
        ('{"item_id": "3", "tags": {" ": 1}}', "' ' is no tag"),
    ],
)
def test_damaged_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "d.tags.jsonl"
    path.write_text('{"item_id": "1", "tags": {}}\n' + line + "\n")
    with pytest.raises(FormatError, match=message):
        read_tags(path)


def test_tags_of_another_data_set_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.tags.jsonl"
    write_tags(path, TAGS)
    with pytest.raises(FormatError, match=r"1 items that it .*'3'.*, 1 items without"):
        read_tags(path, ["1", "2", "4"])


def test_bad_scores_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="score -1"):
        write_tags(tmp_path / "t", {"1": {"a": -1.0}})
    assert list(tmp_path.iterdir()) == []
