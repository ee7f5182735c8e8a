"""LLM-EMF's and TEMA-LLM's eq. 2-12 in plain Python, history by history and view by view.

It makes the list of each view, puts every prefix of it through the model's encoder alone and
unpadded, takes the last state, and sums probabilities over the candidates one by one. Only where
positions count from the end do the row's later events go through it too, as they have to. It takes
features and tags from what was written to disk, by token. Only the encoder's own arithmetic is the
model's (see test_layers.py).
"""

import math

import numpy as np
import torch

from recbole_tema.models.layers import Packing
from tests.models.conftest import time_of


class Plain:
    """One model's parameters and settings, and the formulas on top of them."""

    def __init__(self, model, tiny):
        self.model, self.tiny, self.settings = model, tiny, model.settings
        domains = [[i for i in tiny.items if tiny.domain_of(i) == name] for name in tiny.domains]
        self.tokens = [None, *domains[0], *domains[1]]
        self.number = {token: at for at, token in enumerate(self.tokens)}
        self.domains = [[self.number[token] for token in each] for each in domains]
        self.everything = [*self.domains[0], *self.domains[1]]
        self.known_vectors, self.known_states = {}, {}

    def domain(self, item: int) -> int:
        return 0 if item in self.domains[0] else 1

    # -- item vectors --------------------------------------------------------------------------

    def part(self, modality, name: str, item: int) -> torch.Tensor | None:
        """The vector of one modality; None where the item has none."""
        token = self.tokens[item]
        if name == "id":
            return modality.embedding.weight[item]
        if name == "tag":
            tags = self.tiny.tags[token]
            if not tags:
                return None
            names = sorted({each for scores in self.tiny.tags.values() for each in scores})
            weight = {t: w if self.weighted_tags else 1.0 for t, w in tags.items()}
            total = sum(
                w * modality.embedding.weight[names.index(t) + 1] for t, w in weight.items()
            )
            vector = total / sum(weight.values())
        else:
            stored = self.tiny.vectors[name][token]
            if stored is None:
                return None
            vector = torch.tensor(stored, dtype=torch.float64)
        projection = modality.projection
        return projection.weight @ vector if hasattr(projection, "weight") else vector

    weighted_tags = True
    overlap = None  # of TEMA: its weight, smoothing and decay

    def members(self, stream) -> dict:
        """The modalities that a stream adds, by name."""
        names = {"IdModality": lambda m: "id", "TagModality": lambda m: "tag"}
        found = {}
        for modality in stream.modalities:
            kind = type(modality).__name__
            if kind in names:
                found[names[kind](modality)] = modality
            else:
                frozen = modality.frozen
                kinds = [k for k in ("text", "image") if self.is_of(frozen, k)]
                found[kinds[0]] = modality
        return found

    def is_of(self, frozen, kind: str) -> bool:
        if kind not in self.tiny.vectors:
            return False
        token = next(t for t in self.tokens[1:] if self.tiny.vectors[kind][t] is not None)
        vector = self.tiny.vectors[kind][token]
        return len(vector) == frozen.shape[1] and np.allclose(frozen[self.number[token]], vector)

    def vector(self, stream, item: int) -> torch.Tensor | None:
        """The stream's vector of an item as a candidate; None where it has nothing of it."""
        if (stream, item) not in self.known_vectors:
            self.known_vectors[stream, item] = self.new_vector(stream, item)
        return self.known_vectors[stream, item]

    def new_vector(self, stream, item: int) -> torch.Tensor | None:
        parts = {n: self.part(m, n, item) for n, m in self.members(stream).items()}
        present = [each for each in parts.values() if each is not None]
        if not present:
            return None
        total = sum(present)
        if stream.gate is not None and self.tiny.tags[self.tokens[item]]:
            tag = self.part(stream.gate, "tag", item)
            total = total * 2 * torch.sigmoid(stream.gate_projection.weight @ tag)
        return total

    def in_history(self, stream, item: int) -> torch.Tensor:
        vector = self.vector(stream, item)
        if vector is not None:
            return vector
        members = list(stream.modalities)
        # What stands for a single modality that is missing is learned; a sum of none is zero.
        return members[0].missing if len(members) == 1 else torch.zeros(stream.dim).double()

    # -- states, eq. 2 -------------------------------------------------------------------------

    def states(self, events: list[int], view: int, later: list[int]) -> list[torch.Tensor] | None:
        """For each stream h^v after these events of the whole history; None for an empty view."""

        def of_view(items):
            return [item for item in items if view == 2 or self.domain(item) == view]

        own = of_view(events)
        if not own:
            return None
        behind = of_view(later) if self.settings.positions == "end" else []
        key = (view, len(own), *own, *behind)
        if key not in self.known_states:
            self.known_states[key] = self.new_states([*own, *behind], view, len(own) - 1)
        states = self.known_states[key]
        if not self.settings.time_knots:
            return states
        # Now is when the history's latest event was, also where the view does not show it.
        return [
            state + self.moment(calendar, events[-1])
            for state, calendar in zip(states, self.model.times_behind, strict=True)
        ]

    def new_states(self, own: list[int], view: int, at: int) -> list[torch.Tensor]:
        encoders = self.model.encoders[0 if self.settings.share_encoder else view]
        packing = Packing(torch.zeros(len(own), dtype=torch.long), torch.arange(len(own)), 1)
        return [
            encoder(torch.stack([self.dated(m, stream, item) for item in own]), packing)[at]
            for m, (stream, encoder) in enumerate(
                zip(self.model.streams.values(), encoders, strict=True)
            )
        ]

    def dated(self, m: int, stream, item: int) -> torch.Tensor:
        vector = self.in_history(stream, item)
        if self.settings.time_knots:
            vector = vector + self.moment(self.model.times_before[m], item)
        return vector

    def moment(self, calendar, item: int) -> torch.Tensor:
        """The vector of an event's time, on straight lines between the knots."""
        knots, table = calendar.knots.tolist(), calendar.embedding.weight.detach().numpy()
        return torch.tensor([np.interp(time_of(item), knots, column) for column in table.T])

    # -- probabilities, eq. 3 and 5-8 ----------------------------------------------------------

    def similarity(self, state: list[float], vector: list[float]) -> float:
        z = dot(state, vector)
        if self.settings.similarity == "cosine":
            z /= math.sqrt(dot(state, state)) * math.sqrt(dot(vector, vector))
        return z / self.settings.temperature

    def probabilities(self, states: list[torch.Tensor], candidates: list[int]) -> dict[int, float]:
        names = list(self.model.streams)
        weights = [self.settings.modality_weights.get(name, 1.0) for name in names]
        z = []
        for stream, state in zip(self.model.streams.values(), states, strict=True):
            vectors = {item: self.vector(stream, item) for item in candidates}
            numbers = state.tolist()
            z.append(
                {
                    item: self.similarity(numbers, vector.tolist())
                    for item, vector in vectors.items()
                    if vector is not None
                }
            )
        apart = self.settings.fusion == "early" and len(z) > 1
        if self.settings.fusion == "score" or apart:
            summed: dict[int, float] = {}
            for weight, of_stream in zip(weights, z, strict=True):
                for item, value in of_stream.items():
                    summed[item] = summed.get(item, 0.0) + weight * value
            z, weights = [summed], [1.0]
        total = sum(weight for weight, of_stream in zip(weights, z, strict=True) if of_stream)
        p = dict.fromkeys(candidates, 0.0)
        for weight, of_stream in zip(weights, z, strict=True):
            norm = sum(math.exp(value) for value in of_stream.values())
            for item, value in of_stream.items():
                p[item] += weight / total * math.exp(value) / norm
        return p

    def candidates(self, view: int, domain: int) -> list[int]:
        both = view == 2 and self.settings.merged_candidates == "all"
        return self.everything if both else self.domains[domain]

    def joined(
        self, events: list[int], domain: int, weights, later: list[int]
    ) -> list[torch.Tensor] | None:
        total = None
        for view, weight in zip((domain, 1 - domain, 2), weights, strict=True):
            if view not in self.settings.encoded_views:
                continue
            states = self.states(events, view, later)
            if states is not None and weight:
                states = [weight * state for state in states]
                pairs = zip(total or [0] * len(states), states, strict=True)
                total = [a + b for a, b in pairs]
        return total

    # -- eq. 9, 10 -----------------------------------------------------------------------------

    def loss(self, rows: list[tuple[list[int], int]]) -> float:
        losses, number = 0.0, 0
        weights = self.settings.train_view_weights
        for inputs, target in rows:
            for at, following in enumerate([*inputs[1:], target], start=1):
                number += 1
                events, later, domain = inputs[:at], inputs[at:], self.domain(following)
                if self.settings.view_join == "vectors":
                    states = self.joined(events, domain, weights, later)
                    terms = [(1.0, states, self.domains[domain])]
                else:
                    terms = [
                        (
                            weights[view],
                            self.states(events, view, later),
                            self.candidates(view, domain),
                        )
                        for view in (domain, 2)
                        if view in self.settings.encoded_views
                    ]
                for weight, states, candidates in terms:
                    if states is None:
                        continue
                    p = self.probabilities(states, candidates)[following]
                    if p > 0:
                        losses -= weight * math.log(p)
        return losses / number

    # -- eq. 11, 12 ----------------------------------------------------------------------------

    def scores(self, inputs: list[int], domain: int) -> list[float]:
        weights = self.settings.score_view_weights
        items = self.domains[domain]
        if self.settings.view_join == "vectors":
            states = self.joined(inputs, domain, weights, [])
            if states is None:  # no view has anything to contribute
                return [0.0] * len(items)
            p = self.probabilities(states, items)
            return [p[item] * self.tag_factor(inputs, item) for item in items]
        in_logs = self.settings.view_join == "log_probabilities"
        total = dict.fromkeys(items, 0.0)
        for view, weight in zip((domain, 1 - domain, 2), weights, strict=True):
            if view not in self.settings.encoded_views or not weight:
                continue
            states = self.states(inputs, view, [])
            if states is not None:
                p = self.probabilities(states, self.candidates(view, domain))
                for item in items:
                    total[item] += weight * (log(p[item]) if in_logs else p[item])
        if in_logs:
            return [p + math.log(self.tag_factor(inputs, item)) for item, p in total.items()]
        return [p * self.tag_factor(inputs, item) for item, p in total.items()]

    def tag_factor(self, inputs: list[int], item: int) -> float:
        """(overlap + ε)^w: what the tags that an item shares with a history count for."""
        if self.overlap is None:
            return 1.0
        weight, smoothing, decay = self.overlap
        alike = self.shared(inputs, item, decay)
        if alike is None:  # an item that has no tags is like the others of its domain
            domain = self.domains[self.domain(item)]
            others = [self.shared(inputs, other, decay) for other in domain]
            known = [each for each in others if each is not None]
            alike = sum(known) / len(known)
        return (alike + smoothing) ** weight

    def shared(self, inputs: list[int], item: int, decay: float) -> float | None:
        """The mean likeness of an item to those of a history, later ones counting more."""
        if not self.tag_vector(item):
            return None
        total, importances = 0.0, 0.0
        for before, other in enumerate(reversed(inputs)):
            if self.tag_vector(other):
                total += decay**before * self.likeness(other, item)
                importances += decay**before
        return total / importances if importances else 0.0

    def tag_vector(self, item: int) -> dict[str, float]:
        """An item's tags, each by its score and how few items have it."""
        tags = [each for each in self.tiny.tags.values() if each]
        scores = self.tiny.tags[self.tokens[item]]
        return {
            tag: (score if self.weighted_tags else 1.0)
            * math.log(len(tags) / sum(tag in each for each in tags))
            for tag, score in scores.items()
        }

    def likeness(self, one: int, other: int) -> float:
        """The cosine of two items' tags."""
        left, right = self.tag_vector(one), self.tag_vector(other)
        lengths = [math.sqrt(sum(v**2 for v in each.values())) for each in (left, right)]
        shared = sum(left[tag] * right[tag] for tag in left.keys() & right.keys())
        return shared / lengths[0] / lengths[1]


def log(p: float) -> float:
    return math.log(p) if p > 0 else -math.inf


def dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
