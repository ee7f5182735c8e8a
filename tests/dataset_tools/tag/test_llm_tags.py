"""All stages over a data set, by a scripted model."""

import json
from pathlib import Path

import pytest

from recbole_tema.dataset_tools.tag.dataset import tag_dataset
from recbole_tema.dataset_tools.tag.stages.run import LLM
from recbole_tema.dataset_tools.tag.stages.settings import StageSettings
from recbole_tema.formats import DatasetFiles, FormatError, read_enriched, read_tags
from tests.dataset_tools.tag.scripted import ATTEMPTS, Scripted, data_in, plausible, talkative

SCORED = {
    # "yarn" and "bowl", "felt" and "pens", … of titles; "new" was dropped, "paper" and "gel" are
    # on one item each.
    "a1": {"wool", "yarn", "red"},
    "a2": {"wool", "felt", "red"},
    "a3": {"yarn", "bowl"},
    "a4": {"felt", "pens"},
    "a5": set(),
    "o1": {"pens", "blue"},
    "o2": {"felt", "pens", "blue"},
    "o3": {"bowl"},
}


def tags_of(folder: Path) -> dict[str, dict[str, float]]:
    return read_tags(DatasetFiles(folder).tags)


@pytest.mark.parametrize("at_once", [1, 3])
@pytest.mark.parametrize(("model", "score"), [(plausible, 0.9), (talkative, 0.8)])
def test_all_stages(shop_of, model, score: float, at_once: int) -> None:
    folder = shop_of()
    files = DatasetFiles(folder)
    asker = Scripted(model)
    usage = {"all stages": "12 questions"}
    llm = LLM(asker, StageSettings(items_per_request=at_once), "scripted", lambda: usage)
    report = tag_dataset(folder, llm=llm)
    assert {item: set(tags) for item, tags in tags_of(folder).items()} == SCORED
    assert {s for tags in tags_of(folder).values() for s in tags.values()} == {score}
    texts = read_enriched(files.enriched, list(SCORED))
    assert texts["a4"] == "keywords: felt, pens, new\nlikely users: everyone"
    assert texts["a5"] == ""
    fates = [json.loads(line) for line in files.tag_list.read_text().splitlines()]
    assert {f["tag"]: f["why"] for f in fates if f["fate"] == "dropped"} == {
        "new": "by the model",
        "paper": "on too few items",
        "gel": "on too few items",
    }
    assert {f["tag"] for f in fates if f.get("shared")} == {"felt", "pens", "bowl"}
    assert not files.tags_retry.exists()
    for line in (
        "enrich: texts for 7 items",
        "tags for 7 items",
        "arts 6 (6 kept, 0 merged, 1 dropped, 0 on too few items), office 4 (4 kept, 0 merged, "
        "1 dropped, 2 on too few items), 3 shared",
        "all stages: 12 questions",
        "tags of more than one domain: 3",
    ):
        assert line in report
    page = files.tags_page.read_text()
    assert "by scripted" in page
    assert "12 questions" in page
    stages = asker.stages()
    assert stages["enrich"] == 7
    assert stages["propose"] == (7 if at_once == 1 else 3)


def test_a_second_run_gives_the_same_files(shop_of) -> None:
    folder = shop_of()
    files = DatasetFiles(folder)
    made = (files.tags, files.enriched, files.tag_list, files.tags_page)
    tag_dataset(folder, llm=LLM(Scripted(plausible)))
    before = [path.read_bytes() for path in made]
    tag_dataset(folder, llm=LLM(Scripted(plausible)))
    assert [path.read_bytes() for path in made] == before


def test_tags_without_a_model_in_place_of_its_tags_are_told(shop_of) -> None:
    folder = shop_of()
    assert "WARNING" not in tag_dataset(folder)
    assert "WARNING" not in tag_dataset(folder, llm=LLM(Scripted(plausible)))
    told = tag_dataset(folder)
    assert "WARNING: shop.tag_list.jsonl is of tags by a language model" in told


def test_texts_alone_leave_the_tags(shop_of) -> None:
    folder = shop_of()
    tag_dataset(folder)
    before = DatasetFiles(folder).tags.read_bytes()
    asker = Scripted(plausible)
    tag_dataset(folder, llm=LLM(asker, StageSettings(stages=["enrich"])))
    assert asker.stages() == {"enrich": 7}
    assert DatasetFiles(folder).tags.read_bytes() == before
    assert not DatasetFiles(folder).tag_list.exists()


def test_proposals_with_scores_by_rarity(shop_of) -> None:
    folder = shop_of()
    tag_dataset(folder, llm=LLM(Scripted(plausible), StageSettings(stages=["propose", "refine"])))
    tags = tags_of(folder)
    assert {item: set(own) for item, own in tags.items()} == SCORED
    # Two items have "wool", four of seven have one of "pens" (o1, o2, a4) or so: rarer is higher.
    assert tags["a2"]["wool"] > tags["a2"]["felt"] > 0.5


def test_answers_that_are_there_are_refined_and_scored(shop_of, write) -> None:
    folder = shop_of()
    rows = {"a1": ["wool", "yarns"], "a2": ["Wool", "new"], "a3": ["yarn", "new"], "o1": ["wool"]}
    lines = [json.dumps({"item_id": i, "content": json.dumps(tags)}) for i, tags in rows.items()]
    asker = Scripted(plausible)
    settings = StageSettings(stages=["refine", "score"], candidates=3)
    report = tag_dataset(
        folder,
        responses=write("answers.jsonl", "\n".join(lines)),
        llm=LLM(asker, settings),
        min_items=1,
    )
    assert set(asker.stages()) == {"refine", "score"}
    tags = tags_of(folder)
    assert set(tags["a1"]) == {"wool", "yarn"}
    assert set(tags["a3"]) == {"yarn"}
    assert tags["o1"] == {}
    assert "4 answers: tags of 4 of 8 items" in report
    # The others have no answer, and stand in the file beside what the stages could not read.
    retry = DatasetFiles(folder).tags_retry.read_text().splitlines()
    assert [json.loads(line)["stage"] for line in retry] == ["responses"] * 4


