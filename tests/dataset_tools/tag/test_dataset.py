"""Tags from categories, titles and answers."""

import json
import math
import re
from pathlib import Path

import pytest

from recbole_tema.dataset_tools.tag.categories import inverse_frequency
from recbole_tema.dataset_tools.tag.dataset import tag_dataset
from recbole_tema.formats import DatasetFiles, FormatError, read_items, read_tags


def tags_of(folder: Path) -> dict[str, dict[str, float]]:
    files = DatasetFiles(folder)
    return read_tags(files.tags, read_items(files.items)["item_id"].tolist())


def test_inverse_frequency_by_hand() -> None:
    # Three items with tags: "art" is on all three, in two spellings, "pen" on one.
    weights = inverse_frequency([["Arts"], ["art", "Pen"], ["Art"], []])
    assert weights == pytest.approx({"art": math.log(2) / math.log(4), "pen": 1.0})


def test_categories_and_attributes_of_the_small_data_set(small: Path) -> None:
    report = tag_dataset(small)
    tags = tags_of(small)
    # "bag" ends titles that begin with cotton, red and paper; cotton, wool and paper are materials.
    # "12 oz" is on one item only.
    assert set(tags["x1"]) == {"Bags", "kind: bag", "material: cotton", "colour: red"}
    assert set(tags["x2"]) == set(tags["x1"])
    assert tags["x4"] == {}
    assert "Paper" in tags["y1"]
    assert all(0 < score <= 1 for own in tags.values() for score in own.values())
    assert re.search(r"^x +4 +1 ", report, re.MULTILINE)
    # Domains, types: "kind: bag" is on two items of x and one of y.
    assert re.search(r"^kind +1 +1 +3$", report, re.MULTILINE)
    assert "most frequent kind: bag (3)" in report


def test_categories_alone(small: Path) -> None:
    report = tag_dataset(small, sources=["categories"], min_items=1)
    assert not re.search("^type ", report, re.MULTILINE)
    tags = tags_of(small)
    assert set(tags["x1"]) == {"Bags", "Arts & Crafts"}
    assert set(tags["x3"]) == {"Yarn"}
    # Of the six items with categories two have Bags, three Paper.
    assert tags["x2"] == {"Bags": pytest.approx(0.5 + 0.5 * math.log(4) / math.log(7), abs=1e-4)}


def responses(write, rows: list[tuple[object, object]], extra: str = "") -> Path:
    lines = [json.dumps({"item_id": i, "model": "m", "content": c}) for i, c in rows]
    return write("answers.jsonl.gz", "\n".join(lines) + "\n" + extra)


def test_answers_are_read_and_the_rest_kept_for_retry(small: Path, write) -> None:
    path = responses(
        write,
        [
            ("x1", '["Bags", "Arts"]'),
            ("x2", '["bag", "Arts", "Once"]'),
            ("x3", "I cannot say \ud83d"),
            ("y1", '["Arts"]'),
            ("y2", "nan"),
            ("y2", '["Arts", "Bags"]'),
            ("gone", '["Arts"]'),
            (None, '["Arts"]'),
        ],
        extra="{not json\n",
    )
    report = tag_dataset(small, responses=path)
    tags = tags_of(small)
    # Four items have tags: "arts" on four weighs log 2 / log 5, "bag" on three log 7/3 / log 5.
    assert tags["x1"] == {
        "Bags": pytest.approx(math.log1p(4 / 3) / math.log(5), abs=1e-4),
        "Arts": pytest.approx(math.log(2) / math.log(5), abs=1e-4),
    }
    assert set(tags["x2"]) == {"Bags", "Arts"}
    assert tags["x3"] == tags["x4"] == tags["y3"] == {}
    retry = [json.loads(line) for line in DatasetFiles(small).tags_retry.read_text().splitlines()]
    assert retry == [
        {
            "stage": "responses",
            "item_id": "x3",
            "reason": "refusal",
            "content": "I cannot say \ud83d",
        },
        {
            "stage": "responses",
            "item_id": "x4",
            "reason": "no answer for this item",
            "content": None,
        },
        {
            "stage": "responses",
            "item_id": "y3",
            "reason": "no answer for this item",
            "content": None,
        },
    ]
    for line in (
        "8 answers: tags of 4 of 7 items",
        "2 × no answer for this item",
        "1 × refusal",
        "1 × answer for an item that the data set does not have",
        "1 × answer without item_id",
        "1 × not a JSON object",
        "1 × answer that a later one of the same item replaces",
        "3 items to ask again",
    ):
        assert line in report


def test_a_full_set_of_answers_leaves_no_retry_file(small: Path, write) -> None:
    ids = read_items(DatasetFiles(small).items)["item_id"]
    DatasetFiles(small).tags_retry.write_text("old")
    tag_dataset(small, responses=responses(write, [(item, '["Arts"]') for item in ids]))
    assert not DatasetFiles(small).tags_retry.exists()


def test_both_sources(small: Path, write) -> None:
    path = responses(write, [("x1", '["Gift", "Bags"]'), ("x3", '["Gift", "Yarn"]')])
    tag_dataset(small, responses=path, sources=["responses", "categories"])
    tags = tags_of(small)
    assert set(tags["x1"]) == {"Gift", "Bags"}
    assert set(tags["x2"]) == {"Bags"}
    assert set(tags["x3"]) == {"Gift"}


def test_settings_that_do_not_go_together(small: Path, write) -> None:
    with pytest.raises(FormatError, match="go together"):
        tag_dataset(small, sources=["responses"])
    with pytest.raises(
        FormatError, match="expected some of proposals, categories, attributes, resp"
    ):
        tag_dataset(small, sources=["magic"])
    with pytest.raises(FormatError, match="must be 1 or more"):
        tag_dataset(small, max_tags=0)
    with pytest.raises(FormatError, match="expected one of rules, embedding, llm"):
        tag_dataset(small, scorer="magic")
    with pytest.raises(FormatError, match="--encoder FOLDER"):
        tag_dataset(small, scorer="embedding")
    with pytest.raises(FormatError, match="--encoder FOLDER"):
        tag_dataset(small, encoder="somewhere")
    for expand, scorer, encoder in ((1, "rules", None), (-1, "embedding", "somewhere")):
        with pytest.raises(FormatError, match="--expand N"):
            tag_dataset(small, scorer=scorer, encoder=encoder, expand=expand)
    with pytest.raises(FormatError, match="no answers in it"):
        tag_dataset(small, responses=write("empty.jsonl", ""))


def test_an_encoder_that_cannot_be_opened_is_told_by_its_option(small: Path) -> None:
    nothing = str(small.parent)
    with pytest.raises(FormatError, match=f"^--encoder {nothing}: neither a folder with"):
        tag_dataset(small, scorer="embedding", encoder=nothing)


def test_items_without_a_text_give_no_tags(textless: Path, write) -> None:
    with pytest.raises(FormatError, match="nothing that tags could be made of; build the data set"):
        tag_dataset(textless)
    # Answers that are there already need no texts.
    tag_dataset(textless, responses=responses(write, [(i, '["Arts"]') for i in ("x1", "y1")]))
    assert [set(own) for own in tags_of(textless).values()] == [{"Arts"}, set(), {"Arts"}]


def test_answers_of_another_data_set_leave_the_tags_as_they_are(small: Path, write) -> None:
    tag_dataset(small)
    before = DatasetFiles(small).tags.read_bytes()
    with pytest.raises(FormatError, match="no item would get a tag"):
        tag_dataset(small, responses=responses(write, [("nobody", '["Arts"]')]))
    assert DatasetFiles(small).tags.read_bytes() == before
