"""Ranks by processes that each score a slice of the items, for tables too large for one card."""

import numpy as np
import torch
import torch.distributed as dist
from recbole.data.interaction import Interaction
from torch import Tensor
from tqdm import tqdm

from recbole_tema.config import UNSEEN
from recbole_tema.data.loaders import CaseLoader
from recbole_tema.distributed import sum_over_processes
from recbole_tema.evaluation.ranks import rank_of_target
from recbole_tema.models.sharding import SliceScorer

Candidates = tuple[np.ndarray, np.ndarray]
"""(cases, n) sampled items and (cases,) how many of a row are candidates."""


def ranks_by_slices(
    loader: CaseLoader,
    sampled: dict[str, Candidates | None],
    scorer: SliceScorer,
    device: torch.device,
    show_progress: bool,
) -> dict[str, np.ndarray]:
    """For each mode the rank of every case's target, (cases,) float64 by case number.

    Each process counts the rivals in its slice for all cases; no process has all items' scores.

    Args:
        loader: the cases.
        sampled: for each mode its candidates; None: all items of the target's domain, or where the
            mode is ``unseen`` those that are new to a history.
        scorer: of the slice's items.
    """
    rivals = {mode: np.zeros(len(loader.cases)) for mode in sampled}
    for batch in tqdm(loader, ncols=100, desc="Evaluate   ", disable=not show_progress):
        first, stop = scorer.items(batch.domain)
        scores = scorer.scores(batch.interaction.to(device), batch.domain)
        targets = torch.from_numpy(loader.cases.targets[batch.cases]).to(device)
        of_targets, _ = _of_slice(scores, targets[:, None], first, stop)
        dist.all_reduce(of_targets)
        for mode, candidates in sampled.items():
            chosen, valid = scores, torch.ones_like(scores, dtype=torch.bool)
            if mode == UNSEEN:
                valid = loader.unseen(batch, first, stop).to(device)
            if candidates is not None:
                items, counts = (each[batch.cases] for each in candidates)
                drawn = torch.from_numpy(items.astype(np.int64)).to(device)
                chosen, own = _of_slice(scores, drawn, first, stop)
                among = torch.from_numpy(np.arange(items.shape[1]) < counts[:, None])
                valid = own & among.to(device)
            if chosen.shape[1]:
                found = rank_of_target(chosen, of_targets[:, 0], False, valid)
                rivals[mode][batch.cases] = found.cpu().numpy() - 1
    # Where nothing is sampled the target ties with itself.
    return {
        mode: 1 + sum_over_processes(rivals[mode]) - (0.5 if sampled[mode] is None else 0)
        for mode in sampled
    }


def scores_of_all_slices(
    scorer: SliceScorer, interaction: Interaction, domain: int, first: int, stop: int
) -> Tensor:
    """(B, stop - first) scores of one domain's items ``first`` … ``stop`` - 1, for a few cases."""
    start, end = scorer.items(domain)
    own = scorer.scores(interaction, domain)
    scores = own.new_zeros(len(own), stop - first)
    scores[:, start - first : end - first] = own
    dist.all_reduce(scores)
    return scores


def _of_slice(scores: Tensor, items: Tensor, first: int, stop: int) -> tuple[Tensor, Tensor]:
    """(B, n) scores of ``items`` (B, n), 0 where they lie in no slice of ours; which ones do."""
    own = (items >= first) & (items < stop)
    if first == stop:
        return scores.new_zeros(items.shape), own
    found = scores.gather(1, torch.where(own, items - first, 0))
    return torch.where(own, found, 0), own
