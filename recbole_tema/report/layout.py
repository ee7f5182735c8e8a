"""Rows of texts as tables of Markdown and LaTeX, and names that mean nothing else there."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from recbole_tema.formats import atomic_write

ABSENT = "–"
_LATEX_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        **{character: f"\\{character}" for character in "&%$#_{}"},
    }
)
_MARKDOWN_ESCAPES = str.maketrans({character: f"\\{character}" for character in "\\`*_|<[]"})


def latex_name(name: str) -> str:
    """``name`` for LaTeX to print as it is."""
    return name.translate(_LATEX_ESCAPES)


def markdown_name(name: str) -> str:
    """``name`` for Markdown to show as it is."""
    return name.translate(_MARKDOWN_ESCAPES)


def write_forms(folder: Path, stem: str, texts: Mapping[str, str]) -> list[Path]:
    """Write one table in several forms, {suffix: text}; returns their paths."""
    paths = []
    for suffix, text in texts.items():
        paths.append(Path(folder) / f"{stem}.{suffix}")
        with atomic_write(paths[-1]) as beside:
            beside.write_text(text, encoding="utf-8", newline="")
    return paths


def aligned(rows: Sequence[Sequence[str]], names: int = 1) -> list[list[str]]:
    """The rows with each column padded to one width: the first ``names`` left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        [*map(str.ljust, row[:names], widths), *map(str.rjust, row[names:], widths[names:])]
        for row in rows
    ]


def markdown_lines(rows: Sequence[Sequence[str]], names: int = 1) -> list[str]:
    """A Markdown table whose first row is its head; all but the first ``names`` columns right."""
    head, *body = aligned(rows, names)
    widths = [len(text) for text in head]
    rule = ["-" * width for width in widths[:names]]
    rule += ["-" * (width - 1) + ":" for width in widths[names:]]
    return [f"| {' | '.join(row)} |" for row in (head, rule, *body)]


def latex_lines(
    caption: str,
    head: Sequence[str],
    body: Sequence[Sequence[str]],
    above: Sequence[str] = (),
    names: int = 1,
) -> list[str]:
    """A ``tabular`` with booktabs rules, ``caption`` in a comment and ``above`` over the head.

    The first ``names`` columns go to the left, the others to the right.
    """
    return [
        f"% {caption}",
        r"% Needs \usepackage{booktabs}.",
        rf"\begin{{tabular}}{{{'l' * names}{'r' * (len(head) - names)}}}",
        r"\toprule",
        *above,
        " & ".join(head) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in body),
        r"\bottomrule",
        r"\end{tabular}",
    ]
