"""Batches: the fields that each kind of model gets, and cases by domain."""

from collections import Counter

import numpy as np
import pytest
import torch

from recbole_tema import distributed
from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.data.loaders import data_preparation, weighs_nothing
from recbole_tema.formats import PRE_SPLIT

WIDTH = 5  # MAX_ITEM_LIST_LENGTH of the fixture's configuration


@pytest.fixture
def prepare(config_of):
    """``prepare(model, tiny, **settings)``: train, valid and test loader."""

    def make(model, tiny, **settings):
        config = config_of(model, tiny, **settings)
        return data_preparation(config, CrossDomainDataset(config))

    return make


def tokens(loader, ids) -> list[str]:
    dataset = loader._dataset if hasattr(loader, "_dataset") else loader.dataset
    return dataset.id2token(dataset.iid_field, np.asarray(ids)).tolist()


def users(loader, ids) -> list[str]:
    dataset = loader._dataset if hasattr(loader, "_dataset") else loader.dataset
    return dataset.id2token(dataset.uid_field, np.asarray(ids)).tolist()


def sequence_rows(loader, batches) -> list[tuple[str, tuple[str, ...], str]]:
    """(user, input, target) of RecBole's fields, by token, sorted."""
    found = []
    for batch in batches:
        lists, lengths = batch["item_id_list"], batch["item_length"]
        assert lists.dtype == lengths.dtype == batch["item_id"].dtype == torch.int64
        targets = tokens(loader, batch["item_id"])
        for row, user in enumerate(users(loader, batch["user_id"])):
            length = int(lengths[row])
            assert not lists[row, length:].any()
            found.append((user, tuple(tokens(loader, lists[row, :length])), targets[row]))
    return sorted(found)


def events_of(loader, batch) -> list[tuple[str, str]]:
    """(user, item) of RecBole's fields, by token."""
    pairs = zip(users(loader, batch["user_id"]), tokens(loader, batch["item_id"]), strict=True)
    return list(pairs)


def prefixes(histories) -> list[tuple[str, tuple[str, ...], str]]:
    return sorted(
        (user, tuple(items[max(at - WIDTH, 0) : at]), items[at])
        for user, items in histories
        for at in range(1, len(items))
    )


def training_part(tiny):
    return [(user, items[: max(len(items) - 2, 1)]) for user, items in tiny.histories]


# ---- training --------------------------------------------------------------------------------


def test_recboles_sequential_models_get_one_target_a_row(tiny_dataset, prepare):
    tiny = tiny_dataset()
    train, _, _ = prepare("SASRec", tiny)
    batches = list(train)
    assert all(batch["item_id_list"].shape[1] == WIDTH for batch in batches)
    assert sequence_rows(train, batches) == prefixes(training_part(tiny))


def test_our_models_get_windows_no_wider_than_needed(tiny_dataset, prepare):
    tiny = tiny_dataset(histories=[("a", [f"f{n}" for n in range(1, 11)]), ("b", ["k1"] * 4)])
    train, _, _ = prepare("TEMA", tiny)
    batches = list(train)
    assert sequence_rows(train, batches) == [
        ("a", ("f1", "f2"), "f3"),
        ("a", ("f3", "f4", "f5", "f6", "f7"), "f8"),
        ("b", ("k1",), "k1"),
    ]
    train, _, _ = prepare("TEMA", tiny_dataset(name="short", histories=[("a", ["f1"] * 4)]))
    assert next(iter(train))["item_id_list"].shape == (1, 1)


def days_of(tiny) -> dict[str, list[set[str]]]:
    """Each user's training events day by day, of which there are up to three (conftest.py)."""
    return {
        user: [set(items[at : at + 3]) for at in range(0, len(items), 3)]
        for user, items in training_part(tiny)
    }


