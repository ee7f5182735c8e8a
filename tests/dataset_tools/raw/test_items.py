"""Items: lines of one item merged, images found, texts mended."""

import pandas as pd
import pytest

from recbole_tema.dataset_tools.raw.bad_rows import BadRows
from recbole_tema.dataset_tools.raw.items import (
    Mended,
    clean_items,
    refuse_shared_items,
    stage_items,
)
from recbole_tema.dataset_tools.raw.source import Source
from recbole_tema.dataset_tools.raw.store import Store, open_store
from recbole_tema.formats import FormatError


@pytest.fixture
def store():
    with open_store() as opened:
        yield opened


def stage(store: Store, domain: int, path) -> None:
    bad = BadRows()
    stage_items(store, domain, Source(path), {}, bad, Mended())
    assert not len(bad)


def clean(store: Store, names, folders, images, only) -> tuple[pd.DataFrame, Mended]:
    mended = Mended()
    return clean_items(store, names, folders, images, only, mended), mended


def test_lines_of_one_item_are_merged(store, write) -> None:
    lines = [
        "{'asin': 'B2', 'title': 'Tea'}",
        "{'asin': 'B1', 'title': 'nan', 'categories': [['Home']]}",
        "{'asin': 'B2', 'title': 'Another', 'description': 'Green &amp; good', 'imUrl': 'u'}",
        "{'asin': 'B1', 'title': '<b>Pot</b>', 'categories': [['Away']]}",
        "{'asin': 'B2', 'title': 'Third', 'description': 'Last'}",
    ]
    stage(store, 0, write("x", "\n".join(lines)))
    items, mended = clean(store, ["x"], {}, {}, None)
    assert items.to_numpy().tolist() == [
        ["B2", "x", "Tea", "Green & good", "", "u"],
        ["B1", "x", "Pot", "", "Home", ""],
    ]
    assert (mended.merged, mended.filled) == (3, 2)
    assert "3 lines of items that have an earlier line: merged (2 filled" in mended.report()
    assert "1 text with HTML tags: tags taken out" in mended.report()


def test_only_the_items_that_stay_in_file_order(store, write) -> None:
    stage(store, 0, write("x", "item_id\nx3\nx1\nx2\nx1\n"))
    stage(store, 1, write("y", "item_id\ny2\ny1\n"))
    items, mended = clean(store, ["x", "y"], {}, {}, pd.Series(["y1", "x2", "x3"]))
    assert items["item_id"].tolist() == ["x3", "x2", "y1"]
    assert items["domain"].tolist() == ["x", "x", "y"]
    assert mended.merged == 0
    assert mended.report() == ""


def test_features_stand_in_for_a_description(store, write) -> None:
    lines = [
        '{"parent_asin": "B1", "description": [], "features": ["Soft.", "Red."], "images": []}',
        '{"parent_asin": "B2", "description": ["Own."], "features": ["Soft."], "title": null}',
    ]
    stage(store, 0, write("x", "\n".join(lines)))
    items, _ = clean(store, ["x"], {}, {}, None)
    assert items["description"].tolist() == ["Soft. Red.", "Own."]


def test_images_that_the_file_names_and_those_of_a_folder(store, write, tmp_path) -> None:
    (tmp_path / "raw" / "shots").mkdir(parents=True)
    named = write("shots/own.jpg", "jpg")
    path = write("x", "item_id,image\nx1,shots/own.jpg\nx2,http://a/b.jpg?c=d&amp;e\nx3,no.jpg\n")
    stage(store, 0, path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x3.JPEG").write_text("jpg")
    folders, images = {"x": path.parent}, {"x": tmp_path / "folder"}
    items, _ = clean(store, ["x"], folders, images, None)
    assert items["image"].tolist() == [
        str(named),
        "http://a/b.jpg?c=d&e",
        str(tmp_path / "folder" / "x3.JPEG"),
    ]
    with pytest.raises(FormatError, match="none: no such folder"):
        clean(store, ["x"], folders, {"x": tmp_path / "none"}, None)


def test_an_item_of_two_domains(store, write) -> None:
    stage(store, 0, write("x", "item_id\nx1\nboth\nx1\n"))
    refuse_shared_items(store, ["x", "y"])
    stage(store, 1, write("y", "item_id\nboth\n"))
    with pytest.raises(FormatError, match="1 item stands in two domains, such as 'both' in x and"):
        refuse_shared_items(store, ["x", "y"])
