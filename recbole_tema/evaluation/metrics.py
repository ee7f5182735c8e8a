"""Ranks in, metrics out: HR@k, NDCG@k and MRR of one relevant item a case, per domain and together.

Ranks start at 1 and are floats, because a tie counts half (see ``ranks.rank_of_target``).
"""

from collections.abc import Sequence

import numpy as np

from recbole_tema.formats import ALL_DOMAINS

TOPK = (5, 10)
MRR = "mrr"


def metric_names(topk: Sequence[int]) -> tuple[str, ...]:
    """The metrics' names in the order of every table: ``hr@k`` for each k, ``ndcg@k``, ``mrr``."""
    return (*(f"hr@{k}" for k in topk), *(f"ndcg@{k}" for k in topk), MRR)


METRICS = metric_names(TOPK)


def values_of_cases(ranks: np.ndarray, topk: Sequence[int] = TOPK) -> dict[str, np.ndarray]:
    """What each case adds to the metrics, whose means over cases these are.

    - ``hr@k``: 1 where rank ≤ k, else 0. A tie that straddles k (rank 5.5 at k = 5) is out.
    - ``ndcg@k``: 1 / log2(1 + rank), or 0 where rank > k. With one relevant item a case the ideal
      DCG is 1.
    - ``mrr``: 1 / rank of **all** ranks. RecBole's ``mrr@k`` counts 0 beyond k; this one is not
      cut, so the two are not comparable.

    Args:
        ranks: shape (n,), each finite and at least 1.
        topk: the values of k, each at least 1.

    Returns:
        (n,) float64 for each of ``metric_names(topk)``, in that order.

    Raises:
        ValueError: a rank is NaN, infinite or below 1, or a k is below 1.
    """
    ranks = np.asarray(ranks, dtype=np.float64)
    bad = np.flatnonzero(~(np.isfinite(ranks) & (ranks >= 1)))
    if bad.size:
        raise ValueError(
            f"{bad.size} of {ranks.size} ranks are not finite numbers from 1 on; "
            f"the first is {ranks[bad[0]]} at case {bad[0]}"
        )
    if any(k < 1 for k in topk):
        raise ValueError(f"every k of a metric must be at least 1, got {list(topk)}")
    gain = 1.0 / np.log2(1.0 + ranks)
    values = [
        *((ranks <= k).astype(np.float64) for k in topk),
        *(np.where(ranks <= k, gain, 0.0) for k in topk),
        1.0 / ranks,
    ]
    return dict(zip(metric_names(topk), values, strict=True))


def metrics_of_ranks(ranks: np.ndarray, topk: Sequence[int] = TOPK) -> dict[str, float]:
    """The mean metrics of some cases: of each, what ``values_of_cases`` says.

    Returns:
        A value for each of ``metric_names(topk)``, in that order; all NaN when there are no cases,
        because an empty domain has no metrics (0 would read as a bad result).

    Raises:
        ValueError: as ``values_of_cases``.
    """
    values = values_of_cases(ranks, topk)
    return {
        name: float(np.mean(each)) if each.size else float("nan") for name, each in values.items()
    }


def metrics_by_domain(
    ranks: np.ndarray,
    domain_of_case: np.ndarray,
    domain_names: Sequence[str],
    topk: Sequence[int] = TOPK,
) -> dict[str, dict[str, float]]:
    """The metrics of each domain, in the order of ``domain_names``, and then of all cases.

    ``all`` is the mean over cases, not over domains. A domain without cases gets NaN.

    Args:
        ranks: shape (n,).
        domain_of_case: shape (n,), the index into ``domain_names`` of each case's target.
        domain_names: the domains' own names; none of them is ``all``.

    Raises:
        ValueError: the arrays differ in shape, a domain index has no name, or a rank is unusable.
    """
    ranks, domain_of_case = np.asarray(ranks), np.asarray(domain_of_case)
    if ranks.shape != domain_of_case.shape:
        raise ValueError(
            f"every rank needs a domain: got ranks {ranks.shape}, domains {domain_of_case.shape}"
        )
    if ranks.size and not 0 <= domain_of_case.min() <= domain_of_case.max() < len(domain_names):
        raise ValueError(
            f"domain indices run from {domain_of_case.min()} to {domain_of_case.max()}, "
            f"but there are {len(domain_names)} domains: {', '.join(domain_names)}"
        )
    metrics = {
        name: metrics_of_ranks(ranks[domain_of_case == index], topk)
        for index, name in enumerate(domain_names)
    }
    metrics[ALL_DOMAINS] = metrics_of_ranks(ranks, topk)
    return metrics
