"""The page without a browser: well formed, escaped, self-contained, and readable."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

from recbole_tema.report import RunResult
from recbole_tema.report.html import to_html
from recbole_tema.report.tables import tables_of_results

VOID = {"meta", "img", "br", "path", "rect", "circle", "polyline"}
SECTIONS = (
    *("results", "cost", "learning", "popularity", "history", "last"),
    *("confusion", "cases", "setup"),
)


@dataclass
class Element:
    name: str
    attributes: dict
    text: str = ""
    children: list = field(default_factory=list)

    def all(self, *names: str) -> Iterator["Element"]:
        for child in self.children:
            if child.name in names:
                yield child
            yield from child.all(*names)


class Tree(HTMLParser):
    """Elements of a page whose tags all end; what does not is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = Element("page", {})
        self._open = [self.root]
        self.feed(text)
        self.close()
        assert self._open == [self.root]

    def handle_starttag(self, name, attributes):
        names = [key for key, _ in attributes]
        assert len(set(names)) == len(names), (name, names)
        element = Element(name, dict(attributes))
        self._open[-1].children.append(element)
        if name not in VOID:
            self._open.append(element)

    def handle_startendtag(self, name, attributes):
        self._open[-1].children.append(Element(name, dict(attributes)))

    def handle_endtag(self, name):
        assert self._open.pop().name == name

    def handle_data(self, data):
        for element in self._open:
            element.text += data


def page(report) -> Element:
    return Tree(to_html(report)).root


@pytest.fixture(scope="module")
def whole(report_of) -> Element:
    return page(report_of(failures={"NPE": {1: "RuntimeError: <b>no</b>"}}))


def test_all_sections_are_there(whole):
    ids = [each.attributes["id"] for each in whole.all("h2")]
    assert ids == ["failures", *SECTIONS]
    links = [each.attributes["href"] for each in whole.all("a")]
    assert links == ["#main", *(f"#{name}" for name in SECTIONS)]


def test_headings_go_down_by_one_level_at_a_time(whole):
    levels = [int(each.name[1]) for each in whole.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_ids_are_unique_and_do_not_come_from_names(whole):
    ids = [
        each.attributes["id"]
        for each in whole.all("h2", "main", "title", "desc", "svg")
        if "id" in each.attributes
    ]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z]+(-\d+)?(-[td])?", each) for each in ids)


def test_titles_and_names_are_text(report_of, whole):
    (title,) = {card.title for card in report_of().cards.values() if card.item == "i3"}
    assert "<script>" in title
    assert title in whole.text
    assert "{{ 7 * 7 }}" in whole.text
    assert not list(whole.all("script"))
    assert "RuntimeError: <b>no</b>" in whole.text
    assert "LLMEMF (paper, no tags)" in whole.text


