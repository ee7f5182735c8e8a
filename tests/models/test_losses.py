"""The mixture of softmaxes against eq. 5-9 written out in loops, values and gradients."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from recbole_tema.models import chunked_loss
from recbole_tema.models.losses import (
    Negatives,
    mixture_cross_entropy,
    mixture_log_probability,
)

CLOSE = {"rtol": 1e-10, "atol": 1e-12}

PLAIN, CHUNKED, IN_PARTS = "plain", "chunked", "chunked, three positions at a time"


@pytest.fixture(params=[PLAIN, CHUNKED, IN_PARTS])
def implementation(request, monkeypatch):
    """The name of an implementation, which every test of the loss meets."""
    if request.param == IN_PARTS:
        monkeypatch.setattr(chunked_loss, "CHUNK_ELEMENTS", 1)
        monkeypatch.setattr(chunked_loss, "CHUNK_POSITIONS", 3)
    return PLAIN if request.param == PLAIN else CHUNKED


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

    @property
    def position_weights(self) -> Tensor:
        """Unequal, so that a mistake cannot cancel out in the sum."""
        return torch.arange(1, len(self.targets) + 1, dtype=torch.float64)

    def loss(self, implementation: str, masks: bool = True, pool: Tensor | None = None) -> Tensor:
        """The loss under test, over all candidates or sampled ones."""
        counts = [int(mask.sum()) for mask in self.present]
        return mixture_cross_entropy(
            self.queries,
            self.items,
            self.targets,
            self.weights,
            self.present if masks else None,
            None if pool is None else Negatives(pool, counts),
            self.position_weights,
            implementation,
        )

    def expected(self) -> Tensor:
        """The same by the plain implementation, over all candidates."""
        losses = plain_loss(self.queries, self.items, self.targets, self.weights, self.present)
        return (losses * self.position_weights).sum()

    def gradients(self, loss: Tensor) -> list[Tensor]:
        # Times 3: what arrives from above must scale them.
        found = torch.autograd.grad(3 * loss, self.leaves, allow_unused=True)
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
def test_cross_entropy_is_equation_9(name, implementation):
    case = CASES[name]
    assert_same(case, case.loss(implementation), case.expected())


@pytest.mark.parametrize("name", [name for name in CASES if "absent" not in name])
def test_no_mask_means_all_present(name, implementation):
    case = CASES[name]
    assert_same(case, case.loss(implementation, masks=False), case.expected())


@pytest.mark.parametrize("name", CASES)
def test_log_probability_is_equation_8(name):
    case = CASES[name]
    found = mixture_log_probability(case.queries, case.items, case.weights, case.present)
    for position, row in enumerate(found.exp()):
        query = [each[position] for each in case.queries]
        expected = plain_probability(query, case.items, case.weights, case.present)
        torch.testing.assert_close(row, torch.stack(expected), **CLOSE)
        assert row.sum().item() == pytest.approx(1)


def test_by_hand(implementation):
    # Similarities ln 1, ln 2, ln 3 and ln 3, ln 1, (absent): 1/6, 2/6, 3/6 and 3/4, 1/4, 0.
    one = torch.ones(1, 1, dtype=torch.float64)
    logs = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64).log()[:, None]
    other = torch.tensor([3.0, 1.0, 50.0], dtype=torch.float64).log()[:, None]
    present = [torch.ones(3, dtype=torch.bool), torch.tensor([True, True, False])]
    weights = torch.tensor([3.0, 1.0], dtype=torch.float64)  # normalised: 3/4 and 1/4
    found = mixture_log_probability([one, one], [logs, other], weights, present).exp()
    expected = [[3 / 4 / 6 + 3 / 16, 3 / 4 * 2 / 6 + 1 / 16, 3 / 4 * 3 / 6]]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), **CLOSE)
    loss = mixture_cross_entropy(
        [one, one],
        [logs, other],
        torch.tensor([2]),
        weights,
        present,
        implementation=implementation,
    )
    assert loss.item() == pytest.approx(-math.log(3 / 8))


def test_ties_share_the_probability():
    case = Case(modalities=2, candidates=4)
    items = [each[:1].expand(4, -1) for each in case.items]
    log_p = mixture_log_probability(case.queries, items, case.weights)
    torch.testing.assert_close(log_p.exp(), torch.full_like(log_p, 0.25), **CLOSE)


@pytest.mark.parametrize("nobody", [0, 1, 2])
def test_a_modality_that_nobody_has_gives_its_weight_to_the_others(nobody, implementation):
    case = Case(modalities=3, seed=7)
    case.present[nobody] = torch.zeros(5, dtype=torch.bool)
    rest = [m for m in range(3) if m != nobody]
    losses = plain_loss(
        [case.queries[m] for m in rest],
        [case.items[m] for m in rest],
        case.targets,
        case.weights[rest],
        [case.present[m] for m in rest],
    )
    assert_same(case, case.loss(implementation), (losses * case.position_weights).sum())


def test_targets_without_any_modality_have_no_loss_and_no_gradient(implementation):
    case = Case(modalities=2, candidates=3)
    case.present = [torch.tensor([False, True, True])] * 2
    case.targets = torch.tensor([0, 0, 0, 0])
    loss = case.loss(implementation)
    assert loss.item() == 0
    assert not any(gradient.any() for gradient in case.gradients(loss))
    log_p = mixture_log_probability(case.queries, case.items, case.weights, case.present)
    assert (log_p[:, 0] == -torch.inf).all()


def test_nobody_has_anything(implementation):
    case = Case(modalities=2, candidates=3)
    case.present = [torch.zeros(3, dtype=torch.bool)] * 2
    case.targets = case.targets % 3
    loss = case.loss(implementation)
    assert loss.item() == 0
    assert not any(gradient.any() for gradient in case.gradients(loss))


def test_a_weight_of_zero_switches_a_modality_off(implementation):
    case = Case(modalities=2, seed=8)
    case.weights = torch.tensor([1.0, 0.0], dtype=torch.float64)
    alone = Case(modalities=2, seed=8)
    for each in (alone.queries, alone.items, alone.present):
        del each[1]
    alone.weights = torch.ones(1, dtype=torch.float64)
    torch.testing.assert_close(case.loss(implementation), alone.expected(), **CLOSE)


def test_one_modality_is_the_plain_cross_entropy(implementation):
    case = Case(modalities=1, seed=9)
    logits = case.queries[0] @ case.items[0].T
    expected = torch.nn.functional.cross_entropy(logits, case.targets, reduction="sum")
    found = mixture_cross_entropy(
        case.queries, case.items, case.targets, case.weights, implementation=implementation
    )
    torch.testing.assert_close(found, expected, **CLOSE)


def test_a_sum_of_similarities_is_one_modality_of_joined_vectors(implementation):
    case = Case(modalities=3, seed=10)
    logits = sum(
        weight * query @ item.T
        for weight, query, item in zip(case.weights, case.queries, case.items, strict=True)
    )
    scaled = [weight * query for weight, query in zip(case.weights, case.queries, strict=True)]
    found = mixture_cross_entropy(
        [torch.cat(scaled, dim=1)],
        [torch.cat(case.items, dim=1)],
        case.targets,
        torch.ones(1, dtype=torch.float64),
        implementation=implementation,
    )
    expected = torch.nn.functional.cross_entropy(logits, case.targets, reduction="sum")
    assert_same(case, found, expected)


def test_far_apart_similarities_neither_overflow_nor_vanish(implementation):
    query = [torch.tensor([[1.0]]), torch.tensor([[1.0]])]
    items = [torch.tensor([[500.0], [-500.0]]), torch.tensor([[-300.0], [300.0]])]
    weights = torch.tensor([0.5, 0.5])
    loss = mixture_cross_entropy(
        [query[0]], [items[0]], torch.tensor([1]), weights[:1], implementation=implementation
    )
    assert loss.item() == pytest.approx(1000)
    loss = mixture_cross_entropy(
        query, items, torch.tensor([1]), weights, implementation=implementation
    )
    assert loss.item() == pytest.approx(math.log(2))


def test_no_positions(implementation):
    case = Case(positions=0)
    loss = case.loss(implementation)
    assert loss.item() == 0
    assert not any(gradient.any() for gradient in case.gradients(loss))


@pytest.mark.parametrize("name", ["two modalities", "absent vectors", "many absent vectors"])
def test_gradcheck(name):
    # Of plain alone, as it goes backward more than once; the others are compared with it.
    case = CASES[name]
    assert torch.autograd.gradcheck(partial(loss_of_leaves, case), (*case.leaves,))


def loss_of_leaves(case: Case, *leaves: Tensor, pool=None) -> Tensor:
    given = Case.__new__(Case)
    count = len(case.queries)
    given.queries, given.items, given.weights = leaves[:count], leaves[count:-1], leaves[-1]
    given.targets, given.present = case.targets, case.present
    return given.loss("plain", pool=pool)


def test_unknown_implementation():
    with pytest.raises(ValueError, match=r"expected one of .*'chunked'.*, got fused"):
        Case().loss("fused")


# ---- sampled candidates ----------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_with_every_candidate_once_it_is_the_full_loss(name, implementation):
    case = CASES[name]
    candidates = len(case.items[0])
    order = torch.randperm(candidates, generator=torch.Generator().manual_seed(1))
    assert_same(case, case.loss(implementation, pool=order), case.expected())
    if "absent" not in name:
        assert_same(case, case.loss(implementation, masks=False, pool=order), case.expected())


@pytest.mark.parametrize("masks", [True, False])
def test_every_candidate_three_times_is_the_full_loss_too(masks, implementation):
    # Each negative then stands for a third of a candidate.
    case = CASES["two modalities"]
    pool = torch.arange(5).repeat(3)
    assert_same(case, case.loss(implementation, masks, pool), case.expected())


@pytest.mark.parametrize("masks", [True, False])
def test_the_correction_by_hand(masks, implementation):
    # Ten candidates; similarity ln 2 of the target; the negatives: ln 3, the target itself, ln 5.
    # The two that are not the target stand for nine: 2 / (2 + 9/2 * (3 + 5)).
    loss = mixture_cross_entropy(
        [torch.ones(1, 1)],
        [torch.tensor([[2.0], [3.0], [5.0]]).log()],
        torch.tensor([0]),
        torch.ones(1),
        [torch.ones(3, dtype=torch.bool)] if masks else None,
        Negatives(torch.tensor([1, 0, 2]), [10]),
        implementation=implementation,
    )
    assert loss.item() == pytest.approx(-math.log(2 / (2 + 9 / 2 * 8)), rel=1e-6)


def test_the_correction_of_two_modalities_by_hand(implementation):
    # Modality 0: as above, weight 1/4. Modality 1: four candidates have it, of the negatives only
    # the last one (similarity ln 7), and the target's is ln 1: 1 / (1 + 3 * 7), weight 3/4.
    loss = mixture_cross_entropy(
        [torch.ones(1, 1)] * 2,
        [torch.tensor([[2.0], [3.0], [5.0]]).log(), torch.tensor([[1.0], [11.0], [7.0]]).log()],
        torch.tensor([0]),
        torch.tensor([1.0, 3.0]),
        [torch.ones(3, dtype=torch.bool), torch.tensor([True, False, True])],
        Negatives(torch.tensor([1, 0, 2]), [10, 4]),
        implementation=implementation,
    )
    assert loss.item() == pytest.approx(-math.log(1 / 4 * 2 / 38 + 3 / 4 * 1 / 22), rel=1e-6)


@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize("modalities", [1, 2])
def test_all_negatives_are_the_target(masks, modalities, implementation):
    # Nothing to compare with: the position says nothing, and its gradient is 0 rather than NaN.
    case = Case(modalities=modalities, candidates=1)
    loss = case.loss(implementation, masks, torch.tensor([0, 0]))
    for value in (loss, *case.gradients(loss)):
        torch.testing.assert_close(value, torch.zeros_like(value), **CLOSE)


def test_nothing_to_compare_with_and_a_target_far_off(implementation):
    # Of two modalities one has no negative; the target's similarity there is -150.
    case = Case(modalities=2, positions=1, candidates=3)
    case.queries = [torch.full((1, 1), 150.0).requires_grad_() for _ in range(2)]
    case.items = [torch.tensor([[-1.0], [0.5], [0.2]]).requires_grad_() for _ in range(2)]
    case.weights = torch.ones(2, requires_grad=True)
    case.targets = torch.tensor([0])
    case.present = [torch.ones(3, dtype=torch.bool), torch.tensor([True, False, False])]
    loss = case.loss(implementation, pool=torch.tensor([1, 2]))
    assert torch.isfinite(loss)
    assert all(torch.isfinite(gradient).all() for gradient in case.gradients(loss))


@pytest.mark.parametrize("missing", [0, 1])
def test_sampled_with_a_modality_that_nobody_has(missing, implementation):
    case = Case(modalities=2, seed=11)
    case.present[missing] = torch.zeros(5, dtype=torch.bool)
    assert_same(case, case.loss(implementation, pool=torch.arange(5)), case.expected())


def test_sampled_with_negatives_that_all_lack_a_modality(implementation):
    case = Case(modalities=2, candidates=5, seed=12)
    case.present[1] = torch.tensor([True, False, False, False, True])
    case.targets = torch.tensor([0, 1, 2, 4])
    pool = torch.tensor([1, 2, 3])
    loss = case.loss(implementation, pool=pool)
    assert torch.isfinite(loss)
    assert_same(case, loss, case.loss("plain", pool=pool))


@pytest.mark.parametrize("name", ["two modalities", "absent vectors", "many absent vectors"])
def test_sampled_gradcheck(name):
    case = CASES[name]
    loss = partial(loss_of_leaves, case, pool=torch.tensor([0, 3, 3, 1]))
    assert torch.autograd.gradcheck(loss, (*case.leaves,))


@pytest.mark.parametrize("seed", range(20))
def test_chunked_is_plain_on_random_cases(seed, monkeypatch):
    monkeypatch.setattr(chunked_loss, "CHUNK_POSITIONS", 1 + seed % 5)
    monkeypatch.setattr(chunked_loss, "CHUNK_ELEMENTS", 1)
    case = Case(1 + seed % 3, 11, 2 + seed, absent=0.1 * (seed % 6), seed=seed)
    pool = torch.randint(
        0, 2 + seed, (1 + seed // 2,), generator=torch.Generator().manual_seed(seed)
    )
    for given in (None, pool):
        assert_same(case, case.loss("chunked", pool=given), case.loss("plain", pool=given))


# ---- dtypes, memory, autograd ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2), (torch.float16, 4e-3)]
)
@pytest.mark.parametrize("pool", [None, torch.tensor([0, 7, 7, 3, 12])])
def test_dtypes(dtype, tolerance, pool):
    case = Case(modalities=2, positions=9, candidates=20, absent=0.2, seed=13, scale=0.5)
    expected = case.loss("plain", pool=pool)
    of_expected = case.gradients(expected)
    for name in ("queries", "items"):
        leaves = [each.detach().to(dtype).requires_grad_() for each in getattr(case, name)]
        setattr(case, name, leaves)
    case.weights = case.weights.detach().float().requires_grad_()
    loss = case.loss("chunked", pool=pool)
    # Sums are in float32 whatever the vectors are.
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=tolerance)
    for found, wanted, leaf in zip(case.gradients(loss), of_expected, case.leaves, strict=True):
        assert found.dtype == leaf.dtype
        assert (found.double() - wanted).norm() <= 2 * tolerance * wanted.norm()


@pytest.mark.parametrize("pool", [None, torch.tensor([0, 7, 7, 3, 12])])
def test_mixed_precision(pool):
    case = Case(modalities=2, positions=9, candidates=20, absent=0.2, seed=14, scale=0.5)
    for name in ("queries", "items"):
        leaves = [each.detach().float().requires_grad_() for each in getattr(case, name)]
        setattr(case, name, leaves)
    expected = case.loss("chunked", pool=pool)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = case.loss("chunked", pool=pool)
    assert loss.dtype == torch.float32
    assert loss.item() != expected.item()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-2)
    pairs = zip(case.gradients(loss), case.gradients(expected), strict=True)
    for found, wanted in pairs:
        assert found.dtype == wanted.dtype
        assert (found - wanted).norm() <= 3e-2 * wanted.norm()


def test_half_precision_does_not_overflow():
    # Many candidates that point the same way: the sum of their exponentials is beyond float16.
    generator = torch.Generator().manual_seed(20)
    items = torch.randn(50_000, 4, generator=generator) * 0.1 + 2.0
    query = torch.randn(3, 4, generator=generator).requires_grad_()
    items.requires_grad_()
    found = []
    for enabled in (False, True):
        with torch.autocast("cpu", dtype=torch.float16, enabled=enabled):
            loss = mixture_cross_entropy(
                [query], [items], torch.tensor([0, 1, 2]), torch.ones(1), implementation="chunked"
            )
        found.append(torch.autograd.grad(loss, [query, items]))
    for exact, half in zip(*found, strict=True):
        assert torch.isfinite(half).all()
        assert (half - exact).norm() <= 0.02 * exact.norm()


class LargestTensor(TorchDispatchMode):
    """Notes the number of elements of the largest tensor that any operation returns."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for each in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(each, Tensor):
                self.elements = max(self.elements, each.numel())
        return result