@pytest.mark.parametrize("model", ["TEMA", "SASRec"])
def test_ties_are_in_another_order_in_each_epoch(tiny_dataset, prepare, model):
    # No item twice, so that a row tells where it comes from.
    histories = [(f"u{n}", [f"f{1 + (n + k) % 12}" for k in range(9)]) for n in range(6)]
    histories = [
        (user, [*items[:5], f"k{n + 1}", *items[5:]]) for n, (user, items) in enumerate(histories)
    ]
    tiny = tiny_dataset(histories=histories)
    train, valid, test = prepare(model, tiny, shuffle_ties=True, shuffle=False)
    cases = [sequence_rows(each, [b.interaction for b in each]) for each in (valid, test)]
    orders = []
    for epoch in (0, 1, 0):
        train._dataset.begin_epoch(epoch)
        rows = sequence_rows(train, train)
        orders.append(rows)
        for user, inputs, target in rows:
            days = days_of(tiny)[user]
            day_of = {item: at for at, day in enumerate(days) for item in day}
            at = [day_of[item] for item in (*inputs, target)]
            assert at == sorted(at), "days stay in their order"
        latest = {user: (*inputs, target) for user, inputs, target in rows if len(inputs) == WIDTH}
        assert len(latest) == 6
    assert orders[0] == orders[2] != orders[1]
    again = [sequence_rows(each, [b.interaction for b in each]) for each in (valid, test)]
    assert again == cases, "what is evaluated keeps the order of the files"


def test_our_models_get_the_times_of_their_inputs(tiny_dataset, prepare):
    train, valid, _ = prepare("TEMA", tiny_dataset())
    batches = [*train, *(each.interaction for each in valid)]
    for batch in batches:
        items, times = batch["item_id_list"], batch["timestamp_list"]
        assert times.dtype == torch.float64
        assert times.shape == items.shape
        assert not times[items == 0].any()
        steps = times[:, 1:] - times[:, :-1]
        assert set(steps[items[:, 1:] > 0].tolist()) <= {0.0, 1.0}  # three events a day
    train, _, _ = prepare("SASRec", tiny_dataset(name="other"))
    assert "timestamp_list" not in next(iter(train)).columns


@pytest.mark.parametrize("model", ["TEMA", "SASRec", "BPR"])
def test_without_times_or_histories_there_are_no_ties(tiny_dataset, prepare, model):
    tiny = tiny_dataset(split="leave_one_out" if model == "BPR" else "pre_split")
    train, _, _ = prepare(model, tiny, shuffle_ties=True)
    before = train._dataset.rows
    train._dataset.begin_epoch(3)
    assert train._dataset.rows is before


def test_general_models_get_every_event_of_the_training_part(tiny_dataset, prepare):
    tiny = tiny_dataset()
    train, _, _ = prepare("Pop", tiny)
    found = Counter()
    for batch in train:
        assert "item_id_list" not in batch
        found.update(events_of(train, batch))
    assert found == Counter((user, item) for user, items in training_part(tiny) for item in items)


def test_pairwise_models_get_negatives_that_the_user_did_not_train_on(tiny_dataset, prepare):
    tiny = tiny_dataset()
    train, _, _ = prepare("BPR", tiny)
    own = {user: set(items) for user, items in training_part(tiny)}
    positives = Counter()
    for batch in train:
        negatives = tokens(train, batch["neg_item_id"])
        names = users(train, batch["user_id"])
        positives.update(events_of(train, batch))
        assert not any(item in own[user] for user, item in zip(names, negatives, strict=True))
        assert "[PAD]" not in negatives
    assert positives == Counter(
        (user, item) for user, items in training_part(tiny) for item in items
    )


def test_pointwise_models_get_labels(tiny_dataset, prepare):
    tiny = tiny_dataset()
    train, _, _ = prepare("NeuMF", tiny)
    own = {user: set(items) for user, items in training_part(tiny)}
    for batch in train:
        is_own = [item in own[user] for user, item in events_of(train, batch)]
        assert batch["label"].tolist() == [float(each) for each in is_own]
        assert sum(is_own) * 2 == len(is_own)


def test_sequential_bpr_gets_negatives_too(tiny_dataset, prepare):
    train, _, _ = prepare("GRU4Rec", tiny_dataset(), loss_type="BPR")
    for batch in train:
        assert (batch["neg_item_id"] != batch["item_id"]).all()
        assert (batch["neg_item_id"] > 0).all()


def test_a_model_that_learns_from_windows_takes_no_negatives(tiny_dataset, prepare):
    # RecBole would copy the rows and put a sampled item in place of the target.
    with pytest.raises(ValueError, match="train_neg_sample_args"):
        prepare("TEMA", tiny_dataset(), train_neg_sample_args={"distribution": "uniform"})


