"""Texts of shops: markup, scripts, entities, damaged bytes."""

from collections import Counter

import pytest

from recbole_tema.dataset_tools.raw.texts import (
    DAMAGED,
    LONG,
    MARKUP,
    MEMBER_END,
    SCRIPT_AS_TITLE,
    Repair,
    clean_text,
    decoded_text,
    mended_categories,
    mended_text,
    mended_title,
)
from recbole_tema.formats import LONGEST_FIELD


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Salt &amp; pepper\n 2\tpack", "Salt & pepper 2 pack"),
        ("AT&amp;amp;T", "AT&amp;T"),
        ("N/A", ""),
        ("bell\x07s", "bell s"),
    ],
)
def test_clean_text(text: str, clean: str) -> None:
    assert clean_text(text) == clean


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ('<span class="a-size-medium">Green <b>tea</b></span>', "Green tea"),
        ("One<br/>two<p>three</p>four<BR >five", "One two three four five"),
        ("&lt;div&gt;Tea&lt;/div&gt;", "Tea"),
        ("Tea<script type='x'>if (a < b) { track() }</script> pot", "Tea pot"),
        ("Tea<style>p {color: red}", "Tea"),
        ("Tea <!-- a > b --> pot", "Tea pot"),
        ('Cup <a href="http://x.org/a-very', "Cup"),
        ("<table><tr><td>a</td><td>b</td></tr></table>", "a b"),
    ],
)
def test_markup_is_taken_out_and_counted(text: str, mended: str) -> None:
    repairs: Counter[Repair] = Counter()
    assert mended_text(text, repairs) == mended
    assert +repairs == {MARKUP: 1}


@pytest.mark.parametrize(
    "text",
    [
        "I <3 tea",
        "The Lord <Extended Edition>",
        "a < b > c",
        "5 <10 lbs>",
        "<spanish> guitar",
        "The function of a var",
        "Window cleaner",
        "#1 gift",
        ".hack//G.U. Vol. 2",
        "Learn {curly} braces",
    ],
)
def test_what_only_looks_like_markup_or_script_stays(text: str) -> None:
    repairs: Counter[Repair] = Counter()
    assert mended_title(text, repairs) == text
    assert not +repairs


@pytest.mark.parametrize(
    "text",
    [
        "var aPageStart = (new Date()).getTime();\nvar ue_t0=ue_t0||+new Date();",
        "(function(a,b){a.ue=b})(window)",
        "document.write('tea')",
        ".a-section { margin: 0; } .b { color: red; }",
    ],
)
def test_a_script_is_no_title(text: str) -> None:
    repairs: Counter[Repair] = Counter()
    assert mended_title(text, repairs) == ""
    assert +repairs == {SCRIPT_AS_TITLE: 1}


def test_damaged_bytes_are_windows_1252() -> None:
    repairs: Counter[Repair] = Counter()
    text = b"Caf\xe9 \x96 d\xc3\xa9j\xc3\xa0 vu".decode("utf-8", "surrogateescape")
    assert decoded_text(text, repairs) == "Café – déjà vu"
    # Half of an emoji that a record escapes alone; 0x81 is no character of Windows-1252.
    assert decoded_text("a\ud83d", repairs) == "a\N{REPLACEMENT CHARACTER}"
    assert decoded_text("a\udc81", repairs) == "a\N{REPLACEMENT CHARACTER}"
    assert +repairs == {DAMAGED: 3}


def test_a_text_longer_than_recbole_reads_is_cut_at_a_blank() -> None:
    repairs: Counter[Repair] = Counter()
    text = mended_text("word " * 30_000, repairs)
    # 26,200 words of five characters are the limit; of the last one its blank is cut.
    assert text == ("word " * (LONGEST_FIELD // 5)).strip()
    assert +repairs == {LONG: 1}
    assert len(mended_text("x" * 200_000, repairs)) == LONGEST_FIELD


def test_members_of_categories_are_mended_one_by_one() -> None:
    repairs: Counter[Repair] = Counter()
    members = ["Arts &amp; Crafts", "</span></span>", "nan", '<a href="x">Wool yarn</a>']
    text = "".join(member + MEMBER_END for member in members)
    assert mended_categories(text, repairs) == "Arts_&_Crafts Wool_yarn"
    assert mended_categories("tea pots", repairs) == "tea pots"
    assert +repairs == {MARKUP: 2}