@pytest.mark.parametrize("sampled", [True, False])
def test_memory_does_not_grow_with_positions_times_candidates(sampled, monkeypatch):
    monkeypatch.setattr(chunked_loss, "CHUNK_ELEMENTS", 1)
    monkeypatch.setattr(chunked_loss, "CHUNK_POSITIONS", 4)
    case = Case(modalities=2, positions=300, candidates=500, seed=15)
    pool = torch.arange(0, 500, 2) if sampled else None
    largest = {}
    for name in ("plain", "chunked"):
        with LargestTensor() as mode:
            case.gradients(case.loss(name, pool=pool))
        largest[name] = mode.elements
    matrix = 300 * (250 if sampled else 500)
    assert largest["plain"] >= matrix
    assert largest["chunked"] <= max(4 * 500, 500 * 4)


def test_frozen_vectors_get_no_gradient():
    case = Case(modalities=2, seed=16)
    case.items[1].requires_grad_(False)
    case.queries[0].requires_grad_(False)
    for pool in (None, torch.tensor([0, 1])):
        loss = case.loss("chunked", pool=pool)
        found = torch.autograd.grad(loss, [case.queries[1], case.items[0], case.weights])
        wanted = torch.autograd.grad(
            case.loss("plain", pool=pool), [case.queries[1], case.items[0], case.weights]
        )
        for ours, plain in zip(found, wanted, strict=True):
            torch.testing.assert_close(ours, plain, **CLOSE)


def test_without_gradients():
    case = Case(modalities=2, seed=17)
    with torch.no_grad():
        loss = case.loss("chunked")
    assert not loss.requires_grad
    torch.testing.assert_close(loss, case.expected().detach(), **CLOSE)


def test_a_second_backward_pass_is_refused():
    case = Case(seed=18)
    loss = case.loss("chunked")
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="inplace operation"):
        loss.backward()


def test_nan_is_passed_on(implementation):
    # The trainer looks for it in the loss.
    case = Case(seed=19)
    case.queries[0] = torch.full_like(case.queries[0], torch.nan)
    assert case.loss(implementation).isnan()
