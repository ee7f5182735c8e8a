"""The page in headless Chromium, where there is one."""

from itertools import pairwise

import pytest

from tests.chromium import Chromium

WIDTHS = (360, 768, 1280)
SCHEMES = ("light", "dark")
SECTIONS = (
    *("results", "cost", "learning", "popularity", "history", "last"),
    *("confusion", "cases", "setup"),
)
MANY = ("TEMA (paper settings, without tags and without images)", *(f"M{n}" for n in range(9)))

# Of every text its colour against what is painted behind it, as WCAG 2.2 has it.
WORST_CONTRAST = """
(() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const paint = colours => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = rgb => {
    const [r, g, b] = rgb.map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let worst = [21, ''];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || element.closest('title, desc, .skip')) continue;
    const style = getComputedStyle(element), behind = [];
    for (let each = element; each; each = each.parentElement)
      behind.unshift(getComputedStyle(each).backgroundColor);
    const under = paint(behind);
    const over = paint([...behind, element.closest('svg') ? style.fill : style.color]);
    const [low, high] = [light(under), light(over)].sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < worst[0]) worst = [ratio, texts.currentNode.data.trim()];
  }
  return worst;
})()
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = Chromium(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("many", [False, True])
def test_the_page_fits_and_is_quiet(browser, page_of, width, scheme, many):
    picture = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="
    page = page_of(models=MANY, picture=picture) if many else page_of()
    browser.open(page, width, color_scheme=scheme)
    assert browser.messages == []
    asked = [url for url in browser.requests if not url.startswith("data:")]
    assert asked == [page.resolve().as_uri()]
    assert browser.evaluate("innerWidth") == width  # a phone zooms out to what is wider
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    # Also with everything unfolded, and without what scrolls in its own frame.
    browser.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    wider = f"""
        [...document.querySelectorAll('body *')]
          .filter(each => !each.closest('.scroll > *, .skip, .legend svg, .chart > *'))
          .filter(each => each.getBoundingClientRect().right > {width} + 0.5)
          .map(each => each.outerHTML.slice(0, 80))"""
    assert browser.evaluate(wider) == []
    tops = [
        browser.evaluate(f"document.getElementById('{name}').getBoundingClientRect().top")
        for name in SECTIONS
    ]
    assert all(below > above for above, below in pairwise(tops))
    heights = browser.evaluate(
        "[...document.querySelectorAll('section, .chart, table')].map(each => each.clientHeight)"
    )
    assert min(heights) > 40


@pytest.mark.parametrize("scheme", SCHEMES)
def test_contrast_of_every_text(browser, page_of, scheme):
    browser.open(page_of(failures={"NPE": {1: "no"}}), 1280, color_scheme=scheme)
    browser.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    dark = "matchMedia('(prefers-color-scheme: dark)').matches"
    assert browser.evaluate(dark) == (scheme == "dark")
    ratio, text = browser.evaluate(WORST_CONTRAST)
    assert ratio >= 4.5, text


def test_titles_do_nothing(browser, page_of):
    title = "{item}</span><img src=x onerror=\"document.title='run'\"><script>a()</script>"
    browser.open(page_of(title=title), 768)
    assert browser.messages == []
    assert browser.evaluate("document.title") != "run"
    assert browser.evaluate("document.querySelectorAll('img, script').length") == 0
    shown = "document.querySelector('.what').textContent"
    assert "<script>a()</script>" in browser.evaluate(shown)


def test_long_titles_are_cut_to_two_lines_and_whole_in_the_page(browser, page_of):
    browser.open(page_of(), 360)
    shown = "document.querySelector('.story .title')"
    assert browser.evaluate(f"{shown}.clientHeight") < 50
    assert browser.evaluate(f"{shown}.scrollHeight") > 100
    assert browser.evaluate(f"{shown}.textContent").endswith("very very")


def test_print_is_light_and_unfolded(browser, page_of):
    # 186 mm, between the margins of an A4 page.
    browser.open(page_of(), 703, medium="print", color_scheme="dark")
    assert browser.evaluate("getComputedStyle(document.body).color") == "rgb(23, 32, 43)"
    assert browser.evaluate("document.documentElement.scrollWidth") <= 703
    closed = "[...document.querySelectorAll('details:not([open]) > :last-child')]"
    assert browser.evaluate(f"{closed}.length") > 5
    seen = f"{closed}.filter(each => each.checkVisibility()).length"
    assert browser.evaluate(seen) == browser.evaluate(f"{closed}.length")
    browser.emulate(medium="screen")
    assert browser.evaluate(seen) == 0
