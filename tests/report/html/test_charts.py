"""Where marks go, by hand."""

import math

import numpy as np
import pytest

from recbole_tema.report.html.charts import (
    BAR_LENGTH,
    BOTTOM,
    TOP,
    bar_charts,
    curves_chart,
    group_chart,
    styles,
)
from recbole_tema.report.tables import Table


def table(mean, std, domains):
    mean, std = np.array(mean), np.array(std)
    models = tuple(f"M{i}" for i in range(len(mean)))
    seeds = np.full(mean.shape, 2)
    return Table("full", models, domains, ("mrr",), mean[..., None], std[..., None], seeds)


def test_no_two_models_look_alike():
    found = styles([f"M{number}" for number in range(42)])
    assert len(set(found.values())) == 42


def test_bars_share_the_scale_of_their_metric():
    data = table([[0.1, 0.4], [0.2, np.nan]], [[0.0, 0.1], [0.05, np.nan]], ("food", "home"))
    food, home = bar_charts(data, ["mrr"], styles(data.models))
    # The longest reach, 0.4 + 0.1, takes the whole length.
    assert [bar.end for bar in food.bars] == pytest.approx([0.2 * BAR_LENGTH, 0.4 * BAR_LENGTH])
    assert food.bars[0].whisker is None
    assert food.bars[1].whisker == pytest.approx((0.3 * BAR_LENGTH, 0.5 * BAR_LENGTH))
    assert home.bars[0].whisker == pytest.approx((0.6 * BAR_LENGTH, BAR_LENGTH))
    assert [bar.text for bar in food.bars] == ["0.1000 ± 0.0000", "0.2000 ± 0.0500"]
    assert [bar.best for bar in food.bars] == [False, True]
    assert (food.title, home.title) == ("food: MRR, candidates full", "home: MRR, candidates full")


def test_a_domain_without_values_has_no_chart():
    data = table([[0.1, np.nan]], [[np.nan, np.nan]], ("food", "home"))
    (only,) = bar_charts(data, ["mrr"], styles(data.models))
    assert only.bars[0].text == "0.1000"


def test_groups_by_hand():
    data = table([[0.1, 0.2, 0.15]], [[0.0, 0.05, 0.0]], ("cold", "1–9", "all"))
    chart = group_chart(data, "mrr", [3, 1200], "Count", styles(data.models))
    (line,) = chart.lines
    # Ticks from 0 to 0.25 in steps of 0.05.
    assert [label for _, label in chart.y_ticks] == ["0.00", "0.05", "0.10", "0.15", "0.20", "0.25"]
    heights = [BOTTOM - (BOTTOM - TOP) * share for share in (0.4, 0.8)]
    assert [point.y for point in line.points] == pytest.approx(heights)
    assert line.points[0].whisker is None
    assert line.points[1].whisker == pytest.approx(
        (BOTTOM - (BOTTOM - TOP) * 0.6, BOTTOM - (BOTTOM - TOP) * 1.0)
    )
    assert [below for _, _, below in chart.x_ticks] == ["n = 3", "n = 1,200"]
    assert line.points[1].text == "M0, 1–9: 0.2000 ± 0.0500"


def test_curves_mark_the_chosen_epoch():
    curves = {"A": {1: {0: 0.1, 1: 0.3, 2: math.nan}, 2: {0: 0.2}}, "B": {1: {}}}
    best = {("A", 1): 1, ("A", 2): 0, ("B", 1): -1}
    chart = curves_chart(curves, best, "mrr", styles(["A", "B"]))
    first, second = chart.lines
    assert [len(line.points) for line in chart.lines] == [2, 1]
    assert first.marked == [first.points[1]]
    assert first.points[1].text == "A, seed 1, epoch 1: 0.3000"
    assert first.points[1].y == pytest.approx(TOP)
    assert [label for _, label, _ in chart.x_ticks] == ["0", "1"]
    assert second.path.count(",") == 1


def test_nothing_to_draw():
    assert curves_chart({"A": {1: {0: math.nan}}}, {("A", 1): 0}, "mrr", styles(["A"])) is None
