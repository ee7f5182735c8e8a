"""Prepared data kept on disk: the same data set comes back, and never one of other files."""

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recbole_tema.data import cache, item_features
from recbole_tema.data.cache import CacheEntry, Content
from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.formats import (
    DOMAIN,
    ITEM,
    LEAVE_ONE_OUT,
    PRE_SPLIT,
    dataset_properties,
    write_items,
    write_properties,
    write_tags,
)

# What differs between any two data sets of the same files and settings.
OWN = {"config", "logger", "_cache_folder", "_history_lengths"}


@pytest.fixture
def load(config_of):
    """``load(tiny, **settings)``: the data set as a model gets it."""
    return lambda tiny, **settings: CrossDomainDataset(config_of("SASRec", tiny, **settings))


@pytest.fixture
def load_kept(load, monkeypatch):
    """``load_kept(tiny, **settings)``: the same from the cache, without a look into the tables."""

    def from_cache(tiny, **settings):
        with monkeypatch.context() as patched:
            patched.setattr(CrossDomainDataset, "_load_data", _must_not_run)
            return load(tiny, **settings)

    return from_cache


def _must_not_run(*_args):
    raise AssertionError("the cache was not used")


def entries(tiny) -> list[str]:
    """What kinds of entries the data set's cache holds: the names before the checksum."""
    paths = sorted((tiny.files.folder / ".cache").glob("*"))
    return [path.name.rpartition("-")[0] for path in paths]


def the_entry(tiny):
    (path,) = (tiny.files.folder / ".cache").iterdir()
    return path


def assert_same(one, other) -> None:
    """Every attribute, of whatever kind, is the same, and of the same types."""
    ours, theirs = vars(one), vars(other)
    assert ours.keys() - OWN == theirs.keys() - OWN
    for name in ours.keys() - OWN:
        _assert_equal(ours[name], theirs[name], name)


def _assert_equal(one, other, name) -> None:
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
        for column in one:  # sequences: pandas compares values, not their types
            of_one, of_other = one[column].to_numpy(), other[column].to_numpy()
            if of_one.dtype == object:
                assert [each.dtype for each in of_one] == [each.dtype for each in of_other]
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype, name
        np.testing.assert_array_equal(one, other)
    elif isinstance(one, dict):
        assert list(one) == list(other), name
        for key in one:
            _assert_equal(one[key], other[key], f"{name}[{key}]")
    elif hasattr(one, "offsets"):  # histories
        for part in ("items", "offsets", "users"):
            _assert_equal(getattr(one, part), getattr(other, part), f"{name}.{part}")
    else:
        assert one == other, name


def with_item_columns(tiny) -> None:
    """Words, categories and pictures, each of them missing for some items."""
    frame = pd.DataFrame({ITEM: tiny.items, DOMAIN: [tiny.domain_of(each) for each in tiny.items]})
    frame["title"] = [f"{each} of steel" if at % 3 else "" for at, each in enumerate(tiny.items)]
    frame["categories"] = ["kitchen blue" if at % 2 else "food" for at in range(len(frame))]
    frame["image"] = [f"{each}.png" if at % 4 else "" for at, each in enumerate(tiny.items)]
    write_items(tiny.files.items, frame)


COLUMNS = {
    "inter": ["user_id", "item_id", "timestamp"],
    "item": ["item_id", "domain", "title", "categories", "image"],
}


@pytest.mark.parametrize(
    ("split", "settings"),
    [
        (LEAVE_ONE_OUT, {}),
        (PRE_SPLIT, {}),
        (LEAVE_ONE_OUT, {"load_col": COLUMNS}),
        (PRE_SPLIT, {"load_col": COLUMNS}),
        (LEAVE_ONE_OUT, {"item_inter_num_interval": "[10,inf)"}),
        (LEAVE_ONE_OUT, {"user_inter_num_interval": "[3,6]", "rm_dup_inter": "last"}),
        (LEAVE_ONE_OUT, {"val_interval": {"timestamp": "[0,1]"}}),
        (LEAVE_ONE_OUT, {"normalize_all": True, "domains": ["kitchen", "food"]}),
    ],
    ids=str,
)
def test_the_second_load_gives_the_same_data_set(tiny_dataset, load, load_kept, split, settings):
    tiny = tiny_dataset(split=split)
    with_item_columns(tiny)
    fresh = load(tiny, data_cache=False, **settings)
    assert entries(tiny) == []
    assert_same(load(tiny, **settings), fresh)  # the load that writes the entry
    kept = load_kept(tiny, **settings)
    assert_same(kept, fresh)
    one, other = kept.split(), fresh.split()
    for part in range(3):
        for name, array in vars(other[part]).items():
            np.testing.assert_array_equal(getattr(one[part], name), array)


