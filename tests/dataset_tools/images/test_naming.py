"""File names from hostile item ids."""

import itertools
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_tema.dataset_tools.images.naming import file_name

HOSTILE = [
    "..",
    ".",
    "../../etc/passwd",
    "/etc/passwd",
    "a/b",
    "a-b",
    "a\\b",
    "C:\\x",
    "a",
    "A",
    "b00004s1c5",
    "B00004S1C5",
    "CON",
    "con",
    "COM1",
    "-rf",
    "~root",
    "$(reboot)",
    "a;b|c",
    ".hidden",
    "a.jpg",
    "x" * 300,
    "x" * 301,
    "X" * 64,
    "X" * 65,
    "é",
    "e\u0301",
    "É",
    "ß",
    "SS",
    "ss",
    "日本語" * 100,
    "\u202egpj.exe",
    "item",
    "🛒",
]


def test_names_of_plain_ids_can_be_read() -> None:
    assert file_name("B00004S1C5", ".jpg") == "B00004S1C5.jpg"
    assert file_name("28442", ".png") == "28442.png"
    assert file_name("Golden Delicious!", ".png").startswith("Golden-Delicious.")


def test_hostile_ids_stay_in_the_folder_and_apart(tmp_path: Path) -> None:
    names = [file_name(item, ".jpg") for item in HOSTILE]
    assert len({name.casefold() for name in names}) == len(HOSTILE)
    for name in names:
        assert name.isascii()
        assert len(name) <= 80
        assert not name.startswith((".", "-"))
        (tmp_path / name).write_bytes(b"")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    # A device of Windows is one with any suffix.
    assert not {name.partition(".")[0] for name in names} & {"CON.jpg", "COM1.jpg"}
    assert file_name("CON", ".jpg").count(".") == 2


@given(st.lists(st.text(min_size=1), min_size=2, max_size=2, unique=True))
@settings(deadline=None)
def test_two_ids_never_share_a_file(items: list[str]) -> None:
    pairs = itertools.product(*[[file_name(item, s) for s in (".jpg", ".png")] for item in items])
    assert all(a.casefold() != b.casefold() for a, b in pairs)
