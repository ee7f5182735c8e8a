"""Tables and pictures of a sweep. How the pictures look was judged by eye."""

import csv
import sys

import numpy as np
import pytest

from recbole_tema.report import sensitivity
from recbole_tema.report.sensitivity import Point, Sweep, value_text, write_sweeps
from recbole_tema.report.tables import tables_of_metrics


def tables(labels, n_seeds=2):
    """NDCG@10 of the row at place i is .1 + .1 i, ± .01 with two seeds."""
    tree = {
        label: {
            seed: {
                "uni9": {
                    domain: {"ndcg@10": 0.1 + 0.1 * at + 0.02 * seed, "mrr": 0.5}
                    for domain in ("food", "kitchen", "all")
                }
            }
            for seed in range(n_seeds)
        }
        for at, label in enumerate(labels)
    }
    return tables_of_metrics(tree)


def sweep(key, values, models=("TEMA",)):
    """The first value is the one that was given."""
    return Sweep(
        key,
        tuple(
            Point(model, value, f"{model} ({value})" if at else model, given=at == 0)
            for model in models
            for at, value in enumerate(values)
        ),
    )


def labels_of(*sweeps):
    return list(dict.fromkeys(point.label for each in sweeps for point in each.points))


@pytest.fixture
def panels(monkeypatch):
    """The panels of the pictures that are written, by file name."""
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    seen = {}
    save = sensitivity.save

    def keep(figure, path):
        figure.draw_without_rendering()
        seen[path.name] = figure.axes
        return save(figure, path)

    monkeypatch.setattr(sensitivity, "save", keep)
    return seen


def test_value_text():
    values = [0.001, 1e-5, 3, True, "dot", None, ["id", "text"], [1.0, [2]], {"id": 0.5}]
    assert list(map(value_text, values)) == [
        *("0.001", "1e-05", "3", "True", "dot", "~", "[id, text]", "[1.0, [2]]", "{id: 0.5}"),
    ]


