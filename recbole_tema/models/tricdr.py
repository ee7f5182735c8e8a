"""Tri-CDR: triple sequence learning for cross-domain recommendation."""

from dataclasses import dataclass
from functools import partial
from itertools import combinations

import torch
import torch.nn.functional as F
from recbole.config import Config
from recbole.data.interaction import Interaction
from torch import Tensor, nn

from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.models.faster import PReLU
from recbole_tema.models.layers import init_weights, spans
from recbole_tema.models.query import Candidates, QueryRecommender
from recbole_tema.models.settings import at_least, choice, sequence_encoder
from recbole_tema.models.similarity import unit_vectors
from recbole_tema.models.views import MERGED, Events, X, Y, seen

SIMILARITIES = ("cosine", "dot")


@dataclass(frozen=True)
class Sequence:
    """One of the three sequences of some histories.

    Attributes:
        states: (T_v, d) of its own events, history after history.
        position: (T_v,) the place of each in its history's sequence, from 0.
        last: (T,) for each event of the whole histories the sequence's latest, -1 for none.
    """

    states: Tensor
    position: Tensor
    last: Tensor

    def seen(self, at: Tensor) -> tuple[Tensor, Tensor]:
        """The states that each of the events ``at`` (P,) sees: the first's number, how many."""
        last = self.last[at]
        if not len(self.states):
            return torch.zeros_like(last), torch.zeros_like(last)
        place = self.position[last.clamp(min=0)]
        there = last >= 0
        return torch.where(there, last - place, 0), torch.where(there, place + 1, 0)

    def state(self, at: Tensor) -> Tensor:
        """(P, d) the latest state that each of the events ``at`` sees, zeros for none."""
        return seen(self.states, self.last[at])


@dataclass(frozen=True)
class Sequences:
    """What some histories have become.

    Attributes:
        of: the sequences X, Y and mixed.
        mean: (T, d) m, for each event the mean of the mixed states up to it.
        row: (T,) the history of each event.
    """

    of: dict[int, Sequence]
    mean: Tensor
    row: Tensor


class TripleAttention(nn.Module):
    """A sequence as a user's target state asks for it, and as the mixed sequence lets it.

    The score of a state f is MLP([f, q, f ⊙ q, q - f, m]), q the target state and m the mean of the
    mixed states; the result is Σ softmax(score) f over all states that are seen.
    """

    def __init__(self, dim: int, widths: tuple[int, int]) -> None:
        super().__init__()
        self.inner = nn.Linear(5 * dim, widths[0])
        self.rest = nn.Sequential(
            PReLU(), nn.Linear(widths[0], widths[1]), PReLU(), nn.Linear(widths[1], 1)
        )

    def forward(
        self, query: Tensor, mean: Tensor, sequences: list[Sequence], at: Tensor
    ) -> list[Tensor]:
        """(P, d) q and m of the events ``at`` (P,) to (P, d) of each sequence; zeros for no state.

        All sequences go through the network at once.
        """
        states = torch.cat([each.states for each in sequences])
        firsts, counts, before = [], [], 0
        for each in sequences:
            first, count = each.seen(at)
            firsts.append(first + before)
            counts.append(count)
            before += len(each.states)
        count = torch.cat(counts)
        owner, fact = spans(torch.cat(firsts), count)
        # The first layer, each of whose parts is computed for as little as it depends on.
        of_f, of_q, of_product, of_difference, of_mean = self.inner.weight.chunk(5, dim=1)
        by_state = states @ (of_f - of_difference).T
        by_query = query @ (of_q + of_difference).T + mean @ of_mean.T + self.inner.bias
        query, by_query = (each.repeat(len(sequences), 1) for each in (query, by_query))
        product = states.index_select(0, fact) * query.index_select(0, owner)
        inner = by_state.index_select(0, fact)
        inner += by_query.index_select(0, owner)
        inner = torch.addmm(inner, product, of_product.T)
        weights = softmax_of_spans(self.rest(inner).squeeze(1), owner, len(count))
        offsets = count.cumsum(dim=0) - count
        # Mixed precision has the states in another dtype than the softmax.
        weights = weights.to(states.dtype)
        sums = F.embedding_bag(fact, states, offsets, mode="sum", per_sample_weights=weights)
        return list(sums.chunk(len(sequences)))


