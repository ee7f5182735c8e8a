"""Which test cases are shown: every kind, and by the data alone."""

import numpy as np

from recbole_tema.data.facts import CaseFacts
from recbole_tema.evaluation.examples import choose_examples, popularity_classes


def facts_of(count, other):
    return CaseFacts(np.ones(len(count), dtype=int), np.array(count), np.array(other, dtype=bool))


def kinds(facts, domain, chosen):
    classes = popularity_classes(facts.target_count)
    return [(int(domain[c]), str(classes[c]), bool(facts.from_other[c])) for c in chosen]


def test_popularity_classes():
    # The median of 1, 2, 3 and 8 is 2.5.
    found = popularity_classes(np.array([0, 3, 1, 8, 2, 0]))
    assert found.tolist() == ["cold", "popular", "rare", "popular", "rare", "cold"]
    assert popularity_classes(np.array([0, 0])).tolist() == ["cold", "cold"]


def test_a_dozen_cases_are_one_of_each_kind():
    rng = np.random.default_rng(0)
    n = 4000
    facts = facts_of(rng.integers(0, 4, n) * rng.integers(1, 9, n), rng.random(n) < 0.4)
    domain = (rng.random(n) < 0.6).astype(int)
    chosen = choose_examples(facts, domain)
    assert kinds(facts, domain, chosen) == [
        (which, name, other)
        for which in (0, 1)
        for name in ("cold", "rare", "popular")
        for other in (False, True)
    ]
    assert choose_examples(facts, domain).tolist() == chosen.tolist()


def test_where_a_kind_has_no_case_others_have_more():
    # No cold target, and only one that comes after the other domain.
    facts = facts_of([1] * 8 + [9] * 8, [True] + [False] * 15)
    domain = np.zeros(16, dtype=int)
    chosen = choose_examples(facts, domain)
    assert len(set(chosen.tolist())) == 12
    found = kinds(facts, domain, chosen)
    assert found == sorted(found, key=lambda kind: (kind[1] != "rare", kind[2]))
    assert found.count((0, "rare", True)) == 1
    # In turn: rare and same, rare and other, popular and same, rare and same, ...
    assert abs(found.count((0, "rare", False)) - found.count((0, "popular", False))) <= 1


def test_fewer_cases_than_asked_for():
    chosen = choose_examples(facts_of([0, 5], [True, False]), np.array([1, 0]))
    assert chosen.tolist() == [1, 0]  # the first domain's before the second's
    assert choose_examples(facts_of([], []), np.array([], dtype=int)).tolist() == []


def test_the_order_of_cases_of_one_kind_is_not_that_of_the_file():
    facts = facts_of([1] * 1000, [False] * 1000)
    chosen = choose_examples(facts, np.zeros(1000, dtype=int), number=3)
    assert chosen.max() > 50
