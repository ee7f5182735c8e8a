"""What one test does to the process is gone in the next."""

import logging

import pytest

from tests.conftest import root_logger_kept

FROM_OUTSIDE = logging.NullHandler()


def set_up() -> None:
    logging.getLogger().setLevel(logging.DEBUG - 1)
    logging.getLogger().addHandler(FROM_OUTSIDE)


def was_set_up() -> bool:
    root = logging.getLogger()
    return root.level == logging.DEBUG - 1 or FROM_OUTSIDE in root.handlers


@pytest.fixture(scope="module")
def set_up_by_a_module() -> bool:
    set_up()
    return was_set_up()


def test_a_modules_fixture_leaves_the_root_logger_alone(set_up_by_a_module) -> None:
    assert set_up_by_a_module
    assert not was_set_up()


def test_what_sets_it_is_undone() -> None:
    with root_logger_kept():
        set_up()
        assert was_set_up()
    assert not was_set_up()
