"""What asking took, and what it would take."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..wording import counted


@dataclass
class Usage:
    """Totals of a run, or of one of its stages.

    Attributes:
        requests: questions that were to be answered.
        stored: of these, answered by what an earlier run, another process or the same question
            earlier in this run had brought.
        asked: answers that came in this run, those included that could not be read.
        retries: requests that were sent again after an error.
        failures: questions without a readable answer.
        input_tokens, output_tokens: of the answers of this run, as the engine counted.
        cost: of these tokens; None where the model's price is not known.
        currency: of the cost.
        seconds: from the first question to the last answer.
    """

    requests: int = 0
    stored: int = 0
    asked: int = 0
    retries: int = 0
    failures: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = 0.0
    currency: str = "USD"
    seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"{counted(self.requests, 'question')}, {self.stored:,} answered before, "
            f"{counted(self.asked, 'answer')} asked for in {self.seconds:,.0f} s, "
            f"{self.failures:,} failed; {self.input_tokens:,} + {self.output_tokens:,} tokens, "
            f"{money(self.cost, self.currency)}"
        )


@dataclass
class Estimate:
    """What a stage would take.

    Attributes:
        stage: its name.
        requests: different questions.
        stored: of these, answered already.
        input_tokens: of those to ask.
        output_tokens: of their answers, expected; as long as allowed where ``measured`` is 0.
        most_output_tokens: of answers as long as they may be.
        measured: stored answers of the same stage that the expectation is the mean of.
        cost, most_cost: of the expected and the longest answers; None without a price.
        currency, as_of: of the prices, and when they were looked up.
    """

    stage: str
    requests: int = 0
    stored: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    most_output_tokens: int = 0
    measured: int = 0
    cost: float | None = None
    most_cost: float | None = None
    currency: str = "USD"
    as_of: str = ""

    @property
    def to_ask(self) -> int:
        return self.requests - self.stored

    @property
    def questions(self) -> str:
        """How many questions and tokens, in words."""
        return (
            f"{counted(self.to_ask, 'question')} to ask ({self.stored:,} of {self.requests:,} "
            f"answered before), about {self.input_tokens:,} tokens in and "
            f"{self.output_tokens:,} out"
        )

    @property
    def price(self) -> str:
        """What they cost, in words."""
        cost = money(self.cost, self.currency)
        if self.cost is not None:
            cost += f" (at most {money(self.most_cost, self.currency)}"
            cost += f"; prices of {self.as_of}, check your provider's)" if self.as_of else ")"
        return cost

    def __str__(self) -> str:
        mean = f"the mean of {counted(self.measured, 'answer')}"
        by = mean if self.measured else "as long as allowed"
        return f"{self.stage}: {self.questions} ({by}), {self.price}"


def total_line(stages: Sequence[Estimate]) -> str:
    """What the stages, at least one, take together: questions, tokens, price."""
    # All are of one model: its price is known for all of them or for none.
    priced = stages[0].cost is not None
    total = Estimate(
        "all stages",
        requests=sum(each.requests for each in stages),
        stored=sum(each.stored for each in stages),
        input_tokens=sum(each.input_tokens for each in stages),
        output_tokens=sum(each.output_tokens for each in stages),
        cost=sum(each.cost or 0.0 for each in stages) if priced else None,
        most_cost=sum(each.most_cost or 0.0 for each in stages) if priced else None,
        currency=stages[0].currency,
        as_of=stages[0].as_of,
    )
    return f"{total.stage}: {total.questions}, {total.price}"


def money(amount: float | None, currency: str) -> str:
    """``0.0213 USD``: cents and below only where they matter."""
    if amount is None:
        return "price unknown"
    return f"{amount:,.{2 if amount >= 10 or amount == 0 else 4}f} {currency}"
