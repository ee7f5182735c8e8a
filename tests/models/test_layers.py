"""Packed sequences against lists, and the encoder against eq. 4 written out."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_tema.models.layers import (
    GRU,
    Block,
    Packing,
    SelfAttention,
    SequenceEncoder,
    spans,
)

events_of_rows = st.lists(st.lists(st.booleans(), max_size=6), min_size=1, max_size=5)


def packed(rows: list[list[bool]]) -> Packing:
    width = max([1, *map(len, rows)])
    keep = [[True] * len(row) + [False] * (width - len(row)) for row in rows]
    return Packing.of(torch.tensor(keep))


def alone(length: int) -> Packing:
    return Packing(torch.zeros(length, dtype=torch.long), torch.arange(length), 1)


@given(events_of_rows)
@settings(deadline=None)
def test_packing_counts_anew_in_each_row(rows):
    packing = packed(rows)
    expected = [(row, at) for row, events in enumerate(rows) for at in range(len(events))]
    assert list(zip(packing.row.tolist(), packing.position.tolist(), strict=True)) == expected
    assert packing.n_rows == len(rows)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4)), max_size=6))
@settings(deadline=None)
def test_spans_count_on_from_each_first(pairs):
    firsts, counts = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).T
    expected = [(n, first + k) for n, (first, count) in enumerate(pairs) for k in range(count)]
    assert torch.stack(spans(firsts, counts), dim=1).tolist() == [list(each) for each in expected]


def test_packing_of_events_that_stand_apart():
    packing = Packing.of(
        torch.tensor([[True, False, True], [False, False, False], [False, True, True]])
    )
    assert packing.row.tolist() == [0, 0, 2, 2]
    assert packing.position.tolist() == [0, 1, 0, 1]


@given(events_of_rows)
@settings(deadline=None)
def test_steps_against_lists(rows):
    """Step after step; the sequences that go on to the next step stand first."""
    packing = packed(rows)
    order, sizes = packing.steps
    longest_first = sorted(range(len(rows)), key=lambda row: -len(rows[row]))
    width = max(map(len, rows))
    steps = [[row for row in longest_first if len(rows[row]) > at] for at in range(width)]
    events = [(row, at) for at, step in enumerate(steps) for row in step]
    found = list(zip(packing.row[order].tolist(), packing.position[order].tolist(), strict=True))
    assert found == events
    assert sizes.tolist() == [len(step) for step in steps]


@given(events_of_rows)
@settings(deadline=None)
def test_view_against_lists(rows):
    keep = torch.tensor([event for row in rows for event in row], dtype=torch.bool)
    view, last = packed(rows).view(keep)
    expected_rows, expected_positions, expected_last = [], [], []
    kept = 0
    for row, events in enumerate(rows):
        latest, position = -1, 0
        for event in events:
            if event:
                expected_rows.append(row)
                expected_positions.append(position)
                latest, position, kept = kept, position + 1, kept + 1
            expected_last.append(latest)
    assert view.row.tolist() == expected_rows
    assert view.position.tolist() == expected_positions
    assert last.tolist() == expected_last
    assert view.n_rows == len(rows)


@given(events_of_rows)
@settings(deadline=None)
def test_pad_puts_each_event_in_its_place(rows):
    packing = packed(rows)
    events = torch.arange(1.0, len(packing.row) + 1)[:, None].expand(-1, 2)
    padded = packing.pad(events)
    longest = max(map(len, rows))
    assert padded.shape == (len(rows), max(longest, 1), 2)
    number = 1
    for row, own in zip(padded, rows, strict=True):
        expected = [*range(number, number + len(own)), *[0] * (padded.shape[1] - len(own))]
        assert row[:, 0].tolist() == row[:, 1].tolist() == expected
        number += len(own)


def test_blocks_hold_sequences_of_like_lengths():
    lengths = [3, 0, 17, 16, 40, 18]
    packing = packed([[True] * length for length in lengths])
    slots, blocks = packing.blocks
    assert blocks == [(2, 16), (2, 32), (1, 48)]
    starts = {0: 0, 2: 32, 3: 16, 4: 96, 5: 64}
    places = zip(packing.row.tolist(), packing.position.tolist(), strict=True)
    assert slots.tolist() == [starts[row] + position for row, position in places]


# ---- attention -------------------------------------------------------------------------------


def plain_attention(layer: SelfAttention, x: torch.Tensor) -> torch.Tensor:
    """softmax(Q Kᵀ / √d_k) V, head by head and position by position, over one sequence (n, d)."""
    size = x.shape[1] // layer.n_heads
    q, k, v = (x @ layer.qkv.weight.T + layer.qkv.bias).chunk(3, dim=1)
    states = []
    for position in range(len(x)):
        heads = []
        for head in range(layer.n_heads):
            part = slice(head * size, (head + 1) * size)
            scores = [
                (q[position, part] * k[earlier, part]).sum() / math.sqrt(size)
                for earlier in range(position + 1)
            ]
            attention = torch.stack(scores).softmax(dim=0)
            heads.append(sum(a * v[earlier, part] for earlier, a in enumerate(attention)))
        states.append(torch.cat(heads))
    return torch.stack(states) @ layer.out.weight.T + layer.out.bias


@given(events_of_rows)
@settings(deadline=None)
def test_steps_are_those_of_the_longest_sequences_first(rows):
    packing = packed(rows)
    order, sizes = packing.steps
    lengths = [len(row) for row in rows]
    assert sizes.tolist() == [sum(length > at for length in lengths) for at in range(max(lengths))]
    assert packing.position[order].tolist() == sorted(packing.position.tolist())
    assert sorted(order.tolist()) == list(range(sum(lengths)))
    steps = packing.row[order].split(sizes.tolist())
    for before, step in pairwise(steps):
        assert torch.equal(step, before[: len(step)])


def test_sequences_padded_some_at_a_time():
    """Those of like length together, each group as wide as its own longest."""
    packing = packed([[True] * length for length in (3, 0, 1, 4, 2)])
    x = torch.arange(10.0)[:, None]
    ranks = torch.tensor([3, 0, 1, 4, 2])
    first, second, third = packing.pad_groups(x, ranks, 2)
    assert first[..., 0].tolist() == [[0], [3]]
    assert second[..., 0].tolist() == [[8, 9, 0], [0, 1, 2]]
    assert third[..., 0].tolist() == [[4, 5, 6, 7]]
    order, groups = packing.groups(ranks, 2)
    back = [group.unpad(part) for group, part in zip(groups, (first, second, third), strict=True)]
    assert torch.equal(torch.cat(back), x[order])


@pytest.mark.parametrize("between", [(), (3,)])
def test_gru_runs_over_each_sequence_apart(between):
    """Torch's GRU over one sequence at a time, with dimensions between as more sequences."""
    torch.manual_seed(0)
    lengths = [2, 0, 4, 1]
    packing = packed([[True] * length for length in lengths])
    gru = GRU(5).double()
    x = torch.randn(sum(lengths), *between, 5, dtype=torch.float64)
    expected = []
    for events in x.split(lengths):
        if len(events):
            states, _ = gru.cells(events.flatten(1, -2) if between else events.unsqueeze(1))
            expected.append(states.view(events.shape))
    torch.testing.assert_close(gru(x, packing), torch.cat(expected))


