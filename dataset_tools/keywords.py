"""Keywords and categories of the items themselves, as scored tags. No network, no model."""

import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from functools import cache

import pandas as pd

from recbole_tema.formats import CATEGORIES, DESCRIPTION, TITLE

from .answers import clean_tag
from .words import STOP_WORDS, UNITS

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


@cache
def tag_key(tag: str) -> str:
    """What makes two spellings one tag: case and light plural folding of each word."""
    return " ".join(_singular(word) for word in tag.casefold().split())


def keyword_candidates(items: pd.DataFrame, min_items: int) -> list[dict[str, float]]:
    """For each item, its tags as spelt with scores in (0, 1].

    Categories score between 0.5 and 1, by their rarity. Words and pairs of neighbouring words of
    title and description score by TF-IDF, scaled to 1 for the item's best. Words are left out that
    are stop words, units, single letters or begin with a digit, and those of fewer than
    ``min_items`` items.
    """
    categories = [_categories(text) for text in items[CATEGORIES]]
    texts = [
        Counter(_phrases(f"{title} . {description}"))
        for title, description in zip(items[TITLE], items[DESCRIPTION], strict=True)
    ]
    category_weights = inverse_frequency(categories)
    word_weights = inverse_frequency(texts)
    spread = Counter(key for words in texts for key in {tag_key(word) for word in words})
    result = []
    for own, words in zip(categories, texts, strict=True):
        raw = {
            phrase: (1 + math.log(times)) * word_weights[tag_key(phrase)]
            for phrase, times in words.items()
            if spread[tag_key(phrase)] >= min_items
        }
        best = max(raw.values(), default=1.0)
        scores = {phrase: score / best for phrase, score in raw.items()}
        for phrase in own:
            scores[phrase] = 0.5 + 0.5 * category_weights[tag_key(phrase)]
        result.append(scores)
    return result


def inverse_frequency(tagged: Sequence[Collection[str]]) -> dict[str, float]:
    """Weight of each tag key in (0, 1]: log(1 + n / items with it) / log(1 + n).

    ``n`` counts the items with any tag. A tag of a single item weighs 1, one on every item
    log 2 / log(1 + n).
    """
    counts = Counter(key for tags in tagged for key in {tag_key(tag) for tag in tags})
    total = sum(len(tags) > 0 for tags in tagged)
    scale = math.log1p(total) or 1.0
    return {key: math.log1p(total / count) / scale for key, count in counts.items()}


def _categories(text: str) -> list[str]:
    """The tokens of the categories; a token with ``_`` for blanks is a phrase."""
    tags = (clean_tag(token.replace("_", " ")) for token in text.split())
    return [tag for tag in dict.fromkeys(tags) if tag and _useful(tag.casefold())]


def _phrases(text: str) -> list[str]:
    """Words and neighbouring pairs; a dropped word or a mark of punctuation parts neighbours."""
    found = []
    before, end = "", -1
    for match in _WORD.finditer(text.casefold()):
        word = match[0]
        if not _useful(word):
            before = ""
            continue
        found.append(word)
        if before and text[end : match.start()] in (" ", "-"):
            found.append(f"{before} {word}")
        before, end = word, match.end()
    return found


def _useful(word: str) -> bool:
    return (
        len(word) > 1
        and not word[0].isdigit()
        and word not in STOP_WORDS
        and word not in UNITS
        and any(c.isalpha() for c in word)
    )


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "ches", "shes", "xes", "zes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word