def test_the_same_seed_gives_the_same_batches(tiny_dataset, prepare):
    tiny = tiny_dataset()
    orders = [
        torch.cat([batch["item_id"] for batch in prepare("SASRec", tiny, seed=seed)[0]]).tolist()
        for seed in (1, 1, 2)
    ]
    assert orders[0] == orders[1] != orders[2]


def test_a_data_set_can_be_prepared_for_several_models(tiny_dataset, config_of):
    tiny = tiny_dataset()
    dataset = CrossDomainDataset(config_of("SASRec", tiny))
    first = data_preparation(config_of("SASRec", tiny), dataset)
    again = data_preparation(config_of("TEMA", tiny), dataset)
    assert sequence_rows(first[0], first[0]) == prefixes(training_part(tiny))
    assert len(again[0]._dataset) < len(first[0]._dataset)


# ---- pre-split data --------------------------------------------------------------------------

OVERLAPPING = {
    "train": [("a", ["f1", "k1", "f2"]), ("a", ["f1", "k1", "f2", "k2"]), ("b", ["k2", "f1"])],
    "valid": [("a", ["f1", "k1", "f2", "k2", "f3"])],
    "test": [("b", ["k2", "f1", "k3"])],
}


def test_events_of_overlapping_pre_split_rows_count_once(tiny_dataset, prepare):
    tiny = tiny_dataset(split=PRE_SPLIT, splits=OVERLAPPING)
    train, _, _ = prepare("Pop", tiny)
    found = Counter()
    for batch in train:
        found.update(events_of(train, batch))
    pairs = ("a f1", "a k1", "a f2", "a k2", "b k2", "b f1")
    assert found == Counter(tuple(pair.split()) for pair in pairs)


def test_events_of_disjoint_pre_split_rows_all_count(tiny_dataset, prepare):
    splits = {**OVERLAPPING, "train": [("a", ["f1", "k1", "f1"]), ("b", ["k2", "f1"])]}
    train, _, _ = prepare("Pop", tiny_dataset(split=PRE_SPLIT, splits=splits))
    found = Counter(item for batch in train for item in tokens(train, batch["item_id"]))
    assert found == Counter({"f1": 3, "k1": 1, "k2": 1})


def test_every_item_after_the_first_of_a_pre_split_row_trains(tiny_dataset, prepare):
    tiny = tiny_dataset(split=PRE_SPLIT)
    train, valid, test = prepare("SASRec", tiny)
    assert sequence_rows(train, train) == prefixes(tiny.splits["train"])
    for part, loader in (("valid", valid), ("test", test)):
        found = sequence_rows(loader, (batch.interaction for batch in loader))
        histories = tiny.splits[part]
        assert found == sorted((u, tuple(h[:-1][-WIDTH:]), h[-1]) for u, h in histories)


@pytest.mark.parametrize("model", ["BPR", "EASE", "NeuMF"])
@pytest.mark.parametrize("part", ["valid", "test"])
def test_models_that_know_users_by_id_refuse_users_without_training(
    tiny_dataset, prepare, model, part
):
    splits = {**OVERLAPPING, part: [*OVERLAPPING[part], ("c", ["f1", "k1"])]}
    tiny = tiny_dataset(split=PRE_SPLIT, splits=splits)
    with pytest.raises(ValueError, match=f"{model} scores users by id"):
        prepare(model, tiny)


def test_neighbours_of_users_know_users_by_id(tiny_dataset, prepare):
    tiny = tiny_dataset(split=PRE_SPLIT, splits={**OVERLAPPING, "test": [("c", ["f1", "k1"])]})
    with pytest.raises(ValueError, match="ItemKNN scores users by id"):
        prepare("ItemKNN", tiny, knn_method="user")


@pytest.mark.parametrize("model", ["Pop", "ItemKNN", "SASRec", "TEMA"])
def test_other_models_take_users_without_training(tiny_dataset, prepare, model):
    splits = {**OVERLAPPING, "test": [("c", ["f1", "k1"])]}
    _, _, test = prepare(model, tiny_dataset(split=PRE_SPLIT, splits=splits))
    assert len(test.cases) == 1


