"""The command `tag` with a language model: from options to questions and files."""

import json
from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from recbole_tema.dataset_tools.cli import main
from recbole_tema.dataset_tools.commands import tag
from recbole_tema.dataset_tools.llm.request import Request
from recbole_tema.dataset_tools.llm.usage import Estimate
from recbole_tema.formats import DatasetFiles, read_enriched, read_tags
from tests.dataset_tools.tag.scripted import Scripted, data_in, talkative


class Runner(Scripted):
    """A scripted model with the figures that the command prints."""

    usage = "9 questions in all"

    @property
    def by_stage(self) -> dict[str, str]:
        return {stage: f"{number} questions" for stage, number in self.stages().items()}

    def estimate(self, stage: str, requests: Iterable[Request]) -> Estimate:
        return Estimate(stage, len(list(requests)))


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Runner:
    made = Runner(talkative)

    @contextmanager
    def asker_from(arguments: Namespace, files: DatasetFiles) -> Iterator[Runner]:
        yield made

    monkeypatch.setattr(tag, "asker_from", asker_from)
    return made


MODEL = ("--base-url", "http://127.0.0.1:1/v1", "--model", "scripted")


def test_all_stages_by_default(small: Path, runner: Runner, capsys) -> None:
    assert main(["tag", str(small), *MODEL, "--min-items", "1"]) == 0
    assert set(runner.stages()) == {"enrich", "propose", "refine", "score"}
    told = capsys.readouterr().out
    assert "enrich: 6 questions" in told
    assert "all stages: 9 questions in all" in told
    files = DatasetFiles(small)
    assert read_tags(files.tags)["x3"] == {"wool": 0.8, "yarn": 0.8}
    assert read_enriched(files.enriched)["x3"].startswith("keywords: wool, yarn")
    assert "by scripted" in files.tags_page.read_text()


@pytest.mark.parametrize(
    ("options", "stages"),
    [
        (["--stages", "propose,enrich"], {"propose", "enrich"}),
        (["--scorer", "rules"], {"enrich", "propose", "refine"}),
        (["--source", "categories"], {"enrich", "refine", "score"}),
    ],
)
def test_stages_that_the_options_leave(small: Path, runner, options, stages) -> None:
    assert main(["tag", str(small), *MODEL, *options, "--min-items", "1"]) == 0
    assert set(runner.stages()) == stages


def test_settings_reach_the_questions(small: Path, runner: Runner, tmp_path: Path) -> None:
    own = tmp_path / "prompts"
    own.mkdir()
    (own / "enrich.yaml").write_text(
        "version: mine\nmax_tokens: 7\nanswer: text\nuser: 'Say: {title} of {domain}'\n"
    )
    options = ["--prompts", str(own), "--stages", "enrich", "--text-limit", "12"]
    runner._answer = lambda request: "fine"
    assert main(["tag", str(small), *MODEL, *options]) == 0
    assert runner.asked[1].messages == (("user", 'Say: "Red cotton …" of "x"'),)
    assert read_enriched(DatasetFiles(small).enriched)["x4"] == ""
    runner._answer = talkative
    options = ["--items-per-request", "2", "--propose-tags", "1", "--refine-size", "2"]
    options += ["--candidates", "1", "--score-by", "numbers", "--min-score", "0.9"]
    assert main(["tag", str(small), *MODEL, *options, "--min-items", "1"]) == 2
    sizes = {
        stage: {
            len(data_in(request, mark))
            for request in runner.asked
            if request.stage == stage and request.prompt != "enrich-mine"
        }
        for stage, mark in (("propose", "items"), ("refine", "tags"), ("score", "tags"))
    }
    assert sizes == {"propose": {1, 2}, "refine": {1, 2}, "score": {1}}


def test_a_dry_run_asks_and_writes_nothing(small: Path, runner: Runner, capsys) -> None:
    before = sorted(small.iterdir())
    assert main(["tag", str(small), *MODEL, "--dry-run", "--candidates", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    # refine: the tags that both domains have, and those of x and of y.
    asked = {"enrich": 6, "propose": 6, "refine": 3, "score": 18, "all stages": 33}
    for line, (stage, number) in zip(lines[:5], asked.items(), strict=True):
        assert line.startswith(
            f"{stage}: {number} questions to ask (0 of {number} answered before)"
        )
    assert lines[4].endswith("about 0 tokens in and 0 out, price unknown")
    assert "assumed here" in lines[5]
    assert runner.asked == []
    assert sorted(small.iterdir()) == before


def test_a_stage_without_questions_has_its_name(small: Path, runner: Runner, capsys) -> None:
    # No category or attribute is on nine items.
    options = ["--stages", "refine", "--min-items", "9", "--dry-run"]
    assert main(["tag", str(small), *MODEL, *options]) == 0
    assert capsys.readouterr().out.startswith("refine: 0 questions to ask (0 of 0 answered")


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_items_without_a_text_are_told_before_anything_is_made(
    textless: Path, capsys, options: list[str]
) -> None:
    before = sorted(textless.iterdir())
    assert main(["tag", str(textless), *MODEL, *options]) == 2
    told = capsys.readouterr()
    assert "no item has a title, a description or categories, so there is nothing" in told.err
    assert "build --items DOMAIN=FILE" in told.err
    assert told.out == ""
    assert sorted(textless.iterdir()) == before


def test_a_run_that_fails_leaves_what_was_recorded(small: Path, runner: Runner, capsys) -> None:
    runner._answer = lambda request: "nan"
    assert main(["tag", str(small), *MODEL, "--stages", "propose"]) == 2
    assert "6 × propose: missing value such as nan" in capsys.readouterr().err
    lines = DatasetFiles(small).tags_retry.read_text().splitlines()
    assert [json.loads(line)["content"] for line in lines] == ["nan"] * 6
    assert not DatasetFiles(small).tags.exists()
