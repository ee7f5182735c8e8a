"""Building from interactions: order, filters, every kind of bad row."""

import csv
import os
from pathlib import Path

import pytest

from recbole_tema.dataset_tools.build.dataset import build_dataset
from recbole_tema.dataset_tools.build.leave_one_out import Filters
from recbole_tema.dataset_tools.raw.bad_rows import BadRowsError
from recbole_tema.formats import (
    DatasetFiles,
    FormatError,
    read_interactions,
    read_items,
    read_properties,
)

HEAD = "user_id,item_id,timestamp\n"
X = "u,x1,5\nu,x2,1\nv,x1,3\nv,x2,3\nv,x3,3\n"
Y = "v,y1,3\nu,y1,5\nw,y1,1\nu,y2,1\nw,y2,2\nw,y3,3\n"


def rows(folder: Path) -> list[tuple[str, str, float]]:
    frame = read_interactions(DatasetFiles(folder).inter)
    return [(user, item, time) for user, item, time in frame.itertuples(index=False)]


def build(tmp_path, write, x: str = X, y: str = Y, **options):
    options.setdefault("items", {})
    return build_dataset(
        "d",
        tmp_path / "out",
        domains={"x": write("x.csv", HEAD + x), "y": write("y.csv.gz", HEAD + y)},
        **options,
    )


def test_equal_times_keep_first_domain_first_and_file_order(tmp_path, write) -> None:
    folder = build(tmp_path, write).folder
    # u: x2 and y2 at 1 (x is the first domain), x1 and y1 at 5; v: all at 3, in file order.
    assert rows(folder) == [
        ("u", "x2", 1),
        ("u", "y2", 1),
        ("u", "x1", 5),
        ("u", "y1", 5),
        ("v", "x1", 3),
        ("v", "x2", 3),
        ("v", "x3", 3),
        ("v", "y1", 3),
        ("w", "y1", 1),
        ("w", "y2", 2),
        ("w", "y3", 3),
    ]


def test_the_order_of_the_domains_decides_ties(tmp_path, write) -> None:
    built = build_dataset(
        "d",
        tmp_path,
        domains={
            "y": write("y.csv", HEAD + "u,y1,1\nu,y2,1\n"),
            "x": write("x.csv", HEAD + "u,x1,1\n"),
        },
        items={},
    )
    assert [item for _, item, _ in rows(built.folder)] == ["y1", "y2", "x1"]
    assert read_properties(DatasetFiles(built.folder).properties)["domains"] == ["y", "x"]


def test_a_long_run_of_equal_times_stays_stable(tmp_path, write) -> None:
    x = "".join(f"u,x{i},7\n" for i in range(1000))
    folder = build(tmp_path, write, x=x, y="u,y1,7\nu,y2,6\n").folder
    items = [item for _, item, _ in rows(folder)]
    assert items == ["y2", *(f"x{i}" for i in range(1000)), "y1"]


def test_items_of_interactions_in_order_of_appearance(tmp_path, write) -> None:
    items = read_items(DatasetFiles(build(tmp_path, write).folder).items)
    assert items["item_id"].tolist() == ["x1", "x2", "x3", "y1", "y2", "y3"]
    assert items["domain"].tolist() == ["x"] * 3 + ["y"] * 3


def test_items_file_texts_and_untouched_items(tmp_path, write) -> None:
    path = write(
        "items.csv",
        "item_id,title,categories,description\n"
        'x1,"Salt &amp; pepper,\n 12"" box",a b,\nx0,nan,,\nx2,,,\nx3,t\u00a0t,,d\n',
    )
    items = read_items(DatasetFiles(build(tmp_path, write, items={"x": path}).folder).items)
    assert items["item_id"].tolist() == ["x1", "x0", "x2", "x3", "y1", "y2", "y3"]
    assert items["title"].tolist()[:4] == ['Salt & pepper, 12" box', "", "", "t t"]
    assert items["categories"].tolist()[0] == "a b"
    assert items["description"].tolist()[3] == "d"


def test_members_of_a_category_list_become_tokens(tmp_path, write) -> None:
    path = write(
        "items.jsonl",
        '{"item_id": "x1", "categories": ["Arts, Crafts &amp; Sewing", "Yarn"], "price": {}}\n'
        '{"item_id": "x2", "categories": [["Home", "Tea pots"]], "title": null}\n\n'
        '{"item_id": "x3", "description": ["One.", "Two."]}\n',
    )
    items = read_items(DatasetFiles(build(tmp_path, write, items={"x": path}).folder).items)
    assert items["categories"].tolist()[:3] == ["Arts,_Crafts_&_Sewing Yarn", "Home Tea_pots", ""]
    assert items["description"].tolist()[2] == "One. Two."


