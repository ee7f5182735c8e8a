"""What asking took, and what it would take."""

from dataclasses import dataclass


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
            f"{self.requests:,} questions, {self.stored:,} answered before, {self.asked:,} answers "
            f"asked for in {self.seconds:,.0f} s, {self.failures:,} failed; "
            f"{self.input_tokens:,} + {self.output_tokens:,} tokens, "
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

    def __str__(self) -> str:
        by = f"the mean of {self.measured:,} answers" if self.measured else "as long as allowed"
        cost = money(self.cost, self.currency)
        if self.cost is not None:
            cost += f" (at most {money(self.most_cost, self.currency)}"
            cost += f"; prices of {self.as_of}, check your provider's)" if self.as_of else ")"
        return (
            f"{self.stage}: {self.to_ask:,} questions to ask "
            f"({self.stored:,} of {self.requests:,} are answered), about {self.input_tokens:,} "
            f"tokens in and {self.output_tokens:,} out ({by}), {cost}"
        )


def money(amount: float | None, currency: str) -> str:
    """``0.0213 USD``: cents and below only where they matter."""
    if amount is None:
        return "price unknown"
    return f"{amount:,.{2 if amount >= 10 or amount == 0 else 4}f} {currency}"
