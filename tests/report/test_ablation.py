"""Differences from the full model by hand, and the files of an ablation."""

import csv
import math

import numpy as np
import pytest
from scipy.stats import wilcoxon

from recbole_tema.report.ablation import Changed, LeftOut, differences, write_ablation
from recbole_tema.report.results import Cases, RunResult
from recbole_tema.report.significance import holm
from recbole_tema.report.tables import tables_of_results

DOMAIN = [0, 0, 0, 1]
CHANGED = [
    Changed("TEMA", "TEMA", "full model"),
    Changed("TEMA (id_only)", "TEMA", "id_only"),
    Changed("Pop", "Pop", None),
]
LEFT_OUT = [LeftOut("TEMA", "id + image", "tiny has no image vectors")]


def run(model, ranks, seed=1, domain=DOMAIN, mode="uni9"):
    n = len(ranks)
    cases = Cases(
        [f"u{i}" for i in range(n)],
        [f"i{i}" for i in range(n)],
        np.array(domain),
        ("food", "kitchen"),
        *np.zeros((3, n)),
    )
    ranked = {mode: np.array(ranks, dtype=float)}
    return RunResult(model, seed, cases, ranked, 1, 0, 1, 1.0, 1.0, 1.0, 1)


RESULTS = [
    run("TEMA", [1, 2, 4, 2]),
    run("TEMA (id_only)", [2, 2, 1, 5]),
    run("Pop", [5, 5, 5, 5]),
]


def by_place(found):
    return {(each.label, each.domain, each.metric): each for each in found}


def test_per_cent_of_the_full_models_mean_on_each_domain():
    found = by_place(differences(RESULTS, CHANGED, "uni9", topk=(1, 3)))
    assert list(found) == [
        ("TEMA (id_only)", domain, metric)
        for domain in ("food", "kitchen")
        for metric in ("ndcg@3", "mrr")
    ]
    # Food: (1 + 1/2 + 1/4) / 3 before, (1/2 + 1/2 + 1) / 3 now: 2 / 1.75 = 8 / 7.
    food = found["TEMA (id_only)", "food", "mrr"]
    assert food.percent == pytest.approx(100 / 7)
    assert (food.cases, food.different) == (3, 2)
    # Kitchen: 1/2 before, 1/5 now.
    assert found["TEMA (id_only)", "kitchen", "mrr"].percent == pytest.approx(-60)
    # NDCG@3 of food: 1 + 1/log2(3) + 0 before; twice 1/log2(3) and 1 now. Of kitchen: none now.
    gain = 1 / math.log2(3)
    ndcg = found["TEMA (id_only)", "food", "ndcg@3"].percent
    assert ndcg == pytest.approx(100 * (1 + 2 * gain) / (1 + gain) - 100)
    assert found["TEMA (id_only)", "kitchen", "ndcg@3"].percent == pytest.approx(-100)


def test_two_sided_p_in_the_direction_of_the_mean_and_holm_over_the_table():
    rng = np.random.default_rng(5)
    domain = np.array([0] * 60 + [1] * 40)
    ranks = {
        (label, seed): rng.integers(1, 30 if label == "TEMA" else 60, 100)
        for label in ("TEMA", "TEMA (a)", "TEMA (b)")
        for seed in (1, 2)
    }
    results = [run(label, each, seed, domain) for (label, seed), each in ranks.items()]
    changed = [
        Changed("TEMA", "TEMA", "full model"),
        Changed("TEMA (a)", "TEMA", "a"),
        Changed("TEMA (b)", "TEMA", "b"),
    ]
    found = differences(results, changed, "uni9")
    assert len(found) == 2 * 2 * 2
    assert [each.p_holm for each in found] == holm([each.p for each in found])
    for label in ("TEMA (a)", "TEMA (b)"):
        for at, name in enumerate(("food", "kitchen")):
            values = {
                each: np.mean([1 / ranks[each, seed] for seed in (1, 2)], axis=0)[domain == at]
                for each in (label, "TEMA")
            }
            change = values[label] - values["TEMA"]
            assert change.mean() < 0
            each = by_place(found)[label, name, "mrr"]
            assert each.percent == pytest.approx(100 * change.mean() / values["TEMA"].mean())
            expected = min(1, 2 * wilcoxon(change, alternative="less").pvalue)
            assert each.p == pytest.approx(expected, rel=1e-6)