def test_user_files_are_kept_too(tiny_dataset, load, load_kept):
    tiny = tiny_dataset()
    rows = [f"u{number}\t{number % 3 + 20}" for number in range(40)]
    path = tiny.files.folder / "tiny.user"
    path.write_text("\n".join(["user_id:token\tage:token", *rows]), encoding="utf-8")
    settings = {"load_col": {**COLUMNS, "item": ["item_id", "domain"], "user": ["user_id", "age"]}}
    fresh = load(tiny, data_cache=False, **settings)
    assert fresh.user_feat["age"].nunique() == 4  # with padding
    load(tiny, **settings)
    assert_same(load_kept(tiny, **settings), fresh)
    path.write_text("\n".join(["user_id:token\tage:token", *rows[::-1]]), encoding="utf-8")
    changed = load(tiny, **settings)
    assert changed.field2token_id["age"] != fresh.field2token_id["age"]


def test_tags_come_back_without_their_file_being_read(tiny_dataset, load, monkeypatch):
    tiny = tiny_dataset()
    fresh = load(tiny, data_cache=False).tags()
    load(tiny).tags()
    assert entries(tiny) == ["tiny.data", "tiny.tags"]
    monkeypatch.setattr(item_features, "read_tags", _must_not_run)
    kept = load(tiny).tags()
    assert kept.names == fresh.names
    for name in ("index", "scores", "vectors"):
        one, other = getattr(kept, name), getattr(fresh, name)
        assert one.dtype == other.dtype
        assert one.equal(other)


def test_other_tags_and_other_items_make_other_entries(tiny_dataset, load):
    tiny = tiny_dataset()
    load(tiny).tags()
    write_tags(tiny.files.tags, {**tiny.tags, "f1": {"sweet": 0.25}})
    at = int(load(tiny).token2id(ITEM, "f1"))
    assert load(tiny).tags().scores[at].max() == 0.25
    kitchen_first = load(tiny, domains=["kitchen", "food"])
    at = int(kitchen_first.token2id(ITEM, "f1"))
    assert kitchen_first.tags().scores[at].max() == 0.25


# ---- never stale -----------------------------------------------------------------------------


@pytest.mark.parametrize("split", [LEAVE_ONE_OUT, PRE_SPLIT])
def test_a_changed_table_is_read_anew(tiny_dataset, load, split):
    tiny = tiny_dataset(split=split)
    load(tiny)
    tables = [*tiny.files.folder.glob("*.inter"), tiny.files.items]
    assert len(tables) == (2 if split == LEAVE_ONE_OUT else 4)
    for path in tables:
        head, *lines = path.read_text(encoding="utf-8").splitlines()
        before = path.stat()
        path.write_text("\n".join([head, *reversed(lines)]) + "\n", encoding="utf-8")
        assert path.stat().st_size == before.st_size
        assert_same(load(tiny), load(tiny, data_cache=False))


def test_other_settings_are_read_anew(tiny_dataset, load):
    tiny = tiny_dataset()
    load(tiny)
    for settings in ({"domains": ["kitchen", "food"]}, {"rm_dup_inter": "first"}):
        assert_same(load(tiny, **settings), load(tiny, data_cache=False, **settings))
    properties = dataset_properties(["kitchen", "food"], LEAVE_ONE_OUT)
    write_properties(tiny.files.properties, properties, "by hand")
    assert load(tiny).domains == ["kitchen", "food"]
    assert load(tiny, MAX_ITEM_LIST_LENGTH=3).max_item_list_len == 3


def test_filters_of_split_histories_are_refused_from_the_cache_too(tiny_dataset, load):
    tiny = tiny_dataset(split=PRE_SPLIT)
    load(tiny)
    with pytest.raises(ValueError, match="user_inter_num_interval: the histories of tiny come"):
        load(tiny, user_inter_num_interval="[3,inf)")


def test_other_code_reads_anew(tiny_dataset, load, monkeypatch):
    tiny = tiny_dataset()
    load(tiny)
    monkeypatch.setattr(cache, "_code", lambda: "a later version")
    load(tiny)
    assert entries(tiny) == ["tiny.data"] * 2


