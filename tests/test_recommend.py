"""Recommendations of trained models, against the ranks of their run and scores made by hand."""

import csv
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from recbole.data.interaction import Interaction

from recbole_tema import Recommender, run_recbole_tema
from recbole_tema.cli import main as train
from recbole_tema.formats import PRE_SPLIT
from recbole_tema.recommend_cli import main
from tests.conftest import FOOD, KITCHEN, random_histories, write_tiny_dataset
from tests.runs import QUICK

MODELS = ("TEMA", "SASRec", "ItemKNN", "Pop", "BPR")


@pytest.fixture(scope="module")
def run(tmp_path_factory, one_thread):
    """A folder with a data set, and with a run of it that ranks among unseen items."""
    here = tmp_path_factory.mktemp("recommend")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        tiny = write_tiny_dataset(here / "dataset", histories=random_histories(40, seed=1, most=6))
        asked = [*QUICK, "--candidates", "unseen", "--model", ",".join(MODELS)]
        at = asked.index("--candidates")
        del asked[at : at + 2]
        # Without times a history says all that the model is given.
        assert train([*asked, "--seeds", "2,1", "--time_knots=0", "--output", "out"]) == 0
        assert train([*QUICK, "--model", "TEMA", "--output", "timed"]) == 0
    return here, tiny


@pytest.fixture
def here(run, monkeypatch):
    """The current folder is the run's; gives the data set."""
    monkeypatch.chdir(run[0])
    return run[1]


def items_of(found, user, domain):
    chosen = found[(found["user_id"] == user) & (found["domain"] == domain)]
    assert chosen["rank"].tolist() == list(range(1, len(chosen) + 1))
    return chosen["item_id"].tolist()


@pytest.mark.parametrize("model", ["TEMA", "SASRec", "ItemKNN"])
@pytest.mark.parametrize("seed", [None, 1])
def test_what_a_test_case_would_be_recommended_is_where_the_run_ranked_it(here, model, seed):
    """The target's place among all items new to its history is its rank."""
    recommender = Recommender("out", model, seed)
    cases = {f"of {user}": items for user, items in here.histories if len(items) > 1}
    found = recommender.recommend(histories={n: i[:-1] for n, i in cases.items()}, k=99)
    ranks = pd.read_csv("out/ranks.csv.gz", dtype={"user_id": str})
    ranks = ranks[(ranks["model"] == model) & (ranks["seed"] == (seed or 2))]
    checked = 0
    for row in ranks.itertuples():
        name = f"of {row.user_id}"
        best = items_of(found, name, row.domain)
        history = cases[name][:-1]
        domain = FOOD if row.domain == "food" else KITCHEN
        assert sorted(best) == sorted(set(domain) - set(history))
        # What is bought again is no recommendation, and ItemKNN ties all that no neighbour has.
        if row.target_item_id in best and not (model == "ItemKNN" and row.rank > 3):
            assert best[int(row.rank) - 1] == row.target_item_id
            checked += 1
    assert checked >= 5


def scores_by_hand(recommender, items, times=None):
    """{item: score} of a history by the model's full_sort_predict."""
    dataset, model = recommender.dataset, recommender._model
    ids = torch.tensor([[dataset.token2id("item_id", item) for item in items]])
    fields = {"item_id_list": ids, "item_length": torch.tensor([ids.shape[1]])}
    if times is not None:
        fields["timestamp_list"] = torch.tensor([times], dtype=torch.float64)
    model.eval()
    with torch.no_grad():
        scores = model.full_sort_predict(Interaction(fields)).view(-1).tolist()
    return {dataset.id2token("item_id", number): scores[number] for number in range(1, len(scores))}


def given_to(recommender, patch):
    """What the model is given from now on."""
    given, scores = [], recommender._model.domain_scores

    def domain_scores(interaction, domain):
        given.append(interaction)
        return scores(interaction, domain)

    patch.setattr(recommender._model, "domain_scores", domain_scores)
    return given


