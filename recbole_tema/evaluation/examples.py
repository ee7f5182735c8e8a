"""A few test cases to look at, chosen before any model is seen."""

from collections.abc import Iterator

import numpy as np

from recbole_tema.data.facts import CaseFacts
from recbole_tema.data.sequences import Ints

N_EXAMPLES = 12
# Fixed, so that nobody can look for cases that please.
SEED = 2020

COLD, RARE, POPULAR = "cold", "rare", "popular"


def popularity_classes(target_count: Ints) -> np.ndarray:
    """Str, (n,): cold (never in training), rare or popular (above the others' median)."""
    seen = target_count[target_count > 0]
    median = np.median(seen) if seen.size else 0
    return np.where(target_count == 0, COLD, np.where(target_count <= median, RARE, POPULAR))


def choose_examples(facts: CaseFacts, domain: Ints, number: int = N_EXAMPLES) -> Ints:
    """Case numbers, (at most ``number``,), one of each kind in turn.

    The kinds are target domain × cold, rare or popular target × whether the event before it was in
    the other domain. In each the cases come in an order drawn with a fixed seed, so that the choice
    depends on the data alone. The result is sorted by kind.

    Args:
        facts: of all n cases.
        domain: (n,) each target's domain.
        number: how many to choose.
    """
    order = np.random.Generator(np.random.PCG64(SEED)).permutation(len(domain))
    classes = popularity_classes(facts.target_count)
    kinds = [
        order[((domain == which) & (classes == name) & (facts.from_other == other))[order]]
        for which in np.unique(domain)
        for name in (COLD, RARE, POPULAR)
        for other in (False, True)
    ]
    chosen = list(_in_turn(kinds))[:number]
    return np.array([case for _, case in sorted(chosen, key=lambda each: each[0])], dtype=np.int64)


def _in_turn(kinds: list[Ints]) -> Iterator[tuple[int, int]]:
    """The first of each kind, then the second of each, …, as (number of the kind, case)."""
    for turn in range(max(map(len, kinds), default=0)):
        for kind, cases in enumerate(kinds):
            if turn < len(cases):
                yield kind, int(cases[turn])
