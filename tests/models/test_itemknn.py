"""ItemKNN: cosines between items by hand, RecBole's own scores, users that nobody trained."""

import numpy as np
import pytest
import torch
from recbole.data.interaction import Interaction
from recbole.model.general_recommender.itemknn import ItemKNN as RecBoleItemKNN

from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.data.loaders import data_preparation
from recbole_tema.formats import PRE_SPLIT
from tests.models.histories import ids_of

SPLITS = {
    "train": [("a", ["f1", "k1"]), ("b", ["f1", "k1", "k2"]), ("c", ["f1", "f2", "k2"])],
    "valid": [("d", ["f1", "k2"])],
    "test": [("e", ["f2", "f2", "k1", "k2"]), ("f", ["k9", "k1"])],
}
"""Users of each item: f1: a b c, f2: c, k1: a b, k2: b c; nobody in training has k9."""


@pytest.fixture
def made(config_of):
    """``made(tiny, **settings)``: the model, its data set and the loaders of its cases."""

    def make(tiny, **settings):
        config = config_of("ItemKNN", tiny, **{"MAX_ITEM_LIST_LENGTH": 20, **settings})
        train, valid, test = data_preparation(config, CrossDomainDataset(config))
        return config.model_class(config, train._dataset), train._dataset, valid, test

    return make


def test_a_score_is_the_sum_of_the_cosines_with_the_history(made, tiny_dataset):
    tiny = tiny_dataset(split=PRE_SPLIT, splits=SPLITS)
    model, dataset, _, test = made(tiny)
    ids = ids_of(tiny)
    batches = list(test)
    [batch] = [each for each in batches if len(each.cases) == 2]
    assert [dataset.id2token("user_id", user) for user in batch.interaction["user_id"]] == [
        "f", "e",
    ]  # fmt: skip
    scores = model.domain_scores(batch.interaction, 1)
    column = {name: ids[name] - model.candidate_ranges[1][0] for name in ("k1", "k2", "k3")}
    # e has f2 twice and k1. cos(f2, k2) = 1/√(1·2), cos(k1, k2) = 1/√(2·2); f2 and k1 share nobody.
    assert scores[1, column["k2"]].item() == pytest.approx(2 / np.sqrt(2) + 1 / 2, abs=1e-5)
    assert scores[1, column["k1"]].item() == scores[1, column["k3"]].item() == 0
    assert not scores[0].any()
    # cos(f1, k1) = 2/√(3·2), of a user with f1 alone.
    history = torch.tensor([[ids["f1"], 0]])
    alone = Interaction({"item_id_list": history, "item_id": torch.tensor([ids["k1"]])})
    assert model.predict(alone).item() == pytest.approx(2 / np.sqrt(6), abs=1e-5)


def test_validation_scores_are_recboles(made, tiny_dataset, config_of):
    """There the history is what the user has in training; the other way asks for its user alone."""
    tiny = tiny_dataset()
    model, dataset, valid, _ = made(tiny)
    by_users, same, users, _ = made(tiny, knn_method="user")
    for own, data, loader, fields in (
        (model, dataset, valid, {"item_id_list"}),
        (by_users, same, users, set()),
    ):
        theirs = RecBoleItemKNN(config_of("ItemKNN", tiny, knn_method=own.method), data)
        cases = 0
        for batch in loader:
            assert fields == {"item_id_list"} & set(batch.interaction.columns)
            expected = theirs.full_sort_predict(batch.interaction)
            found = own.full_sort_predict(batch.interaction)
            assert found.shape == expected.shape
            assert expected.any()
            np.testing.assert_allclose(found, expected, atol=1e-6)
            start, stop = own.candidate_ranges[batch.domain]
            whole = found.view(len(batch.cases), -1)
            assert torch.equal(
                own.domain_scores(batch.interaction, batch.domain), whole[:, start:stop]
            )
            np.testing.assert_allclose(
                own.predict(batch.interaction),
                theirs.predict(batch.interaction),
                atol=1e-6,
            )
            cases += len(batch.cases)
        assert cases == len(loader.cases) > 5


def test_a_long_history_counts_by_its_latest_events(made, tiny_dataset):
    tiny = tiny_dataset()
    model, _, _, test = made(tiny, MAX_ITEM_LIST_LENGTH=3)
    longest = 0
    for batch in test:
        history = batch.interaction["item_id_list"]
        assert history.shape[1] == 3
        own = model.w.toarray()[history.numpy()] * (history > 0).numpy()[:, :, None]
        found = model.full_sort_predict(batch.interaction).view(len(history), -1)
        np.testing.assert_allclose(found, own.sum(axis=1), atol=1e-6)
        longest = max(longest, int(batch.interaction["item_length"].max()))
    assert longest == 3