def test_gru_over_nothing():
    packing = packed([[], []])
    assert GRU(5)(torch.zeros(0, 3, 5), packing).shape == (0, 3, 5)


@pytest.mark.parametrize("n_heads", [1, 2, 3])
def test_attention_is_equation_4(n_heads):
    torch.manual_seed(0)
    layer = SelfAttention(6, n_heads, dropout=0.0).double()
    lengths = [3, 0, 1, 17, 5]
    x = torch.randn(sum(lengths), 6, dtype=torch.float64)
    found = layer(x, packed([[True] * length for length in lengths])).split(lengths)
    for length, own, sequence in zip(lengths, found, x.split(lengths), strict=True):
        if length:
            torch.testing.assert_close(own, plain_attention(layer, sequence))


def test_heads_have_to_divide_the_dimensions():
    with pytest.raises(ValueError, match="n_heads: 4 heads do not divide 6"):
        SelfAttention(6, 4, 0.0)


@pytest.mark.parametrize("inner_size", [0, 7])
def test_block_adds_and_normalises(inner_size):
    torch.manual_seed(0)
    block = Block(6, 2, inner_size, 0.0, 0.0).double()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.copy_(torch.randn_like(parameter))
    x = torch.randn(4, 6, dtype=torch.float64)

    def normalised(values, norm):
        spread = values.var(dim=1, unbiased=False, keepdim=True) + norm.eps
        centred = values - values.mean(dim=1, keepdim=True)
        return centred / spread.sqrt() * norm.weight + norm.bias

    expected = normalised(x + plain_attention(block.attention, x), block.attention_norm)
    if inner_size:
        first, _, second = block.feed_forward
        inner = expected @ first.weight.T + first.bias
        inner = inner * 0.5 * (1 + torch.erf(inner / math.sqrt(2)))  # GELU
        expected = normalised(
            expected + inner @ second.weight.T + second.bias, block.feed_forward_norm
        )
    torch.testing.assert_close(block(x, alone(4)), expected)


