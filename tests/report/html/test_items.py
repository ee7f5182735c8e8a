"""Titles, tags and pictures from the files of a data set."""

import base64
import io

import pandas as pd
import pytest
from PIL import Image

from recbole_tema.formats import DatasetFiles, FormatError, write_items, write_tags
from recbole_tema.report.html import read_cards
from recbole_tema.report.html.items import MOST_TAGS, PIXELS


@pytest.fixture
def files(tmp_path):
    files = DatasetFiles(tmp_path / "shop")
    rows = [
        ("a", "food", "Tea <b>", "pictures/a.png"),
        ("b", "food", "", "pictures/none.png"),
        ("c", "home", "Pan", "shop.item"),
        ("d", "home", "Lid", ""),
    ]
    columns = ["item_id", "domain", "title", "image"]
    write_items(files.items, pd.DataFrame(rows, columns=columns))
    folder = files.folder / "pictures"
    folder.mkdir()
    # Half of it see-through, red where not.
    picture = Image.new("RGBA", (400, 100), (255, 0, 0, 255))
    picture.paste((0, 0, 0, 0), (200, 0, 400, 100))
    picture.save(folder / "a.png")
    return files


def test_cards(files):
    scores = {f"tag{number}": number / 10 for number in range(9)}
    write_tags(files.tags, {"a": scores, "b": {}, "c": {}, "d": {"steel": 0.0, "new": 1.0}})
    cards = read_cards(files, {"a", "b", "d"})
    assert list(cards) == ["a", "b", "d"]
    assert cards["a"].title == "Tea <b>"
    assert cards["a"].tags == tuple(f"tag{8 - number}" for number in range(MOST_TAGS))
    assert cards["b"].title == "b (no title)"
    assert cards["d"].tags == ("new", "steel")
    assert (cards["d"].domain, cards["d"].picture) == ("home", "")


def test_a_picture_is_small_and_on_white(files):
    kind, data = read_cards(files, {"a"})["a"].picture.split(",")
    assert kind == "data:image/jpeg;base64"
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    assert picture.size == (PIXELS, PIXELS // 4)
    left, right = picture.getpixel((8, 8)), picture.getpixel((PIXELS - 8, 8))
    assert left[0] > 240
    assert max(left[1:]) < 15
    assert min(right) > 240


def test_what_is_no_picture_is_left_out(files):
    cards = read_cards(files, {"b", "c"})
    assert [card.picture for card in cards.values()] == ["", ""]
    assert [card.tags for card in cards.values()] == [(), ()]  # no file of tags


def test_a_broken_file_of_tags_costs_no_more_than_the_tags(files, caplog):
    files.tags.write_text("{", encoding="utf-8")
    assert read_cards(files, {"a"})["a"].title == "Tea <b>"
    assert "shows no tags: " in caplog.text
    assert "line 1: not a JSON line" in caplog.text


def test_a_broken_file_of_items_is_refused(files):
    files.items.write_text("item_id:token\n", encoding="utf-8")
    with pytest.raises(FormatError, match="no column domain:token"):
        read_cards(files, {"a"})
