"""What there is to train and to write: the rows' configurations, and tables beside the usual."""

from collections.abc import Callable
from dataclasses import dataclass, field

from recbole_tema.config import TEMAConfig
from recbole_tema.outcome import More
from recbole_tema.rows.row import Row

Configure = Callable[[Row], TEMAConfig]
"""The configuration of a row."""


@dataclass
class Comparison:
    """The rows of one run.

    Attributes:
        configs: by label, in the order of every table.
        must_run: labels of rows that the user asked for value by value: where one cannot be run,
            nothing is.
        more: what else to write after each run.
    """

    configs: dict[str, TEMAConfig] = field(default_factory=dict)
    must_run: set[str] = field(default_factory=set)
    more: More | None = None


def plain(rows: list[Row], configure: Configure) -> Comparison:
    """The rows as they are."""
    return Comparison({row.label: configure(row) for row in rows})