def test_nothing_comes_from_elsewhere(report_of):
    text = to_html(
        report_of(title="{item} https://example.org", picture="data:image/gif;base64,AA")
    )
    root = Tree(text).root
    loaded = [
        value
        for element in root.all("img", "link", "a", "use", "image", "iframe", "form")
        for key, value in element.attributes.items()
        if key in ("src", "href", "xlink:href", "action")
    ]
    assert loaded
    assert all(value.startswith(("#", "data:image/")) for value in loaded)
    (style,) = (each.text for each in root.all("style"))
    assert "url(" not in style
    assert "@import" not in style
    (policy,) = (
        each.attributes["content"]
        for each in root.all("meta")
        if each.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_tables_say_what_they_are(whole):
    tables = list(whole.all("table"))
    assert len(tables) == 2 + 2 + 1 + 1 + 3 * 2 + 2 * 2 + 1
    for table in tables:
        (caption,) = table.all("caption")
        assert caption.text.strip()
        head, body = table.all("thead", "tbody")
        assert {th.attributes["scope"] for th in head.all("th")} <= {"col", "colgroup"}
        width = sum(int(th.attributes.get("colspan", 1)) for th in next(head.all("tr")).children)
        for row in body.all("tr"):
            assert [cell.name for cell in row.children] == ["th"] + ["td"] * (width - 1)
            assert row.children[0].attributes["scope"] == "row"
    regions = [each for each in whole.all("div") if each.attributes.get("class") == "scroll"]
    assert len(regions) == len(tables)
    assert all({"aria-label", "tabindex", "role"} <= each.attributes.keys() for each in regions)


def test_charts_have_alternative_texts(whole):
    charts = [each for each in whole.all("svg") if each.attributes.get("class") == "chart"]
    # Three domains by two metrics, two modes; one of learning; three breakdowns.
    assert len(charts) == 3 * 2 * 2 + 1 + 3 * 2 * 2
    for chart in charts:
        assert chart.attributes["role"] == "img"
        title, description = chart.children[:2]
        labels = chart.attributes["aria-labelledby"].split()
        assert labels == [title.attributes["id"], description.attributes["id"]]
        assert title.text
        assert description.text
    hidden = [each for each in whole.all("svg") if each not in charts]
    assert all(each.attributes["aria-hidden"] == "true" for each in hidden)
    assert all("alt" in each.attributes for each in whole.all("img"))


def test_the_table_has_the_tables_marks(report_of, whole):
    (table, _) = report_of().tables
    shown = next(whole.all("table"))
    rows = list(next(shown.all("tbody")).all("tr"))
    assert [row.children[0].text for row in rows] == list(table.models)
    for i, row in enumerate(rows):
        for cell, mean, best, second, mark in zip(
            row.children[1:],
            table.mean[i].ravel(),
            table.best()[i].ravel(),
            table.second()[i].ravel(),
            table.marks()[i].ravel(),
            strict=True,
        ):
            assert cell.text.startswith(f"{mean:.4f}{mark} ± ")
            assert bool(list(cell.all("strong"))) == best
            assert bool(list(cell.all("u"))) == second


def test_examples_show_history_target_and_best_items(report_of, whole):
    report = report_of()
    cases = [each for each in whole.all("details") if each.attributes["class"] == "case"]
    assert len(cases) == 12
    for example, shown in zip(report.examples, cases, strict=True):
        history, *tops = shown.all("ol")
        assert len(history.children) == 8
        target = report.results[0].cases.targets[example.case]
        for model, top in zip(report.models, tops, strict=True):
            found = [li.attributes.get("class") == "found" for li in top.all("li")]
            assert found == [item == target for item in example.top[model]]
        assert shown.text.count("✓ target") == len(report.models)
    first = report.examples[1].rank["TEMA"]
    assert f"target at {first:,.1f}" in cases[1].text


def test_pages_of_one_run(report_of):
    root = page(report_of(models=("Pop",), seeds=(7,), modes=("uni999",)))
    assert [each.attributes["id"] for each in root.all("h2")] == list(SECTIONS)
    assert not list(root.all("strong", "sup"))
    assert not [each for each in root.all("details") if each.attributes["class"] == "mode"]
    assert "nan" not in root.text


def test_a_domain_without_cases_and_curves_without_values(report_of):
    report = report_of(models=("A", "B"), seeds=(1,), modes=("uni999",))
    cases = replace(report.results[0].cases, domain=np.zeros(300, dtype=int))
    results = [replace(run, cases=cases) for run in report.results]
    root = page(
        replace(report, results=results, tables=tables_of_results(results), curves={"A": {1: {}}})
    )
    assert "nan" not in root.text
    assert (
        len([each for each in root.all("table") if "matrix" in each.attributes.get("class", "")])
        == 1
    )


def test_runs_that_are_yet_to_come(report_of):
    report = report_of(models=("A", "B"), seeds=(1, 2))
    part = report.results[:3]
    curves = {"A": report.curves["A"], "B": {1: report.curves["B"][1]}}
    root = page(replace(report, results=part, tables=tables_of_results(part), curves=curves))
    assert "3 of 4 runs finished" in root.text


def test_settings_say_whose_they_are(report_of, whole):
    (settings,) = whole.all("dl")
    names, values = ([each.text for each in settings.all(name)] for name in ("dt", "dd"))
    models = report_of().models
    shared = [("model", ", ".join(models)), ("seeds", "1, 2"), ("epochs", "12")]
    own = [(f"of {model}", model) for model in models]
    assert list(zip(names, values, strict=True)) == [*shared, ("candidates", '["full"]'), *own]


def test_a_page_is_small(report_of):
    models = tuple(f"Model {number}" for number in range(10))
    assert len(to_html(report_of(models=models, title="{item}" + " x" * 60)).encode()) < 1 << 20


def test_a_run_of_another_mode_alone_is_no_matter(report_of):
    report = report_of(models=("A", "B"), seeds=(1,), modes=("uni999", "full"))
    first, second = report.results
    only = RunResult(
        "B", 1, second.cases, {"full": second.ranks["full"]}, 1, 0, 1, 1.0, 1.0, 1.0, 1
    )
    results = [first, only]
    root = page(replace(report, results=results, tables=tables_of_results(results)))
    rows = [len(list(next(table.all("tbody")).all("tr"))) for table in root.all("table")]
    assert rows[0] == 1
    assert 2 in rows