class Heads(nn.Module):
    """What the contrasts compare of the mixed, source and target sums: a network each."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.networks = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim)) for _ in range(3)
        )

    def forward(self, sums: list[Tensor]) -> list[Tensor]:
        """Three (P, d) to three (P, d)."""
        return [network(each) for network, each in zip(self.networks, sums, strict=True)]


class TriCDR(QueryRecommender):
    """Source, target and mixed sequence, joined by attention (Ma et al., TOIS 2024).

    Three encoders, each with its own item vectors, turn the sequences into states. The triple
    cross-domain attention sums up each by what the target state asks for, and a network makes the
    three sums into one query for the target's items. Triple contrastive learning draws a user's
    three sums together (coarse-grained similarity), and the source nearer to the mixed one than to
    the target (fine-grained distinction).

    The paper trains a model for each target domain. Here both directions are trained at once:
    they share the three encoders, whose states depend on no target, and each has its own attention,
    fusion and heads. A position trains the direction of its target's domain; the contrasts of a
    direction are taken where a history has its last target in that domain, and count with the
    domain's share of the targets.

    Deviations: the encoders are not trained alone beforehand; their blocks are those of our own
    models, with the norm behind and GELU. A history may lack a domain: its sum is zero then, and it
    takes no part in the contrasts.

    Args:
        config: see ``properties/model/TriCDR.yaml``.
        dataset: domains.
    """

    def __init__(self, config: Config, dataset: CrossDomainDataset) -> None:
        super().__init__(config, dataset)
        dim = int(at_least(config, "embedding_size", 1))
        self.cosine = choice(config, "similarity", SIMILARITIES) == "cosine"
        self.contrast_weight = float(at_least(config, "contrast_weight", 0))
        self.contrast_temperature = float(at_least(config, "contrast_temperature", 1e-6))
        self.pair_weights = _pair_weights(config)
        self.distinction_weight = float(at_least(config, "distinction_weight", 0))
        self.margin = float(at_least(config, "margin", 0))

        self.own_items = nn.Embedding(self.n_items, dim, padding_idx=0)  # of both domains
        self.merged_items = nn.Embedding(self.n_items, dim, padding_idx=0)  # of mixed sequences
        # Of the sequences X, Y and mixed.
        self.encoders = nn.ModuleList(sequence_encoder(config, dim) for _ in range(3))
        widths = _widths(config)
        # To the target domains X and Y.
        self.attentions = nn.ModuleList(TripleAttention(dim, widths) for _ in range(2))
        self.fusions = nn.ModuleList(
            nn.Sequential(nn.Linear(3 * dim, dim), nn.LeakyReLU(), nn.Linear(dim, dim))
            for _ in range(2)
        )
        self.heads = nn.ModuleList(Heads(dim) for _ in range(2))

        self.apply(partial(init_weights, std=float(config["initializer_range"])))
        for part in (self.attentions, self.fusions, self.heads):
            for module in part.modules():
                if isinstance(module, nn.Linear):
                    nn.init.xavier_normal_(module.weight)

    @property
    def item_vectors(self) -> Tensor:
        weight = self.own_items.weight
        return unit_vectors(weight) if self.cosine else weight

    def encode(self, interaction: Interaction, events: Events) -> Sequences:
        """The three sequences."""
        own = self.own_items.weight.index_select(0, events.items)
        domains = self.item_domain[events.items]
        sequences = {}
        for view in (X, Y):
            at = (domains == view).nonzero().squeeze(1)
            packing, last = events.packing.view(domains == view)
            states = self.encoders[view](own.index_select(0, at), packing)
            sequences[view] = Sequence(states, packing.position, last)
        packing = events.packing
        vectors = self.merged_items.weight.index_select(0, events.items)
        mixed = self.encoders[MERGED](vectors, packing)
        everyone = torch.arange(len(mixed), device=mixed.device)
        sequences[MERGED] = Sequence(mixed, packing.position, everyone)
        mean = packing.unpad(packing.pad(mixed).cumsum(dim=1)) / (packing.position + 1)[:, None]
        return Sequences(sequences, mean, packing.row)

    def queries(self, states: Sequences, domain: int, at: Tensor) -> Tensor:
        """(P, d) what follows each of the events ``at`` (P,), if it is of ``domain``."""
        return self.fused(self.sums(states, domain, at), domain)

    def fused(self, sums: list[Tensor], domain: int) -> Tensor:
        """(P, d) the query that the network makes of three sums (P, d)."""
        query = self.fusions[domain](torch.cat(sums, dim=1))
        return unit_vectors(query) if self.cosine else query

    def sums(self, states: Sequences, domain: int, at: Tensor) -> list[Tensor]:
        """Triple cross-domain attention: (P, d) of the mixed, source and target sequence."""
        sequences = [states.of[view] for view in (MERGED, Y if domain == X else X, domain)]
        query = states.of[domain].state(at)
        return self.attentions[domain](query, states.mean.index_select(0, at), sequences, at)

    def domain_loss(
        self,
        states: Sequences,
        domain: int,
        at: Tensor,
        targets: Tensor,
        candidates: Candidates,
        weights: Tensor,
    ) -> Tensor:
        """Of the targets, and as often as there are targets the direction's contrasts."""
        sums = self.sums(states, domain, at)
        loss = self.cross_entropy(self.fused(sums, domain), candidates, weights)
        rows = states.row[at]
        last = rows.diff(append=rows.new_tensor([-1])) != 0
        last &= (states.of[X].last[at] >= 0) & (states.of[Y].last[at] >= 0)
        if last.any():
            loss = loss + len(at) * self._contrasts([each[last] for each in sums], domain)
        return loss

    def _contrasts(self, sums: list[Tensor], domain: int) -> Tensor:
        """Triple contrastive learning in a direction, by the sums (R, d) of R histories."""
        mixed, source, target = self.heads[domain](sums)
        coarse = mixed.new_zeros(())
        pairs = combinations((mixed, source, target), 2)
        for weight, (first, second) in zip(self.pair_weights, pairs, strict=True):
            coarse = coarse + weight * nt_xent(first, second, self.contrast_temperature)
        fine = F.triplet_margin_loss(source, mixed, target, margin=self.margin)
        return self.contrast_weight * coarse + self.distinction_weight * fine


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """The mean of -log exp(cos(a, a') / τ) / Σ exp(cos(a, b) / τ) over the rows of both, a scalar.

    ``first`` and ``second`` are (P, d); a' is the same row of the other, b any other of the 2 P.
    """
    vectors = unit_vectors(torch.cat([first, second]))
    similar = vectors @ vectors.T / temperature
    similar = similar.masked_fill(torch.eye(len(similar), device=similar.device).bool(), -torch.inf)
    others = torch.arange(len(similar), device=similar.device).roll(len(first))
    return F.cross_entropy(similar, others)


