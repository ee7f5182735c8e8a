"""Words that depend on a number."""

import pytest

from recbole_tema.dataset_tools.wording import counted, fitting


@pytest.mark.parametrize(
    ("number", "told"), [(0, "0 items"), (1, "1 item"), (2, "2 items"), (1200, "1,200 items")]
)
def test_a_number_and_what_it_counts(number: int, told: str) -> None:
    assert counted(number, "item") == told


def test_words_that_take_no_s() -> None:
    assert counted(1, "history stands", "histories stand") == "1 history stands"
    assert counted(3, "history stands", "histories stand") == "3 histories stand"
    assert [fitting(number, "was", "were") for number in (1, 2)] == ["was", "were"]