# ---- cases -----------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["SASRec", "BPR", "TEMA"])
@pytest.mark.parametrize("batch_size", [1, 3, 7, 1000])
def test_every_case_comes_once_and_one_domain_a_batch(tiny_dataset, prepare, model, batch_size):
    tiny = tiny_dataset()
    for at, loader in enumerate(prepare(model, tiny, eval_batch_size=batch_size)[1:]):
        seen, fields = [], []
        for batch in loader:
            assert 1 <= len(batch.cases) <= batch_size
            assert len(batch.interaction) == len(batch.cases)
            items = tokens(loader, batch.interaction["item_id"])
            assert {tiny.domain_of(item) for item in items} == {tiny.domains[batch.domain]}
            assert items == tokens(loader, loader.cases.targets[batch.cases])
            assert (loader.domain[batch.cases] == batch.domain).all()
            seen.extend(batch.cases.tolist())
            fields.append(batch.interaction)
        assert sorted(seen) == list(range(len(loader.cases)))
        assert len(loader) == len(fields)
        held_back = 2 - at
        if model != "BPR":
            assert sequence_rows(loader, fields) == sorted(
                (user, tuple(items[:-held_back][-WIDTH:]), items[-held_back])
                for user, items in tiny.histories
                if len(items) > held_back
            )


def test_cases_are_the_same_for_every_model(tiny_dataset, prepare):
    tiny = tiny_dataset()
    known = None
    for model in ("SASRec", "BPR", "Pop", "TEMA"):
        loader = prepare(model, tiny)[2]
        cases = (loader.cases.users.tolist(), loader.cases.targets.tolist())
        known = known or cases
        assert cases == known


@pytest.mark.parametrize("domain", ["f", "k"])
def test_cases_of_one_domain_only(tiny_dataset, prepare, domain):
    histories = [(f"u{n}", [f"{domain}{n}", "k1", "f1", *[f"{domain}1"] * 2]) for n in range(1, 6)]
    for loader in prepare("SASRec", tiny_dataset(histories=histories), eval_batch_size=2)[1:]:
        assert sorted(case for batch in loader for case in batch.cases) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("model", "expected"), [("SASRec", "no row to train on"), ("Pop", "no case to evaluate")]
)
def test_histories_that_are_all_too_short_are_refused(tiny_dataset, prepare, model, expected):
    # Two items: one trains, but not after another; one tests; none is left to validate.
    with pytest.raises(ValueError, match=expected):
        prepare(model, tiny_dataset(histories=[("a", ["f1", "k1"]), ("b", ["f2", "k2"])]))


# ---- several processes ---------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["TEMA", "BPR"])
def test_processes_share_the_batches_of_one(prepare, tiny_dataset, monkeypatch, model):
    tiny = tiny_dataset()
    whole = list(prepare(model, tiny, train_batch_size=9)[0])
    if model == "TEMA":
        assert len(whole[-1]) == 1  # fewer rows than processes
    parts = []
    monkeypatch.setattr(distributed, "world_size", lambda: 3)
    for number in range(3):
        monkeypatch.setattr(distributed, "rank", lambda number=number: number)
        parts.append(list(prepare(model, tiny, train_batch_size=9)[0]))
    for batch, shared in zip(whole, zip(*parts, strict=True), strict=True):
        for number, part in enumerate(shared):
            own = list(range(len(batch)))[number::3]
            assert weighs_nothing(part) == (not own)
            for field in ("user_id", "item_id"):
                assert torch.equal(part[field], batch[field][own or [0]])


def test_every_process_has_all_rows_of_what_is_counted(prepare, tiny_dataset, monkeypatch):
    tiny = tiny_dataset()
    whole = list(prepare("Pop", tiny)[0])
    monkeypatch.setattr(distributed, "world_size", lambda: 3)
    assert [len(batch) for batch in prepare("Pop", tiny)[0]] == [len(batch) for batch in whole]


@pytest.mark.parametrize("of", [1, 2, 3, 99])
def test_parts_of_the_cases_are_whole_batches_once(prepare, tiny_dataset, of):
    _, _, cases = prepare("SASRec", tiny_dataset(), eval_batch_size=7)
    whole = [batch.cases.tolist() for batch in cases]
    parts = [[batch.cases.tolist() for batch in cases.part(number, of)] for number in range(of)]
    assert sorted(batch for part in parts for batch in part) == sorted(whole)
    assert sorted(case for batch in whole for case in batch) == list(range(len(cases.cases)))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
