"""Rows of texts as tables of Markdown and LaTeX, and names that mean nothing else there."""

from collections.abc import Sequence

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


def aligned(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """The rows with each column padded to one width: the first to the right, others to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows]


def markdown_lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table whose first row is its head; numbers, all but the first column, right."""
    head, *body = aligned(rows)
    widths = [len(text) for text in head]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return [f"| {' | '.join(row)} |" for row in (head, rule, *body)]


def latex_lines(
    caption: str, head: Sequence[str], body: Sequence[Sequence[str]], above: Sequence[str] = ()
) -> list[str]:
    """A ``tabular`` with booktabs rules, ``caption`` in a comment and ``above`` over the head."""
    return [
        f"% {caption}",
        r"% Needs \usepackage{booktabs}.",
        rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
        r"\toprule",
        *above,
        " & ".join(head) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in body),
        r"\bottomrule",
        r"\end{tabular}",
    ]
