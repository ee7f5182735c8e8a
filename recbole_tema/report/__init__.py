"""From ranks to files: metrics, tables and plots. Models and data sets are not known here."""

from recbole_tema.report.plots import write_comparison_plot, write_learning_curves
from recbole_tema.report.results import (
    Cases,
    RunResult,
    metrics_of_results,
    read_metrics,
    read_ranks,
    write_metrics,
    write_ranks,
    write_timing,
)
from recbole_tema.report.tables import Table, tables_of_metrics, to_text, write_tables

__all__ = [
    "Cases",
    "RunResult",
    "Table",
    "metrics_of_results",
    "read_metrics",
    "read_ranks",
    "tables_of_metrics",
    "to_text",
    "write_comparison_plot",
    "write_learning_curves",
    "write_metrics",
    "write_ranks",
    "write_tables",
    "write_timing",
]
