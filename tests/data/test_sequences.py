"""Rows cut from flat histories against lists cut in plain Python."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_tema.data.sequences import (
    Histories,
    Rows,
    leave_one_out,
    training_prefixes,
    training_windows,
    whole_rows,
)

# Items differ from each other, so that an input or target can only come from its own place.
lengths_of_histories = st.lists(st.integers(1, 14), min_size=1, max_size=8)


def flat(histories: list[list[int]], users: list[int]) -> Histories:
    return Histories(
        items=np.array([item for items in histories for item in items], dtype=np.int64),
        offsets=np.cumsum([0, *map(len, histories)]),
        users=np.array(users, dtype=np.int64),
    )


def numbered(lengths: list[int]) -> tuple[list[list[int]], list[int]]:
    """Histories of these lengths with items 1, 2, 3, … and users in no special order."""
    ends = np.cumsum([0, *lengths])
    histories = [list(range(a + 1, b + 1)) for a, b in itertools.pairwise(ends)]
    return histories, [(7 * at + 3) % 101 for at in range(len(lengths))]


def lists_of(histories: Histories) -> list[list[int]]:
    ends = histories.offsets
    return [histories.items[a:b].tolist() for a, b in itertools.pairwise(ends)]


def cases_of(rows: Rows) -> list[tuple[int, list[int], int]]:
    """(user, input, target) of each row, through the padded batches that models see."""
    items, lengths = rows.inputs(np.arange(len(rows)))
    inputs = [row[:length].tolist() for row, length in zip(items, lengths, strict=True)]
    return list(zip(rows.users.tolist(), inputs, rows.targets.tolist(), strict=True))


# ---- splits ----------------------------------------------------------------------------------


def test_leave_one_out_by_hand():
    train, valid, test = leave_one_out(flat([[1, 2, 3, 4], [5, 6, 7], [8, 9], [10]], [4, 3, 2, 1]))
    # Two items: the first one trains and is the input of the test. One item: only trains.
    assert lists_of(train) == [[1, 2], [5], [8], [10]]
    assert train.users.tolist() == [4, 3, 2, 1]
    assert cases_of(valid) == [(4, [1, 2], 3), (3, [5], 6)]
    assert cases_of(test) == [(4, [1, 2, 3], 4), (3, [5, 6], 7), (2, [8], 9)]


@given(lengths_of_histories)
@settings(deadline=None)
def test_leave_one_out_against_plain_python(lengths):
    histories, users = numbered(lengths)
    train, valid, test = leave_one_out(flat(histories, users))
    naive_train = [items[: max(len(items) - 2, 1)] for items in histories]
    of_users = list(zip(users, histories, strict=True))
    assert lists_of(train) == naive_train
    assert train.users.tolist() == users
    assert cases_of(valid) == [(u, h[:-2], h[-2]) for u, h in of_users if len(h) >= 3]
    assert cases_of(test) == [(u, h[:-1], h[-1]) for u, h in of_users if len(h) >= 2]
    # Nothing that a user is validated or tested on is in the user's training part.
    trained = dict(zip(users, naive_train, strict=True))
    for user, _, target in cases_of(valid) + cases_of(test):
        assert target not in trained[user]


@given(lengths_of_histories)
@settings(deadline=None)
def test_whole_rows_against_plain_python(lengths):
    histories, users = numbered(lengths)
    of_users = zip(users, histories, strict=True)
    expected = [(user, items[:-1], items[-1]) for user, items in of_users if len(items) >= 2]
    assert cases_of(whole_rows(flat(histories, users))) == expected


# ---- training rows ---------------------------------------------------------------------------


def test_windows_by_hand():
    # Nine events are eight targets: windows of three targets from the end, the first has two.
    rows = training_windows(flat([[1, 2, 3, 4, 5, 6, 7, 8, 9], [10], [11, 12]], [1, 2, 3]), 3)
    assert sorted(cases_of(rows)) == [
        (1, [1, 2], 3),
        (1, [3, 4, 5], 6),
        (1, [6, 7, 8], 9),
        (3, [11], 12),
    ]


@given(lengths_of_histories, st.integers(1, 6))
@settings(deadline=None)
def test_windows_have_every_target_once(lengths, max_length):
    histories, users = numbered(lengths)
    before = {item: at for items in histories for item, at in zip(items[1:], items, strict=False)}
    owner = {item: u for u, items in zip(users, histories, strict=True) for item in items}
    rows = training_windows(flat(histories, users), max_length)
    targets = []
    for user, inputs, target in cases_of(rows):
        assert 1 <= len(inputs) <= max_length
        # Position by position: the input at a place, and the item that follows it there.
        for item, following in zip(inputs, [*inputs[1:], target], strict=True):
            assert owner[item] == owner[following] == user
            assert before[following] == item
            targets.append(following)
    assert sorted(targets) == sorted(item for items in histories for item in items[1:])


@given(lengths_of_histories, st.integers(1, 6))
@settings(deadline=None)
def test_windows_are_as_few_and_as_full_as_can_be(lengths, max_length):
    histories, users = numbered(lengths)
    cases = cases_of(training_windows(flat(histories, users), max_length))
    for user, items in zip(users, histories, strict=True):
        own = sorted(case for case in cases if case[0] == user)
        assert len(own) == -(-(len(items) - 1) // max_length)
        assert all(len(inputs) == max_length for _, inputs, _ in own[1:])
        if own:
            assert own[-1][2] == items[-1]


def test_prefixes_by_hand():
    rows = training_prefixes(flat([[1, 2, 3, 4], [5], [6, 7]], [8, 9, 7]), 2)
    assert cases_of(rows) == [
        (8, [1], 2),
        (8, [1, 2], 3),
        (8, [2, 3], 4),
        (7, [6], 7),
    ]


@given(lengths_of_histories, st.integers(1, 6))
@settings(deadline=None)
def test_prefixes_against_plain_python(lengths, max_length):
    histories, users = numbered(lengths)
    expected = [
        (user, items[max(at - max_length, 0) : at], items[at])
        for user, items in zip(users, histories, strict=True)
        for at in range(1, len(items))
    ]
    assert cases_of(training_prefixes(flat(histories, users), max_length)) == expected


def test_no_history_at_all():
    nothing = flat([], [])
    for rows in (training_windows(nothing, 3), training_prefixes(nothing, 3), whole_rows(nothing)):
        assert len(rows) == 0


# ---- batches ---------------------------------------------------------------------------------


@given(lengths_of_histories, st.integers(1, 6), st.data())
@settings(deadline=None)
def test_inputs_are_padded_behind_in_the_order_asked_for(lengths, max_length, data):
    histories, users = numbered([*lengths, 2])
    rows = training_prefixes(flat(histories, users), max_length)
    cases = cases_of(rows)
    index = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=6))
    width = data.draw(st.sampled_from([None, max_length, max_length + 3]))
    items, of_row = rows.inputs(np.array(index, dtype=np.int64), width)
    longest = max((len(cases[at][1]) for at in index), default=0)
    assert items.shape == (len(index), width or max(longest, 1))
    assert items.dtype == of_row.dtype == np.int64
    assert of_row.tolist() == [len(cases[at][1]) for at in index]
    for row, at in zip(items.tolist(), index, strict=True):
        assert row == cases[at][1] + [0] * (items.shape[1] - len(cases[at][1]))


def test_rows_at_the_end_of_the_array_are_padded_with_zeros():
    rows = whole_rows(flat([[1, 2], [3, 4, 5, 6]], [1, 2]))
    items, lengths = rows.inputs(np.array([1, 0]), 5)
    assert items.tolist() == [[3, 4, 5, 0, 0], [1, 0, 0, 0, 0]]
    assert lengths.tolist() == [3, 1]


@pytest.mark.parametrize(("most", "kept"), [(1, [4]), (2, [3, 4]), (4, [1, 2, 3, 4])])
def test_shortened_rows_keep_the_latest_inputs(most, kept):
    rows = whole_rows(flat([[1, 2, 3, 4, 5]], [6])).shortened(most)
    assert cases_of(rows) == [(6, kept, 5)]


def test_the_callers_arrays_stay_as_they_are():
    histories = flat([[1, 2, 3], [4, 5]], [1, 2])
    items = histories.items.copy()
    rows = whole_rows(histories)
    batch, _ = rows.inputs(np.array([0]))
    batch[:] = 99
    assert histories.items.tolist() == items.tolist()


@pytest.mark.parametrize(
    ("rows", "width", "step", "expected"),
    [
        ([0], None, None, 1),
        ([2], None, None, 5),
        ([0, 2], 8, None, 8),
        ([0], 8, 3, 3),
        ([0, 1], 8, 3, 3),
        ([2], 8, 3, 6),
        ([2], 5, 3, 5),  # never wider than the width
    ],
)
def test_the_width_of_inputs(rows, width, step, expected):
    inputs_of = flat([[1, 2], [3, 4, 5, 6], [7, 8, 9, 10, 11, 12]], [1, 2, 3])
    items, lengths = whole_rows(inputs_of).inputs(np.array(rows), width, step)
    assert items.shape == (len(rows), expected)
    read = [row[:length].tolist() for row, length in zip(items, lengths, strict=True)]
    assert read == [[[1], [3, 4, 5], [7, 8, 9, 10, 11]][row] for row in rows]
    assert all(not row[length:].any() for row, length in zip(items, lengths, strict=True))


# ---- times -----------------------------------------------------------------------------------


def dated(histories: list[list[tuple[int, float]]]) -> Histories:
    """Histories of (item, time)."""
    without = flat([[item for item, _ in events] for events in histories], [*range(len(histories))])
    times = np.array([time for events in histories for _, time in events])
    return dataclasses.replace(without, times=times)


def test_times_go_with_their_items():
    histories = dated([[(1, 10.0), (2, 20.0), (3, 20.0), (4, 40.0)], [(5, 5.0), (6, 6.0)]])
    train, valid, test = leave_one_out(histories)
    assert train.times.tolist() == [10.0, 20.0, 5.0]
    assert valid.input_times(np.array([0]), 3).tolist() == [[10.0, 20.0, 0.0]]
    assert test.input_times(np.array([1, 0]), 3).tolist() == [[5.0, 0.0, 0.0], [10.0, 20.0, 20.0]]
    assert test.shortened(2).input_times(np.array([0]), 2).tolist() == [[20.0, 20.0]]
    assert whole_rows(histories).input_times(np.array([1]), 1).tolist() == [[5.0]]
    assert training_windows(histories, 2).input_times(np.array([0]), 2).tolist() == [[20.0, 20.0]]
    assert training_prefixes(histories, 2).input_times(np.array([3]), 1).tolist() == [[5.0]]
    assert histories.part(1, 2).times.tolist() == [5.0, 6.0]


def test_rows_without_times_have_none_to_give():
    rows = whole_rows(flat([[1, 2]], [1]))
    with pytest.raises(ValueError, match="no times"):
        rows.input_times(np.array([0]), 1)


def test_only_events_of_one_time_and_history_change_places():
    # 3 and 6 are of one time, but of different histories.
    histories = dated([[(1, 1.0), (2, 1.0), (3, 2.0)], [(6, 2.0), (7, 3.0), (8, 3.0), (9, 3.0)]])
    seen = set()
    for seed in range(60):
        shuffled = histories.with_ties_shuffled(np.random.default_rng(seed))
        first, second = lists_of(shuffled)
        assert sorted(first[:2]) == [1, 2]
        assert (first[2], second[0]) == (3, 6)
        assert sorted(second[1:]) == [7, 8, 9]
        assert shuffled.times.tolist() == histories.times.tolist()
        seen.add((*first, *second))
    assert len(seen) == 2 * 6, "every order comes"
    assert lists_of(histories)[0] == [1, 2, 3]
    again = histories.with_ties_shuffled(np.random.default_rng(59))
    assert np.array_equal(again.items, shuffled.items)


def test_ties_are_unknown_without_times():
    with pytest.raises(ValueError, match="ties cannot be shuffled"):
        flat([[1, 2]], [1]).with_ties_shuffled(np.random.default_rng(0))
