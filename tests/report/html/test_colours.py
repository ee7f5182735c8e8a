"""Colours of the page: contrast, and for every kind of colour vision."""

import re
from importlib.resources import files

import numpy as np
import pytest


def colours(scheme: str) -> dict[str, str]:
    css = files("recbole_tema.report.html").joinpath("templates/style.css").read_text()
    light, dark = re.findall(r":root \{([^}]*--page[^}]*--c6[^}]*)\}", css)
    return dict(
        re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", light if scheme == "light" else dark)
    )


def rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)])


def luminance(colour: np.ndarray) -> float:
    """WCAG 2.2's relative luminance of sRGB values up to 255."""
    part = colour / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_by_known_pairs():
    assert contrast(rgb("#000000"), rgb("#ffffff")) == pytest.approx(21)
    assert contrast(rgb("#767676"), rgb("#ffffff")) == pytest.approx(4.54, abs=0.01)


TEXTS = [
    *(("ink", under) for under in ("page", "surface", "accent-soft", "bad-soft", "good-soft")),
    *(("quiet", under) for under in ("page", "surface")),
    *(("accent", under) for under in ("surface", "page")),
    *((name, f"{name}-soft") for name in ("k0", "k1", "bad", "good")),
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(scheme):
    palette = colours(scheme)
    for text, under in TEXTS:
        assert contrast(rgb(palette[text]), rgb(palette[under])) >= 4.5, (text, under)
    for number in range(7):
        assert contrast(rgb(palette[f"c{number}"]), rgb(palette["surface"])) >= 3, number
    # The strongest shade of a matrix: 30 % of the accent over the surface.
    shade = 0.3 * rgb(palette["accent"]) + 0.7 * rgb(palette["surface"])
    assert contrast(rgb(palette["ink"]), shade) >= 4.5


def simulated(colour: np.ndarray, kind: str) -> np.ndarray:
    """How it looks to people without one kind of cone (Machado, Oliveira, Fernandes, 2009)."""
    matrix = {
        "protan": [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
        "deutan": [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ],
    }[kind]
    part = colour / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    return np.clip(np.array(matrix) @ linear, 0, 1) ** (1 / 2.2) * 255


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["protan", "deutan"])
def test_colours_of_neighbours_differ_for_every_kind_of_sight(scheme, kind):
    palette = colours(scheme)
    seen = [simulated(rgb(palette[f"c{number}"]), kind) for number in range(7)]
    for one, other in zip(seen, [*seen[1:], seen[0]], strict=True):
        assert np.linalg.norm(one - other) > 40
