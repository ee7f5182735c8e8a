"""Pictures: written, reproducible, and not needed. How they look was judged by eye."""

import logging
import math
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import recbole_tema
from recbole_tema.report import plots
from recbole_tema.report.plots import (
    COLOURS,
    write_comparison_plot,
    write_history_plot,
    write_learning_curves,
)
from recbole_tema.report.tables import tables_of_metrics

CURVES = {
    "TEMA": {7: {1: 0.1, 2: 0.3, 3: 0.2}, 8: {1: 0.1, 2: 0.2}},
    "Pop": {7: {1: 0.05}},
    "none": {7: {}},
    "nan": {7: {1: math.nan}},
}


def table(n_models=3, n_seeds=1, domains=("food", "$a_b$", "all")):
    tree = {
        f"M{i}": {
            seed: {
                "uni999": {
                    domain: {"hr@5": 0.3, "ndcg@5": 0.2, "ndcg@10": 0.1 + 0.01 * seed, "mrr": 0.1}
                    for domain in domains
                }
            }
            for seed in range(n_seeds)
        }
        for i in range(n_models)
    }
    (only,) = tables_of_metrics(tree)
    return only


def chunks(data: bytes) -> set[bytes]:
    """The kinds of chunks that a PNG file holds."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    kinds, position = set(), 8
    while position < len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        kinds.add(data[position + 4 : position + 8])
        position += length + 12
    return kinds


@pytest.fixture
def matplotlib():
    return pytest.importorskip("matplotlib", reason="plots need matplotlib")


@pytest.mark.parametrize("n_models", [1, 3, 2 * len(COLOURS) + 1])
@pytest.mark.parametrize("n_seeds", [1, 2])
def test_comparison(matplotlib, tmp_path, n_models, n_seeds):
    path = write_comparison_plot(tmp_path / "new", table(n_models, n_seeds))
    assert path == tmp_path / "new" / "comparison_uni999.png"
    # No text and no time: the file holds the picture and its resolution alone.
    assert chunks(path.read_bytes()) == {b"IHDR", b"pHYs", b"IDAT", b"IEND"}


def test_a_domain_without_cases_is_an_empty_place(matplotlib, tmp_path):
    empty = table()
    empty.mean[:, 1] = math.nan
    assert write_comparison_plot(tmp_path, empty).stat().st_size > 5_000


def test_curves(matplotlib, tmp_path):
    path = write_learning_curves(tmp_path, CURVES, "mrr")
    assert path == tmp_path / "learning_curves.png"
    assert chunks(path.read_bytes()) == {b"IHDR", b"pHYs", b"IDAT", b"IEND"}


TRIALS = [(0, 0.2), (1, None), (2, 0.3), (4, 0.1), (5, 0.4)]


def history(path, values, complete, bigger=True):
    drawn = write_history_plot(path, values, complete, bigger, "NDCG@10 by trial")
    return drawn and drawn.read_bytes()


def test_history(matplotlib, tmp_path):
    path = tmp_path / "new" / "history.png"
    whole = history(path, TRIALS, {0, 2, 5})
    assert chunks(whole) == {b"IHDR", b"pHYs", b"IDAT", b"IEND"}
    assert history(path, TRIALS, {0, 2, 5}) == whole
    # What is complete, and which way is better, are to be seen; a trial without a value is not.
    assert history(path, TRIALS, {0, 2}) != whole
    assert history(path, TRIALS, {0, 2, 5}, bigger=False) != whole
    assert history(path, [each for each in TRIALS if each[1]], {0, 2, 5}) == whole
    assert history(path, TRIALS, set()), "pruned ones alone"


def test_nothing_to_draw(tmp_path):
    assert (
        write_learning_curves(tmp_path, {each: CURVES[each] for each in ("none", "nan")}, "mrr")
        is None
    )
    assert history(tmp_path / "history.png", [(0, None)], set()) is None
    assert not list(tmp_path.iterdir())


def test_the_same_numbers_give_the_same_bytes(matplotlib, tmp_path):
    once, again = tmp_path / "a", tmp_path / "b"
    for write, *what in (
        (write_comparison_plot, table(3, 2)),
        (write_learning_curves, CURVES, "mrr"),
    ):
        assert write(once, *what).read_bytes() == write(again, *what).read_bytes()


def test_global_state_is_left_alone(matplotlib, tmp_path):
    code = f"""
import sys, matplotlib
from pathlib import Path
from recbole_tema.report.plots import write_learning_curves
matplotlib.rcParams["backend"] = "svg"
before = dict(matplotlib.rcParams)
assert write_learning_curves(Path({str(tmp_path)!r}), {{"A": {{7: {{1: 0.1, 2: 0.2}}}}}}, "mrr")
assert before == dict(matplotlib.rcParams)
assert "matplotlib.pyplot" not in sys.modules and "torch" not in sys.modules
"""
    root = Path(recbole_tema.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)


def test_without_matplotlib_a_warning_says_so(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with caplog.at_level(logging.WARNING):
        assert write_comparison_plot(tmp_path, table()) is None
        assert write_learning_curves(tmp_path, CURVES, "mrr") is None
        assert history(tmp_path / "history.png", TRIALS, {0}) is None
    assert not list(tmp_path.iterdir())
    assert "pip install matplotlib" in caplog.text


def test_a_legend_of_many_models_stands_above_the_picture(tmp_path, matplotlib, monkeypatch):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    drawn = []
    monkeypatch.setattr(plots, "save", lambda figure, path: drawn.append(figure))
    labels = [f"TEMA (what is changed in row number {number})" for number in range(19)]
    write_learning_curves(tmp_path, {label: {1: {3: 0.1}} for label in labels}, "mrr")
    (figure,) = drawn
    FigureCanvasAgg(figure).draw()
    (legend,), (axes,) = figure.legends, figure.axes
    box, below = legend.get_window_extent(), axes.get_tightbbox()
    assert box.y1 <= figure.bbox.y1
    assert box.y0 >= below.y1
    assert below.height > 3 * figure.dpi
    # One epoch is one tick, at a whole number.
    assert axes.get_xticks().tolist() == [3]
