"""A data set that is in order, and the command."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_tema.dataset_tools.build.dataset import build_dataset
from recbole_tema.dataset_tools.cli import main
from recbole_tema.dataset_tools.encode.dataset import encode_dataset
from recbole_tema.dataset_tools.tag.dataset import tag_dataset
from recbole_tema.dataset_tools.validate.dataset import validate_dataset
from recbole_tema.formats import (
    DatasetFiles,
)
from tests.dataset_tools.validate.breaks import (
    check,
    edit,
    raw_nan,
)
from tests.dataset_tools.validate.conftest import ITEMS


@pytest.mark.parametrize("kind", ["whole", "split"])
def test_a_good_data_set_has_nothing_to_tell(kind: str, request) -> None:
    assert check(request.getfixturevalue(kind)) == ([], [])


def test_the_command(whole: DatasetFiles, capsys, tmp_path) -> None:
    report = tmp_path / "report.json"
    assert main(["validate", str(whole.folder), "--json", str(report)]) == 0
    assert capsys.readouterr().out.endswith("small is in order\n")
    assert json.loads(report.read_text())["good"] is True
    edit("inter", "1001", "1009")(whole)
    assert main(["validate", str(whole.folder)]) == 1
    out = capsys.readouterr().out
    assert "1 problem\n  order: small.inter, line 4" in out
    assert out.endswith("small has 1 problem\n")
    raw_nan(whole)
    assert main(["validate", str(whole.folder), "--json", str(report)]) == 1
    out = capsys.readouterr().out
    assert "2 problems\n  order: small.inter, line 4" in out
    assert "\n  features: " in out
    record = json.loads(report.read_text())
    assert [problem["check"] for problem in record["problems"]] == ["order", "features"]
    assert record["tables"][0]["title"] == "lengths"
    assert main(["validate", str(tmp_path)]) == 2
    assert main(["validate", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err


@settings(max_examples=12, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(ITEMS), st.integers(0, 5)),
        min_size=12,
        max_size=30,
    )
)
def test_what_was_just_built_has_no_problem(tmp_path_factory, rows) -> None:
    rows = [*rows, *[("d", item, at) for at, item in enumerate(ITEMS)]]
    raw = tmp_path_factory.mktemp("raw")
    for domain in "xy":
        own = [f"{user},{item},{at}" for user, item, at in rows if item.startswith(domain)]
        (raw / f"{domain}.csv").write_text("\n".join(["user_id,item_id,timestamp", *own]))
        titles = [f"{item},red bag {item}" for item in ITEMS if item.startswith(domain)]
        (raw / f"{domain}_items.csv").write_text("\n".join(["item_id,title", *titles]))
    folder = build_dataset(
        "d",
        raw / "out",
        items={domain: raw / f"{domain}_items.csv" for domain in "xy"},
        domains={domain: raw / f"{domain}.csv" for domain in "xy"},
    ).folder
    tag_dataset(folder)
    encode_dataset(folder)
    assert validate_dataset(folder).findings.problems == []
