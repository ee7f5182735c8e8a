"""Where tags come from: an LLM's proposals or answers, categories, titles."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from recbole_tema.formats import CATEGORIES as CATEGORIES_COLUMN
from recbole_tema.formats import DESCRIPTION, ITEM, TITLE, FormatError

from .attributes import attribute_candidates
from .categories import category_candidates, weigh
from .responses import Responses, read_responses
from .stages import ENRICH, PROPOSE, SCORE
from .stages.run import Stages

PROPOSALS, CATEGORIES, ATTRIBUTES, RESPONSES = SOURCES = (
    "proposals",
    "categories",
    "attributes",
    "responses",
)


def chosen_sources(
    given: Sequence[str] | None, responses: Path | None, stages: Sequence[str]
) -> list[str]:
    """The sources that were asked for, else those that the stages and files bring.

    None at all where only texts are enriched. Raises FormatError for what does not go together.
    """
    if given is not None:
        chosen = list(given)
    elif tuple(stages) == (ENRICH,) and responses is None:
        return []
    else:
        chosen = [PROPOSALS] if PROPOSE in stages else []
        chosen += [RESPONSES] if responses else []
        chosen = chosen or [CATEGORIES, ATTRIBUTES]
    if not chosen or not set(chosen) <= set(SOURCES):
        raise FormatError(f"--source {','.join(chosen)}: expected some of {', '.join(SOURCES)}")
    if (RESPONSES in chosen) != (responses is not None):
        raise FormatError("--source responses and --responses FILE go together")
    if (PROPOSALS in chosen) != (PROPOSE in stages):
        raise FormatError("--source proposals and the stage propose of --stages go together")
    return chosen


def refuse_without_text(
    items: pd.DataFrame, path: Path, chosen: Sequence[str], stages: Sequence[str]
) -> None:
    """Raise FormatError where tags or questions are to come from texts, and no item has any.

    Args:
        items: as `read_items` gives them.
        path: their file, for the message.
        chosen: the sources, as `chosen_sources` gives them.
        stages: of a language model; "refine" alone asks about tags, whatever the items' texts.
    """
    asked = {ENRICH, PROPOSE, SCORE} & set(stages)
    if not asked and not (chosen and set(chosen) <= {CATEGORIES, ATTRIBUTES}):
        return
    if not items[[TITLE, DESCRIPTION, CATEGORIES_COLUMN]].ne("").to_numpy().any():
        nothing = "a question could be about" if asked else "tags could be made of"
        raise FormatError(
            f"{path}: no item has a title, a description or categories, so there is nothing that "
            f"{nothing}; build the data set with the files of its items (build --items DOMAIN=FILE)"
        )


def candidates_from(
    chosen: Sequence[str],
    items: pd.DataFrame,
    responses: Path | None,
    min_items: int,
    run: Stages | None,
) -> tuple[list[list[dict[str, float]]], Responses | None]:
    """Of each source, of each item, its tags with scores by rarity; and the answers that were read.

    The stages ``run`` make the proposals.
    """
    found: list[list[dict[str, float]]] = []
    answers: Responses | None = None
    for source in chosen:
        if source == PROPOSALS and run is not None:
            found.append(weigh(run.propose()))
        elif source == CATEGORIES:
            found.append(category_candidates(items))
        elif source == ATTRIBUTES:
            found.append(attribute_candidates(items, min_items))
        elif source == RESPONSES and responses is not None:
            answers = read_responses(responses, items[ITEM].tolist())
            found.append(answers.candidates)
    return found, answers


def joined_tags(candidates: Sequence[Sequence[dict[str, float]]]) -> list[list[str]]:
    """The tags of each item from all sources, in their order."""
    return [
        list(dict.fromkeys(tag for own in per_source for tag in own))
        for per_source in zip(*candidates, strict=True)
    ]
