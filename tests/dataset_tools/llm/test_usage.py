"""Figures of what asking takes, in words."""

from recbole_tema.dataset_tools.llm.usage import Estimate, total_line


def test_the_total_of_stages() -> None:
    enrich = Estimate("enrich", 5, 2, 1000, 300, 600, 2, 0.5, 0.75, "EUR", "2026-01")
    score = Estimate("score", 1200, 0, 4000, 1200, 1200, 0, 2.25, 2.5, "EUR", "2026-01")
    assert str(enrich) == (
        "enrich: 3 questions to ask (2 of 5 answered before), about 1,000 tokens in and 300 out "
        "(the mean of 2 answers), 0.5000 EUR (at most 0.7500 EUR; prices of 2026-01, check your "
        "provider's)"
    )
    assert total_line([enrich, score]) == (
        "all stages: 1,203 questions to ask (2 of 1,205 answered before), about 5,000 tokens in "
        "and 1,500 out, 2.7500 EUR (at most 3.2500 EUR; prices of 2026-01, check your provider's)"
    )


def test_the_total_without_a_price() -> None:
    stages = [Estimate("enrich", 5, 0, 1000, 300), Estimate("propose", 5, 0, 500, 200)]
    assert total_line(stages) == (
        "all stages: 10 questions to ask (0 of 10 answered before), about 1,500 tokens in and 500 "
        "out, price unknown"
    )
    free = [Estimate("enrich", 5, 0, 1000, 300, cost=0.0, most_cost=0.0)]
    assert total_line(free).endswith("0.00 USD (at most 0.00 USD)")
