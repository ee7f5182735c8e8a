"""Encoders over packed sequences, shared by the models: attention, and a GRU."""

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from recbole_tema.models.faster import Dropout
from recbole_tema.models.recurrence import gru_cell, recurrence

POSITIONS = ("start", "end", "none")

BLOCK_STEP = 16
"""Sequences whose lengths round up to the same multiple of it are padded together."""


@dataclass(frozen=True)
class Packing:
    """Where the events of some sequences stand, without padding: sequence after sequence.

    Attributes:
        row: (T,) the sequence of each event.
        position: (T,) its place in the sequence, from 0.
        n_rows: number of sequences, B; some may be empty.
    """

    row: Tensor
    position: Tensor
    n_rows: int

    @classmethod
    def of(cls, keep: Tensor) -> "Packing":
        """The events at True in ``keep`` (B, L), counted anew from 0 in each row."""
        row, _ = keep.nonzero(as_tuple=True)
        return cls(row, (keep.cumsum(dim=1) - 1)[keep], len(keep))

    def view(self, keep: Tensor) -> tuple["Packing", Tensor]:
        """Keep some events of each sequence.

        Args:
            keep: (T,) bool.

        Returns:
            the packing of the kept events, and (T,) for each event the number of the last kept one
            at or before it in its sequence, -1 where there is none.
        """
        row = self.row[keep]
        kept = keep.cumsum(dim=0)
        lengths = torch.bincount(row, minlength=self.n_rows)
        before = lengths.cumsum(dim=0) - lengths
        position = torch.arange(len(row), device=row.device) - before[row]
        last = torch.where(kept > before[self.row], kept - 1, -1)
        return Packing(row, position, self.n_rows), last

    def groups(self, ranks: Tensor, size: int) -> tuple[Tensor, list["Packing"]]:
        """The sequences in another order, ``size`` at a time.

        Args:
            ranks: (B,) the new place of each.

        Returns:
            (T,) the events in that order, group after group, and the packing of each group.
        """
        rank = ranks[self.row]
        order = rank.argsort(stable=True)
        counts = torch.bincount(rank // size, minlength=-(-self.n_rows // size)).tolist()
        parts = zip(rank[order].split(counts), self.position[order].split(counts), strict=True)
        return order, [
            Packing(row - size * number, position, min(size, self.n_rows - size * number))
            for number, (row, position) in enumerate(parts)
        ]

    def pad_groups(self, x: Tensor, ranks: Tensor, size: int) -> list[Tensor]:
        """(T, d) to (size, W, d) of each of :meth:`groups`, W its own width."""
        order, groups = self.groups(ranks, size)
        parts = x.index_select(0, order).split([len(group.row) for group in groups])
        return [group.pad(part) for group, part in zip(groups, parts, strict=True)]

    @cached_property
    def width(self) -> int:
        """W, the length of the longest sequence but at least 1."""
        return int(self.position.max()) + 1 if len(self.position) else 1

    @cached_property
    def lengths(self) -> Tensor:
        """(B,) of the sequences."""
        return torch.bincount(self.row, minlength=self.n_rows)

    @cached_property
    def latest(self) -> Tensor:
        """(B,) the number of each sequence's last event; none may be empty."""
        return self.lengths.cumsum(dim=0) - 1

    @cached_property
    def later(self) -> Tensor:
        """(T,) how many events of its sequence come after each event."""
        return self.lengths[self.row] - 1 - self.position

    @cached_property
    def steps(self) -> tuple[Tensor, Tensor]:
        """The order in which a recurrent network takes the events.

        Returns:
            (T,) the events, all first ones, all second ones and so on, in each step those of the
            longest sequences first; and on the processor (W,) how many there are in each step.
        """
        rank = self.lengths.argsort(descending=True, stable=True).argsort()
        order = (self.position * self.n_rows + rank[self.row]).argsort()
        return order, torch.bincount(self.position).cpu()

    @cached_property
    def blocks(self) -> tuple[Tensor, list[tuple[int, int]]]:
        """The sequences in padded blocks, those of like lengths in each.

        How a sequence is padded depends on its own length alone.

        Returns:
            (T,) where each event stands among the places of all blocks, block after block; and for
            each block how many sequences it has and their width.
        """
        steps = (self.lengths + BLOCK_STEP - 1) // BLOCK_STEP
        order = steps.argsort(stable=True)
        ends = (steps[order] * BLOCK_STEP).cumsum(dim=0)
        starts = torch.empty_like(ends).index_copy_(0, order, ends - steps[order] * BLOCK_STEP)
        sizes = [(n, step * BLOCK_STEP) for step, n in enumerate(torch.bincount(steps).tolist())]
        return starts[self.row] + self.position, [size for size in sizes if all(size)]

    @cached_property
    def _slots(self) -> Tensor:
        """(T,) where each event stands among the B x W places of the padded sequences."""
        return self.row * self.width + self.position

    @cached_property
    def filled(self) -> Tensor:
        """(B, W) bool, which of the places of the padded sequences are events'."""
        ones = torch.ones_like(self.row).unsqueeze(1)
        return self.pad(ones).squeeze(2) > 0

    def pad(self, x: Tensor) -> Tensor:
        """(T, d) to (B, W, d) with zeros behind."""
        padded = x.new_zeros(self.n_rows * self.width, x.shape[1])
        return padded.index_copy(0, self._slots, x).view(self.n_rows, self.width, x.shape[1])

    def unpad(self, x: Tensor) -> Tensor:
        """(B, W, d) to (T, d)."""
        return x.flatten(0, 1).index_select(0, self._slots)


def spans(firsts: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """``first, first + 1, …`` with ``count`` members for each pair, one after the other.

    Args:
        firsts, counts: (P,).

    Returns:
        the number of the pair (S,) and the member (S,), S the sum of the counts.
    """
    owner = torch.repeat_interleave(counts)
    before = counts.cumsum(dim=0) - counts
    return owner, torch.arange(len(owner), device=owner.device) + (firsts - before)[owner]


def init_weights(module: nn.Module, std: float) -> None:
    """Draw the weights of a linear layer or an embedding, and of no other; biases are 0."""
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=std)
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            with torch.no_grad():
                module.weight[module.padding_idx].fill_(0)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


class GRU(nn.Module):
    """A gated recurrent unit over packed sequences, whose first state is 0."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.cells = nn.GRU(dim, dim)

    def forward(self, x: Tensor, packing: Packing) -> Tensor:
        """(T, …, d) to (T, …, d), the state after each event; dimensions between run apart."""
        if len(x) and (x.is_cuda or not torch.is_grad_enabled()):
            return self._at_once(x, packing)
        w, u, w_bias, u_bias = self.cells.all_weights[0]
        gates = F.linear(x, w, w_bias).unflatten(-1, (3, -1))
        return recurrence(self._cell, gates, u, packing, u_bias.view(3, -1))

    @staticmethod
    def _cell(x: Tensor, u: Tensor, s: Tensor, bias: Tensor) -> Tensor:
        return gru_cell(x, u + bias, s)

    def _at_once(self, x: Tensor, packing: Packing) -> Tensor:
        """The same in one call of torch's, whose way back is slow, but not that of cuDNN."""
        order, sizes = packing.steps
        steps = x.index_select(0, order)
        apart = steps[0].numel() // steps.shape[-1]
        states, _ = self.cells(PackedSequence(steps.flatten(0, -2), sizes * apart))
        return torch.empty_like(steps).index_copy(0, order, states.data.view(steps.shape))


class SelfAttention(nn.Module):
    """Causal multi-head self-attention: softmax(Q Kᵀ / √d_k) V over earlier positions (eq. 4)."""

    def __init__(self, dim: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        if dim % n_heads:
            raise ValueError(f"n_heads: {n_heads} heads do not divide {dim} dimensions")
        self.n_heads = n_heads
        self.dropout = dropout
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, packing: Packing) -> Tensor:
        """(T, d) to (T, d). The mask is causal and padding lies behind: no real event sees it."""
        slots, blocks = packing.blocks
        places = [n * width for n, width in blocks]
        qkv = self.qkv(x)
        padded = qkv.new_zeros(sum(places), qkv.shape[1]).index_copy_(0, slots, qkv)
        dropout = self.dropout if self.training else 0.0
        states = [qkv.new_zeros(0, x.shape[1])]  # there may be no block
        for block, (n, width) in zip(padded.split(places), blocks, strict=True):
            q, k, v = block.view(n, width, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)
            h = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
            states.append(h.transpose(1, 2).reshape(n * width, -1))
        return self.out(torch.cat(states).index_select(0, slots))


class Block(nn.Module):
    """Attention and, if ``inner_size`` is positive, a feed-forward part; residual, norm behind."""

    def __init__(
        self, dim: int, n_heads: int, inner_size: int, dropout: float, attn_dropout: float
    ) -> None:
        super().__init__()
        self.attention = SelfAttention(dim, n_heads, attn_dropout)
        self.attention_norm = nn.LayerNorm(dim)
        self.dropout = Dropout(dropout)
        self.feed_forward = None
        if inner_size > 0:
            self.feed_forward = nn.Sequential(
                nn.Linear(dim, inner_size), nn.GELU(), nn.Linear(inner_size, dim)
            )
            self.feed_forward_norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, packing: Packing) -> Tensor:
        """(T, d) to (T, d)."""
        x = self.attention_norm(x + self.dropout(self.attention(x, packing)))
        if self.feed_forward is not None:
            x = self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))
        return x


