"""Ranks of models whose scores are a known table, under both kinds of candidates."""

import copy
import math

import numpy as np
import pytest
import torch

from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.data.loaders import ANY_WIDTH, data_preparation
from recbole_tema.evaluation.ranker import DOT_PRODUCT, CaseRanker, scores_in_domain
from recbole_tema.evaluation.ranks import ScoreError
from recbole_tema.formats import PRE_SPLIT

CPU = torch.device("cpu")
ITEMS = 22  # padding, 12 food and 9 kitchen items


class Table:
    """A model that looks its scores up: table[user, item], with ties on purpose."""

    def __init__(self, n_users: int, seed: int = 0):
        generator = torch.Generator().manual_seed(seed)
        self.table = torch.randint(0, 6, (n_users, ITEMS), generator=generator).float()
        self.calls = []
        self.evaluating = False

    def eval(self):
        self.evaluating = True

    def full_sort_predict(self, interaction):
        assert self.evaluating
        assert not torch.is_grad_enabled()
        self.calls.append(len(interaction))
        return self.table[interaction["user_id"]].flatten()

    def predict(self, interaction):
        assert self.evaluating
        self.calls.append(len(interaction))
        return self.table[interaction["user_id"], interaction["item_id"]]


class PairsOnly(Table):
    def full_sort_predict(self, interaction):
        raise NotImplementedError


class OfDomain(Table):
    """One that scores a domain's items alone, as ours do."""

    def domain_scores(self, interaction, domain):
        first, stop = ((1, 13), (13, 22))[domain]
        self.calls.append(len(interaction))
        return self.table[interaction["user_id"]][:, first:stop]

    def full_sort_predict(self, interaction):
        raise AssertionError("not asked for where a domain's items can be scored alone")


@pytest.fixture
def loader(tiny_dataset, config_of):
    """``loader(model="BPR", tiny=…, **settings)``: the loader of the test cases."""

    def make(model="BPR", tiny=None, **settings):
        config = config_of(model, tiny or tiny_dataset(), **settings)
        return data_preparation(config, CrossDomainDataset(config))[2]

    return make


def naive_rank(scores: list[float], own: float) -> float:
    return 1 + sum(each > own for each in scores) + sum(each == own for each in scores) / 2


def sampled(ranker: CaseRanker, mode: str) -> list[list[int]]:
    items, counts = ranker._sampled[mode]
    return [row[:count].tolist() for row, count in zip(items, counts, strict=True)]


# ---- ranks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Table, PairsOnly, OfDomain])
@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_ranks_by_hand_count(loader, kind, batch_size):
    test = loader(eval_batch_size=batch_size)
    model = kind(test.dataset.user_num)
    ranker = CaseRanker(test, ["full", "uni4"], seed=3)
    ranks = ranker.ranks(model, CPU)
    assert list(ranks) == ["full", "uni4"]
    candidates = sampled(ranker, "uni4")
    for case, (user, target) in enumerate(zip(test.cases.users, test.cases.targets, strict=True)):
        scores = model.table[user].tolist()
        domain = range(1, 13) if target < 13 else range(13, 22)
        others = [scores[item] for item in domain if item != target]
        assert ranks["full"][case] == naive_rank(others, scores[target])
        others = [scores[item] for item in candidates[case]]
        assert ranks["uni4"][case] == naive_rank(others, scores[target])
    assert any(rank % 1 for rank in ranks["full"]), "ties are to be among the cases"


HISTORIES = [
    ("a", "f1 f2 k1 k2 f3"),
    ("b", "f4 f4 k1 f5 f4"),  # what is bought again is a candidate all the same
    ("c", "k3 f1 k3 f2 k1 k9"),
    ("d", "k1 k2 k3 k4 k5 k6 k7 k8 k9 k9"),  # no other item of the domain is left
]


def new_to(history: list[str]) -> list[str]:
    """The candidates beside the target, which is the last of ``history``."""
    prefix, number = history[-1][0], {"f": 12, "k": 9}[history[-1][0]]
    return sorted({f"{prefix}{n}" for n in range(1, number + 1)} - set(history))


