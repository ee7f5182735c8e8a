"""Whether the best model of a column is better than the next by more than chance: paired tests.

Each column of a table (a domain and a metric) compares the model with the highest mean with the
best other one, over the same cases, by Wilcoxon's signed-rank test (Biometrics Bulletin 1, 1945) of
scipy. A case's value is the mean over the model's seeds. The p-values of one table are corrected
together by Holm's step-down method (Scandinavian Journal of Statistics 6, 1979).

Three choices:

- Most cases are beyond k for both models, so that their hr@k and ndcg@k are equal. As in Wilcoxon's
  paper cases without a difference are left out, and equal differences share the mean of their
  ranks, for which scipy corrects the variance of the normal approximation (Hollander, Wolfe and
  Chicken, Nonparametric Statistical Methods, 3rd ed., 2014, section 3.1). With hr@k and one seed
  this is the sign test. A paired bootstrap would not need it, but is random and takes minutes.
- The test is of ranks of differences and not of the mean, and may point the other way where a model
  gains much in few cases. p is twice the one-sided p of "the best is better", at most 1: a best
  model that is worse in most cases gets a p of 1.
- Seeds are averaged, not tested: p speaks about other cases of this data set, the standard
  deviation beside the mean about other seeds.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
from scipy.stats import wilcoxon

from recbole_tema.evaluation.metrics import TOPK, values_of_cases
from recbole_tema.formats import ALL_DOMAINS, atomic_write
from recbole_tema.report.results import Cases, RunResult, check_comparable

# Means of the same values in another order differ in their last digits: no difference.
DIGITS = 12


@dataclass(frozen=True)
class PairedTest:
    """The best model of a column against the best other one.

    difference: mean of the best minus mean of the other. p, p_holm: two-sided, and corrected over
    all columns of the table. cases: how many both were tested on, of which ``different`` differ.
    """

    domain: str
    metric: str
    best: str
    other: str
    difference: float
    p: float
    p_holm: float
    cases: int
    different: int


TESTS_COLUMNS = tuple(field.name for field in fields(PairedTest))


def paired_tests(
    results: Iterable[RunResult], mode: str, topk: Sequence[int] = TOPK
) -> list[PairedTest]:
    """A test for each domain (``all`` last) and metric of the table of ``mode``.

    Empty where fewer than two models were ranked under ``mode``. A domain without cases has none.
    Raises ValueError when the cases of two runs differ, or when two have one model and seed.
    """
    results = [run for run in results if mode in run.ranks]
    means = values_of_models(results, mode, topk)
    if len(means) < 2:
        return []
    found = []
    for domain, among in cases_of_domains(results[0].cases).items():
        for metric in next(iter(means.values())) if among.any() else []:
            values = {model: of_model[metric][among] for model, of_model in means.items()}
            best, other = sorted(values, key=lambda model: -values[model].mean())[:2]
            difference = np.round(values[best] - values[other], DIGITS)
            number = len(difference), int(np.count_nonzero(difference))
            p = signed_rank_p(difference)
            found.append((domain, metric, best, other, float(difference.mean()), p, *number))
    corrected = holm([row[5] for row in found])
    return [
        PairedTest(*row[:6], adjusted, *row[6:])
        for row, adjusted in zip(found, corrected, strict=True)
    ]


def values_of_models(
    results: Sequence[RunResult], mode: str, topk: Sequence[int] = TOPK
) -> dict[str, dict[str, np.ndarray]]:
    """What each case adds to each metric, the mean over seeds: {model: {metric: (n,) float64}}.

    Raises ValueError as ``check_comparable``.
    """
    check_comparable(results)
    by_model: dict[str, list[dict[str, np.ndarray]]] = {}
    for run in results:
        by_model.setdefault(run.model, []).append(values_of_cases(run.ranks[mode], topk))
    return {
        model: {metric: np.mean([each[metric] for each in seeds], axis=0) for metric in seeds[0]}
        for model, seeds in by_model.items()
    }


def cases_of_domains(cases: Cases) -> dict[str, np.ndarray]:
    """Which cases are of each domain, ``all`` last: {domain: (n,) bool}."""
    domains = {name: cases.domain == index for index, name in enumerate(cases.domain_names)}
    return {**domains, ALL_DOMAINS: np.ones(len(cases), dtype=bool)}


def signed_rank_p(difference: np.ndarray) -> float:
    """Wilcoxon's p that differences of shape (n,), those of 0 left out, lie above 0.

    Twice the one-sided p, at most 1; 1 where nothing differs.
    """
    difference = difference[difference != 0]
    if not difference.size:
        return 1.0
    return min(1.0, 2 * float(wilcoxon(difference, alternative="greater").pvalue))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given.

    The smallest of n is multiplied by n, the next by n - 1, …; none is below the one before it or
    above 1.
    """
    adjusted = [0.0] * len(p_values)
    so_far = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        so_far = max(so_far, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = so_far
    return adjusted


def write_tests(folder: Path, mode: str, tests: Iterable[PairedTest]) -> Path:
    """Write ``tests_MODE.csv``: ``TESTS_COLUMNS``, unrounded."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(TESTS_COLUMNS)
    writer.writerows(map(astuple, tests))
    path = Path(folder) / f"tests_{mode}.csv"
    with atomic_write(path) as beside:
        beside.write_text(text.getvalue(), encoding="utf-8", newline="")
    return path
