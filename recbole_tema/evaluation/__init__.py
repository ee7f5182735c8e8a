"""Scores in, ranks and metrics out; which model made the scores is not known here."""

from recbole_tema.evaluation.metrics import (
    METRICS,
    MRR,
    TOPK,
    metric_names,
    metrics_by_domain,
    metrics_of_ranks,
    values_of_cases,
)
from recbole_tema.evaluation.ranks import ScoreError, draw_candidates, rank_of_target

__all__ = [
    "METRICS",
    "MRR",
    "TOPK",
    "ScoreError",
    "draw_candidates",
    "metric_names",
    "metrics_by_domain",
    "metrics_of_ranks",
    "rank_of_target",
    "values_of_cases",
]
