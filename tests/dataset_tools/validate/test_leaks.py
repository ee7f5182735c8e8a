"""Histories that come split."""

import re

import pytest

from recbole_tema.formats import (
    DatasetFiles,
)
from tests.dataset_tools.validate.breaks import (
    add,
    check,
    edit,
    remove,
)

SPLIT_PROBLEMS = {
    "no test part": (remove("test.inter"), "interactions", "split.test.inter: no such file"),
    "unknown item": (
        edit("test.inter", "x3 y3 x1", "x3 y9 x1"),
        "interactions",
        r"split.test.inter, line 2: 1 item without a line in the items file, 'y9'",
    ),
    "empty part": (
        lambda files: files.split_inter("valid").write_text(
            "user_id:token\titem_id_list:token_seq\titem_id:token\n"
        ),
        "interactions",
        "split.valid.inter: no histories",
    ),
    "target the user trains on": (
        edit("test.inter", "e\t", "a\t"),
        "leaks",
        "1 of 2 test targets stands in a training history of the same user, such as item 'y1'",
    ),
    "case of another user in train": (
        edit("test.inter", "f\tx1 x2 x3 y1 y2\ty3", "f\tx1 y1 x3 y2\tx2"),
        "leaks",
        "1 of 2 test histories stands, target included, .* such as that of user 'f'",
    ),
}


@pytest.mark.parametrize("name", SPLIT_PROBLEMS)
def test_each_problem_of_split_histories(name: str, split: DatasetFiles) -> None:
    broken, expected, message = SPLIT_PROBLEMS[name]
    broken(split)
    problems, warnings = check(split)
    assert [check for check, _ in problems] == [expected]
    assert re.search(message, problems[0][1])
    assert warnings == []


SPLIT_WARNINGS = {
    "history twice": (
        add("train.inter", "b\ty1 x2 y2 x1\tx3"),
        "duplicates",
        "line 4: the same user, history and last item",
    ),
    "history of another user in train": (
        edit("valid.inter", "d\ty3 x1 y2 x3 y1\tx2", "d\tx1 y1 x3 y2\ty1"),
        "leaks",
        "1 of 2 valid histories stands, without the target, .* such as that of user 'd'",
    ),
    "case in valid and test": (
        edit("valid.inter", "d\ty3 x1 y2 x3 y1\tx2", "d\tx1 x2 x3 y1 y2\ty3"),
        "leaks",
        "1 history stands in both valid and test",
    ),
    "item that nobody used": (
        add("item", "y4\ty\t\t"),
        "interactions",
        "1 item that nobody used, such as 'y4'",
    ),
}


@pytest.mark.parametrize("name", SPLIT_WARNINGS)
def test_each_warning_of_split_histories(name: str, split: DatasetFiles) -> None:
    odd, expected, message = SPLIT_WARNINGS[name]
    if name == "item that nobody used":
        for path in split.folder.glob("*.*"):
            if path.suffix in (".safetensors", ".jsonl"):
                path.unlink()
    odd(split)
    problems, warnings = check(split)
    assert problems == []
    assert [check for check, _ in warnings] == [expected]
    assert re.search(message, warnings[0][1])