def test_table_in_the_order_of_the_numbers(tmp_path):
    one = sweep("dropout", [0.5, 0.9, 0.1])
    write_sweeps([one], tmp_path, [], tables(labels_of(one)))
    text = (tmp_path / "sweep_dropout_uni9.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0][:2] == ["dropout", "food NDCG@10"]
    assert [row[0] for row in cells[2:]] == ["0.1", r"0.5 \*", "0.9"]
    assert [row[1] for row in cells[2:]] == [
        "**0.3100 ± 0.0141**",
        "0.1100 ± 0.0141",
        "<u>0.2100 ± 0.0141</u>",
    ]
    assert text.startswith("Candidates: uni9; mean ± std over 2 seeds; best in bold")
    assert "; *: as given\n" in text


def test_table_of_lists_and_several_models(tmp_path):
    views = sweep("views", [["single", "merged"], ["single"]], models=("TEMA", "LLM_EMF"))
    write_sweeps([views], tmp_path, [], tables(labels_of(views), n_seeds=1))
    latex = (tmp_path / "sweep_views_uni9.tex").read_text(encoding="utf-8")
    assert r"\begin{tabular}{llrrrrrr}" in latex
    assert r"\cmidrule(lr){3-4}\cmidrule(lr){5-6}" in latex
    assert "\nModel & views & NDCG@10 & MRR" in latex
    assert "\nLLM\\_EMF & [single] & " in latex
    with open(tmp_path / "sweep_views_uni9.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 3 * 2
    assert rows[0] == {
        "candidates": "uni9",
        "model": "TEMA",
        "key": "views",
        "value": "[single, merged]",
        "given": "True",
        "domain": "food",
        "metric": "ndcg@10",
        "mean": "0.1",
        "std": "",
        "seeds": "1",
    }
    assert [rows[at]["given"] for at in (0, 6, 12, 18)] == ["True", "False", "True", "False"]


def test_one_set_of_files_a_key_and_points_without_a_result_yet(tmp_path):
    both = [sweep("n_layers", [1, 2, 3]), sweep("dropout", [0.1, 0.2])]
    paths = write_sweeps(both, tmp_path, [], tables(["TEMA", "TEMA (2)"]))
    assert {path.name for path in paths} >= {
        *(f"sweep_{key}_uni9.{kind}" for key in ("n_layers", "dropout") for kind in ("md", "csv")),
    }
    text = (tmp_path / "sweep_n_layers_uni9.csv").read_text(encoding="utf-8")
    assert {line.split(",")[3] for line in text.splitlines()[1:]} == {"1", "2"}


def test_curves(tmp_path, panels):
    one = sweep("n_heads", [2, 4, 1], models=("TEMA", "LLMEMF"))
    write_sweeps([one], tmp_path, [], tables(labels_of(one)))
    axes = panels["sweep_n_heads_uni9.png"]
    assert [each.get_title(loc="left") for each in axes] == [
        "food: NDCG@10",
        "kitchen: NDCG@10",
        "food: MRR",
        "kitchen: MRR",
    ]
    lines = {line.get_label(): line for line in axes[0].get_lines()}
    assert lines["TEMA"].get_xdata().tolist() == [1, 2, 4]
    assert lines["TEMA"].get_ydata() == pytest.approx([0.31, 0.11, 0.21])
    assert lines["LLMEMF"].get_ydata() == pytest.approx([0.61, 0.41, 0.51])
    # Whiskers of one standard deviation, and a ring about what was given.
    (whiskers, _) = axes[0].collections
    ends = [segment[:, 1].tolist() for segment in whiskers.get_segments()]
    assert ends[0] == pytest.approx([0.31 - 0.02 / 2**0.5, 0.31 + 0.02 / 2**0.5])
    rings = [line for line in axes[0].get_lines() if line.get_markersize() == 11]
    assert [(float(x), float(y)) for line in rings for x, y in [line.get_xydata()[0]]] == [
        (2.0, pytest.approx(0.11)),
        (2.0, pytest.approx(0.41)),
    ]
    assert axes[2].get_xscale() == "linear"
    assert [tick.get_text() for tick in axes[2].get_xticklabels()] == ["1", "2", "4"]


@pytest.mark.parametrize(
    ("values", "scale", "names"),
    [
        ([0.1, 0.5, 0.9], "linear", ["0.1", "0.5", "0.9"]),
        ([0.01, 0.0001, 0.1], "log", ["0.0001", "0.01", "0.1"]),
        ([0, 0.1, 0.5], "linear", ["0", "0.1", "0.5"]),
        # No logarithm shows 0: side by side.
        ([0.1, 0, 0.001], "linear", ["0", "0.001", "0.1"]),
        ([-1, 1], "linear", ["-1", "1"]),
        (["dot", "cosine"], "linear", ["dot", "cosine"]),
        ([True, False], "linear", ["True", "False"]),
        ([["single", "merged"], ["single"]], "linear", ["[single, merged]", "[single]"]),
        ([None, 0.5], "linear", ["~", "0.5"]),
    ],
)
def test_axes(tmp_path, panels, values, scale, names):
    one = sweep("key", values)
    write_sweeps([one], tmp_path, [], tables(labels_of(one)))
    axes = panels["sweep_key_uni9.png"][-1]
    assert axes.get_xscale() == scale
    assert [tick.get_text() for tick in axes.get_xticklabels()] == names
    line = next(line for line in axes.get_lines() if line.get_label() == "TEMA")
    at = dict(zip(axes.get_xticks(), names, strict=True))
    drawn = [at[x] for x in line.get_xdata()]
    assert drawn == names


def test_the_same_numbers_give_the_same_picture(tmp_path):
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    one = sweep("dropout", [0.1, 0.5])
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_sweeps([one], tmp_path / folder, [], tables(labels_of(one)))
    pictures = [(tmp_path / folder / "sweep_dropout_uni9.png").read_bytes() for folder in "ab"]
    assert pictures[0] == pictures[1]
    assert pictures[0].startswith(b"\x89PNG")


def test_without_matplotlib_there_are_tables(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    one = sweep("dropout", [0.1, 0.5])
    paths = write_sweeps([one], tmp_path, [], tables(labels_of(one)))
    assert [path.suffix for path in paths] == [".md", ".csv", ".tex"]
    assert "No plots were drawn" in caplog.text


def test_a_domain_without_cases(tmp_path):
    one = sweep("dropout", [0.1, 0.5])
    (table,) = tables(labels_of(one))
    table.mean[:, 1] = np.nan
    table.std[:, 1] = np.nan
    write_sweeps([one], tmp_path, [], [table])
    text = (tmp_path / "sweep_dropout_uni9.md").read_text(encoding="utf-8")
    assert "– |" in text
