"""``report.html`` of real runs: what it shows is what the models do."""

import re
from pathlib import Path

import pytest

from recbole_tema import run_recbole_tema
from recbole_tema.report import read_ranks

QUICK = {
    "candidates": "uni4,full",
    "epochs": 2,
    "train_batch_size": 32,
    "show_progress": False,
    "MAX_ITEM_LIST_LENGTH": 5,
    "gpu_id": "",
    "n_negatives": 4,
    "learning_rate": 0.01,
}


def examples(page: Path) -> list[dict]:
    """Of each case its user, its target, and each model's rank and best items, by their ids."""
    found = []
    for case in re.findall(r'<details class="case".*?</details>', page.read_text("utf-8"), re.S):
        user, target = re.search(r"User (\S+), item (\S+)\.</p>", case).groups()
        ranks = re.findall(r"<h4>(\w+): target at ([\d.,]+)</h4>", case)
        history, *tops = [
            re.findall(r'class="title" title="(\S+) \(no title\)"', items)
            for items in re.findall(r'<ol class="items">.*?</ol>', case, re.S)
        ]
        best = {model: top for (model, _), top in zip(ranks, tops, strict=True)}
        ranks = {model: float(rank.replace(",", "")) for model, rank in ranks}
        found.append(
            {"user": user, "target": target, "history": history, "ranks": ranks, "best": best}
        )
    return found


def test_examples_are_what_the_models_rank(tiny):
    models = ["TEMA", "SASRec", "BPR", "NeuMF", "Pop"]
    run_recbole_tema(models, "tiny", None, QUICK, "out", seeds="2,1")
    shown = examples(Path("out/report.html"))
    assert len(shown) == 12
    ranks = read_ranks(Path("out/ranks.csv.gz"))
    full = ranks[(ranks["candidates"] == "full") & (ranks["seed"] == 2)]
    full = full.set_index(["model", "user_id"])
    histories = dict(tiny.histories)
    for case in shown:
        *before, target = histories[case["user"]]
        assert case["target"] == target
        assert case["history"] == before[-8:]
        assert list(case["ranks"]) == models
        for model in models:
            assert case["ranks"][model] == full.loc[(model, case["user"]), "rank"]
            best = case["best"][model]
            assert len(set(best)) == 5
            assert {tiny.domain_of(item) for item in best} == {tiny.domain_of(target)}
            if model != "Pop":  # which has ties
                place = best.index(target) + 1 if target in best else 6
                assert place == min(case["ranks"][model], 6)


@pytest.mark.parametrize("more", [{}, {"shard_items": True, "clip_grad_norm": None}])
def test_examples_of_two_processes(tiny, more):
    run_recbole_tema("TEMA", "tiny", None, {**QUICK, **more, "nproc": 2}, "out")
    ranks = read_ranks(Path("out/ranks.csv.gz"))
    full = ranks[ranks["candidates"] == "full"].set_index("user_id")["rank"]
    shown = examples(Path("out/report.html"))
    assert len(shown) == 12
    for case in shown:
        assert case["ranks"]["TEMA"] == full[case["user"]]
        place = 6
        if case["target"] in case["best"]["TEMA"]:
            place = case["best"]["TEMA"].index(case["target"]) + 1
        assert place == min(case["ranks"]["TEMA"], 6)
