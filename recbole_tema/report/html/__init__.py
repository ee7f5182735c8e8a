"""``report.html``: a comparison as one page, which needs no network and no script."""

from recbole_tema.report.html.items import Card, read_cards
from recbole_tema.report.html.page import (
    REPORT_FILE,
    DatasetFigures,
    Example,
    Report,
    to_html,
    write_report,
)

__all__ = [
    "REPORT_FILE",
    "Card",
    "DatasetFigures",
    "Example",
    "Report",
    "read_cards",
    "to_html",
    "write_report",
]
