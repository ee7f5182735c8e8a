"""Paths, whole-or-nothing writing, checksums and properties."""

import errno
from pathlib import Path

import pytest

from recbole_tema.formats import (
    DatasetFiles,
    FormatError,
    atomic_write,
    dataset_properties,
    file_name_of,
    read_properties,
    sha256_of_files,
    sha256_of_tokens,
    write_properties,
)


def test_paths_by_role(tmp_path: Path) -> None:
    files = DatasetFiles(tmp_path / "shop")
    assert files.name == "shop"
    assert files.inter == tmp_path / "shop" / "shop.inter"
    assert files.split_inter("valid").name == "shop.valid.inter"
    assert files.items.name == "shop.item"
    assert files.properties.name == "shop.yaml"
    assert files.features("text").name == "shop.text.safetensors"
    assert files.features("text", "llm").name == "shop.text_llm.safetensors"
    assert files.tags.name == "shop.tags.jsonl"
    with pytest.raises(ValueError, match="no split 'dev'"):
        files.split_inter("dev")
    with pytest.raises(ValueError, match="no features 'sound'"):
        files.features("sound")


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("TEMA", "TEMA"),
        ("TEMA (paper)", "TEMA-paper"),
        ("TEMA (weight_decay=1e-05)", "TEMA-weight_decay=1e-05"),
        ("TEMA (score_view_weights=[1, 0.5])", "TEMA-score_view_weights=-1-0.5"),
        ("TEMA (../a b; c/d)", "TEMA-..-a-b-c-d"),
    ],
)
def test_labels_in_file_names(label: str, expected: str) -> None:
    assert file_name_of(label) == expected


def test_the_folder_one_stands_in_has_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop").mkdir()
    monkeypatch.chdir(tmp_path / "shop")
    assert DatasetFiles(Path()).name == "shop"


def test_a_folder_that_is_no_data_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no such folder"):
        DatasetFiles(tmp_path / "shop").check()
    (tmp_path / "shop").mkdir()
    with pytest.raises(FormatError, match=r"shop\.item is missing"):
        DatasetFiles(tmp_path / "shop").check()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "file.txt"
    with atomic_write(path) as beside:
        assert beside.suffix == ".txt"
        beside.write_text("old")

    def write_half() -> None:
        with atomic_write(path) as beside:
            beside.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def write() -> None:
        with atomic_write(path) as beside:
            beside.write_text("new")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*file\.txt'") as error:
        write()
    assert error.value.errno == errno.ENOSPC
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_checksums_see_contents_order_and_borders(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    both = sha256_of_files([tmp_path / "a", tmp_path / "b"])
    assert both != sha256_of_files([tmp_path / "b", tmp_path / "a"])
    (tmp_path / "b").write_text("3")
    assert both != sha256_of_files([tmp_path / "a", tmp_path / "b"])
    assert len({sha256_of_tokens(t) for t in (["ab", "c"], ["a", "bc"], ["c", "ab"])}) == 3


def test_properties_come_back_under_the_command(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    properties = dataset_properties(["food", "no"], "pre_split")
    write_properties(path, properties, "recbole-tema-data build --name shop")
    assert "#   recbole-tema-data build --name shop\n" in path.read_text()
    assert read_properties(path) == {
        "domains": ["food", "no"],
        "split": "pre_split",
        "benchmark_filename": ["train", "valid", "test"],
        "alias_of_item_id": ["item_id_list"],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("domains: [a, b", "not a YAML file"),
        ("just text", "expected keys and values"),
        ("split: leave_one_out", "`domains` must be a list"),
        ("domains: [a, a]\nsplit: leave_one_out", "must be different names"),
        ("domains: [a b]\nsplit: leave_one_out", "holds a blank"),
        ("domains: [a, b]\nsplit: random", "`split` must be leave_one_out or pre_split"),
        ("domains: [a, b]\nsplit: pre_split", "has benchmark_filename"),
    ],
)
def test_bad_properties_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(text)
    with pytest.raises(FormatError, match=message):
        read_properties(path)
