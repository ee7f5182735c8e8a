"""The mixture of softmaxes against eq. 5-9 written out in loops, values and gradients."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor

from recbole_tema.models.losses import (
    mixture_cross_entropy,
    mixture_log_probability,
    sampled_mixture_cross_entropy,
)

CLOSE = {"rtol": 1e-10, "atol": 1e-12}


# ---- the plain implementation ----------------------------------------------------------------


def plain_probability(
    query: list[Tensor], items: list[Tensor], weights: Tensor, present: list[Tensor]
) -> list[Tensor]:
    """P of each candidate for one position: eq. 5-7 for each modality, eq. 8 over them."""
    modalities = [m for m in range(len(items)) if present[m].any()]
    total = sum(weights[m] for m in modalities)
    probabilities = []
    for candidate in range(len(items[0])):
        p = torch.zeros((), dtype=torch.float64)
        for m in modalities:
            if not present[m][candidate]:
                continue
            scores = [
                (query[m] * items[m][other]).sum().exp()
                for other in range(len(items[m]))
                if present[m][other]
            ]
            own = (query[m] * items[m][candidate]).sum().exp()
            p = p + weights[m] / total * own / sum(scores)
        probabilities.append(p)
    return probabilities


def plain_loss(queries, items, targets, weights, present) -> Tensor:
    """Eq. 9, position by position; 0 where the target has no modality at all."""
    losses = []
    for position, target in enumerate(targets.tolist()):
        query = [each[position] for each in queries]
        if any(mask[target] for mask in present):
            p = plain_probability(query, items, weights, present)[target]
            losses.append(-p.log())
        else:
            losses.append(torch.zeros((), dtype=torch.float64))
    return torch.stack(losses)


# ---- cases -----------------------------------------------------------------------------------


class Case:
    """Random vectors of M modalities for P positions and C candidates, all leaves."""

    def __init__(self, modalities=2, positions=4, candidates=5, absent=0.0, seed=0, scale=1.0):
        generator = torch.Generator().manual_seed(seed)
        draw = partial(torch.randn, generator=generator, dtype=torch.float64)
        dims = [3 + m for m in range(modalities)]
        self.queries = [(scale * draw(positions, dim)).requires_grad_() for dim in dims]
        self.items = [draw(candidates, dim).requires_grad_() for dim in dims]
        self.weights = torch.rand(modalities, generator=generator, dtype=torch.float64) + 0.1
        self.weights.requires_grad_()
        self.targets = torch.randint(0, candidates, (positions,), generator=generator)
        self.present = [
            torch.rand(candidates, generator=generator) >= absent for _ in range(modalities)
        ]

    @property
    def leaves(self) -> list[Tensor]:
        return [*self.queries, *self.items, self.weights]

    def gradients(self, loss: Tensor) -> list[Tensor]:
        # Unequal weights of the positions, so that a mistake cannot cancel out in the sum.
        sizes = torch.arange(1, len(loss) + 1, dtype=torch.float64)
        total = (loss * sizes).sum()
        found = torch.autograd.grad(total, self.leaves, allow_unused=True, retain_graph=True)
        pairs = zip(found, self.leaves, strict=True)
        return [torch.zeros_like(leaf) if each is None else each for each, leaf in pairs]


def assert_same(case: Case, found: Tensor, expected: Tensor) -> None:
    """Equal values and equal gradients with respect to everything."""
    torch.testing.assert_close(found, expected, **CLOSE)
    pairs = zip(case.gradients(found), case.gradients(expected), strict=True)
    for ours, plain in pairs:
        torch.testing.assert_close(ours, plain, **CLOSE)


CASES = {
    "one modality": Case(modalities=1),
    "two modalities": Case(),
    "four modalities": Case(modalities=4, seed=1),
    "one candidate": Case(candidates=1),
    "one candidate, one modality": Case(candidates=1, modalities=1),
    "absent vectors": Case(modalities=3, candidates=6, absent=0.4, seed=3),
    "many absent vectors": Case(modalities=3, candidates=6, positions=8, absent=0.7, seed=4),
    "absent vectors of one modality": Case(modalities=1, candidates=6, absent=0.4, seed=5),
    "sharp": Case(modalities=2, seed=6, scale=8.0),
}


def test_the_cases_hold_what_they_should():
    def bare(case):
        return ~torch.stack(case.present).any(dim=0)[case.targets]

    assert bare(CASES["many absent vectors"]).any()
    assert bare(CASES["absent vectors of one modality"]).any()
    assert not bare(CASES["absent vectors of one modality"]).all()


# ---- all candidates --------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_cross_entropy_is_equation_9(name):
    case = CASES[name]
    found = mixture_cross_entropy(
        case.queries, case.items, case.targets, case.weights, case.present
    )
    expected = plain_loss(case.queries, case.items, case.targets, case.weights, case.present)
    assert found.shape == (len(case.targets),)
    assert_same(case, found, expected)


@pytest.mark.parametrize("name", [name for name in CASES if "absent" not in name])
def test_no_mask_means_all_present(name):
    case = CASES[name]
    arguments = (case.queries, case.items, case.targets, case.weights)
    assert_same(case, mixture_cross_entropy(*arguments), plain_loss(*arguments, case.present))


@pytest.mark.parametrize("name", CASES)
def test_log_probability_is_equation_8(name):
    case = CASES[name]
    found = mixture_log_probability(case.queries, case.items, case.weights, case.present)
    for position, row in enumerate(found.exp()):
        query = [each[position] for each in case.queries]
        expected = plain_probability(query, case.items, case.weights, case.present)
        torch.testing.assert_close(row, torch.stack(expected), **CLOSE)
        assert row.sum().item() == pytest.approx(1)


def test_by_hand():
    # Similarities ln 1, ln 2, ln 3 and ln 3, ln 1, (absent): 1/6, 2/6, 3/6 and 3/4, 1/4, 0.
    one = torch.ones(1, 1, dtype=torch.float64)
    logs = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64).log()[:, None]
    other = torch.tensor([3.0, 1.0, 50.0], dtype=torch.float64).log()[:, None]
    present = [torch.ones(3, dtype=torch.bool), torch.tensor([True, True, False])]
    weights = torch.tensor([3.0, 1.0], dtype=torch.float64)  # normalised: 3/4 and 1/4
    found = mixture_log_probability([one, one], [logs, other], weights, present).exp()
    expected = [[3 / 4 / 6 + 3 / 16, 3 / 4 * 2 / 6 + 1 / 16, 3 / 4 * 3 / 6]]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), **CLOSE)
    loss = mixture_cross_entropy([one, one], [logs, other], torch.tensor([2]), weights, present)
    assert loss.item() == pytest.approx(-math.log(3 / 8))


def test_ties_share_the_probability():
    case = Case(modalities=2, candidates=4)
    items = [each[:1].expand(4, -1) for each in case.items]
    log_p = mixture_log_probability(case.queries, items, case.weights)
    torch.testing.assert_close(log_p.exp(), torch.full_like(log_p, 0.25), **CLOSE)


def test_a_modality_that_nobody_has_gives_its_weight_to_the_others():
    case = Case(modalities=3, seed=7)
    nobody = torch.zeros(5, dtype=torch.bool)
    everybody = ~nobody
    found = mixture_cross_entropy(
        case.queries, case.items, case.targets, case.weights, [everybody, nobody, everybody]
    )
    rest = [0, 2]
    expected = plain_loss(
        [case.queries[m] for m in rest],
        [case.items[m] for m in rest],
        case.targets,
        case.weights[rest],
        [everybody, everybody],
    )
    assert_same(case, found, expected)


def test_targets_without_any_modality_have_no_loss_and_no_gradient():
    case = Case(modalities=2, candidates=3)
    present = [torch.tensor([False, True, True])] * 2
    targets = torch.tensor([0, 0, 0, 0])
    loss = mixture_cross_entropy(case.queries, case.items, targets, case.weights, present)
    assert loss.tolist() == [0, 0, 0, 0]
    assert not any(gradient.any() for gradient in case.gradients(loss))
    log_p = mixture_log_probability(case.queries, case.items, case.weights, present)
    assert (log_p[:, 0] == -torch.inf).all()


def test_nobody_has_anything():
    case = Case(modalities=2, candidates=3)
    present = [torch.zeros(3, dtype=torch.bool)] * 2
    loss = mixture_cross_entropy(case.queries, case.items, case.targets % 3, case.weights, present)
    assert loss.tolist() == [0, 0, 0, 0]
    assert not any(gradient.any() for gradient in case.gradients(loss))


def test_a_weight_of_zero_switches_a_modality_off():
    case = Case(modalities=2, seed=8)
    weights = torch.tensor([1.0, 0.0], dtype=torch.float64)
    found = mixture_cross_entropy(case.queries, case.items, case.targets, weights)
    alone = mixture_cross_entropy(
        case.queries[:1], case.items[:1], case.targets, torch.ones(1, dtype=torch.float64)
    )
    torch.testing.assert_close(found, alone, **CLOSE)


def test_one_modality_is_the_plain_cross_entropy():
    case = Case(modalities=1, seed=9)
    logits = case.queries[0] @ case.items[0].T
    expected = torch.nn.functional.cross_entropy(logits, case.targets, reduction="none")
    found = mixture_cross_entropy(case.queries, case.items, case.targets, case.weights)
    torch.testing.assert_close(found, expected, **CLOSE)


def test_far_apart_similarities_neither_overflow_nor_vanish():
    query = [torch.tensor([[1.0]]), torch.tensor([[1.0]])]
    items = [torch.tensor([[500.0], [-500.0]]), torch.tensor([[-300.0], [300.0]])]
    weights = torch.tensor([0.5, 0.5])
    loss = mixture_cross_entropy([query[0]], [items[0]], torch.tensor([1]), weights[:1])
    assert loss.item() == pytest.approx(1000)
    loss = mixture_cross_entropy(query, items, torch.tensor([1]), weights)
    assert loss.item() == pytest.approx(math.log(2))


def test_no_positions():
    case = Case(positions=0)
    assert mixture_cross_entropy(
        case.queries, case.items, case.targets, case.weights, case.present
    ).shape == (0,)


@pytest.mark.parametrize("name", ["two modalities", "absent vectors", "many absent vectors"])
def test_gradcheck(name):
    case = CASES[name]
    count = len(case.queries)

    def loss(*leaves):
        queries, items = leaves[:count], leaves[count:-1]
        return mixture_cross_entropy(queries, items, case.targets, leaves[-1], case.present)

    assert torch.autograd.gradcheck(loss, tuple(case.leaves))


# ---- sampled candidates ----------------------------------------------------------------------


def sampled(case: Case, pool: Tensor, masks: bool = True) -> Tensor:
    """The sampled loss of a case with the candidates at ``pool`` as negatives."""
    return sampled_mixture_cross_entropy(
        case.queries,
        [items[case.targets] for items in case.items],
        [items[pool] for items in case.items],
        case.targets[:, None] == pool,
        case.weights,
        [int(mask.sum()) for mask in case.present],
        [mask[case.targets] for mask in case.present] if masks else None,
        [mask[pool] for mask in case.present] if masks else None,
    )


@pytest.mark.parametrize("name", CASES)
def test_with_every_candidate_once_it_is_the_full_loss(name):
    case = CASES[name]
    candidates = len(case.items[0])
    full = plain_loss(case.queries, case.items, case.targets, case.weights, case.present)
    order = torch.randperm(candidates, generator=torch.Generator().manual_seed(1))
    assert_same(case, sampled(case, order), full)
    if "absent" not in name:
        assert_same(case, sampled(case, order, masks=False), full)


@pytest.mark.parametrize("masks", [True, False])
def test_every_candidate_three_times_is_the_full_loss_too(masks):
    # Each negative then stands for a third of a candidate.
    case = CASES["two modalities"]
    full = plain_loss(case.queries, case.items, case.targets, case.weights, case.present)
    assert_same(case, sampled(case, torch.arange(5).repeat(3), masks), full)


@pytest.mark.parametrize("masks", [True, False])
def test_the_correction_by_hand(masks):
    # Ten candidates; similarity ln 2 of the target; the negatives: ln 3, the target itself, ln 5.
    # The two that are not the target stand for nine: 2 / (2 + 9/2 * (3 + 5)).
    present = [torch.ones(1, dtype=torch.bool)], [torch.ones(3, dtype=torch.bool)]
    loss = sampled_mixture_cross_entropy(
        [torch.ones(1, 1)],
        [torch.tensor([[2.0]]).log()],
        [torch.tensor([[3.0], [2.0], [5.0]]).log()],
        torch.tensor([[False, True, False]]),
        torch.ones(1),
        [10],
        *(present if masks else ()),
    )
    assert loss.item() == pytest.approx(-math.log(2 / (2 + 9 / 2 * 8)), rel=1e-6)


def test_the_correction_of_two_modalities_by_hand():
    # Modality 0: as above, weight 1/4. Modality 1: four candidates have it, of the negatives only
    # the last one (similarity ln 7), and the target's is ln 1: 1 / (1 + 3 * 7), weight 3/4.
    loss = sampled_mixture_cross_entropy(
        [torch.ones(1, 1)] * 2,
        [torch.tensor([[2.0]]).log(), torch.tensor([[1.0]]).log()],
        [torch.tensor([[3.0], [2.0], [5.0]]).log(), torch.tensor([[11.0], [1.0], [7.0]]).log()],
        torch.tensor([[False, True, False]]),
        torch.tensor([1.0, 3.0]),
        [10, 4],
        [torch.tensor([True])] * 2,
        [torch.ones(3, dtype=torch.bool), torch.tensor([False, True, True])],
    )
    assert loss.item() == pytest.approx(-math.log(1 / 4 * 2 / 38 + 3 / 4 * 1 / 22), rel=1e-6)


@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize("modalities", [1, 2])
def test_all_negatives_are_the_target(masks, modalities):
    # Nothing to compare with: the position says nothing, and its gradient is 0 rather than NaN.
    case = Case(modalities=modalities, candidates=1)
    loss = sampled(case, torch.tensor([0, 0]), masks)
    for value in (loss, *case.gradients(loss)):
        torch.testing.assert_close(value, torch.zeros_like(value), **CLOSE)


@pytest.mark.parametrize("missing", [0, 1])
def test_sampled_with_a_modality_that_nobody_has(missing):
    case = Case(modalities=2, seed=11)
    case.present[missing] = torch.zeros(5, dtype=torch.bool)
    full = plain_loss(case.queries, case.items, case.targets, case.weights, case.present)
    assert_same(case, sampled(case, torch.arange(5)), full)


def test_sampled_with_negatives_that_all_lack_a_modality():
    case = Case(modalities=2, candidates=5, seed=12)
    case.present[1] = torch.tensor([True, False, False, False, True])
    case.targets = torch.tensor([0, 1, 2, 4])
    loss = sampled(case, torch.tensor([1, 2, 3]))
    assert torch.isfinite(loss).all()
    assert all(torch.isfinite(gradient).all() for gradient in case.gradients(loss))


@pytest.mark.parametrize("name", ["two modalities", "absent vectors", "many absent vectors"])
def test_sampled_gradcheck(name):
    case = CASES[name]
    count = len(case.queries)
    pool = torch.tensor([0, 3, 3, 1])

    def loss(*leaves):
        given = Case.__new__(Case)
        given.queries, given.items, given.weights = leaves[:count], leaves[count:-1], leaves[-1]
        given.targets, given.present = case.targets, case.present
        return sampled(given, pool)

    assert torch.autograd.gradcheck(loss, tuple(case.leaves))
