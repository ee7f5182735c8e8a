"""What is odd and no problem."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from recbole_tema.dataset_tools.images.index import INDEX, StoredImage, record_of
from recbole_tema.formats import (
    DatasetFiles,
    write_enriched,
)
from tests.dataset_tools.validate.breaks import (
    add,
    check,
    edit,
    tagged,
    vectors,
)
from tests.dataset_tools.validate.conftest import ITEMS, TAGS

WARNINGS = {
    "item that nobody used": (
        edit("inter", "y3", "y2"),
        "interactions",
        "1 item that nobody used",
    ),
    "row twice": (
        edit("inter", "a\ty1\t1001", "a\tx1\t1000"),
        "duplicates",
        r"line 3: the same user, item and time as a line above \(1 in all\)",
    ),
    "time before 1970": (edit("inter", "1000", "-5"), "interactions", "line 2: a time before 1970"),
    "too few interactions": (
        add("inter", "c\tx1\t5"),
        "interactions",
        "1 user with fewer than 3 interactions",
    ),
    "files of another split": (
        lambda files: files.split_inter("test").write_text(""),
        "files",
        "small.test.inter: is not read, as `split` is leave_one_out",
    ),
    "HTML as a title": (
        edit("item", "Title of x1", "<img src=x>"),
        "titles",
        r"line 2: HTML or script in the title '<img src=x>' \(1 in all\)",
    ),
    "entity in a title": (edit("item", "Title of x1", "Bags &amp; more"), "titles", "line 2"),
    "tag at one item": (
        tagged(y3={"rare": 0.5}),
        "tags",
        r"1 of 4 tags stands at one item only, 'rare'",
    ),
    "capitals": (
        tagged(y2={"Red": 0.5, "paper": 0.1}, y3={"Red": 0.1}),
        "tags",
        "by capitals only",
    ),
    "one score": (
        tagged(**{item: dict.fromkeys(own, 0.5) for item, own in TAGS.items()}),
        "tags",
        "every score is 0.5",
    ),
    "one text": (
        lambda files: write_enriched(files.enriched, dict.fromkeys(ITEMS, "Sorry")),
        "enriched",
        "6 items with one text, 'Sorry'",
    ),
    "one vector": (vectors("text", vectors=np.ones_like), "features", "all vectors are the same"),
    "title without a vector": (
        vectors("text", present=lambda own: np.arange(6) != 2),
        "features",
        "1 item with a title and no vector, such as 'x3'",
    ),
    "image without a vector": (
        vectors("image", present=lambda own: np.arange(6) != 4),
        "features",
        "1 item with an image and no vector, such as 'y2'",
    ),
    "other dimensions": (
        vectors("tag", vectors=lambda own: own[:, :3]),
        "features",
        "tag.safetensors has 3 dimensions and small.text.safetensors 4",
    ),
}


@pytest.mark.parametrize("name", WARNINGS)
def test_each_warning_is_told_and_is_no_problem(name: str, whole: DatasetFiles) -> None:
    odd, expected, message = WARNINGS[name]
    odd(whole)
    if name in ("tag at one item", "capitals"):
        whole.features("tag").unlink()
    problems, warnings = check(whole)
    assert problems == []
    assert [check for check, _ in warnings] == [expected]
    assert re.search(message, warnings[0][1])


def test_many_absent_vectors(whole: DatasetFiles) -> None:
    vectors("text", present=lambda own: np.arange(6) < 2)(whole)
    assert ("features", "small.text.safetensors: 66.7% of the vectors are absent") in check(whole)[
        1
    ]


def test_a_vector_of_an_image_that_no_item_names(whole: DatasetFiles) -> None:
    frame = pd.read_csv(whole.items, sep="\t", dtype=str)
    frame.loc[0, "image:token"] = ""
    frame.to_csv(whole.items, sep="\t", index=False)
    problems, warnings = check(whole)
    assert problems == []
    assert len(warnings) == 1
    assert "1 item with a vector and no image, such as 'x1'" in warnings[0][1]


def test_another_feature_file_of_a_kind_is_checked_too(whole: DatasetFiles) -> None:
    path = whole.features("text", "llm")
    path.write_bytes(whole.features("text").read_bytes())
    assert check(whole) == ([], [])
    path.write_bytes(b"text")
    assert "small.text_llm.safetensors: not a readable" in check(whole)[0][0][1]


def test_images_from_urls(whole: DatasetFiles) -> None:
    edit("item", str(whole.folder.parents[1] / "pictures" / "x1.png"), "http://shop/x1.png")(whole)
    problems, warnings = check(whole)
    assert problems == []
    assert warnings[0][1].startswith("1 of 1 image URL not fetched, such as that of 'x1'")

    sha256 = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"  # of "x"
    stored = StoredImage("x1", "X1.png", "http://shop/x1.png", sha256, 4, 4)
    whole.images.mkdir()
    (whole.images / INDEX).write_text(json.dumps(record_of(stored)) + "\n")
    (whole.images / "X1.png").write_bytes(b"x")
    assert check(whole) == ([], [])
    for damage in (lambda path: path.write_bytes(b"y"), lambda path: path.unlink()):
        damage(whole.images / "X1.png")
        problems, warnings = check(whole)
        assert [check for check, _ in problems] == ["images"]
        assert "1 fetched image is gone or changed, such as that of 'x1'" in problems[0][1]
    (whole.images / INDEX).write_text("{\n")
    assert "index.jsonl, line 1: not a JSON line" in check(whole)[0][0][1]