def test_a_user_is_given_with_all_events_and_their_times(here, monkeypatch):
    recommender = Recommender("timed")
    user, items = next((u, i) for u, i in here.histories if len(i) == 5)
    # write_tiny_dataset: three events a day.
    days = [at // 3 for at in range(5)]
    scores = scores_by_hand(recommender, items, days)
    with monkeypatch.context() as patch:
        given = given_to(recommender, patch)
        recommender.recommend(users=[user], k=1)
    assert [each["timestamp_list"].tolist() for each in given] == [[days], [days]]
    for domain, own in (("food", FOOD), ("kitchen", KITCHEN)):
        new = sorted(set(own) - set(items), key=lambda item: -scores[item])
        found = recommender.recommend(users=[user], k=4, domains=[domain])
        assert items_of(found, user, domain) == new[:4]
        assert len(found) == min(4, len(new))
    all_of_them = recommender.recommend(users=[user], k=99, again=True)
    expected = sorted(FOOD, key=lambda item: -scores[item])
    assert items_of(all_of_them, user, "food") == expected


def test_somebody_else_buys_at_the_latest_time(here, monkeypatch):
    recommender = Recommender("timed")
    items = ["f1", "k1", "f2"]
    latest = max((len(items) - 1) // 3 for _, items in here.histories)
    scores = scores_by_hand(recommender, items, [latest] * 3)
    given = given_to(recommender, monkeypatch)
    found = recommender.recommend(histories={"me": items}, k=3, domains=["kitchen"])
    assert given[0]["timestamp_list"].tolist() == [[latest] * 3]
    new = sorted(set(KITCHEN) - {"k1"}, key=lambda item: -scores[item])
    assert items_of(found, "me", "kitchen") == new[:3]


def test_only_the_latest_items_count_but_none_of_the_older_comes_back(here):
    recommender = Recommender("out", "SASRec")
    items = ["k1", "f3", "f4", "f5", "f6", "f7", "k2"]  # MAX_ITEM_LIST_LENGTH is 5
    found = recommender.recommend(histories={"long": items, "short": items[-5:]}, k=99)
    long, short = (items_of(found, name, "food") for name in ("long", "short"))
    assert long == [item for item in short if item != "f3"]
    assert "f3" in short


def test_all_users_in_batches(here):
    recommender = Recommender("out", "TEMA")
    whole = recommender.recommend(k=2)
    assert whole["user_id"].nunique() == len(here.histories)
    recommender._config["eval_batch_size"] = 7
    pd.testing.assert_frame_equal(recommender.recommend(k=2), whole)
    one = recommender.recommend(users=["u7", "u7"], k=2)
    assert items_of(one, "u7", "food") == items_of(whole, "u7", "food")


def test_one_who_has_all_of_a_domain(here):
    recommender = Recommender("out", "SASRec")
    found = recommender.recommend(histories={"me": [*KITCHEN, "f1"]}, k=3)
    assert set(found["domain"]) == {"food"}
    assert len(found) == 3
    both = recommender.recommend(histories={"me": [*KITCHEN, "f1"]}, k=3, again=True)
    assert both.groupby("domain").size().to_dict() == {"food": 3, "kitchen": 3}


def test_models_that_know_users_by_id(here):
    found = Recommender("out", "BPR").recommend(users=["u3"], k=99)
    items = dict(here.histories)["u3"]
    assert sorted(items_of(found, "u3", "food")) == sorted(set(FOOD) - set(items))
    with pytest.raises(ValueError, match="BPR knows users by id"):
        Recommender("out", "BPR").recommend(histories={"me": ["f1"]})


def test_pop_counts_training_events(here):
    # Of two events, or one, the first one trains; of more all but the last two.
    events = [item for _, items in here.histories for item in items[: max(len(items) - 2, 1)]]
    recommender = Recommender("out", "Pop")
    found = recommender.recommend(users=["u0"], k=12, again=True, domains=["food"])
    anybody = recommender.recommend(histories={"me": ["k1"]}, k=12, domains=["food"])
    assert items_of(anybody, "me", "food") == items_of(found, "u0", "food")
    count = [events.count(item) for item in items_of(found, "u0", "food")]
    assert count == sorted(count, reverse=True)


def test_users_of_split_data_have_their_last_history(tiny_dataset, in_tmp):
    parts = {
        "train": random_histories(30, seed=3, least=2),
        "valid": random_histories(12, seed=4, least=2),
        # The same history twice, with two targets, is one row for each of them.
        "test": [("u1", ["f1", "k1", "f4"]), ("u1", ["f1", "k1", "f2"]), ("u2", ["k1", "f3"])],
    }
    tiny_dataset(split=PRE_SPLIT, splits=parts)
    settings = {"gpu_id": "", "candidates": "uni4", "show_progress": False, "epochs": 1}
    run_recbole_tema("SASRec", "tiny", config_dict=settings, output="out")
    recommender = Recommender("out")
    found = recommender.recommend(users=["u1"], histories={"me": ["f1", "k1", "f2"]}, k=99)
    everywhere = {item for part in parts.values() for user, i in part for item in i if user == "u1"}
    assert {"f1", "f2", "f4", "k1"} <= everywhere
    for domain in ("food", "kitchen"):
        new = [item for item in items_of(found, "me", domain) if item not in everywhere]
        assert items_of(found, "u1", domain) == new
        assert new
    three = recommender.recommend(users=["u1"], k=2, domains=["kitchen"])
    assert items_of(three, "u1", "kitchen") == items_of(found, "u1", "kitchen")[:2]


# ---- what is wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("out",), "out has several models, BPR, ItemKNN, Pop, SASRec, TEMA: choose one"),
        (("out", "GRU4Rec"), "out has no model GRU4Rec; choose from BPR"),
        (("out", "TEMA", 9), "TEMA-9-best.pth: no such checkpoint; .* has BPR-1-best.pth, "),
        (("nowhere",), "nowhere: no such folder; expected the output folder of a run"),
        (("dataset",), "dataset: no run has finished a model here; expected the output folder"),
        ((".",), r"\.: no run has finished .* of a run; choose one of out, timed"),
        (("out", "TEMA", None, "elsewhere"), "no data set 'tiny'"),
    ],
)
def test_runs_that_are_not_there(here, arguments, expected):
    with pytest.raises(ValueError, match=expected):
        Recommender(*arguments)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (
            {"users": ["u1", "nobody"]},
            r"users: tiny does not have nobody \(1 of 2\); what somebody else has can be given in "
            "histories",
        ),
        (
            {"histories": {"me": ["f1", "x9"]}},
            r"histories: me: tiny does not have x9 \(1 of 2\)",
        ),
        (
            {"histories": {"me": ["x1", "f1", "x2", "x3", "x4"]}},
            r"me: tiny does not have x1, x2, x3, … \(4 of 5\)",
        ),
        ({"users": ["[PAD]"]}, r"does not have \[PAD\]"),
        ({"users": []}, "users: expected at least one, or a history; got none"),
        ({"histories": {}}, "users: expected at least one, or a history; got none"),
        ({"histories": {"me": ["f1", "[PAD]"]}}, r"me: tiny does not have \[PAD\]"),
        ({"histories": {"me": []}}, "histories: me: expected at least one item, got none"),
        ({"users": ["u1"], "histories": {"u1": ["f1"]}}, "histories: u1: a user asked for has"),
        ({"users": ["u1"], "k": 0}, "k: expected a whole number of at least 1, got 0"),
        (
            {"users": ["u1"], "domains": ["arts"]},
            "domain: expected some of food, kitchen, got arts",
        ),
        ({"users": ["u1"], "domains": []}, "domain: expected some of food, kitchen, got none"),
        ({"users": ["u1"], "domains": ["food", "food"]}, "domain: expected some of"),
    ],
)
def test_what_cannot_be_asked_for(here, asked, expected):
    with pytest.raises(ValueError, match=expected):
        Recommender("out", "SASRec").recommend(**asked)


