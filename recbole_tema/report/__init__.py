"""From ranks to files: metrics, tables and plots. Models and data sets are not known here."""

from recbole_tema.report.cost import write_costs
from recbole_tema.report.plots import write_comparison_plot, write_learning_curves
from recbole_tema.report.rendering import to_text, write_tables
from recbole_tema.report.results import (
    Cases,
    Failures,
    RunResult,
    metrics_of_results,
    read_metrics,
    read_ranks,
    write_failures,
    write_metrics,
    write_ranks,
    write_timing,
)
from recbole_tema.report.significance import PairedTest, paired_tests
from recbole_tema.report.tables import (
    Table,
    in_one_order,
    side_by_side,
    tables_of_metrics,
    tables_of_results,
)

__all__ = [
    "Cases",
    "Failures",
    "PairedTest",
    "RunResult",
    "Table",
    "in_one_order",
    "metrics_of_results",
    "paired_tests",
    "read_metrics",
    "read_ranks",
    "side_by_side",
    "tables_of_metrics",
    "tables_of_results",
    "to_text",
    "write_comparison_plot",
    "write_costs",
    "write_failures",
    "write_learning_curves",
    "write_metrics",
    "write_ranks",
    "write_tables",
    "write_timing",
]
