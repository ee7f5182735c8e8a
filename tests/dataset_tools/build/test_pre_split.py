"""Building from histories that are split already."""

import pytest

from recbole_tema.dataset_tools.build.dataset import build_dataset
from recbole_tema.dataset_tools.build.leave_one_out import Filters
from recbole_tema.dataset_tools.raw.bad_rows import BadRowsError
from recbole_tema.formats import DatasetFiles, FormatError, read_histories, read_properties

HEAD = "user_id,item_id_list\n"
ITEMS = {"x": "item_id\nx1\nx2\nx3\n", "y": "item_id\ny1\ny2\n"}


def build(
    tmp_path,
    write,
    train="a,x1 y1 x2\na,x1  y1 y2\n",
    valid="b,x1 y1\n",
    test="c,x3 x2\n",
    **options,
):
    items = {name: write(f"{name}.csv", text) for name, text in ITEMS.items()}
    parts = {"train": train, "valid": valid, "test": test}
    splits = {name: write(f"{name}.csv.gz", HEAD + text) for name, text in parts.items()}
    return build_dataset("d", tmp_path / "out", **({"items": items, "splits": splits} | options))


def histories(folder, split: str) -> list[list[str]]:
    return read_histories(DatasetFiles(folder).split_inter(split)).to_numpy().tolist()


def test_the_last_item_is_the_target(tmp_path, write) -> None:
    folder = build(tmp_path, write).folder
    assert histories(folder, "train") == [["a", "x1 y1", "x2"], ["a", "x1 y1", "y2"]]
    assert histories(folder, "valid") == [["b", "x1", "y1"]]
    assert histories(folder, "test") == [["c", "x3", "x2"]]
    assert read_properties(DatasetFiles(folder).properties)["split"] == "pre_split"
    assert not DatasetFiles(folder).inter.exists()


def test_items_without_any_text_are_told(tmp_path, write) -> None:
    titles = write("titles.csv", "item_id,title\ny1,\ny2,Pen\n")
    items = {"x": write("bare.csv", ITEMS["x"]), "y": titles}
    report = build(tmp_path, write, items=items).report
    assert "WARNING: no item of x has a title, a description or categories" in report
    assert "no item of y" not in report


def test_max_length_keeps_the_last_items(tmp_path, write) -> None:
    folder = build(tmp_path, write, max_length=2).folder
    assert histories(folder, "train") == [["a", "y1", "x2"], ["a", "y1", "y2"]]


def test_json_lines_with_lists(tmp_path, write) -> None:
    lines = '{"user_id": 1, "item_id_list": ["x1", "y1"]}\n'
    splits = {split: write(f"{split}.jsonl", lines) for split in ("train", "valid", "test")}
    splits["train"] = write("t.jsonl", '{"user_id": 1, "item_id_list": "x1 x2"}\n')
    folder = build(tmp_path, write, splits=splits).folder
    assert histories(folder, "valid") == [["1", "x1", "y1"]]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a,x1\n", "history of fewer than two items"),
        ("a,\n", "history of fewer than two items"),
        ("a\n", "wrong number of columns"),
        (",x1 y1\n", "user_id: the id is missing"),
        ("a b,x1 y1\n", "user_id: the id holds a blank, tab or line break"),
        ("a,x1 gone y1\n", "history with an item that no items file has"),
    ],
)
def test_bad_rows(tmp_path, write, row: str, reason: str) -> None:
    train = "a,x1 y1\n" + row + "a,x2 y2\n"
    with pytest.raises(BadRowsError, match=reason) as caught:
        build(tmp_path, write, train=train)
    assert "train.csv.gz, line 3:" in str(caught.value)
    assert not (tmp_path / "out").exists()
    built = build(tmp_path, write, train=train, allow_bad_rows=True)
    assert built.bad_rows == {reason: 1}
    assert len(histories(built.folder, "train")) == 2


def test_an_unknown_item_is_named(tmp_path, write) -> None:
    with pytest.raises(BadRowsError, match="unknown = 'gone'"):
        build(tmp_path, write, valid="b,x1 gone\n")


@pytest.mark.parametrize("split", ["valid", "test"])
def test_a_target_that_the_user_trains_on_is_a_leak(tmp_path, write, split: str) -> None:
    # y2 is the last item of the second training row; x1 the first of both.
    for row in ("a,x3 y2\n", "a,x3 x1\n"):
        with pytest.raises(FormatError, match=rf"1 of 2 {split} targets .* of user 'a'"):
            build(tmp_path, write, **{split: "b,x1 y1\n" + row})
    # Another user's training items, or an item trained on that is no target, are no leak.
    build(tmp_path, write, **{split: "b,x1 y2\na,x1 x3\n"})


def test_what_pre_split_data_need(tmp_path, write) -> None:
    with pytest.raises(FormatError, match="no test histories"):
        build(tmp_path, write, test="")
    with pytest.raises(FormatError, match="need --items for each domain"):
        build(tmp_path, write, items={})
    with pytest.raises(FormatError, match="need all three"):
        build(tmp_path, write, splits={"train": write("t.csv", HEAD)})
    with pytest.raises(FormatError, match="filters are for leave-one-out"):
        build(tmp_path, write, filters=Filters(min_item=2))
    with pytest.raises(FormatError, match="--max-length must be 2 or more"):
        build(tmp_path, write, max_length=1)
    with pytest.raises(FormatError, match="either --domain files, or --train"):
        build(tmp_path, write, domains={"x": write("x.csv", HEAD)})


@pytest.mark.parametrize("allow", [False, True])
def test_fatal_whatever_is_allowed(tmp_path, write, allow: bool) -> None:
    empty = {"x": write("x.csv", ITEMS["x"]), "z": write("z.csv", "item_id\n")}
    rows = dict.fromkeys(("train",), "a,x1 x2\n") | {"valid": "b,x1 x2\n", "test": "b,x1 x2\n"}
    with pytest.raises(FormatError, match="the domain z is empty: no items in the files"):
        build(tmp_path, write, items=empty, allow_bad_rows=allow, **rows)
    both = {"x": write("x.csv", ITEMS["x"]), "y": write("z.csv", "item_id\nx2\ny1\ny2\n")}
    with pytest.raises(FormatError, match="in two domains, such as 'x2'"):
        build(tmp_path, write, items=both, allow_bad_rows=allow)