def test_images_by_item_id(tmp_path, write) -> None:
    picture = write("x2.PNG", "png")
    write("x9.png", "png")
    folder = build(tmp_path, write, images={"x": picture.parent}).folder
    items = read_items(DatasetFiles(folder).items).set_index("item_id")
    assert items.loc["x2", "image"] == str(picture)
    assert items.loc["x1", "image"] == ""


def test_column_names_of_the_file(tmp_path, write) -> None:
    head = "asin,unixReviewTime,reviewerID,extra\n"
    built = build_dataset(
        "d",
        tmp_path,
        domains={
            "x": write("x.csv", head + "x1,1,u,-\nx2,2,u,-\n"),
            "y": write("y.jsonl", '{"asin": 7, "unixReviewTime": 1.5, "reviewerID": "u"}\n'),
        },
        items={},
        columns={"user_id": "reviewerID", "item_id": "asin", "timestamp": "unixReviewTime"},
    )
    assert rows(built.folder) == [("u", "x1", 1), ("u", "7", 1.5), ("u", "x2", 2)]


def test_min_item_and_min_user_reach_the_fixed_point(tmp_path, write) -> None:
    # c1 has one buyer, so it goes; then w has 2 < 3 and goes; then y1 has u alone and goes; u has
    # 3 left. v stays with x1, x2, y2.
    x = "u,x1,1\nu,x2,2\nv,x1,1\nv,x2,2\nw,c1,1\n"
    y = "u,y1,3\nu,y2,4\nv,y2,3\nw,y1,2\nw,y1,3\n"
    folder = build(tmp_path, write, x=x, y=y, filters=Filters(min_user=3, min_item=2)).folder
    assert [(user, item) for user, item, _ in rows(folder)] == [
        ("u", "x1"),
        ("u", "x2"),
        ("u", "y2"),
        ("v", "x1"),
        ("v", "x2"),
        ("v", "y2"),
    ]
    assert read_items(DatasetFiles(folder).items)["item_id"].tolist() == ["x1", "x2", "y2"]


def test_min_user_domain(tmp_path, write) -> None:
    # u has 2 and 2, v 3 and 1, w 0 and 3.
    folder = build(tmp_path, write, filters=Filters(min_user_domain=2)).folder
    assert {user for user, _, _ in rows(folder)} == {"u"}


def test_max_length_keeps_the_last_and_all_items(tmp_path, write) -> None:
    built = build(tmp_path, write, filters=Filters(max_length=3))
    assert [row for row in rows(built.folder) if row[0] == "u"] == [
        ("u", "y2", 1),
        ("u", "x1", 5),
        ("u", "y1", 5),
    ]
    assert len(read_items(DatasetFiles(built.folder).items)) == 6


def test_users_too_short_to_split_are_left_out_and_reported(tmp_path, write) -> None:
    built = build(tmp_path, write, x=X + "short,x1,1\n", y=Y + "short,y1,1\n")
    assert "short" not in {user for user, _, _ in rows(built.folder)}
    assert "left out 1 user and 2 of 13 interactions" in built.report
    with pytest.raises(FormatError, match="needs 3 interactions"):
        Filters(min_user=2)


BAD = [
    ("u,x1\n", "wrong number of columns", 7),
    ("u,x1,1,9\n", "wrong number of columns", 7),
    (",x1,1\n", "user_id: the id is missing", 7),
    ("u,,1\n", "item_id: the id is missing", 7),
    ("u u,x1,1\n", "user_id: the id holds a blank, tab or line break", 7),
    ("u,x\t1,1\n", "item_id: the id holds a blank, tab or line break", 7),
    ("NA,x1,1\n", "user_id: RecBole reads this id as a missing value", 7),
    ("u,x1,\n", "timestamp is not a number", 7),
    ("u,x1,yesterday\n", "timestamp is not a number", 7),
    ("u,x1,nan\n", "timestamp is not a number", 7),
    ("u,x1,inf\n", "timestamp is not a number", 7),
    ("u,x1,-1\n", "timestamp is negative", 7),
    ("u\udce9,x1,1\n", "not UTF-8 text", 7),
]


@pytest.mark.parametrize(("row", "reason", "line"), BAD)
def test_a_bad_row_stops_the_build_or_is_listed(tmp_path, write, row, reason, line) -> None:
    with pytest.raises(BadRowsError, match=reason) as caught:
        build(tmp_path, write, x=X + row)
    assert f"x.csv, line {line}:" in str(caught.value)
    assert not (tmp_path / "out").exists()

    built = build(tmp_path, write, x=X + row, allow_bad_rows=True)
    assert built.bad_rows == {reason: 1}
    assert len(rows(built.folder)) == 11
    with open(DatasetFiles(built.folder).bad_rows, encoding="utf-8") as file:
        listed = list(csv.DictReader(file))
    assert [(row["line"], row["reason"]) for row in listed] == [(str(line), reason)]


