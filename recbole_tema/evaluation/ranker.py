"""Every case of a loader ranked under one or more candidate modes, from one forward pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recbole.data.interaction import Interaction
from torch import Tensor
from tqdm import tqdm

from recbole_tema import distributed
from recbole_tema.config import UNSEEN, negatives_of
from recbole_tema.data.loaders import CaseLoader, EvalBatch
from recbole_tema.data.sequences import Ints, ranges
from recbole_tema.evaluation.ranks import draw_candidates, rank_of_target
from recbole_tema.evaluation.sliced import ranks_by_slices, scores_of_all_slices
from recbole_tema.models.sharding import SliceScorer

# Pairs of case and item that a model without full_sort_predict scores at once.
PAIRS_AT_ONCE = 1 << 17

# RecBole's sequential models whose scores are products of what `forward` makes of a history and the
# items' embeddings, so that some items can be scored alone.
DOT_PRODUCT = frozenset(
    {"GCSAN", "GRU4Rec", "LightSANs", "NARM", "SASRec", "SINE", "SRGNN", "STAMP"}
)

# Folders of data sets, and modes, of which too few items to draw from were told. The validation and
# the test of every model and seed meet the same.
_TOLD: set[tuple[Path, str]] = set()


@dataclass(frozen=True)
class TopItems:
    """What a model recommends in a few cases, of the target's domain.

    Attributes:
        cases: (n,) case numbers.
        items: (n, k) item ids, best first; equal scores by item id. -1 where a domain has fewer.
        ranks: (n,) float64, the target's rank among the items that could be recommended.
    """

    cases: Ints
    items: Ints
    ranks: np.ndarray


class CaseRanker:
    """Ranks the targets of all cases; the sampled candidates are drawn once, for all models.

    Args:
        loader: the cases.
        modes: candidate modes, ``full``, ``unseen`` or ``uniN``.
        seed: of the candidates; the same seed gives the same candidates on any machine.
    """

    def __init__(self, loader: CaseLoader, modes: Sequence[str], seed: int) -> None:
        self.loader = loader
        self.modes = list(modes)
        self._sampled = {
            mode: _draw(loader, number, seed)
            for mode in modes
            if (number := negatives_of(mode)) is not None
        }
        for mode, (items, counts) in self._sampled.items():
            told = loader.dataset.files.folder.absolute(), mode
            if len(fewer := counts[counts < items.shape[1]]) and told not in _TOLD:
                _TOLD.add(told)
                getLogger().warning(
                    f"{mode}: fewer items to draw from in {len(fewer)} of {len(counts)} cases, "
                    f"{fewer.min()} at least, which get all of them (said once for "
                    f"{loader.dataset.dataset_name})"
                )

    @torch.no_grad()
    def ranks(
        self, model: Any, device: torch.device, show_progress: bool = False
    ) -> dict[str, np.ndarray]:
        """For each mode the rank of every case's target, (cases,) float64 by case number.

        Several processes take whole batches in turn, so that each is scored as in one process, and
        each returns the ranks of all cases. Of a model with sliced tables each scores its slice.

        Raises:
            ScoreError: a score is NaN.
        """
        model.eval()
        if getattr(model, "has_sliced_items", False):
            sampled = {mode: self._sampled.get(mode) for mode in self.modes}
            scorer = SliceScorer(model)
            return ranks_by_slices(self.loader, sampled, scorer, device, show_progress)
        result = {mode: np.zeros(len(self.loader.cases)) for mode in self.modes}
        number, of = distributed.rank(), distributed.world_size()
        own = len(range(number, len(self.loader), of))
        batches = self.loader.part(number, of)
        for batch in tqdm(
            batches, total=own, ncols=100, desc="Evaluate   ", disable=not show_progress
        ):
            ranks = self._ranks_of_batch(model, batch, device)
            for mode in self.modes:
                result[mode][batch.cases] = ranks[mode].cpu().numpy()
        # Every case has its rank in one process and 0 in the others: the sum is exact.
        return {mode: distributed.sum_over_processes(result[mode]) for mode in self.modes}

    @torch.no_grad()
    def top(self, model: Any, device: torch.device, cases: Ints, k: int) -> TopItems:
        """The ``k`` best items of the target's domain in each of ``cases`` (n,), a few of them.

        Where ``unseen`` is a mode, of those that are new to a history, else of all. Every process
        scores them all; of a model with sliced tables each scores its slice.

        Raises:
            ScoreError: a score is NaN.
        """
        model.eval()
        sliced = getattr(model, "has_sliced_items", False)
        scorer = SliceScorer(model) if sliced else None
        items = np.full((len(cases), k), -1, dtype=np.int64)
        ranks = np.zeros(len(cases))
        for batch in self.loader.batches_of(cases):
            first, stop = self.loader.dataset.domain_ranges[batch.domain]
            interaction = batch.interaction.to(device)
            if scorer:
                scores = scores_of_all_slices(scorer, interaction, batch.domain, first, stop)
            else:
                found = scores_in_domain(model, interaction, batch.domain, first, stop)
                scores = (
                    self._all_pairs(model, interaction, first, stop) if found is None else found
                )
            targets = torch.from_numpy(self.loader.cases.targets[batch.cases]).to(device)
            own = scores.gather(1, (targets - first)[:, None]).squeeze(1)
            at = np.isin(cases, batch.cases)
            new = torch.ones_like(scores, dtype=torch.bool)
            if UNSEEN in self.modes:
                new = self.loader.unseen(batch, first, stop).to(device)
            ranks[at] = rank_of_target(scores, own, True, new).cpu().numpy()
            hidden = scores.masked_fill(~new, -torch.inf)
            best = best_columns(hidden, k)
            known = torch.where(new.gather(1, best), best + first, -1)
            items[at, : best.shape[1]] = known.cpu().numpy()
        return TopItems(cases, items, ranks)

    def _ranks_of_batch(
        self, model: Any, batch: EvalBatch, device: torch.device
    ) -> dict[str, Tensor]:
        first, stop = self.loader.dataset.domain_ranges[batch.domain]
        interaction = batch.interaction.to(device)
        targets = torch.from_numpy(self.loader.cases.targets[batch.cases]).to(device)
        scores = scores_in_domain(model, interaction, batch.domain, first, stop)
        if scores is None and any(mode not in self._sampled for mode in self.modes):
            scores = self._all_pairs(model, interaction, first, stop)
        if scores is None:
            return self._ranks_by_pairs(model, batch, interaction, targets)
        target_scores = scores.gather(1, (targets - first)[:, None]).squeeze(1)
        ranks = {}
        for mode in self.modes:
            if mode not in self._sampled:
                unseen = mode == UNSEEN
                new = self.loader.unseen(batch, first, stop).to(device) if unseen else None
                ranks[mode] = rank_of_target(scores, target_scores, True, new)
                continue
            items, valid = self._candidates(mode, batch, device)
            sampled = scores.gather(1, (items - first).clamp(min=0))
            ranks[mode] = rank_of_target(sampled, target_scores, False, valid)
        return ranks

    def _ranks_by_pairs(
        self, model: Any, batch: EvalBatch, interaction: Interaction, targets: Tensor
    ) -> dict[str, Tensor]:
        """For models that can only score pairs: just the target and the sampled candidates."""
        first, _ = self.loader.dataset.domain_ranges[batch.domain]
        ranks = {}
        for mode in self.modes:
            items, valid = self._candidates(mode, batch, targets.device)
            both = torch.cat([targets[:, None], items.clamp(min=first)], dim=1)
            scores = self._scores_of_pairs(model, interaction, both)
            ranks[mode] = rank_of_target(scores[:, 1:], scores[:, 0], False, valid)
        return ranks

    def _all_pairs(self, model: Any, interaction: Interaction, first: int, stop: int) -> Tensor:
        """(B, stop - first) scores of one domain's items, for models that can only score pairs."""
        device = interaction[self.loader.dataset.uid_field].device
        items = torch.arange(first, stop, device=device).expand(len(interaction), -1)
        return self._scores_of_pairs(model, interaction, items)

    def _scores_of_pairs(self, model: Any, interaction: Interaction, items: Tensor) -> Tensor:
        """(B, C) scores of ``items`` (B, C), in portions."""
        of_items = self.loader.dataset.get_item_feature()
        columns = items.shape[1]
        rows_at_once = max(PAIRS_AT_ONCE // columns, 1)
        scores = []
        for start in range(0, len(items), rows_at_once):
            rows = slice(start, start + rows_at_once)
            pairs = interaction[rows].repeat_interleave(columns)
            chosen = items[rows].flatten().cpu()
            # With the items' own columns in place of the target's.
            for field in of_items.columns:
                pairs[field] = of_items[field][chosen].to(items.device)
            scores.append(model.predict(pairs).view(-1, columns))
        return torch.cat(scores)

    def _candidates(
        self, mode: str, batch: EvalBatch, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        items, counts = self._sampled[mode]
        chosen = torch.from_numpy(items[batch.cases].astype(np.int64)).to(device)
        valid = np.arange(items.shape[1]) < counts[batch.cases, None]
        return chosen, torch.from_numpy(valid).to(device)


def scores_in_domain(
    model: Any, interaction: Interaction, domain: int, first: int, stop: int
) -> Tensor | None:
    """The model's scores of one domain's items, (B, stop - first).

    Our models score a domain's items alone (``domain_scores``), and so do those of RecBole's that
    allow it; the others score all items, of which the domain's are kept. None: the model can only
    score single pairs.
    """
    if hasattr(model, "domain_scores"):
        return model.domain_scores(interaction, domain)
    if type(model).__name__ in DOT_PRODUCT and type(model).__module__.startswith("recbole."):
        histories = model.forward(interaction[model.ITEM_SEQ], interaction[model.ITEM_SEQ_LEN])
        return histories @ model.item_embedding.weight[first:stop].T
    try:
        scores = model.full_sort_predict(interaction)
    except NotImplementedError:
        return None
    return scores.view(len(interaction), -1)[:, first:stop]


def best_columns(scores: Tensor, k: int) -> Tensor:
    """Where the ``k`` highest of each row of ``scores`` (B, C) are, or all C where they are fewer.

    Returns (B, min(k, C)), the best first, equal ones by their column.
    """
    k = min(k, scores.shape[1])
    # topk alone leaves open which of equal scores it takes; a stable sort of all takes ten times
    # as long.
    row, column = (scores >= scores.topk(k).values[:, -1:]).nonzero(as_tuple=True)
    order = scores[row, column].argsort(descending=True, stable=True)
    order = order[row[order].argsort(stable=True)]
    number = torch.bincount(row, minlength=len(scores))
    starts = number.cumsum(0) - number
    return column[order[starts[:, None] + torch.arange(k, device=scores.device)]]


def _draw(loader: CaseLoader, number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """``number`` items of each target's domain that the case's user does not have."""
    users = loader.cases.users
    owned, offsets = loader.dataset.owned_items()
    counts = (offsets[1:] - offsets[:-1])[users]
    starts, stops = np.array(loader.dataset.domain_ranges).T
    return draw_candidates(
        target=loader.cases.targets,
        owned=owned[ranges(offsets[users], counts)],
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        first_item=starts[loader.domain],
        n_items=(stops - starts)[loader.domain],
        n_negatives=number,
        seed=seed,
    )