@pytest.mark.parametrize("kind", [Table, PairsOnly, OfDomain])
@pytest.mark.parametrize("split", ["leave_one_out", PRE_SPLIT])
@pytest.mark.parametrize("model", ["SASRec", "TEMA"])
def test_what_a_history_holds_is_no_candidate_of_unseen(loader, tiny_dataset, kind, split, model):
    histories = [(user, items.split()) for user, items in HISTORIES]
    splits = dict.fromkeys(("train", "valid", "test"), histories)
    tiny = tiny_dataset(split=split, histories=histories, splits=splits)
    # The history counts as a whole, however little of it the model reads.
    test = loader(model, tiny, MAX_ITEM_LIST_LENGTH=1, eval_batch_size=3)
    table = kind(test.dataset.user_num)
    ranker = CaseRanker(test, ["unseen", "full"], seed=3)
    ranks, best = ranker.ranks(table, CPU), ranker.top(table, CPU, np.arange(4), 6)
    assert best.ranks.tolist() == ranks["unseen"].tolist()
    ids = test.dataset.field2token_id["item_id"]
    for case, user in enumerate(test.dataset.id2token("user_id", test.cases.users)):
        history = dict(histories)[user]
        scores = table.table[test.cases.users[case]].tolist()
        target = ids[history[-1]]
        others = [ids[item] for item in new_to(history)]
        expected = naive_rank([scores[item] for item in others], scores[target])
        assert ranks["unseen"][case] == expected
        candidates = sorted([*others, target], key=lambda item: (-scores[item], item))[:6]
        assert best.items[case].tolist() == candidates + [-1] * (6 - len(candidates))
    assert ranks["unseen"].tolist() != ranks["full"].tolist()
    assert ranks["unseen"][list(test.dataset.id2token("user_id", test.cases.users)).index("d")] == 1


@pytest.mark.parametrize("modes", [["full"], ["uni4"], ["uni4", "full"], ["uni3", "uni4"]])
def test_pairs_rank_like_whole_rows(loader, monkeypatch, modes):
    monkeypatch.setattr("recbole_tema.evaluation.ranker.PAIRS_AT_ONCE", 30)
    test = loader()
    tables = [kind(test.dataset.user_num) for kind in (Table, PairsOnly, OfDomain)]
    rank = CaseRanker(test, modes, seed=1).ranks
    ranks = [rank(model, CPU) for model in tables]
    for mode in modes:
        assert ranks[0][mode].tolist() == ranks[1][mode].tolist() == ranks[2][mode].tolist()


@pytest.mark.parametrize("name", sorted(DOT_PRODUCT | ANY_WIDTH))
def test_recboles_models_score_the_same_the_short_way(loader, tiny_dataset, name, monkeypatch):
    longest = 20
    rng = np.random.default_rng(1)
    items = [*(f"f{n}" for n in range(1, 13)), *(f"k{n}" for n in range(1, 10))]
    lengths = rng.integers(3, 26, size=60)
    histories = [(f"u{n}", rng.choice(items, size=length)) for n, length in enumerate(lengths)]
    test = loader(
        name, tiny_dataset(histories=histories), MAX_ITEM_LIST_LENGTH=longest, eval_batch_size=8
    )
    torch.manual_seed(4)
    model = test.dataset.config.model_class(test.dataset.config, test.dataset).eval()
    widths = []
    with torch.no_grad():
        for parameter in model.parameters():  # a bias may start at zero
            parameter.add_(0.5 * torch.randn(parameter.shape))
        full = copy.copy(test.dataset)
        full.width_step = None
        for batch in test:
            first, stop = test.dataset.domain_ranges[batch.domain]
            wide = full[batch.cases]
            assert wide["item_id_list"].shape[1] == longest
            widths.append(batch.interaction["item_id_list"].shape[1])
            expected = model.full_sort_predict(wide).view(len(wide), -1)[:, first:stop]
            with monkeypatch.context() as patched:
                if name in DOT_PRODUCT:
                    patched.setattr(model, "full_sort_predict", None)
                found = scores_in_domain(model, batch.interaction, batch.domain, first, stop)
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
            assert expected.std() > 0.1
    assert (min(widths) < longest) == (name in ANY_WIDTH)


