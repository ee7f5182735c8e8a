"""Texts of shops made clean: markup, page scripts, damaged bytes."""

import html
import re
from collections import Counter

from recbole_tema.formats import LONGEST_FIELD

NO_TEXT = frozenset({"nan", "none", "null", "n/a", "<na>"})
"""What other programs write for a text that is not there; never a title."""

MEMBER_END = "\x1f"
"""After each member of a list of categories, until they are made clean."""

Repair = tuple[str, str]
"""What of an item was repaired, as a noun that takes an s, and why and how."""

SCRIPT_AS_TITLE: Repair = ("title", "with a page's script in its place: left empty")
MARKUP: Repair = ("text", "with HTML tags: tags taken out")
LONG: Repair = (
    "text",
    f"of more than {LONGEST_FIELD:,} characters, which RecBole cannot read: cut",
)
DAMAGED: Repair = ("text", "not in UTF-8: damaged bytes read as Windows-1252")

# Only elements of HTML: "The Lord <Extended Edition>" and "I <3 cats" are no markup.
_BLOCKS = (
    "address article aside blockquote body br caption center dd div dl dt figure footer form h1 h2 "
    "h3 h4 h5 h6 head header hr html iframe img input li link main meta nav ol option p pre "
    "section select table tbody td textarea tfoot th thead title tr ul video"
)
_INLINE = (
    "a abbr acronym b big button cite code em font i ins label s small span strike strong sub sup u"
)
_HIDDEN = re.compile(r"<(script|style|noscript)\b[^>]*>.*?(</\1\s*>|$)|<!--.*?(-->|$)", re.I | re.S)
_BLOCK = re.compile(rf"</?(?:{'|'.join(_BLOCKS.split())})(?:\s[^<>]*)?/?>", re.I)
_INSIDE = re.compile(rf"</?(?:{'|'.join(_INLINE.split())})(?:\s[^<>]*)?/?>", re.I)
# An element that the dump cuts off before its end.
_CUT = re.compile(rf"<(?:{'|'.join((_BLOCKS + ' ' + _INLINE).split())})\s+[\w-]+\s*=[^<>]*$", re.I)
_SCRIPT = re.compile(
    r"^(?:var|let|const)\s+[\w$]+\s*=|\bfunction\s*[\w$]*\s*\([^)]*\)\s*\{"
    r"|\b(?:document|window)\s*\.\s*\w+\s*[=(.]|^[.#@][\w-]+[^{}]*\{[^{}]*:[^{}]*[;}]"
)
_DAMAGED = re.compile("[\ud800-\udfff]")


def clean_text(text: str) -> str:
    """HTML entities resolved, control characters and runs of blanks made one blank."""
    return _tidy(html.unescape(text))


def decoded_text(text: str, repairs: Counter[Repair]) -> str:
    """A text whose damaged bytes are surrogates, with those read; ``repairs`` counts it."""
    whole = _DAMAGED.sub(_byte, text)
    repairs[DAMAGED] += whole != text
    return whole


def mended_text(text: str, repairs: Counter[Repair]) -> str:
    """`clean_text` without HTML tags, cut where it is too long; ``repairs`` counts such texts."""
    # First the entities: in some dumps the tags are written with them.
    whole = html.unescape(text)
    if "<" in whole:
        bare = _CUT.sub("", _INSIDE.sub("", _BLOCK.sub(" ", _HIDDEN.sub(" ", whole))))
        repairs[MARKUP] += bare != whole
        whole = bare
    whole = _tidy(whole)
    if len(whole) > LONGEST_FIELD:
        repairs[LONG] += 1
        whole = whole[:LONGEST_FIELD].rpartition(" ")[0] or whole[:LONGEST_FIELD]
    return whole


def mended_categories(text: str, repairs: Counter[Repair]) -> str:
    """Tokens with blanks between: each member of a list (as `text_of` joins them) with ``_`` for
    its blanks, a text as it stands."""
    if MEMBER_END not in text:
        return mended_text(text, repairs)
    members = (mended_text(member, repairs) for member in text.split(MEMBER_END))
    return " ".join("_".join(member.split()) for member in members if member)


def mended_title(text: str, repairs: Counter[Repair]) -> str:
    """`mended_text`, and "" where the shop's page gave a piece of script or style instead."""
    title = mended_text(text, repairs)
    if _SCRIPT.search(title):
        repairs[SCRIPT_AS_TITLE] += 1
        return ""
    return title


def _byte(damaged: "re.Match[str]") -> str:
    byte = ord(damaged[0]) - 0xDC00
    # Others are halves of a character that a record escapes one by one.
    return (
        bytes([byte]).decode("cp1252", "replace")
        if 0x80 <= byte <= 0xFF
        else "\N{REPLACEMENT CHARACTER}"
    )


def _tidy(text: str) -> str:
    text = " ".join(text.split())
    if not text.isprintable():
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return "" if text.casefold() in NO_TEXT else text