def test_what_cannot_be_compared_is_left_out():
    # A full model without a result yet, a domain without cases, a mean of 0.
    assert differences(RESULTS[1:], CHANGED, "uni9") == []
    assert differences(RESULTS, CHANGED, "full") == []
    results = [run("TEMA", [9, 9], domain=[0, 0]), run("TEMA (id_only)", [1, 9], domain=[0, 0])]
    ndcg, mrr = differences(results, CHANGED, "uni9", topk=(3,))
    assert (ndcg.domain, ndcg.metric, mrr.domain) == ("food", "ndcg@3", "food")
    assert math.isnan(ndcg.percent)
    assert mrr.percent == pytest.approx(100 * ((1 + 1 / 9) / (2 / 9) - 1))


def written(folder, results=RESULTS, changed=CHANGED, left_out=LEFT_OUT):
    paths = write_ablation(
        changed, left_out, folder, results, tables_of_results(results, (3,)), (3,)
    )
    assert [path.name for path in paths] == [
        f"ablation_uni9.{kind}" for kind in ("md", "csv", "tex")
    ]
    return [path.read_text(encoding="utf-8") for path in paths]


def test_markdown(tmp_path):
    text, _, _ = written(tmp_path)
    head, rule, full, changed, other = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    )
    assert text.startswith(
        "Candidates: uni9; best in bold, second underlined; Δ: difference from the full model in "
        "per cent († p < 0.05, ‡ p < 0.01: paired, Holm)\n\n"
    )
    assert head[:2] == ["Changed", "food HR@3"]
    assert head[-4:] == [
        *("Δ food NDCG@3 (%)", "Δ food MRR (%)"),
        *("Δ kitchen NDCG@3 (%)", "Δ kitchen MRR (%)"),
    ]
    assert set(rule[0]) == {"-"}
    # Two models, so that rows name them; nothing is left to Markdown in a name.
    assert [row[0] for row in (full, changed, other)] == [
        "TEMA: full model",
        r"TEMA: id\_only",
        "Pop",
    ]
    assert full[-4:] == other[-4:] == ["–"] * 4
    assert changed[-4:] == ["+38.7", "+14.3", "-100.0", "-60.0"]
    assert text.endswith("\n\n- TEMA: id + image: left out, tiny has no image vectors\n")


def test_with_one_model_the_rows_are_what_is_changed(tmp_path):
    text, _, latex = written(tmp_path, RESULTS[:2], CHANGED[:2])
    assert "\n| full model |" in text
    assert "\n| id\\_only " in text
    assert text.endswith("\n- id + image: left out, tiny has no image vectors\n")
    assert latex.endswith("\\end{tabular}\n% id + image: left out, tiny has no image vectors\n")


def test_latex(tmp_path):
    _, _, text = written(tmp_path)
    (row,) = (line for line in text.splitlines() if "id\\_only" in line)
    assert row.endswith(r"& $+38.7$ & $+14.3$ & $-100.0$ & $-60.0$ \\")
    assert r"$\Delta$ food MRR (\%)" in text
    assert r"\begin{tabular}{lrrrrrrrrrrrrr}" in text


def test_marks_of_the_corrected_p(tmp_path):
    rng = np.random.default_rng(0)
    full = rng.integers(1, 20, 300)
    domain = [0] * 150 + [1] * 150
    results = [
        run("TEMA", full, domain=domain),
        run("TEMA (id_only)", full + rng.integers(0, 3, 300), domain=domain),
    ]
    text, table, latex = written(tmp_path, results, CHANGED[:2])
    rows = [row for row in csv.DictReader(table.splitlines()) if row["p_holm"]]
    assert len(rows) == 4
    assert all(float(row["p_holm"]) < 0.01 for row in rows)
    assert text.count("‡ |") == 4
    assert latex.count(r"$^{\ddagger}$") == 4


def test_csv(tmp_path):
    _, text, _ = written(tmp_path)
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) == 3 * 3 * 3  # rows, domains with all, metrics
    (row,) = (
        each
        for each in rows
        if (each["model"], each["domain"], each["metric"]) == ("TEMA (id_only)", "food", "mrr")
    )
    assert (row["full"], row["changed"], row["seeds"], row["std"]) == ("TEMA", "id_only", "1", "")
    assert float(row["mean"]) == pytest.approx(2 / 3)
    assert float(row["difference_percent"]) == pytest.approx(100 / 7)
    assert (row["cases"], row["different"]) == ("3", "2")
    assert float(row["p"]) == pytest.approx(1.0)  # one better, one worse
    others = [each for each in rows if each["model"] != "TEMA (id_only)"]
    assert all(each["p"] == each["difference_percent"] == "" for each in others)
    assert {(each["model"], each["full"], each["changed"]) for each in others} == {
        ("TEMA", "TEMA", "full model"),
        ("Pop", "Pop", ""),
    }


def test_rows_without_a_result_yet(tmp_path):
    text, _, _ = written(tmp_path, RESULTS[:1])
    assert "full model" in text
    assert "id\\_only" not in text
    assert "Δ" not in text