@pytest.mark.parametrize("content", ["", "- a list", "epochs: [1"])
def test_a_broken_configuration_is_named(in_tmp, content):
    Path("config-TEMA.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"config-TEMA.yaml: not the configuration that a run"):
        Recommender(".")


def test_more_than_there_are_is_all(here):
    found = Recommender("out", "SASRec").recommend(histories={"me": ["f1"]}, k=10**13)
    assert len(found) == len(FOOD) - 1 + len(KITCHEN)


def test_data_that_changed_are_refused(run, tmp_path):
    folder, tiny = run
    other = write_tiny_dataset(tmp_path / "moved", histories=tiny.histories)
    other.files.graph.unlink()  # which SASRec does not read
    recommender = Recommender(folder / "out", "SASRec", data_path=tmp_path / "moved")
    assert len(recommender.recommend(users=["u1"], k=1)) == 2
    lines = other.files.items.read_text(encoding="utf-8").splitlines()
    swapped = "\n".join([lines[0], lines[2], lines[1], *lines[3:]])
    other.files.items.write_text(swapped + "\n", encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"SASRec-2-best.pth was trained on: tiny\.item changed since"
    ):
        Recommender(folder / "out", "SASRec", data_path=tmp_path / "moved")


# ---- the command -----------------------------------------------------------------------------


def test_the_command_prints_titles(tiny_dataset, in_tmp, capsys):
    tiny = tiny_dataset()
    frame = pd.read_csv(tiny.files.items, sep="\t")
    frame["title:token_seq"] = "Title of " + frame["item_id:token"]
    frame.loc[frame["item_id:token"] == "f3", "title:token_seq"] = "語" * 200
    frame.to_csv(tiny.files.items, sep="\t", index=False)
    assert train([*QUICK, "--model", "SASRec", "--output", "out"]) == 0
    capsys.readouterr()
    assert main(["out", "--users", "u1,u2", "--k", "12"]) == 0
    blocks = capsys.readouterr().out.rstrip("\n").split("\n\n")
    assert [block.splitlines()[0] for block in blocks] == [
        *("u1: food", "u1: kitchen", "u2: food", "u2: kitchen")
    ]
    found = Recommender("out").recommend(users=["u1"], k=12, domains=["food"])
    lines = blocks[0].splitlines()[1:]
    assert [line.split()[:2] for line in lines] == [
        [str(rank), item] for rank, item in zip(found["rank"], found["item_id"], strict=True)
    ]
    own = {line.split()[1]: line for line in lines}
    assert own["f5"].endswith("  Title of f5")
    assert own["f3"].endswith("語" * 75 + "…")
    assert max(map(len, lines)) < 100


def test_the_command_writes_all_users(here, tmp_path, capsys):
    path = tmp_path / "top.csv"
    assert main(["out", "--model", "TEMA", "--seed", "1", "--k", "2", "--csv", str(path)]) == 0
    # Of each user two items of each domain, as each has at least two that are new.
    assert capsys.readouterr().out == f"recommendations: {4 * len(here.histories)}, in {path}\n"
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["user_id", "domain", "rank", "item_id", "title"]
    found = Recommender("out", "TEMA", 1).recommend(k=2)
    assert [row["item_id"] for row in rows] == found["item_id"].tolist()
    assert len(np.unique([row["user_id"] for row in rows])) == len(here.histories)


def test_a_history_on_the_command_line(here, capsys):
    asked = ["out", "--model", "SASRec", "--domain", "food", "--k", "1"]
    assert main([*asked, "--history", "f1, k2"]) == 0
    head, line = capsys.readouterr().out.splitlines()
    found = Recommender("out", "SASRec").recommend(histories={"me": ["f1", "k2"]}, k=1)
    assert head == "history: food"
    assert line.split() == ["1", items_of(found, "me", "food")[0]]
    assert main([*asked, "--history", "f1", "--again", "--domain", "kitchen"]) == 0
    everything = ",".join([*FOOD, *KITCHEN])
    capsys.readouterr()
    assert main(["out", "--model", "SASRec", "--history", everything]) == 0
    assert capsys.readouterr().out == "nothing to recommend: no item is new to them\n"


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ([], "name --users or give a --history"),
        (["--users", "u1", "--k", "0"], "k: expected"),
        (["--history", "f1,x,y"], "--history: tiny does not have the items x, y\n"),
        (
            ["--users", "v1,u1,v2,v3,v4"],
            "--users: tiny does not have v1, v2, v3, v4; what somebody else has can be given by "
            "--history ITEM,…\n",
        ),
        (["--history", "", "--csv", "x.csv"], "--history: expected at least one, or several"),
        (["--users", ",", "--csv", "x.csv"], "--users: expected at least one, or several"),
        (["--users", "u1", "--domain", ","], "--domain: expected at least one, or several"),
    ],
)
def test_what_the_command_cannot_do_exits_with_2(here, capsys, extra, expected):
    assert main(["out", "--model", "SASRec", *extra]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("recbole-tema-recommend: ")
    assert expected in printed.err
    assert not printed.out
    assert not Path("x.csv").exists()


def test_help(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    printed = capsys.readouterr().out
    for option in ("--users", "--history", "--domain", "--k", "--again", "--csv", "--data_path"):
        assert option in printed
    # Amazon's ids have ten characters.
    (example,) = re.findall(r"--history (B\S+)", printed)
    assert all(re.fullmatch("B[0-9A-Z]{9}", item) for item in example.split(","))