def test_a_model_that_is_only_called_like_one_of_recboles_is_asked_for_all_its_scores(loader):
    test = loader()
    table = Table(test.dataset.user_num)
    namesake = type("SASRec", (Table,), {})(test.dataset.user_num)
    ranks = [CaseRanker(test, ["full"], seed=1).ranks(model, CPU) for model in (table, namesake)]
    assert ranks[0]["full"].tolist() == ranks[1]["full"].tolist()


def test_pairs_are_scored_in_portions(loader, monkeypatch):
    monkeypatch.setattr("recbole_tema.evaluation.ranker.PAIRS_AT_ONCE", 30)
    test = loader()
    model = PairsOnly(test.dataset.user_num)
    CaseRanker(test, ["uni4"], seed=1).ranks(model, CPU)
    assert max(model.calls) <= 30
    assert sum(model.calls) == 5 * len(test.cases)


def test_pairs_bring_the_columns_of_the_item_scored(loader):
    class ByDomain(PairsOnly):
        """Likes kitchen items, and knows an item's domain by the batch alone."""

        def predict(self, interaction):
            assert torch.equal(interaction["domain"], domain_of[interaction["item_id"]])
            return interaction["domain"].float()

    test = loader()
    domain_of = test.dataset.item_feat["domain"]
    ranks = CaseRanker(test, ["full"], seed=1).ranks(ByDomain(test.dataset.user_num), CPU)["full"]
    # All candidates of a case are of one domain, so that all tie.
    assert ranks.tolist() == [6.5 if domain == 0 else 5.0 for domain in test.domain]


@pytest.mark.parametrize("kind", [Table, OfDomain])
def test_all_modes_come_from_one_pass(loader, kind):
    test = loader()
    model = kind(test.dataset.user_num)
    CaseRanker(test, ["full", "uni4", "uni6"], seed=1).ranks(model, CPU)
    assert sum(model.calls) == len(test.cases)


def test_a_constant_scorer_lands_in_the_middle(loader):
    test = loader()
    model = Table(test.dataset.user_num)
    model.table.fill_(0.25)
    ranks = CaseRanker(test, ["full", "uni4"], seed=1).ranks(model, CPU)
    assert ranks["full"].tolist() == [6.5 if domain == 0 else 5.0 for domain in test.domain]


def test_ranks_do_not_depend_on_what_padding_scores(loader):
    test = loader()
    models = [Table(test.dataset.user_num) for _ in range(2)]
    models[0].table[:, 0] = 1e9
    ranks = [CaseRanker(test, ["full", "uni4"], seed=1).ranks(model, CPU) for model in models]
    for mode in ("full", "uni4"):
        assert ranks[0][mode].tolist() == ranks[1][mode].tolist()


@pytest.mark.parametrize("kind", [Table, PairsOnly, OfDomain])
@pytest.mark.parametrize("mode", ["full", "uni99"])
def test_nan_is_refused(loader, kind, mode):
    test = loader()
    model = kind(test.dataset.user_num)
    model.table[int(test.cases.users[3]), int(test.cases.targets[3])] = math.nan
    with pytest.raises(ScoreError, match="NaN"):
        CaseRanker(test, [mode], seed=1).ranks(model, CPU)


def test_infinite_scores_can_be_ranked(loader):
    test = loader()
    model = Table(test.dataset.user_num)
    model.table.fill_(-math.inf)
    ranks = CaseRanker(test, ["full", "uni4"], seed=1).ranks(model, CPU)
    assert ranks["full"].tolist() == [6.5 if domain == 0 else 5.0 for domain in test.domain]
    assert (ranks["uni4"] >= 1).all()


