"""Tables of small, hand-made metrics, compared as text."""

import csv
import io
import math
import statistics
from dataclasses import replace

import numpy as np
import pytest

from recbole_tema.report.rendering import (
    to_csv,
    to_latex,
    to_markdown,
    to_text,
    write_tables,
)
from recbole_tema.report.results import Cases, RunResult
from recbole_tema.report.significance import PairedTest, paired_tests
from recbole_tema.report.tables import (
    in_one_order,
    side_by_side,
    tables_of_metrics,
    tables_of_results,
)


def metrics(values, mode="uni999"):
    """{model: [[food hr@5, food mrr, all hr@5, all mrr] of each seed]} as a tree of metrics."""
    return {
        model: {
            seed: {
                mode: {
                    "food": {"hr@5": row[0], "mrr": row[1]},
                    "all": {"hr@5": row[2], "mrr": row[3]},
                }
            }
            for seed, row in enumerate(seeds)
        }
        for model, seeds in values.items()
    }


def table(values):
    (only,) = tables_of_metrics(metrics(values))
    return only


TWO = {"TEMA": [[0.25, 0.16555, 0.2, 0.1]], "Pop": [[0.125, 0.16556, 0.3, math.nan]]}


def test_markdown():
    assert to_markdown(table(TWO)) == (
        "Candidates: uni999; best in bold, second underlined\n"
        "\n"
        "| Model |     food HR@5 |   food MRR |      all HR@5 |    all MRR |\n"
        "| ----- | ------------: | ---------: | ------------: | ---------: |\n"
        # Both MRR read the same: both are best, and none is second.
        "| TEMA  |    **0.2500** | **0.1656** | <u>0.2000</u> | **0.1000** |\n"
        "| Pop   | <u>0.1250</u> | **0.1656** |    **0.3000** |          – |\n"
    )


def test_best():
    assert table(TWO).best().tolist() == [
        [[True, True], [False, True]],
        [[False, True], [True, False]],
    ]
    # Apart by less than is printed, yet on two sides of a rounding edge: they read differently.
    close = table({"A": [[0.12344, 0.1, 0.1, 0.1]], "B": [[0.12346, 0.1, 0.1, 0.1]]})
    assert close.best()[:, 0, 0].tolist() == [False, True]
    empty = table({"A": [[math.nan] * 4], "B": [[math.nan] * 4]})
    assert not empty.best().any()


def test_second():
    found = table({"A": [[0.3, 0.1, 0.2, 0.1]], "B": [[0.2, 0.1, 0.2, 0.1]], "C": [[0.1] * 4]})
    # Where two are best, the next one below them is second; where all are, none is.
    assert found.second().tolist() == [
        [[False, False], [False, False]],
        [[True, False], [False, False]],
        [[False, False], [True, False]],
    ]
    text = to_markdown(found)
    assert "| A     |    **0.3000** | **0.1000** |" in text
    assert "| B     | <u>0.2000</u> | **0.1000** |" in text


def test_one_model_is_not_called_best():
    text = to_markdown(table({"TEMA": [[0.25, 0.5, 0.2, 0.1]]}))
    assert "**" not in text
    assert "best" not in text


def test_mean_and_std_over_seeds():
    found = table({"TEMA": [[0.1, 0.2, 0.3, 0.4], [0.2, 0.2, 0.3, 0.4], [0.6, 0.2, 0.3, 0.4]]})
    assert found.mean[0, 0, 0] == pytest.approx(0.3)
    assert found.std[0, 0, 0] == pytest.approx(statistics.stdev([0.1, 0.2, 0.6]))
    assert found.seeds.tolist() == [[3, 3]]
    text = to_markdown(found)
    assert "mean ± std over 3 seeds" in text
    assert "0.3000 ± 0.2646" in text
    assert "0.4000 ± 0.0000" in text


def test_models_with_one_seed_beside_models_with_several():
    found = table({"TEMA": [[0.1, 0.2, 0.3, 0.4], [0.3, 0.2, 0.3, 0.4]], "Pop": [[0.1] * 4]})
    assert found.seeds.tolist() == [[2, 2], [1, 1]]
    assert np.isnan(found.std[1]).all()
    assert not np.isnan(found.std[0]).any()
    assert "over 1–2 seeds" in to_markdown(found)


def test_csv_is_tidy_and_unrounded():
    rows = list(csv.DictReader(io.StringIO(to_csv(table({"A": [[1 / 3, 0.5, 0.25, math.nan]]})))))
    assert len(rows) == 4
    assert rows[0] == {
        "candidates": "uni999",
        "model": "A",
        "domain": "food",
        "metric": "hr@5",
        "mean": "0.3333333333333333",
        "std": "",
        "seeds": "1",
    }
    assert rows[3]["domain"] == "all"
    assert rows[3]["mean"] == ""