def test_failures_of_every_stage_are_recorded_with_their_answers(shop_of) -> None:
    folder = shop_of()

    def answer(request):
        if request.stage != "refine" and "felt pens blue" in json.dumps(request.messages):
            return f"I cannot {request.stage} \ud83d"
        return talkative(request)

    asker = Scripted(answer)
    report = tag_dataset(folder, llm=LLM(asker))
    retry = [json.loads(line) for line in DatasetFiles(folder).tags_retry.read_text().splitlines()]
    assert [(each["stage"], each["item_id"], each["content"]) for each in retry] == [
        ("enrich", "o2", "I cannot enrich \ud83d"),
        ("propose", "o2", "I cannot propose \ud83d"),
        ("score", "o2", "I cannot score \ud83d"),
    ]
    assert "3 questions failed, see shop.tags.retry.jsonl" in report
    assert "1 × propose: refusal" in report
    assert tags_of(folder)["o2"] == {}
    page = DatasetFiles(folder).tags_page.read_text()
    assert "I cannot propose" in page
    again = [r for r in asker.asked if (r.stage, r.subject) == ("propose", "o2")]
    assert len(again) == ATTEMPTS


def test_a_model_that_says_nothing_leaves_the_earlier_tags(shop_of) -> None:
    folder = shop_of()
    tag_dataset(folder)
    before = DatasetFiles(folder).tags.read_bytes()
    with pytest.raises(FormatError, match=r"no item would get a tag[^$]*7 × propose: empty answer"):
        tag_dataset(folder, llm=LLM(Scripted(lambda _: "")))
    assert DatasetFiles(folder).tags.read_bytes() == before
    assert len(DatasetFiles(folder).tags_retry.read_text().splitlines()) == 14


def test_the_cost_of_scoring_grows_with_the_items_not_with_the_tags(shop_of) -> None:
    words = [f"word{chr(97 + at // 26)}{chr(97 + at % 26)}" for at in range(60)]
    arts = {f"a{at}": " ".join(words[at : at + 6]) for at in range(54)}
    folder = shop_of(arts=arts)
    asker = Scripted(plausible)
    settings = StageSettings(stages=["propose", "score"], candidates=4)
    tag_dataset(folder, llm=LLM(asker, settings))
    assert asker.stages()["score"] <= 4 * (54 + 3)
    per_item = [r.subject.split(":")[0] for r in asker.asked if r.stage == "score"]
    assert max(per_item.count(item) for item in set(per_item)) == 4


@pytest.mark.parametrize("stages", [["enrich"], ["propose"], ["refine", "score"]])
def test_nothing_is_asked_about_items_without_a_text(textless: Path, stages) -> None:
    asker = Scripted(plausible)
    before = sorted(textless.iterdir())
    with pytest.raises(FormatError, match="nothing that a question could be about"):
        tag_dataset(textless, llm=LLM(asker, StageSettings(stages=stages)))
    assert asker.asked == []
    assert sorted(textless.iterdir()) == before


def test_tags_of_items_without_a_text_can_be_refined(textless: Path, write) -> None:
    lines = [json.dumps({"item_id": i, "content": '["pens"]'}) for i in ("x1", "y1")]
    llm = LLM(Scripted(plausible), StageSettings(stages=["refine"]))
    tag_dataset(textless, responses=write("a.jsonl", "\n".join(lines)), llm=llm)
    assert [set(own) for own in tags_of(textless).values()] == [{"pens"}, set(), {"pens"}]


def test_long_texts_are_cut_and_counted(shop_of) -> None:
    folder = shop_of(arts={"a1": "wool yarn " * 9, "a2": "wool yarn"})
    asker = Scripted(plausible)
    report = tag_dataset(folder, llm=LLM(asker, StageSettings(stages=["propose"], text_limit=20)))
    assert "1 item has a text above --text-limit" in report
    assert data_in(asker.asked[0], "items")["1"]["title"] == "wool yarn wool yarn …"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"stages": ["magic"]}, "expected some of enrich, propose, refine, score"),
        ({"stages": []}, "expected some of enrich"),
        ({"score_by": "dice"}, "expected one of auto, probabilities, numbers"),
        ({"min_score": 2}, "--min-score must lie in"),
        ({"candidates": 0}, "--candidates: too small"),
        ({"refine_size": 1, "propose_tags": 0}, "--propose-tags, --refine-size: too small"),
    ],
)
def test_stage_settings_that_cannot_be(settings: dict, told: str) -> None:
    with pytest.raises(FormatError, match=told):
        StageSettings(**settings)


def test_sources_scorers_and_stages_that_do_not_go_together(shop_of) -> None:
    folder = shop_of()
    scoring = LLM(Scripted(plausible), StageSettings(stages=["score"]))
    with pytest.raises(FormatError, match="--source proposals and the stage propose"):
        tag_dataset(folder, sources=["proposals"], llm=scoring)
    with pytest.raises(FormatError, match="--source proposals and the stage propose"):
        tag_dataset(folder, sources=["categories"], llm=LLM(Scripted(plausible)))
    with pytest.raises(FormatError, match="--scorer llm and the stage score"):
        tag_dataset(folder, scorer="rules", llm=scoring)
    with pytest.raises(FormatError, match="--scorer llm and the stage score"):
        tag_dataset(folder, scorer="llm")