# ---- candidates ------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["leave_one_out", PRE_SPLIT])
def test_candidates_are_neither_owned_nor_the_target(tiny_dataset, loader, split):
    tiny = tiny_dataset(split=split)
    test = loader("Pop", tiny)
    dataset = test.dataset
    owned: dict[str, set[str]] = {}
    for user, items in [*tiny.histories, *(pair for part in tiny.splits.values() for pair in part)]:
        owned.setdefault(user, set()).update(items)
    for mode, number in (("uni3", 3), ("uni99", 99)):
        candidates = sampled(CaseRanker(test, [mode], seed=1), mode)
        assert len(candidates) == len(test.cases)
        for case, items in enumerate(candidates):
            user = dataset.id2token("user_id", [int(test.cases.users[case])])[0]
            target = dataset.id2token("item_id", [int(test.cases.targets[case])])[0]
            names = set(dataset.id2token("item_id", np.array(items, dtype=int)).tolist())
            allowed = {item for item in tiny.items if item[0] == target[0]} - owned[user]
            assert names <= allowed
            assert len(names) == len(items) == min(number, len(allowed))


def test_candidates_are_the_same_for_every_model_and_batch_size(tiny_dataset, loader):
    tiny = tiny_dataset()
    known = None
    for model, batch_size in (("BPR", 3), ("SASRec", 1000), ("TEMA", 7), ("Pop", 5)):
        test = loader(model, tiny, eval_batch_size=batch_size, seed=batch_size)
        found = sampled(CaseRanker(test, ["uni4"], seed=9), "uni4")
        known = known or found
        assert found == known


def test_candidates_are_those_of_their_seed(loader):
    test = loader()
    drawn = [sampled(CaseRanker(test, ["uni4"], seed), "uni4") for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_domain_with_few_items(tiny_dataset, loader, caplog):
    # The user of the first case has every kitchen item but one, that of the second has all.
    histories = [
        ("a", [*(f"k{n}" for n in range(1, 9)), "f1"]),
        ("b", [f"k{n}" for n in range(1, 10)]),
        ("c", ["f1", "f2", "k9"]),
    ]
    histories = [(user, ["f1", *items, items[2]]) for user, items in histories]
    test = loader("Pop", tiny_dataset(histories=histories))
    ranker = CaseRanker(test, ["uni99"], seed=1)
    assert (
        "uni99: fewer items to draw from in 3 of 3 cases, 0 at least, which get all of them (said "
        "once for tiny)"
    ) in caplog.messages
    assert [len(each) for each in sampled(ranker, "uni99")] == [1, 0, 8]
    model = Table(test.dataset.user_num)
    # Lower ids score higher, so that the first item would count if it stood in for no candidate.
    model.table = -torch.arange(float(ITEMS)).expand(test.dataset.user_num, -1)
    ranks = ranker.ranks(model, CPU)["uni99"]
    candidates = sampled(ranker, "uni99")
    for case, target in enumerate(test.cases.targets):
        assert ranks[case] == 1 + sum(item < target for item in candidates[case])
    assert ranks[1] == 1


# ---- the best items of a few cases -----------------------------------------------------------


@pytest.mark.parametrize("kind", [Table, PairsOnly, OfDomain])
@pytest.mark.parametrize("k", [3, 10])
def test_best_items_by_hand_count(loader, kind, k):
    test = loader(eval_batch_size=7)
    model = kind(test.dataset.user_num)
    ranker = CaseRanker(test, ["full", "uni4"], seed=3)
    cases = np.array([9, 0, 4, 17])
    assert set(test.domain[cases]) == {0, 1}
    found = ranker.top(model, CPU, cases, k)
    assert found.cases.tolist() == [9, 0, 4, 17]
    assert found.ranks.tolist() == ranker.ranks(model, CPU)["full"][cases].tolist()
    for row, case in zip(found.items.tolist(), cases, strict=True):
        scores = model.table[test.cases.users[case]].tolist()
        domain = range(1, 13) if test.cases.targets[case] < 13 else range(13, 22)
        expected = sorted(domain, key=lambda item: (-scores[item], item))[:k]
        # The kitchen has nine items.
        assert row == expected + [-1] * (k - len(expected))


def test_best_items_of_nan_scores_are_refused(loader):
    test = loader()
    model = Table(test.dataset.user_num)
    model.table[:, 3] = math.nan
    with pytest.raises(ScoreError, match="NaN"):
        CaseRanker(test, ["uni4"], seed=3).top(model, CPU, np.arange(5), 5)