def test_latex():
    text = to_latex(table({"TEMA_v2": [[0.25, 0.5, 0.2, 0.1]], "A&B": [[0.1, 0.6, 0.1, 0.1]]}))
    assert text == (
        "% Candidates: uni999; best in bold, second underlined\n"
        "% Needs \\usepackage{booktabs}.\n"
        "\\begin{tabular}{lrrrr}\n"
        "\\toprule\n"
        " & \\multicolumn{2}{c}{food} & \\multicolumn{2}{c}{all} \\\\\n"
        "\\cmidrule(lr){2-3}\\cmidrule(lr){4-5}\n"
        "Model & HR@5 & MRR & HR@5 & MRR \\\\\n"
        "\\midrule\n"
        "TEMA\\_v2 & \\textbf{0.2500} & \\underline{0.5000} & "
        "\\textbf{0.2000} & \\textbf{0.1000} \\\\\n"
        "A\\&B & \\underline{0.1000} & \\textbf{0.6000} & "
        "\\underline{0.1000} & \\textbf{0.1000} \\\\\n"
        "\\bottomrule\n"
        "\\end{tabular}\n"
    )


def test_latex_of_several_seeds_and_of_what_is_absent():
    text = to_latex(table({"A": [[0.1, math.nan, 0.1, 0.1], [0.3, math.nan, 0.1, 0.1]]}))
    assert "A & 0.2000 $\\pm$ 0.1414 & -- & 0.1000" in text


def paired(p_holm, metric="hr@5", domain="food"):
    return PairedTest(domain, metric, "TEMA", "Pop", 0.1, p_holm, p_holm, 100, 50)


@pytest.mark.parametrize(
    ("p_holm", "mark"),
    [(0.00999, "‡"), (0.01, "†"), (0.04999, "†"), (0.05, ""), (1.0, "")],
)
def test_marks_of_certainty(p_holm, mark):
    found = replace(table(TWO), tests=(paired(p_holm),))
    assert found.marks().tolist() == [[[mark, ""], ["", ""]], [["", ""], ["", ""]]]


def test_marks_in_every_form():
    found = replace(
        table(TWO), tests=(paired(0.001), paired(0.03, "mrr", "all"), paired(0.5, "mrr"))
    )
    caption = "† p < 0.05 or ‡ p < 0.01: better than the best other model (paired, Holm)"
    markdown, latex, text = to_markdown(found), to_latex(found), to_text(found)
    assert all(caption in each.splitlines()[0] for each in (markdown, latex, text))
    assert "|   **0.2500**‡ | **0.1656** |" in markdown
    assert " | **0.1000**† |" in markdown
    assert r"\textbf{0.2500}$^{\ddagger}$ & " in latex
    assert r"\textbf{0.1000}$^{\dagger}$ \\" in latex
    assert text.splitlines()[2:] == [
        "       ------ food ------  ------ all -------",
        "Model    HR@5       MRR      HR@5       MRR",
        "TEMA   0.2500*‡  0.1656*   0.2000    0.1000*†",
        "Pop    0.1250    0.1656*   0.3000*        –",
    ]
    assert "p <" not in to_markdown(replace(found, tests=(paired(0.5),)))


def test_tables_of_results_have_their_tests():
    cases = Cases(["u1", "u2"], ["i1", "i2"], np.array([0, 0]), ("food",), *np.zeros((3, 2)))
    runs = [
        RunResult(model, 1, cases, {m: np.array(ranks) for m in modes}, 1, 0, 1, 1.0, 1.0, 1.0, 1)
        for model, modes, ranks in (("A", ("full", "uni9"), [1, 2]), ("B", ("uni9",), [2, 2]))
    ]
    full, uni = tables_of_results(runs, topk=(1,))
    assert full.tests == ()
    assert uni.tests == tuple(paired_tests(runs, "uni9", topk=(1,)))
    assert (len(uni.tests), uni.tests[0].best) == (6, "A")


def test_names_are_escaped():
    found = table({"a|b*c": [[0.1] * 4], r"x\y~z^{50%}#$": [[0.2] * 4]})
    assert r"| a\|b\*c" in to_markdown(found)
    assert r"x\textbackslash{}y\textasciitilde{}z\textasciicircum{}\{50\%\}\#\$ &" in to_latex(
        found
    )


def test_text_side_by_side_and_underneath():
    assert to_text(table(TWO)) == (
        "Candidates: uni999; best marked *\n"
        "\n"
        "       ----- food -----  ----- all ------\n"
        "Model    HR@5      MRR     HR@5      MRR\n"
        "TEMA   0.2500*  0.1656*  0.2000   0.1000*\n"
        "Pop    0.1250   0.1656*  0.3000*       –\n"
    )
    assert to_text(table(TWO), width=30) == (
        "Candidates: uni999; best marked *\n"
        "\n"
        "       ----- food -----\n"
        "Model    HR@5      MRR\n"
        "TEMA   0.2500*  0.1656*\n"
        "Pop    0.1250   0.1656*\n"
        "\n"
        "       ----- all ------\n"
        "Model    HR@5      MRR\n"
        "TEMA   0.2000   0.1000*\n"
        "Pop    0.3000*       –\n"
    )


