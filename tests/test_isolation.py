"""What one test does to the process is gone in the next."""

import logging

import pytest

FROM_OUTSIDE = logging.NullHandler()


@pytest.fixture(scope="module")
def set_up_by_a_module() -> None:
    logging.getLogger().setLevel(logging.DEBUG)
    logging.getLogger().addHandler(FROM_OUTSIDE)


def test_a_modules_fixture_leaves_the_root_logger_alone(set_up_by_a_module) -> None:
    assert logging.getLogger().level == logging.WARNING
    assert FROM_OUTSIDE not in logging.getLogger().handlers


def test_a_test_may_set_it() -> None:
    logging.getLogger().setLevel(logging.DEBUG)
    logging.getLogger().addHandler(FROM_OUTSIDE)


def test_and_it_is_set_back() -> None:
    assert logging.getLogger().level == logging.WARNING
    assert FROM_OUTSIDE not in logging.getLogger().handlers
