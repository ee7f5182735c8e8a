"""What is known about each test case before any model is seen."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.data.sequences import Ints


@dataclass(frozen=True)
class CaseFacts:
    """Facts about n cases, by case number.

    Attributes:
        history_length: (n,) events before the target, also those that are too old for the models.
        target_count: (n,) training interactions of the target; 0: it is cold.
        from_other: (n,) bool, whether the event before the target was in the other domain.
    """

    history_length: Ints
    target_count: Ints
    from_other: npt.NDArray[np.bool_]


def facts_of_test_cases(dataset: CrossDomainDataset) -> CaseFacts:
    """The facts about the test cases of a prepared ``dataset``, in the order of its test loader.

    A target's training interactions are those that every model may learn from; of pre-split data
    those of one user in several rows count once.
    """
    _, _, cases = dataset.split()
    last = cases.stops - 1
    counts = np.bincount(dataset.inter_feat[dataset.iid_field], minlength=dataset.item_num)
    return CaseFacts(
        history_length=last - cases.starts,
        target_count=counts[cases.targets],
        from_other=dataset.domain_of(cases.items[last - 1]) != dataset.domain_of(cases.targets),
    )


def latest_events(dataset: CrossDomainDataset, cases: Ints, number: int) -> list[Ints]:
    """Of some test cases the item ids before the target, oldest first, at most ``number``."""
    _, _, rows = dataset.split()
    stops = rows.stops[cases] - 1
    starts = np.maximum(rows.starts[cases], stops - number)
    return [rows.items[start:stop] for start, stop in zip(starts, stops, strict=True)]
