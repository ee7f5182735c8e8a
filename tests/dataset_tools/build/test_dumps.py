"""Building from the Amazon dumps of every release, with the dirt that they have."""

import gzip
import json

import pytest

from recbole_tema.dataset_tools.build.dataset import build_dataset
from recbole_tema.dataset_tools.raw.bad_rows import BadRowsError
from recbole_tema.formats import DatasetFiles, FormatError, read_interactions, read_items

T = 1_381_536_000
USERS = ("A3EBHHCZO6V2A4", "AZPWAXJG9OJXV")
OLD = ("0615391206", "B000CQBZPG", "B00004RIZ7")
NEW = ("B01HYNE114", "B07NTK7T5P", "B07G584SHG")


def reviews_2014(literal: bool = False) -> str:
    rows = [
        {"reviewerID": user, "asin": item, "helpful": [0, 0], "overall": 5.0, "unixReviewTime": T}
        for user in USERS
        for item in OLD
    ]
    return "".join((repr(row) if literal else json.dumps(row)) + "\n" for row in rows)


def ratings(order: str) -> str:
    pairs = [(user, item) for user in USERS for item in OLD]
    return "".join(
        f"{user},{item},5.0,{T}\n" if order == "user first" else f"{item},{user},5.0,{T}\n"
        for user, item in pairs
    )


def reviews_2023(form: str) -> str:
    if form == "ratings":
        head = "user_id,parent_asin,rating,timestamp\n"
        return head + "".join(f"{u},{i},4.0,{T * 1000 + 5}\n" for u in USERS for i in NEW)
    return "".join(
        json.dumps(
            {"asin": "B0CHILD000", "parent_asin": i, "user_id": u, "timestamp": T * 1000 + 5}
        )
        + "\n"
        for u in USERS
        for i in NEW
    )


META_2014 = """{'asin': '0615391206', 'title': "Don't &amp; do", 'imUrl': 'http://i/1.jpg', \
'categories': [['CDs & Vinyl', 'Pop'], ['Music']]}
{'asin': 'B000CQBZPG', 'categories': [['Music']], 'description': 'Old <br /> tune'}
{'asin': 'B00004RIZ7', 'title': 'var aPageStart = (new Date()).getTime();'}
"""
META_2018 = [
    {
        "asin": "0615391206",
        "title": "Don't &amp; do",
        "category": ["CDs & Vinyl", "Pop", "Music"],
        "imageURL": ["http://i/small.jpg"],
        "imageURLHighRes": ["http://i/1.jpg", "http://i/2.jpg"],
    },
    {"asin": "B000CQBZPG", "category": ["Music"], "description": ["Old", "<br />", "tune"]},
    {"asin": "B00004RIZ7", "title": "", "imageURLHighRes": []},
]
META_2023 = [
    {
        "parent_asin": NEW[0],
        "title": "Ear rings",
        "categories": ["Jewelry", "Drop & Dangle"],
        "images": [{"thumb": "t", "large": "http://i/l.jpg", "variant": "MAIN", "hi_res": "h"}],
    },
    {"parent_asin": NEW[1], "title": None, "images": [{"large": None, "hi_res": "http://i/h.jpg"}]},
    {"parent_asin": NEW[2], "title": "Box", "description": [], "features": ["Ten a month."]},
]


