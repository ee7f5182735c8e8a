"""The LLM stages of one data set, one after the other, and what is to be said of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from recbole_tema.formats import DOMAIN

from ...encode.template import item_texts
from ...llm.prompt import read_prompts
from ...llm.request import Asker
from ...wording import counted
from ..candidates import candidates_of
from ..scoring import TextEncoder
from ..tag_list import DROPPED, KEPT, MERGED, RARE, TagList
from .asking import Failed
from .enrich import enrich
from .items import items_of
from .propose import propose
from .refine import refine
from .score import score
from .settings import StageSettings


@dataclass(frozen=True)
class LLM:
    """A language model, and how it is asked about items and tags.

    name: of the model. usage: what asking took so far, in words, by stage.
    """

    asker: Asker
    settings: StageSettings = field(default_factory=StageSettings)
    name: str = ""
    usage: Callable[[], Mapping[str, str]] = dict


class Stages:
    """The stages of a data set.

    Attributes:
        failed: questions without a readable answer, of all stages so far.
        lines: what each stage did, for people.
    """

    def __init__(self, llm: LLM, items: pd.DataFrame) -> None:
        self._asker, self._settings = llm.asker, llm.settings
        self._prompts = read_prompts(llm.settings.prompts, llm.settings.think_tokens)
        self._domains: list[str] = items[DOMAIN].tolist()
        self._texts = item_texts(items)
        self._items, cut = items_of(items, llm.settings.text_limit)
        self.failed: list[Failed] = []
        self.lines: list[str] = []
        if cut:
            self.lines.append(
                f"{counted(cut, 'item has', 'items have')} a text above --text-limit: "
                "the LLM reads its beginning"
            )

    def enrich(self) -> dict[str, str]:
        """A text for each item, in their order."""
        texts, failed = enrich(self._asker, self._items, self._prompts["enrich"])
        items = counted(sum(map(bool, texts.values())), "item")
        self._note(failed, f"enrich: texts for {items}")
        return texts

    def propose(self) -> list[list[str]]:
        """Tags of each item, in their order."""
        found = propose(
            self._asker,
            self._items,
            list(dict.fromkeys(self._domains)),
            self._prompts["propose"],
            self._settings.propose_tags,
            self._settings.items_per_request,
        )
        given = sum(map(len, found.tags))
        items = counted(sum(map(bool, found.tags)), "item")
        line = f"propose: {counted(given, 'tag')} for {items}"
        if found.again:
            line += f"; {counted(found.again, 'was', 'were')} asked about alone in the end"
        self._note(found.failed, line)
        return found.tags

    def refine(self, tags: Sequence[Sequence[str]], min_items: int) -> TagList:
        """The final lists from the tags of each item."""
        found = refine(
            self._asker,
            tags,
            self._domains,
            self._prompts["refine"],
            min_items=min_items,
            size=self._settings.refine_size,
            rounds=self._settings.refine_rounds,
        )
        parts = [
            f"{name} {len(found.tags.of(name)):,} ({counts[KEPT]:,} kept, {counts[MERGED]:,} "
            f"merged, {counts[DROPPED]:,} dropped, {counts[RARE]:,} {RARE})"
            for name, counts in found.tags.counts().items()
        ]
        line = f"refine: {counted(found.questions, 'question')}; {', '.join(parts)}, "
        self._note(found.failed, f"{line}{len(found.tags.shared):,} shared")
        return found.tags

    def score(
        self, proposed: Sequence[Sequence[str]], tags: TagList, encoder: TextEncoder | None
    ) -> list[dict[str, float]]:
        """Scores of each item's candidates that are high enough."""
        most = self._settings.candidates
        candidates = candidates_of(proposed, self._texts, self._domains, tags, encoder, most)
        found = score(self._asker, self._items, candidates, self._prompts, self._settings.score_by)
        kept = [
            {tag: value for tag, value in own.items() if value >= self._settings.min_score}
            for own in found.scores
        ]
        self._note(
            found.failed,
            f"score: {counted(found.pairs, 'pair')} by the probability of yes, "
            f"{found.numbers:,} by numbers; {sum(map(len, kept)):,} of them at "
            f"{self._settings.min_score:g} or more",
        )
        return kept

    def _note(self, failed: Sequence[Failed], line: str) -> None:
        self.failed += failed
        self.lines.append(f"{line}; {len(failed):,} failed" if failed else line)