def test_the_line_is_right_after_a_value_over_two_lines(tmp_path, write) -> None:
    with pytest.raises(BadRowsError, match=r"x\.csv, line 4: "):
        build(tmp_path, write, x='"u\n2",x1,1\nu,x1,\n')


@pytest.mark.parametrize("line", ['{"item_id": "x9"', "[1]", "null", '"x9"', "\udcff"])
def test_a_line_that_is_no_json_object(tmp_path, write, line: str) -> None:
    items = write("x.jsonl", "\n".join(f'{{"item_id": "x{i}"}}' for i in (1, 2, 3)) + "\n" + line)
    with pytest.raises(BadRowsError, match=r"not a JSON object\n.*x\.jsonl, line 4"):
        build(tmp_path, write, items={"x": items})
    built = build(tmp_path, write, items={"x": items}, allow_bad_rows=True)
    assert built.bad_rows == {"not a JSON object": 1}


def test_bad_items(tmp_path, write) -> None:
    good = "".join(f'{{"item_id": "x{i}"}}\n' for i in (1, 2, 3))
    bad = '{"item_id": ""}\n{"item_id": "a b"}\n'
    bad += '{"item_id": {"id": 3}}\n{"item_id": "x\\ud800"}\n{"title": "none"}\n'
    items = {"x": write("x.jsonl", good + bad)}
    with pytest.raises(BadRowsError, match="5 bad rows"):
        build(tmp_path, write, items=items)
    built = build(tmp_path, write, items=items, allow_bad_rows=True)
    assert built.bad_rows == {
        "item_id: the id is missing": 2,
        "a value that is neither text, number nor list": 1,
        "not UTF-8 text": 1,
        "item_id: the id holds a blank, tab or line break": 1,
    }
    assert read_items(DatasetFiles(built.folder).items)["item_id"].tolist()[:3] == [
        "x1",
        "x2",
        "x3",
    ]


def test_interactions_with_unknown_items(tmp_path, write) -> None:
    items = {
        "x": write("ix.csv", "item_id\nx1\nx2\nx3\n"),
        "y": write("iy.csv", "item_id\ny1\ny2\ny3\n"),
    }
    with pytest.raises(BadRowsError) as caught:
        build(tmp_path, write, x=X + "u,gone,1\nu,y2,1\n", items=items)
    assert "1 × item that the items of x do not have" in str(caught.value)
    assert "x.csv, line 7: item_id = 'gone'" in str(caught.value)
    assert "1 × item of the domain y among the interactions of x" in str(caught.value)


@pytest.mark.parametrize("allow", [False, True])
def test_an_item_of_both_domains_is_fatal(tmp_path, write, allow: bool) -> None:
    with pytest.raises(FormatError, match="1 item stands in two domains, such as 'x1' in x and y"):
        build(tmp_path, write, y=Y + "u,x1,1\n", allow_bad_rows=allow)


@pytest.mark.parametrize(
    ("filters", "option"),
    [({"min_user": 2}, "--min-user 2"), ({"max_length": 2}, "--max-length 2")],
)
def test_too_short_histories_are_refused(filters: dict[str, int], option: str) -> None:
    with pytest.raises(FormatError, match=f"^{option}: leave-one-out needs 3 interactions"):
        Filters(**filters)


@pytest.mark.parametrize("allow", [False, True])
def test_an_empty_domain_is_fatal(tmp_path, write, allow: bool) -> None:
    with pytest.raises(FormatError, match="the domain y is empty: no interactions in the files"):
        build(tmp_path, write, y="", allow_bad_rows=allow)
    with pytest.raises(FormatError, match="the domains x and y are empty: no interactions in"):
        build(tmp_path, write, x="", y="", allow_bad_rows=allow)
    with pytest.raises(FormatError, match="the domains x and y are empty: the filters keep no"):
        build(tmp_path, write, filters=Filters(min_user=4, min_item=3), allow_bad_rows=allow)


@pytest.mark.parametrize(
    ("filters", "told"),
    [
        # u has 2 interactions in x and 2 in y, v 3 and 1, w 0 and 3.
        (
            Filters(min_user=5, min_item=2),
            "the domains x and y are empty: the filters keep no interactions; 5 of x, 6 of y in "
            "the files; 0 of x, 0 of y after --min-user 5",
        ),
        # Without w, who has nothing in x, no item has three.
        (
            Filters(min_user_domain=1, min_item=3),
            "the domains x and y are empty: the filters keep no interactions; 5 of x, 6 of y in "
            "the files; 5 of x, 6 of y after --min-user 3; 5 of x, 3 of y after --min-user-domain "
            "1; 0 of x, 0 of y after --min-item 3",
        ),
    ],
)
def test_filters_that_leave_nothing_tell_what_each_left(
    tmp_path, write, filters: Filters, told: str
) -> None:
    with pytest.raises(FormatError) as error:
        build(tmp_path, write, filters=filters)
    assert str(error.value) == told
    assert not (tmp_path / "out" / "d").exists()