def test_one_table_a_mode():
    tree = metrics({"TEMA": [[0.1] * 4], "Pop": [[0.2] * 4]})
    tree["TEMA"][0]["full"] = tree["TEMA"][0]["uni999"]
    uni, full = tables_of_metrics(tree)
    assert (uni.candidates, uni.models) == ("uni999", ("TEMA", "Pop"))
    assert (full.candidates, full.models) == ("full", ("TEMA",))
    assert tables_of_metrics({}) == []


def test_models_of_other_domains_are_refused():
    tree = metrics({"TEMA": [[0.1] * 4], "Pop": [[0.2] * 4]})
    del tree["Pop"][0]["uni999"]["food"]
    with pytest.raises(ValueError, match=r"Pop has the domains and metrics .* compare runs of one"):
        tables_of_metrics(tree)


def test_files(tmp_path):
    paths = write_tables(tmp_path / "out", [table(TWO)])
    assert [path.name for path in paths] == [
        "table_uni999.md",
        "table_uni999.csv",
        "table_uni999.tex",
    ]
    assert paths[0].read_text(encoding="utf-8") == to_markdown(table(TWO))
    assert paths[1].read_bytes() == to_csv(table(TWO)).encode()
    assert paths[2].read_text(encoding="utf-8") == to_latex(table(TWO))
    (tests,) = write_tables(tmp_path, [replace(table(TWO), tests=(paired(0.5),))])[3:]
    assert tests.name == "tests_uni999.csv"


# ---- several data sets -----------------------------------------------------------------------


def of_domains(values, mode="uni999"):
    """{model: {domain: [mrr of each seed]}} as the table of one data set; ``all`` is 9 for each."""
    tree = {
        model: {
            seed: {mode: {**{d: {"mrr": by[d][seed]} for d in by}, "all": {"mrr": 9.0}}}
            for seed in range(len(next(iter(by.values()))))
        }
        for model, by in values.items()
    }
    (only,) = tables_of_metrics(tree)
    return only


def test_data_sets_side_by_side():
    first = of_domains(
        {"TEMA": {"food": [0.2, 0.4], "office": [0.1, 0.1]}, "BPR": {"food": [0.5], "office": [0]}}
    )
    second = of_domains(
        {"TEMA": {"arts": [0.3], "office": [0.2]}, "Pop": {"arts": [0.1], "office": [0.6]}}
    )
    tests = [
        PairedTest(domain, "mrr", "TEMA", "Pop", 0.2, 0.001, 0.004, 8, 7)
        for domain in ("arts", "all")
    ]
    both = {"fo": [first], "ao": [replace(second, tests=tuple(tests))]}
    (found,) = side_by_side(both, ["TEMA", "BPR", "SASRec", "Pop"])
    assert found.models == ("TEMA", "BPR", "Pop")
    assert found.domains == ("food", "fo: office", "arts", "ao: office")
    nan = math.nan
    np.testing.assert_allclose(
        found.mean[..., 0], [[0.3, 0.1, 0.3, 0.2], [0.5, 0, nan, nan], [nan, nan, 0.1, 0.6]]
    )
    spread = statistics.stdev([0.2, 0.4])
    np.testing.assert_allclose(found.std[0, :, 0], [spread, 0, nan, nan])
    assert found.seeds.tolist() == [[2, 2, 1, 1], [1, 1, 0, 0], [0, 0, 1, 1]]
    caption, _, *lines = to_markdown(found).splitlines()
    assert caption.startswith("Candidates: uni999; mean ± std over 1–2 seeds; best in bold")
    assert [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]] == [
        ["TEMA", "<u>0.3000 ± 0.1414</u>", "**0.1000 ± 0.0000**", "**0.3000**‡", "<u>0.2000</u>"],
        ["BPR", "**0.5000**", "<u>0.0000</u>", "–", "–"],
        ["Pop", "–", "–", "<u>0.1000</u>", "**0.6000**"],
    ]


def test_a_candidates_mode_that_one_data_set_has():
    first = of_domains({"Pop": {"food": [0.2]}})
    second = of_domains({"Pop": {"arts": [0.3]}}, mode="full")
    found = side_by_side({"fo": [first], "ao": [second]}, ["Pop"])
    assert [(table.candidates, table.domains) for table in found] == [
        ("uni999", ("food",)),
        ("full", ("arts",)),
    ]
    assert side_by_side({}, ["Pop"]) == []


@pytest.mark.parametrize(
    ("orders", "expected"),
    [
        ([["TEMA", "Pop"], ["TEMA", "Pop"]], ["TEMA", "Pop"]),
        # Only the second data set has the row of images.
        ([["TEMA", "no text", "Pop"], ["TEMA", "no image", "Pop"]], "TEMA,no image,no text,Pop"),
        ([["B"], ["A", "B", "C"]], ["A", "B", "C"]),
        ([], []),
    ],
)
def test_orders_that_differ_become_one(orders, expected):
    wanted = expected.split(",") if isinstance(expected, str) else expected
    assert in_one_order(orders) == wanted
