"""Small raw files, written as each test needs them."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a raw file under tmp_path/raw; a name that ends in .gz is zipped."""

    def write_file(name: str, text: str) -> Path:
        path = tmp_path / "raw" / name
        path.parent.mkdir(exist_ok=True)
        data = text.encode("utf-8", "surrogateescape")
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write_file


@pytest.fixture
def textless(tmp_path: Path, write: Write) -> Path:
    """A data set `textless` whose items are known by their interactions alone."""
    from recbole_tema.dataset_tools.build.dataset import build_dataset

    head = "user_id,item_id,timestamp\n"
    domains = {
        "x": write("tx.csv", head + "u,x1,1\nu,x2,2\n"),
        "y": write("ty.csv", head + "u,y1,3\n"),
    }
    return build_dataset("textless", tmp_path / "data", items={}, domains=domains).folder


@pytest.fixture
def small(tmp_path: Path, write: Write) -> Path:
    """A data set `small` of two domains: x with x1..x4, y with y1..y3, two users."""
    from recbole_tema.dataset_tools.build.dataset import build_dataset

    def items(rows: list[tuple[str, str, object]]) -> str:
        keys = ("item_id", "title", "categories")
        return "\n".join(json.dumps(dict(zip(keys, row, strict=True))) for row in rows)

    x = [
        ("x1", "Cotton bag, red", ["Bags", "Arts & Crafts"]),
        ("x2", "Red cotton bags 12 oz", ["Bags"]),
        ("x3", "Wool yarn", ["Yarn"]),
        ("x4", "", []),
    ]
    y = [
        ("y1", "Paper bag", ["Paper"]),
        ("y2", "Cotton paper", ["Paper"]),
        ("y3", "Wool &amp; paper", ["Paper"]),
    ]
    built = build_dataset(
        "small",
        tmp_path / "data",
        items={"x": write("x.jsonl", items(x)), "y": write("y.jsonl.gz", items(y))},
        domains={
            "x": write("x.csv", "user_id,item_id,timestamp\nu,x1,1\nu,x2,2\nv,x3,1\nv,x1,2\n"),
            "y": write("y.csv", "user_id,item_id,timestamp\nu,y1,2\nv,y2,5\nv,y3,4\n"),
        },
    )
    return built.folder