def test_a_subclass_has_nothing_kept_for_it(tiny_dataset, config_of):
    class Other(CrossDomainDataset):
        pass

    tiny = tiny_dataset()
    Other(config_of("SASRec", tiny))
    assert entries(tiny) == []


def test_files_that_change_while_they_are_read_leave_no_entry(tmp_path):
    path = tmp_path / "table"
    path.write_text("old")
    entry = CacheEntry(tmp_path / "cache", "name", {}, [path])
    path.write_text("new")
    entry.write(Content([], {}))
    assert not entry.path.exists()


# ---- damage, and folders that cannot be used -------------------------------------------------


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


DAMAGE = {
    "cut off": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "another text": lambda data: b"not a cache",
    "a bit of the last array": lambda data: _flipped(data, len(data) - 3),
    "a bit in the middle": lambda data: _flipped(data, len(data) // 2),
    "a bit of the header": lambda data: _flipped(data, 12),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_entry_is_made_anew(tiny_dataset, load, load_kept, caplog, damage):
    tiny = tiny_dataset()
    fresh = load(tiny)
    path = the_entry(tiny)
    good = path.read_bytes()
    path.write_bytes(DAMAGE[damage](good))
    with caplog.at_level(logging.WARNING):
        again = load(tiny)
    assert f"{path}: cannot be used and is made anew" in caplog.text
    assert_same(again, fresh)
    assert path.read_bytes() == good
    assert_same(load_kept(tiny), fresh)


def test_a_folder_of_ones_own(tiny_dataset, load, load_kept, tmp_path):
    tiny = tiny_dataset()
    folder = tmp_path / "elsewhere" / "kept"
    load(tiny, data_cache=str(folder))
    load_kept(tiny, data_cache=str(folder))
    assert entries(tiny) == []
    assert len(list(folder.iterdir())) == 1


def test_a_folder_that_cannot_be_written_to_costs_a_line_in_the_log(tiny_dataset, load, caplog):
    tiny = tiny_dataset()
    (tiny.files.folder / ".cache").write_text("a file in the way")
    with caplog.at_level(logging.INFO):
        assert_same(load(tiny), load(tiny, data_cache=False))
    assert "prepared data are not kept" in caplog.text


@pytest.mark.parametrize("setting", [3, "", "dataset/tiny/tiny.item"])
def test_a_setting_that_names_no_folder_is_refused(tiny_dataset, load, setting):
    with pytest.raises(ValueError, match="data_cache: expected True, False or a folder"):
        load(tiny_dataset(), data_cache=setting)


def test_few_entries_are_kept_and_what_killed_writers_left_goes(tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    left = folder / ".writing-1-0-name-0.safetensors"
    others = [folder / f"{name}-0.safetensors" for name in ("another", "an-other-name", "aname")]
    for path in (left, *others):
        path.touch()
        os.utime(path, (0, 0))
    for number in range(cache.ENTRIES_KEPT + 3):
        last = CacheEntry(folder, "name", {"number": number}, [])
        last.write(Content(number, {}))
    assert len(list(folder.glob("name-*"))) == cache.ENTRIES_KEPT
    assert last.read().about == number
    assert not left.exists()
    assert all(path.exists() for path in others)


def test_a_name_with_brackets_is_pruned_too(tmp_path):
    for number in range(cache.ENTRIES_KEPT + 3):
        CacheEntry(tmp_path, "[a]b", {"number": number}, []).write(Content(number, {}))
    assert len(list(tmp_path.iterdir())) == cache.ENTRIES_KEPT


def test_a_folder_that_cannot_be_looked_into_is_passed_over(tmp_path, monkeypatch, caplog):
    entry = CacheEntry(tmp_path, "name", {}, [])
    entry.write(Content(1, {}))

    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", denied)
    assert entry.read() is None
    assert "Permission denied" in caplog.text


def test_writers_at_the_same_time_do_not_get_in_each_others_way(tmp_path):
    content = Content({"a": ["ü", None, 1.5]}, {"x": np.arange(50_000), "y": np.zeros((0, 2))})

    def write_and_read(_turn):
        entry = CacheEntry(tmp_path, "name", {}, [])
        entry.write(content)
        return entry.read()

    with ThreadPoolExecutor(8) as threads:
        for found in threads.map(write_and_read, range(40)):
            assert found.about == content.about
            assert set(found.arrays) == {"x", "y"}
            np.testing.assert_array_equal(found.arrays["x"], content.arrays["x"])
            assert found.arrays["y"].shape == (0, 2)
    assert len(list(tmp_path.iterdir())) == 1
