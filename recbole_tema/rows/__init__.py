"""The rows of a comparison: models with settings of their own, ablations, sweeps."""

from recbole_tema.rows.row import Row, agreed, check_alike, check_labels, model_names, rows_of

__all__ = ["Row", "agreed", "check_alike", "check_labels", "model_names", "rows_of"]