def test_the_last_ones_may_all_be_of_one_domain(tmp_path, write) -> None:
    y = "u,y1,7\nu,y2,8\nu,y3,9\n"
    with pytest.raises(FormatError) as error:
        build(tmp_path, write, x="u,x1,1\n", y=y, filters=Filters(max_length=3))
    assert str(error.value) == (
        "the domain x is empty: the filters keep no interactions; 1 of x, 3 of y in the files; "
        "1 of x, 3 of y after --min-user 3; 0 of x, 3 of y after --max-length 3"
    )


def test_min_user_domain_counts_before_the_last_ones_are_taken(tmp_path, write) -> None:
    # Both have two interactions in each domain; of the last three of u two are in y.
    x = "u,x1,1\nu,x2,2\nv,x1,3\nv,x2,9\n"
    y = "u,y1,3\nu,y2,4\nv,y1,1\nv,y2,2\n"
    folder = build(tmp_path, write, x=x, y=y, filters=Filters(min_user_domain=2, max_length=3))
    assert [item for user, item, _ in rows(folder.folder) if user == "u"] == ["x2", "y1", "y2"]


def test_an_existing_folder_needs_overwrite_and_must_be_a_data_set(tmp_path, write) -> None:
    folder = build(tmp_path, write).folder
    (folder / "d.text.safetensors").write_text("old")
    with pytest.raises(FormatError, match="is there already; replace it with --overwrite"):
        build(tmp_path, write)
    build(tmp_path, write, overwrite=True)
    assert not (folder / "d.text.safetensors").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["d"]
    DatasetFiles(folder).items.unlink()
    with pytest.raises(FormatError, match="holds something else than a data set"):
        build(tmp_path, write, overwrite=True)


def test_a_failed_build_leaves_the_old_data_set(tmp_path, write) -> None:
    folder = build(tmp_path, write).folder
    before = DatasetFiles(folder).inter.read_bytes()
    with pytest.raises(FormatError):
        build(tmp_path, write, x=X + "u,x1,\n", overwrite=True)
    assert DatasetFiles(folder).inter.read_bytes() == before
    assert [path.name for path in folder.parent.iterdir()] == ["d"]


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", ".hidden"])
def test_names_that_are_no_folder(tmp_path, write, name: str) -> None:
    with pytest.raises(FormatError, match="cannot be the name of a data set"):
        build_dataset(name, tmp_path, domains={}, items={})


def test_unknown_domains_missing_columns_and_files(tmp_path, write) -> None:
    items = write("i.csv", "sku\nx1\n")
    with pytest.raises(FormatError, match="--items z=…: no domain of this name"):
        build(tmp_path, write, items={"z": items})
    with pytest.raises(FormatError, match="no column item_id or parent_asin or asin; found sku"):
        build(tmp_path, write, items={"x": items})
    with pytest.raises(FormatError, match="no such file"):
        build(tmp_path, write, items={"x": tmp_path / "none.csv"})


def test_a_gzip_file_that_ends_early(tmp_path, write) -> None:
    path = write("i.csv.gz", "item_id\n" + "".join(f"x{i}\n" for i in range(1000)))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FormatError, match=r"ends early.*--allow-truncated"):
        build(tmp_path, write, items={"x": path})


def test_the_old_data_set_comes_back_when_the_new_cannot_take_its_place(
    tmp_path, write, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build(tmp_path, write).folder
    replace = os.replace

    def refuse(source: Path, target: Path) -> None:
        if Path(target) == folder and Path(source).name == "d":
            raise PermissionError("in use")
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError):
        build(tmp_path, write, overwrite=True)
    assert DatasetFiles(folder).items.is_file()
    assert [path.name for path in folder.parent.iterdir()] == ["d"]


def test_two_domains_are_needed_and_columns_must_be_ours(tmp_path, write) -> None:
    path = write("x.csv", HEAD + X)
    for domains in ({"x": path}, {"x": path, "all": write("y.csv", HEAD + Y)}):
        with pytest.raises(FormatError, match="expected two domains, none of them called 'all'"):
            build_dataset("d", tmp_path / "out", domains=domains, items={})
    with pytest.raises(FormatError, match=r"usr_id.*none of our columns"):
        build(tmp_path, write, columns={"usr_id": "user_id"})
    assert not (tmp_path / "out" / "d").exists()