def softmax_of_spans(scores: Tensor, owner: Tensor, n: int) -> Tensor:
    """(S,) the softmax of ``scores`` (S,) over those of the same ``owner`` (S,), one of n."""
    # Half precision does not hold the sum of many exponentials.
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    # As in any softmax the largest is taken off, and changes nothing.
    largest = scores.new_full((n,), -torch.inf)
    largest = largest.scatter_reduce(0, owner, scores.detach(), "amax")
    exponentials = (scores - largest[owner]).exp()
    total = scores.new_zeros(n).index_add(0, owner, exponentials)
    return exponentials / total[owner]


def _pair_weights(config: Config) -> list[float]:
    """Of mixed-source, mixed-target and source-target, with sum 1."""
    weights = config["pair_weights"]
    good = isinstance(weights, (list, tuple)) and len(weights) == 3
    good = good and all(isinstance(each, (int, float)) and each >= 0 for each in weights)
    if not good or not any(weights):
        raise ValueError(
            f"pair_weights: expected three numbers from 0 on, not all 0, got {weights!r}"
        )
    return [weight / sum(weights) for weight in weights]


def _widths(config: Config) -> tuple[int, int]:
    """Of the two hidden layers of the attention's network."""
    widths = config["attention_sizes"]
    good = isinstance(widths, (list, tuple)) and len(widths) == 2
    if not good or not all(isinstance(each, int) and each > 0 for each in widths):
        raise ValueError(f"attention_sizes: expected two positive whole numbers, got {widths!r}")
    return widths[0], widths[1]
