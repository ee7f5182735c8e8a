"""Each way to break a data set, and the one reason that is told."""

import re

import pytest

from recbole_tema.formats import (
    DatasetFiles,
    write_enriched,
)
from tests.dataset_tools.validate.breaks import (
    add,
    check,
    edit,
    none,
    raw_nan,
    raw_token,
    remove,
    swapped,
    vectors,
    zeros,
)
from tests.dataset_tools.validate.conftest import ITEMS

PROBLEMS = {
    "no interactions": (remove("inter"), "interactions", r"small.inter: no such file"),
    "damaged table": (
        edit("inter", "a\tx1", "a\t"),
        "interactions",
        "line 2: no value for item_id",
    ),
    "time that is none": (
        edit("inter", "1000", "soon"),
        "interactions",
        "line 2: timestamp 'soon'",
    ),
    "bad user id": (
        edit("inter", "a\t", "a \t", times=-1),
        "ids",
        r"1 user id, such as 'a ': the id holds a blank",
    ),
    "order in time": (
        edit("inter", "1001", "1009"),
        "order",
        r"small.inter, line 4: an interaction of user 'a' is older .* \(1 in all\)",
    ),
    "unknown item": (
        add("inter", "a\tx9\t2000"),
        "interactions",
        r"line 12: 1 item without a line in the items file, 'x9', in 1 interaction",
    ),
    "domain that is not named": (
        edit("yaml", "- y", "- z"),
        "domains",
        r"line 5: 3 items of the domain 'y'; small.yaml names x, z",
    ),
    "three domains": (edit("yaml", "- y", "- y\n- z"), "domains", "expected two domains"),
    "item twice": (add("item", "x1\tx\tTitle\t"), "files", "line 8: item 'x1' stands on line 2"),
    "properties": (edit("yaml", "leave_one_out", "by_hand"), "files", "`split` must be"),
    "score above 1": (edit("tags.jsonl", "0.9", "1.9"), "tags", "'red' has score 1.9"),
    "score that is no number": (edit("tags.jsonl", "0.9", "NaN"), "tags", "'red' has score nan"),
    "tags of an unknown item": (
        add("tags.jsonl", '{"item_id": "x9", "tags": {}}'),
        "tags",
        r"1 item that the data set does not have, 'x9'",
    ),
    "item without tags line": (
        edit("tags.jsonl", '{"item_id": "y3", "tags": {}}\n', ""),
        "tags",
        r"1 item without a line, 'y3'",
    ),
    "tags line twice": (
        add("tags.jsonl", '{"item_id": "x1", "tags": {}}'),
        "tags",
        "line 7: item 'x1' has a line above",
    ),
    "enriched text of an unknown item": (
        add("enriched.jsonl", '{"item_id": "x9", "text": "Nine"}'),
        "enriched",
        r"1 item that the data set does not have, 'x9'",
    ),
    "item without enriched line": (
        edit("enriched.jsonl", '{"item_id": "x1", "text": "All about x1"}\n', ""),
        "enriched",
        r"1 item without a line, 'x1'",
    ),
    "enriched text that is none": (
        edit("enriched.jsonl", '"All about x1"', "null"),
        "enriched",
        "line 1: expected",
    ),
    "no enriched text at all": (
        lambda files: write_enriched(files.enriched, dict.fromkeys(ITEMS, "")),
        "enriched",
        "no item has a text",
    ),
    "features in another order": (
        vectors("text", tokens=swapped),
        "order",
        r"text.safetensors, row 0: the items of the data set in another order, 'x2' in place of",
    ),
    "features of other items": (
        vectors("text", tokens=lambda own: [*own[:-1], "y9"]),
        "features",
        r"no row of 1 item, 'y3'; rows of 1 unknown item, 'y9'",
    ),
    "checksum of the tokens": (raw_token, "features", "do not have the checksum"),
    "NaN": (raw_nan, "features", r"row 0 \(token 'x1'\): NaN or infinite, as 1 of 6"),
    "zeros marked present": (
        vectors("text", vectors=zeros),
        "features",
        r"row 1 \(token 'x2'\): a vector of zeros marked present \(1 in all\)",
    ),
    "no vector": (
        vectors("tag", present=none),
        "features",
        "tag.safetensors: no vector is present",
    ),
    "vectors of another kind": (
        vectors("text", into="image"),
        "features",
        "image.safetensors: holds text vectors, not image",
    ),
    "no feature file": (
        lambda files: files.features("text").write_bytes(b"text"),
        "features",
        "not a readable safetensors file",
    ),
    "tag without a vector": (
        vectors("tag", tokens=lambda own: [*own[:-1], "blue"]),
        "features",
        r"no vector of 1 of 3 tags, 'red'",
    ),
    "vectors of tags and no tags": (
        remove("tags.jsonl"),
        "features",
        "vectors of tags, but there are no tags",
    ),
    "image that is gone": (
        lambda files: (files.folder.parents[1] / "pictures" / "x2.png").unlink(),
        "images",
        r"small.item, line 3: no such image as '.*x2.png' \(1 item in all\)",
    ),
}

# A domain that nothing bears is one more problem.
MORE = {"three domains": 2, "domain that is not named": 2}

# Beside what is broken, these breaks leave something odd.
ALSO = {
    "tag without a vector": ["vectors of 1 tag that no item has, 'blue'"],
    "item twice": ["the other files were not checked"],
    "properties": ["the other files were not checked"],
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_each_problem_is_told_and_no_other(name: str, whole: DatasetFiles) -> None:
    broken, expected, message = PROBLEMS[name]
    broken(whole)
    problems, warnings = check(whole)
    assert len(problems) == MORE.get(name, 1)
    assert problems[0][0] == expected
    assert re.search(message, problems[0][1])
    also = ALSO.get(name, [])
    assert len(warnings) == len(also)
    assert all(text in found for text, (_, found) in zip(also, warnings, strict=True))


def test_a_domain_that_is_named_and_empty(whole: DatasetFiles) -> None:
    edit("yaml", "- y", "- z")(whole)
    assert check(whole)[0][1] == ("domains", "small.item: no items of the domain 'z'")


def test_all_problems_are_told(whole: DatasetFiles) -> None:
    edit("inter", "1001", "1009")(whole)
    add("inter", "a\tx9\t2000")(whole)
    edit("tags.jsonl", "0.9", "1.9")(whole)
    raw_nan(whole)
    (whole.folder.parents[1] / "pictures" / "x2.png").unlink()
    found = [check for check, _ in check(whole)[0]]
    assert found == ["interactions", "order", "images", "tags", "features"]