class SequenceEncoder(nn.Module):
    """F to H of eq. 2: every position attends to itself and to those before it.

    Args:
        dim: d.
        max_length: positions that can be told apart.
        positions: ``start``: a vector for each place counted from the first event; ``end``: from
            the last, as where padding is in front; ``none``.
        n_layers, n_heads, inner_size, dropout, attn_dropout: of the blocks.
    """

    def __init__(
        self,
        dim: int,
        max_length: int,
        positions: str,
        n_layers: int,
        n_heads: int,
        inner_size: int,
        dropout: float,
        attn_dropout: float,
    ) -> None:
        super().__init__()
        self.positions = None if positions == "none" else nn.Embedding(max_length, dim)
        self.from_end = positions == "end"
        self.norm = nn.LayerNorm(dim)
        self.dropout = Dropout(dropout)
        self.blocks = nn.ModuleList(
            Block(dim, n_heads, inner_size, dropout, attn_dropout) for _ in range(n_layers)
        )

    def forward(self, x: Tensor, packing: Packing) -> Tensor:
        """(T, d) item vectors to (T, d) states."""
        if self.positions is not None:
            x = x + self.positions(packing.later if self.from_end else packing.position)
        x = self.dropout(self.norm(x))
        for block in self.blocks:
            x = block(x, packing)
        return x