def lines(records: list[dict]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def build(write, tmp_path, old: str, new: str, **options):
    items = {"old": write("m_old.json.gz", META_2014), "new": write("m_new", lines(META_2023))}
    return build_dataset(
        "d",
        tmp_path / "out",
        domains={"old": write("old.json.gz", old), "new": write("new", new)},
        **({"items": items} | options),
    )


@pytest.mark.parametrize("new", ["json", "ratings"])
@pytest.mark.parametrize(
    "old",
    [
        reviews_2014(),
        reviews_2014(literal=True),
        ratings("user first"),
        ratings("item first"),
        reviews_2014().replace("\n", "\r\n"),
        "\ufeff" + reviews_2014(),
    ],
)
def test_every_release_of_reviews(write, tmp_path, old: str, new: str) -> None:
    built = build(write, tmp_path, old, reviews_2023(new))
    frame = read_interactions(DatasetFiles(built.folder).inter)
    assert [tuple(row) for row in frame.itertuples(index=False)] == [
        (user, item, time)
        for user in USERS
        for items, time in ((OLD, T), (NEW, T + 0.005))
        for item in items
    ]
    assert "(the file has milliseconds)" in built.report


@pytest.mark.parametrize("release", [2014, 2018])
def test_metadata(write, tmp_path, release: int) -> None:
    meta = META_2014 if release == 2014 else lines(META_2018)
    files = {"old": write("m", meta), "new": write("n.jsonl.gz", lines(META_2023))}
    built = build(write, tmp_path, reviews_2014(), reviews_2023("json"), items=files)
    items = read_items(DatasetFiles(built.folder).items)
    assert items.drop(columns="domain").to_numpy().tolist() == [
        [OLD[0], "Don't & do", "", "CDs_&_Vinyl Pop Music", "http://i/1.jpg"],
        [OLD[1], "", "Old tune", "Music", ""],
        [OLD[2], "", "", "", ""],
        [NEW[0], "Ear rings", "", "Jewelry Drop_&_Dangle", "http://i/l.jpg"],
        [NEW[1], "", "", "", "http://i/h.jpg"],
        [NEW[2], "Box", "Ten a month.", "", ""],
    ]
    assert "1 text with HTML tags: tags taken out" in built.report
    scripts = "1 title with a page's script in its place: left empty"
    assert (scripts in built.report) == (release == 2014)


def test_lines_that_are_no_record_and_bytes_that_are_no_text(write, tmp_path) -> None:
    broken = META_2014.replace("Old <br", "Caf\udce9 <br") + "<!DOCTYPE html>\n\n{'asin': 'B9\n"
    items = {"old": write("m.gz", broken), "new": write("n", lines(META_2023))}
    old = reviews_2014() + "}{\n" + '{"asin": "B000CQBZPG", "unixReviewTime": 1}\n'
    with pytest.raises(BadRowsError, match="4 bad rows") as caught:
        build(write, tmp_path, old, reviews_2023("json"), items=items)
    for line in ("m.gz, line 4: <!DOCTYPE", "m.gz, line 6: {'asin'", "old.json.gz, line 7: }{"):
        assert line in str(caught.value)
    built = build(write, tmp_path, old, reviews_2023("json"), items=items, allow_bad_rows=True)
    assert built.bad_rows == {"not a JSON object": 3, "user_id: the id is missing": 1}
    assert "1 text not in UTF-8: damaged" in built.report
    described = read_items(DatasetFiles(built.folder).items)["description"]
    assert described.tolist()[1] == "Café tune"


def test_items_that_stand_twice(write, tmp_path) -> None:
    again = "{'asin': 'B000CQBZPG', 'title': 'Late', 'description': 'Other'}\n"
    items = {"old": write("m.gz", META_2014 + again * 2), "new": write("n", lines(META_2023))}
    built = build(write, tmp_path, reviews_2014(), reviews_2023("json"), items=items)
    assert "2 lines of items that have an earlier line: merged (1 filled" in built.report
    assert read_items(DatasetFiles(built.folder).items).loc[1, "title"] == "Late"
    assert built.bad_rows == {}


def test_a_dump_that_ends_in_the_middle(write, tmp_path) -> None:
    extra = "".join(
        json.dumps({"reviewerID": f"A{n * 7919}", "asin": OLD[n % 3], "unixReviewTime": T + n})
        + "\n"
        for n in range(5000)
    )
    data = gzip.compress((reviews_2014() + extra).encode())
    path = write("cut.json.gz", "")
    path.write_bytes(data[: len(data) * 3 // 4])
    domains = {"old": path, "new": write("new", reviews_2023("json"))}
    with pytest.raises(FormatError, match="ends early"):
        build_dataset("d", tmp_path, domains=domains, items={})
    built = build_dataset("d", tmp_path, domains=domains, items={}, allow_truncated=True)
    assert "cut.json.gz: the gzip file ends in the middle; before that 3," in built.report
    assert len(read_interactions(DatasetFiles(built.folder).inter)) == 12


def test_the_report_names_the_lines_read(write, tmp_path) -> None:
    report = build(write, tmp_path, reviews_2014(), reviews_2023("ratings")).report
    read = [line.split() for line in report.splitlines()[1:5]]
    assert read == [["m_old.json.gz", "3"], ["m_new", "3"], ["old.json.gz", "6"], ["new", "7"]]


def test_real_samples(shared_dir, tmp_path) -> None:
    raw = shared_dir / "data" / "raw-metadata"
    built = build_dataset(
        "d",
        tmp_path,
        domains={
            "music": raw / "reviews_Digital_Music_5_2014.jsonl",
            "gift": raw / "reviews_Gift_Cards_2018.jsonl.gz",
        },
        items={
            "music": raw / "meta_Digital_Music_2014.jsonl",
            "gift": raw / "meta_Gift_Cards_2018.jsonl.gz",
        },
    )
    items = read_items(DatasetFiles(built.folder).items).set_index("item_id")
    assert items["domain"].value_counts().to_dict() == {"gift": 1547, "music": 400}
    assert items.loc["5555991584", "title"] == "Memory of Trees"
    assert items.loc["B001BKEWF2", "title"] == "Serendipity 3 $100.00 Gift Card"
    assert not items["description"].str.contains("</|<br", regex=True).any()
    assert items["image"].str.fullmatch(r"https?://\S+").sum() == 400 + 660
    assert len(read_interactions(DatasetFiles(built.folder).inter)) == 3007
