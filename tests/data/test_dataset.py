"""The data set in memory against the tokens that were written to disk."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
import torch

from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.data.item_features import shuffled_tags
from recbole_tema.formats import (
    DOMAIN,
    ITEM,
    PRE_SPLIT,
    TIME,
    USER,
    Features,
    FormatError,
    dataset_properties,
    write_features,
    write_histories,
    write_interactions,
    write_items,
    write_properties,
    write_tags,
)

FOOD_IDS, KITCHEN_IDS = range(1, 13), range(13, 22)


@pytest.fixture
def load(config_of):
    """``load(tiny, **settings)``: the data set as a model gets it."""
    return lambda tiny, model="SASRec", **settings: CrossDomainDataset(
        config_of(model, tiny, **settings)
    )


def tokens_of(dataset, ids) -> list[str]:
    return dataset.id2token(dataset.iid_field, np.asarray(ids)).tolist()


def users_of(dataset, ids) -> list[str]:
    return dataset.id2token(dataset.uid_field, np.asarray(ids)).tolist()


def as_lists(dataset, histories) -> list[tuple[str, list[str]]]:
    """[(user, items)] of flat histories, by token."""
    ends, users = histories.offsets, users_of(dataset, histories.users)
    return [
        (user, tokens_of(dataset, histories.items[a:b]))
        for user, a, b in zip(users, ends[:-1], ends[1:], strict=True)
    ]


def as_cases(dataset, rows) -> list[tuple[str, list[str], str]]:
    """[(user, input, target)] of rows, by token."""
    return [
        (user, tokens_of(dataset, rows.items[a : b - 1]), target)
        for user, a, b, target in zip(
            users_of(dataset, rows.users),
            rows.starts,
            rows.stops,
            tokens_of(dataset, rows.targets),
            strict=True,
        )
    ]


# ---- items -----------------------------------------------------------------------------------


def test_item_ids_go_by_domain_and_then_by_file(tiny_dataset, load):
    tiny = tiny_dataset()
    dataset = load(tiny)
    expected = [
        item for name in tiny.domains for item in tiny.items if tiny.domain_of(item) == name
    ]
    assert tokens_of(dataset, range(dataset.item_num)) == ["[PAD]", *expected]
    assert dataset.domain_ranges == [(1, 13), (13, 22)]
    assert dataset.item_domain.tolist() == [-1] + [0] * 12 + [1] * 9
    assert dataset.domain_of(np.array([1, 12, 13, 21])).tolist() == [0, 0, 1, 1]


def test_the_properties_say_which_domain_comes_first(tiny_dataset, load):
    tiny = tiny_dataset()
    properties = dataset_properties(["kitchen", "food"], "leave_one_out")
    write_properties(tiny.files.properties, properties, "by hand")
    dataset = load(tiny)
    assert dataset.domains == ["kitchen", "food"]
    assert dataset.domain_ranges == [(1, 10), (10, 22)]
    assert all(token.startswith("k") for token in tokens_of(dataset, range(1, 10)))


def test_items_that_nobody_has_count_as_items(tiny_dataset, load):
    tiny = tiny_dataset(histories=[("a", ["f5", "k2", "f5"]), ("b", ["k2", "f5", "k9", "f1"])])
    dataset = load(tiny)
    assert dataset.domain_ranges == [(1, 13), (13, 22)]
    assert set(tokens_of(dataset, range(1, 22))) == set(tiny.items)


def test_filtering_items_keeps_ids_in_a_row_and_features_with_them(tiny_dataset, load):
    tiny = tiny_dataset()
    counts = pd.Series([item for _, items in tiny.histories for item in items]).value_counts()
    least = int(counts.median()) + 1
    dataset = load(tiny, item_inter_num_interval=f"[{least},inf)")
    kept = tokens_of(dataset, range(1, dataset.item_num))
    assert 2 < len(kept) < len(tiny.items)
    (first, border), (second, end) = dataset.domain_ranges
    assert (first, border, end) == (1, second, dataset.item_num)
    check_features(dataset, tiny, "text", 6)
    check_tags(dataset, tiny)


# ---- features and tags -----------------------------------------------------------------------


def check_features(dataset, tiny, kind, size):
    features = dataset.features(kind)
    assert features.encoder == "by token"
    assert features.vectors.shape == (dataset.item_num, size)
    assert features.vectors.dtype == torch.float32
    assert not features.present[0]
    for at, token in enumerate(tokens_of(dataset, range(1, dataset.item_num)), start=1):
        vector = tiny.vectors[kind][token]
        assert bool(features.present[at]) == (vector is not None)
        expected = np.zeros(size) if vector is None else vector
        assert np.array_equal(features.vectors[at].numpy(), expected)
    assert not features.vectors[0].any()


def check_tags(dataset, tiny):
    tags = dataset.tags()
    assert tags.names == sorted(tags.names)
    assert not tags.index[0].any()
    assert not tags.scores[0].any()
    for at, token in enumerate(tokens_of(dataset, range(1, dataset.item_num)), start=1):
        pairs = zip(tags.index[at].tolist(), tags.scores[at].tolist(), strict=True)
        found = {tags.names[index - 1]: score for index, score in pairs if index}
        assert found == pytest.approx(tiny.tags[token])
        assert bool(tags.present[at]) == bool(tiny.tags[token])
    assert not tags.vectors[0].any()
    for name, vector in zip(tags.names, tags.vectors[1:], strict=True):
        assert np.array_equal(vector.numpy(), tiny.vectors["tag"][name])


def test_features_and_tags_follow_the_item_ids(tiny_dataset, load):
    tiny = tiny_dataset()
    dataset = load(tiny)
    assert [tiny.domain_of(item) for item in tiny.items] != sorted(
        tiny.domain_of(item) for item in tiny.items
    ), "the file has to mix the domains for this test to say anything"
    check_features(dataset, tiny, "text", 6)
    check_features(dataset, tiny, "image", 4)
    check_tags(dataset, tiny)


def test_a_tag_of_score_zero_is_no_tag(tiny_dataset, load):
    tiny = tiny_dataset()
    tags = {**tiny.tags, "f1": {"sweet": 0.0}}
    write_tags(tiny.files.tags, tags)
    dataset = load(tiny)
    at = tokens_of(dataset, range(22)).index("f1")
    assert not dataset.tags().present[at]


def test_without_files_there_are_no_features_and_no_tags(tiny_dataset, load):
    dataset = load(tiny_dataset(text=0, image=0, tags=False))
    assert dataset.features("text") is None
    assert dataset.features("image") is None
    assert dataset.tags() is None


def test_tags_without_vectors(tiny_dataset, load):
    assert load(tiny_dataset(tag=0)).tags().vectors is None


def test_features_of_other_items_are_refused(tiny_dataset, load):
    tiny = tiny_dataset()
    names = [*tiny.items[1:], "f99"]
    vectors = np.ones((len(names), 3), np.float32)
    present = np.ones(len(names), bool)
    write_features(tiny.files.features("text"), Features(names, vectors, present, "x", "text"))
    with pytest.raises(FormatError, match=r"tiny\.text\.safetensors.*1 missing.*1 too many: 'f99'"):
        load(tiny).features("text")


def test_features_in_another_order_are_refused(tiny_dataset, load):
    tiny = tiny_dataset()
    names = sorted(tiny.items)
    vectors = np.ones((len(names), 3), np.float32)
    present = np.ones(len(names), bool)
    write_features(tiny.files.features("text"), Features(names, vectors, present, "x", "text"))
    with pytest.raises(FormatError, match="the same tokens in another order"):
        load(tiny).features("text")


@pytest.mark.parametrize("change", ["an item without a line", "a line of an unknown item"])
def test_tags_of_other_items_are_refused(tiny_dataset, load, change):
    tiny = tiny_dataset()
    tags = dict(tiny.tags)
    if change == "an item without a line":
        del tags["k7"]
    else:
        tags["k99"] = {"blue": 1.0}
    write_tags(tiny.files.tags, tags)
    with pytest.raises(FormatError, match=r"tiny\.tags\.jsonl"):
        load(tiny).tags()


def test_a_tag_without_a_vector_is_refused(tiny_dataset, load):
    tiny = tiny_dataset()
    write_tags(tiny.files.tags, {**tiny.tags, "f1": {"newly made": 1.0}})
    with pytest.raises(FormatError, match=r"tiny\.tag\.safetensors.*'newly made'"):
        load(tiny).tags()


# ---- files that cannot be used ---------------------------------------------------------------


def test_a_missing_folder_says_how_to_make_it(tiny_dataset, load):
    tiny = tiny_dataset()
    for path in tiny.files.folder.iterdir():
        path.unlink()
    tiny.files.folder.rmdir()
    with pytest.raises(FormatError, match=r"no data set 'tiny'.*recbole-tema-data build"):
        load(tiny)


@pytest.mark.parametrize("role", ["inter", "items"])
def test_a_missing_file_is_named(tiny_dataset, load, role):
    tiny = tiny_dataset()
    path = getattr(tiny.files, role)
    path.unlink()
    with pytest.raises(FormatError, match=path.name.replace(".", r"\.")):
        load(tiny)


def test_a_missing_part_of_the_split_is_named(tiny_dataset, load):
    tiny = tiny_dataset(split=PRE_SPLIT)
    tiny.files.split_inter("valid").unlink()
    with pytest.raises(FormatError, match=r"tiny\.valid\.inter"):
        load(tiny)


def test_items_without_domains_are_refused(tiny_dataset, load):
    tiny = tiny_dataset()
    text = "\n".join(["item_id:token", *tiny.items])
    tiny.files.items.write_text(text + "\n", encoding="utf-8")
    with pytest.raises(FormatError, match=r"tiny\.item.*domain:token"):
        load(tiny)


@pytest.mark.parametrize(
    ("first", "expected"),
    [("garden", r"found \['food', 'garden', 'kitchen'\]"), ("all", "none of them called 'all'")],
)
def test_a_third_domain_is_refused(tiny_dataset, load, first, expected):
    tiny = tiny_dataset()
    domains = [first, *(tiny.domain_of(item) for item in tiny.items[1:])]
    write_items(tiny.files.items, pd.DataFrame({ITEM: tiny.items, DOMAIN: domains}))
    with pytest.raises(FormatError, match=expected):
        load(tiny)


def test_an_interaction_with_an_unknown_item_is_refused(tiny_dataset, load):
    tiny = tiny_dataset()
    frame = pd.DataFrame({USER: ["a", "a"], ITEM: ["f1", "f77"], TIME: [1.0, 2.0]})
    write_interactions(tiny.files.inter, frame)
    with pytest.raises(FormatError, match="f77"):
        load(tiny)


def test_a_history_with_an_unknown_item_is_refused(tiny_dataset, load):
    tiny = tiny_dataset(split=PRE_SPLIT)
    frame = pd.DataFrame({USER: ["a"], "item_id_list": ["f1 f77"], ITEM: ["k1"]})
    write_histories(tiny.files.split_inter("test"), frame)
    with pytest.raises(FormatError, match="f77"):
        load(tiny)


def test_an_item_with_two_rows_is_refused(tiny_dataset, load):
    tiny = tiny_dataset()
    with open(tiny.files.items, "a", encoding="utf-8") as file:
        file.write("f1\tfood\n")
    with pytest.raises(FormatError, match=r"tiny\.item.*item 'f1' stands on line"):
        load(tiny)


# ---- histories and their split ---------------------------------------------------------------


def test_histories_in_time_order(tiny_dataset, load):
    tiny = tiny_dataset()
    dataset = load(tiny)
    train, valid, test = dataset.split()
    histories = dict(tiny.histories)
    assert dict(as_lists(dataset, train)) == {
        user: items[: max(len(items) - 2, 1)] for user, items in histories.items()
    }
    assert sorted(as_cases(dataset, valid)) == sorted(
        (user, items[:-2], items[-2]) for user, items in histories.items() if len(items) >= 3
    )
    assert sorted(as_cases(dataset, test)) == sorted(
        (user, items[:-1], items[-1]) for user, items in histories.items() if len(items) >= 2
    )


def test_equal_times_keep_the_order_of_the_file(tiny_dataset, load):
    tiny = tiny_dataset()
    rng = np.random.default_rng(3)
    # Two hundred events of four users on three days, in a file that is not sorted by anything.
    users = rng.choice(["a", "b", "c", "d"], 200)
    items = rng.choice(tiny.items, 200)
    days = rng.integers(0, 3, 200) * 86_400
    write_interactions(tiny.files.inter, pd.DataFrame({USER: users, ITEM: items, TIME: days}))
    rows = zip(users.tolist(), items.tolist(), days.tolist(), strict=True)
    expected: dict[str, list[str]] = {}
    for user, item, _ in sorted(rows, key=lambda row: row[2]):  # sorted() is stable
        expected.setdefault(user, []).append(item)
    dataset = load(tiny)
    _, _, test = dataset.split()
    found = {user: [*inputs, target] for user, inputs, target in as_cases(dataset, test)}
    assert found == expected


def test_times_of_today_are_told_apart(tiny_dataset, load):
    # One second apart at 1.7e9: float32 would make them equal.
    tiny = tiny_dataset()
    times = [1_700_000_003, 1_700_000_001, 1_700_000_002]
    frame = pd.DataFrame({USER: ["a"] * 3, ITEM: ["f1", "f2", "f3"], TIME: times})
    write_interactions(tiny.files.inter, frame)
    dataset = load(tiny)
    _, _, test = dataset.split()
    assert as_cases(dataset, test) == [("a", ["f2", "f3"], "f1")]


@pytest.mark.parametrize(("keep", "expected"), [("first", "f1 k1 f2"), ("last", "k1 f1 f2")])
def test_repeats_can_be_removed(tiny_dataset, load, keep, expected):
    # All at one time: the first or last of two equal events is that of the file.
    tiny = tiny_dataset()
    items = ["f1", "k1", "f1", "f2"]
    frame = pd.DataFrame({USER: ["a"] * 4, ITEM: items, TIME: [7.0] * 4})
    write_interactions(tiny.files.inter, frame)
    dataset = load(tiny, rm_dup_inter=keep)
    _, _, test = dataset.split()
    _, inputs, target = as_cases(dataset, test)[0]
    assert [*inputs, target] == expected.split()


def test_a_pre_split_data_set_keeps_its_split(tiny_dataset, load):
    tiny = tiny_dataset(split=PRE_SPLIT)
    dataset = load(tiny)
    train, valid, test = dataset.split()
    assert as_lists(dataset, train) == tiny.splits["train"]
    for part, rows in (("valid", valid), ("test", test)):
        expected = [(user, items[:-1], items[-1]) for user, items in tiny.splits[part]]
        assert as_cases(dataset, rows) == expected


@pytest.mark.parametrize("split", ["leave_one_out", PRE_SPLIT])
def test_owned_items_are_those_of_all_splits(tiny_dataset, load, split):
    splits = {
        "train": [("a", ["f1", "k1", "f1"]), ("b", ["k2", "k3"])],
        "valid": [("a", ["f1", "k1", "f1", "f9"])],
        "test": [("c", ["f4", "k1"])],
    }
    tiny = tiny_dataset(split=split, splits=splits)
    dataset = load(tiny)
    items, offsets = dataset.owned_items()
    expected: dict[str, set[str]] = {}
    histories = tiny.histories or [pair for part in tiny.splits.values() for pair in part]
    for user, events in histories:
        expected.setdefault(user, set()).update(events)
    assert len(offsets) == dataset.user_num + 1
    assert offsets[0] == offsets[1] == 0  # user 0 is padding
    for user, token in enumerate(users_of(dataset, range(1, dataset.user_num)), start=1):
        own = items[offsets[user] : offsets[user + 1]].tolist()
        assert own == sorted(set(own))
        assert set(tokens_of(dataset, own)) == expected[token]


# ---- what RecBole sees -----------------------------------------------------------------------


@pytest.mark.parametrize("split", ["leave_one_out", PRE_SPLIT])
def test_no_value_is_missing(tiny_dataset, load, split):
    dataset = load(tiny_dataset(split=split))
    for frame in (dataset.inter_feat, dataset.item_feat):
        assert not frame.isna().to_numpy().any()
    assert dataset.item_feat[ITEM].tolist() == list(range(22))
    names = dataset.id2token(DOMAIN, dataset.item_feat[DOMAIN].to_numpy(int)).tolist()
    assert names == ["[PAD]", *["food"] * 12, *["kitchen"] * 9]
    assert dataset.user_num == dataset.inter_feat[USER].nunique() + 1


def test_loading_warns_of_nothing(tiny_dataset, load, recwarn):
    load(tiny_dataset())
    ours = [str(warning.message) for warning in recwarn if "/recbole/" not in warning.filename]
    assert ours == []


def test_one_of_several_text_features_is_named(tiny_dataset, load):
    tiny = tiny_dataset()
    vectors = np.arange(len(tiny.items), dtype=np.float32)[:, None]
    present = np.ones(len(tiny.items), bool)
    path = tiny.files.features("text", "llm")
    assert path.name == "tiny.text_llm.safetensors"
    write_features(path, Features(list(tiny.items), vectors, present, "an LLM's", "text"))
    dataset = load(tiny, "TEMA", text_features="llm")
    assert dataset.features("text").encoder == "an LLM's"
    assert dataset.features("image").encoder == "by token"
    plain = load(tiny, "TEMA")
    assert plain.features("text").encoder == "by token"
    assert dataset.checksum() != plain.checksum()
    with pytest.raises(FormatError, match=r"tiny\.text_words\.safetensors: no such file.*'words'"):
        load(tiny, "TEMA", text_features="words").features("text")
    with pytest.raises(ValueError, match=r"text_features: expected a name .* got '\.\./x'"):
        load(tiny, "TEMA", text_features="../x").features("text")


def tags_by_item(dataset, tags):
    """{item: {tag: score}} of all items."""
    tokens = tokens_of(dataset, range(1, dataset.item_num))
    return {
        token: {
            tags.names[index - 1]: score
            for index, score in zip(*(each.tolist() for each in row), strict=True)
            if index
        }
        for token, *row in zip(tokens, tags.index[1:], tags.scores[1:], strict=True)
    }


def test_shuffled_tags_move_as_a_whole_within_a_domain(tiny_dataset, load):
    tiny = tiny_dataset()
    # Every item's tags tell whose they are.
    own = {
        item: {"sweet": round(0.01 * at, 2), "blue": 0.5} if tiny.tags[item] else {}
        for at, item in enumerate(sorted(tiny.items), start=1)
    }
    write_tags(tiny.files.tags, own)
    dataset = load(tiny)
    tags = dataset.tags()
    before = tags_by_item(dataset, tags)
    shuffled = shuffled_tags(tags, dataset.item_domain, 1)
    after = tags_by_item(dataset, shuffled)
    assert tags_by_item(dataset, tags) == before, "those given stay as they were"
    assert not shuffled.index[0].any()
    owner = {tuple(sorted(each.items())): item for item, each in before.items() if each}
    came_from = {item: owner[tuple(sorted(each.items()))] for item, each in after.items() if each}
    having = {item for item, each in own.items() if each}
    assert set(came_from) == having, "items without tags stay without"
    assert set(came_from.values()) == having, "no tags are lost or doubled"
    assert {item[0] + source[0] for item, source in came_from.items()} == {"ff", "kk"}
    moved = [item for item, source in came_from.items() if item != source]
    assert len(moved) > len(having) / 2
    again = shuffled_tags(tags, dataset.item_domain, 1)
    assert torch.equal(again.index, shuffled.index)
    assert torch.equal(again.scores, shuffled.scores)
    assert not torch.equal(shuffled_tags(tags, dataset.item_domain, 2).scores, shuffled.scores)


# ---- checksum --------------------------------------------------------------------------------


def test_the_checksum_follows_every_file(tiny_dataset, load):
    tiny = tiny_dataset()
    before = load(tiny, data_cache=False).checksum()
    assert load(tiny, data_cache=False).checksum() == before
    seen = {before}
    paths = [path for path in tiny.files.folder.iterdir() if path != tiny.files.properties]
    assert len(paths) == 7  # interactions, items, three matrices, tags, graph
    for path in paths:
        kept = path.read_bytes()
        path.write_bytes(kept + b" ")
        with_change = CrossDomainDataset.checksum(_Only(tiny.files))
        assert with_change not in seen, f"{path.name} can change unseen"
        seen.add(with_change)
        path.write_bytes(kept)


@pytest.mark.parametrize(
    ("model", "settings", "expected"),
    [
        ("SASRec", {}, set()),
        ("LLMEMF", {}, {"text.safetensors", "image.safetensors"}),
        ("LLMEMF", {"text_features": "llm"}, {"text_llm.safetensors", "image.safetensors"}),
        (
            "TEMA",
            {},
            {"text.safetensors", "image.safetensors", "tag.safetensors", "tags.jsonl"},
        ),
        ("MIFN", {}, {"graph.safetensors"}),
    ],
)
def test_checksums_are_of_what_the_model_reads(tiny_dataset, load, model, settings, expected):
    tiny = tiny_dataset()
    llm = tiny.files.features("text", "llm")
    llm.write_bytes(tiny.files.features("text").read_bytes())
    found = load(tiny, model, **settings).checksums()
    assert found.keys() == {"tiny.inter", "tiny.item", *(f"tiny.{name}" for name in expected)}
    files = tiny.files.folder
    by_hand = {name: hashlib.sha256((files / name).read_bytes()).hexdigest() for name in found}
    assert found == by_hand


def test_additional_features_count_too(tiny_dataset, load):
    tiny = tiny_dataset()
    path = tiny.files.folder / "tiny.emb"
    path.write_text("eid:token\tvector:float_seq\nf1\t0.5 1\n", encoding="utf-8")
    settings = {
        "additional_feat_suffix": ["emb"],
        "load_col": {**load(tiny).config["load_col"], "emb": ["eid", "vector"]},
    }
    dataset, plain = load(tiny, **settings), load(tiny)
    assert dataset.checksums().keys() - plain.checksums().keys() == {"tiny.emb"}
    before = dataset.checksum()
    path.write_text("eid:token\tvector:float_seq\nf1\t0.5 2\n", encoding="utf-8")
    assert dataset.checksum() != before


class _Only:
    """As much of a data set as its checksum needs, so that broken files need not load."""

    def __init__(self, files):
        self.files = files
        self.config = {"text_features": None, "additional_feat_suffix": None}


@pytest.mark.parametrize("key", ["item_inter_num_interval", "rm_dup_inter"])
def test_filters_of_histories_that_come_split_are_refused(tiny_dataset, config_of, key):
    config = config_of("Pop", tiny_dataset(split=PRE_SPLIT), **{key: "[2,inf)"})
    with pytest.raises(ValueError, match=f"{key}: the histories of tiny come split"):
        CrossDomainDataset(config)


def test_tags_of_no_item_are_refused(tiny_dataset, config_of):
    tiny = tiny_dataset()
    lines = tiny.files.tags.read_text(encoding="utf-8").splitlines()
    ids = [json.loads(line)["item_id"] for line in lines]
    tiny.files.tags.write_text("".join(json.dumps({"item_id": i, "tags": {}}) + "\n" for i in ids))
    dataset = CrossDomainDataset(config_of("TEMA", tiny))
    with pytest.raises(FormatError, match="no item has a tag"):
        dataset.tags()
