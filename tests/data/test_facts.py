"""Facts about test cases of histories written down here."""

import numpy as np
import pytest

from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.data.facts import facts_of_test_cases, latest_events
from recbole_tema.data.loaders import data_preparation
from recbole_tema.formats import PRE_SPLIT

# The last item is the target; the one before it validates, and trains nothing.
HISTORIES = [
    ("a", ["f1", "f2", "k1", "f3"]),
    ("b", ["f3", "k1", "f4", "k2"]),
    ("c", ["f3", "f1", "f1", "f9", "f1"]),
    ("d", ["f5", "k9"]),
    ("e", ["f7"]),
]


@pytest.fixture
def loader_of(config_of):
    def make(tiny, model="TEMA"):
        # Shorter than the longest history: facts are those of the whole.
        config = config_of(model, tiny, MAX_ITEM_LIST_LENGTH=2)
        return data_preparation(config, CrossDomainDataset(config))[2]

    return make


def by_user(loader, values):
    users = loader.dataset.id2token("user_id", loader.cases.users)
    return dict(zip(users.tolist(), np.asarray(values).tolist(), strict=True))


@pytest.mark.parametrize("model", ["TEMA", "SASRec", "Pop"])
def test_facts_by_hand(tiny_dataset, loader_of, model):
    loader = loader_of(tiny_dataset(histories=HISTORIES), model)
    facts = facts_of_test_cases(loader.dataset)
    assert by_user(loader, facts.history_length) == {"a": 3, "b": 3, "c": 4, "d": 1}
    # In training: f1 f2 of a, f3 k1 of b, f3 f1 f1 of c, f5 of d, f7 of e.
    assert by_user(loader, facts.target_count) == {"a": 2, "b": 0, "c": 3, "d": 0}
    assert by_user(loader, facts.from_other) == {"a": True, "b": True, "c": False, "d": True}


def test_facts_of_split_histories(tiny_dataset, loader_of):
    splits = {
        # One user's rows overlap: what stands in both counts once.
        "train": [("a", ["f1", "f2"]), ("a", ["f1", "f2", "k3"]), ("b", ["f2", "k1"])],
        "valid": [("c", ["f1", "f2"])],
        "test": [("d", ["k1", "k2", "f2"]), ("e", ["f3", "f8"])],
    }
    loader = loader_of(tiny_dataset(split=PRE_SPLIT, splits=splits))
    facts = facts_of_test_cases(loader.dataset)
    assert by_user(loader, facts.target_count) == {"d": 2, "e": 0}
    assert by_user(loader, facts.history_length) == {"d": 2, "e": 1}
    assert by_user(loader, facts.from_other) == {"d": True, "e": False}


def test_latest_events(tiny_dataset, loader_of):
    loader = loader_of(tiny_dataset(histories=HISTORIES))
    cases = np.array([2, 3])
    found = latest_events(loader.dataset, cases, 3)
    tokens = [loader.dataset.id2token("item_id", items).tolist() for items in found]
    assert tokens == [["f1", "f1", "f9"], ["f5"]]