# ---- the encoder -----------------------------------------------------------------------------


@pytest.fixture
def encoder() -> SequenceEncoder:
    torch.manual_seed(1)
    return SequenceEncoder(6, 8, "start", 2, 2, 5, 0.3, 0.3).double().eval()


def test_sequences_do_not_see_each_other(encoder):
    lengths = [4, 1, 8, 0, 2]
    x = torch.randn(sum(lengths), 6, dtype=torch.float64)
    together = encoder(x, packed([[True] * length for length in lengths])).split(lengths)
    for length, own, sequence in zip(lengths, together, x.split(lengths), strict=True):
        torch.testing.assert_close(own, encoder(sequence, alone(length)))


def test_later_events_change_nothing_before_them(encoder):
    x = torch.randn(8, 6, dtype=torch.float64)
    before = encoder(x, alone(8))
    for at in range(1, 8):
        changed = x.clone()
        changed[at:] = torch.randn(8 - at, 6, dtype=torch.float64)
        after = encoder(changed, alone(8))
        torch.testing.assert_close(after[:at], before[:at])
        assert not torch.allclose(after[at], before[at])


def test_gradients_do_not_flow_back_from_the_future(encoder):
    x = torch.randn(8, 6, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(encoder(x, alone(8))[3].pow(2).sum(), x)
    assert gradient[:4].abs().sum(dim=1).min() > 0
    assert not gradient[4:].any()


def test_positions_can_be_switched_off():
    x = torch.randn(1, 6, dtype=torch.float64).expand(5, -1)
    without = SequenceEncoder(6, 5, "none", 1, 2, 5, 0.0, 0.0).double().eval()
    states = without(x, alone(5))
    torch.testing.assert_close(states, states[:1].expand(5, -1))
    with_positions = SequenceEncoder(6, 5, "start", 1, 2, 5, 0.0, 0.0).double().eval()
    states = with_positions(x, alone(5))
    assert not torch.allclose(states, states[:1].expand(5, -1))


def test_positions_count_from_either_end():
    """The same vectors in reverse; two sequences of 3 and 2 events."""
    x = torch.randn(5, 6, dtype=torch.float64)
    packing = Packing.of(torch.tensor([[True, True, True], [False, True, True]]))
    assert packing.later.tolist() == [2, 1, 0, 1, 0]
    from_end = SequenceEncoder(6, 4, "end", 1, 2, 5, 0.0, 0.0).double().eval()
    none = SequenceEncoder(6, 4, "none", 1, 2, 5, 0.0, 0.0).double().eval()
    none.load_state_dict(from_end.state_dict(), strict=False)
    places = from_end.positions.weight[[2, 1, 0, 1, 0]]
    torch.testing.assert_close(from_end(x, packing), none(x + places, packing))


def test_dropout_only_in_training(encoder):
    x = torch.randn(5, 6, dtype=torch.float64)
    torch.testing.assert_close(encoder(x, alone(5)), encoder(x, alone(5)))
    encoder.train()
    assert not torch.allclose(encoder(x, alone(5)), encoder(x, alone(5)))


def test_an_empty_view(encoder):
    nothing = torch.zeros(0, 6, dtype=torch.float64)
    packing = Packing(torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long), 3)
    assert encoder(nothing, packing).shape == (0, 6)
