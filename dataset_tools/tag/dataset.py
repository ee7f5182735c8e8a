"""Tags of the items of a data set, to ``NAME.tags.jsonl``."""

from collections.abc import Sequence
from pathlib import Path

from recbole_tema.formats import (
    DOMAIN,
    ITEM,
    DatasetFiles,
    FormatError,
    Tags,
    read_enriched,
    read_items,
    read_tags,
    write_enriched,
    write_tags,
)

from ..encode.model_encoder import ModelEncoder
from ..encode.template import item_texts
from .categories import by_rarity
from .choosing import choose_tags
from .page import Work, write_page
from .report import answers_report, failures_report, tags_report
from .scoring import embedding_scores
from .sources import candidates_from, chosen_sources, joined_tags, refuse_without_text
from .stages import ENRICH, REFINE, SCORE
from .stages.asking import Failed, write_retry
from .stages.refine import unrefined
from .stages.run import LLM, Stages

RULES, EMBEDDING, BY_LLM = SCORERS = ("rules", "embedding", "llm")
MOST_TAGS = 100
"""Tags an item may have before the encoder scores them."""


def tag_dataset(
    folder: Path,
    *,
    responses: Path | None = None,
    sources: Sequence[str] | None = None,
    max_tags: int = 8,
    min_items: int = 2,
    scorer: str | None = None,
    encoder: str | None = None,
    expand: int = 0,
    batch_size: int = 64,
    device: str = "cpu",
    llm: LLM | None = None,
) -> str:
    """Write the tags of all items of a data set and return a report for people.

    A language model's stages: "enrich" writes ``NAME.enriched.jsonl``, "propose" makes tags,
    "refine" cleans the tags of all sources (``NAME.tag_list.jsonl``), "score" scores them. With
    "enrich" alone the tags stay as they are. ``NAME.tags.html`` is the report as a page; what could
    not be read goes to ``NAME.tags.retry.jsonl``.

    Args:
        folder: data set folder.
        responses: JSON lines of LLM answers that are there already.
        sources: some of "proposals" (of the stage "propose"), "categories", "attributes" (of
            titles) and "responses"; by default proposals and responses where there are any, else
            the other two. With several, each fills the places that those before it leave free, and
            a tag that two know takes the higher score.
        max_tags: tags an item keeps, those of the highest scores.
        min_items: a tag must be on so many items.
        scorer: "rules", which score by rarity, "embedding": a text encoder scores instead, or
            "llm": the stage "score" does. By default llm with that stage, else rules.
        encoder: folder or hub name of the text encoder; with the stage "score" it finds candidates,
            which TF-IDF does without one.
        expand: with "embedding", up to so many tags an item that its text does not spell out.
        batch_size: texts at a time.
        device: of torch, such as "cpu" or "cuda".
        llm: a language model and how it is asked; None for none.

    Raises:
        FormatError: options that do not go together, no item with a text, no tag for any item, a
            file or model that cannot be read. Earlier tags are left as they are.
    """
    files = DatasetFiles(folder)
    files.check()
    stages = llm.settings.stages if llm else ()
    chosen = chosen_sources(sources, responses, stages)
    scorer = checked_scorer(scorer, encoder, expand, stages)
    if max_tags < 1 or min_items < 1:
        raise FormatError("--max-tags and --min-items must be 1 or more")
    items = read_items(files.items)
    refuse_without_text(items, files.items, chosen, stages)
    ids, domains = items[ITEM].tolist(), items[DOMAIN].tolist()
    # Read and loaded before anything slow or costly: what is wrong should stop at once.
    tags: Tags = read_tags(files.tags, ids) if not chosen and files.tags.is_file() else {}
    enriched: dict[str, str] = {}
    if ENRICH not in stages and files.enriched.is_file():
        enriched = read_enriched(files.enriched, ids)
    replaces_model = not llm and bool(chosen) and files.tag_list.is_file()
    model = ModelEncoder(encoder, device, batch_size, option="--encoder") if encoder else None
    run = Stages(llm, items) if llm else None
    lines: list[str] = []
    failed: list[Failed] = []
    written: list[Path] = []
    if run and ENRICH in stages:
        enriched = run.enrich()
        write_enriched(files.enriched, enriched)
        written.append(files.enriched)
    if chosen:
        candidates, answers = candidates_from(chosen, items, responses, min_items, run)
        if answers:
            lines.append(answers_report(answers, files.tags_retry))
            failed += answers.failed
        proposed = joined_tags(candidates)
        if run and REFINE in stages:
            tag_list = run.refine(proposed, min_items)
            tag_list.write(files.tag_list)
            written.append(files.tag_list)
            candidates = [
                by_rarity([tag_list.renamed(*pair) for pair in zip(domains, rows, strict=True)])
                for rows in candidates
            ]
        elif scorer == BY_LLM:
            tag_list = unrefined(proposed, domains, min_items)
        if run and scorer == BY_LLM:
            candidates = [run.score(proposed, tag_list, model)]
        elif model:
            joined = choose_tags(candidates, MOST_TAGS, min_items)
            texts = item_texts(items)
            scored, line = embedding_scores(model, texts, joined, min_items, expand)
            candidates = [scored]
            lines.append(line)
        tags = dict(zip(ids, choose_tags(candidates, max_tags, min_items), strict=True))
    if run:
        failed += run.failed
        lines = [*run.lines, *failures_report(run.failed, files.tags_retry), *lines]
    usage = llm.usage() if llm else {}
    work = Work(list(lines), failed, usage, llm.name if llm else "")
    write_retry(files.tags_retry, failed)
    if chosen:
        if not any(tags.values()):
            raise FormatError(
                f"{files.folder}: no item would get a tag; earlier tags are left as they are. Do "
                "the answers belong to this data set, does a tag stand on --min-items items, and "
                "does one reach --min-score?" + "".join(f"\n{line}" for line in lines)
            )
        write_tags(files.tags, tags)
        written.append(files.tags)
        lines.append(tags_report(domains, list(tags.values())))
        if replaces_model:
            lines.append(
                f"WARNING: {files.tag_list.name} is of tags by a language model, and these, made "
                "without one, take their place. Its answers are kept: the command that made them "
                "gives them back at no cost"
            )
    write_page(files, items, tags, enriched, work)
    lines += [f"{stage}: {took}" for stage, took in usage.items()]
    return "\n".join([*lines, *map(str, [*written, files.tags_page])])


def checked_scorer(
    scorer: str | None, encoder: str | None, expand: int, stages: Sequence[str]
) -> str:
    """The scorer, by default "llm" with the stage "score" and else "rules".

    Raises FormatError for what does not go together.
    """
    chosen = scorer or (BY_LLM if SCORE in stages else RULES)
    if chosen not in SCORERS:
        raise FormatError(f"--scorer {chosen}: expected one of {', '.join(SCORERS)}")
    if (chosen == BY_LLM) != (SCORE in stages):
        raise FormatError("--scorer llm and the stage score of --stages go together")
    if (chosen == EMBEDDING and encoder is None) or (chosen == RULES and encoder is not None):
        raise FormatError("--scorer embedding and --encoder FOLDER|NAME go together")
    if expand < 0 or (expand and chosen != EMBEDDING):
        raise FormatError("--expand N takes a number above 0 and --scorer embedding")
    return chosen
