"""What our models learn and what not, sampled candidates, batches, and scores that stay fresh."""

import numpy as np
import pytest
import torch

from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.models.layers import Packing
from recbole_tema.models.views import Events

# The models are in float64, but temperature and weights were made from float32 logarithms.
CLOSE = {"rtol": 1e-6, "atol": 1e-9}
FUSIONS = ("mixture", "score", "early")
WEIGHTS = {
    "train_view_weights": [1.0, 0.4, 0.7],
    "score_view_weights": [0.9, 0.3, 0.5],
    "modality_weights": {"id": 0.5, "image": 0.2, "text": 0.3, "tag": 0.6},
}


# ---- sampled candidates ----------------------------------------------------------------------


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("merged", ["domain", "all"])
def test_sampling_every_item_is_the_full_loss(
    tiny_dataset, build, batch, monkeypatch, fusion, merged
):
    tiny = tiny_dataset()
    settings = {"fusion": fusion, "merged_candidates": merged, **WEIGHTS}
    full = build("LLMEMF", tiny, **settings)
    sampled = build("LLMEMF", tiny, n_negatives=7, **settings)
    pools = [torch.randperm(stop - start) + start for start, stop in ((1, 13), (13, 22), (1, 22))]
    monkeypatch.setattr(sampled, "draw_negatives", lambda: pools)
    rows = batch([([1, 14, 3, 17], 5), ([20], 2), ([4, 4, 13], 13)])
    torch.testing.assert_close(sampled.calculate_loss(rows), full.calculate_loss(rows), **CLOSE)


def test_negatives_come_from_the_whole_domain_of_the_target(tiny_dataset, build):
    model = build("LLMEMF", tiny_dataset(), n_negatives=8, untrained_negatives=True)
    assert [len(pool) for pool in model.draw_negatives()] == [8, 8]
    model.n_negatives = 400
    food, kitchen = model.draw_negatives()[:2]
    assert set(food.tolist()) == set(range(1, 13))
    assert set(kitchen.tolist()) == set(range(13, 22))


@pytest.mark.parametrize(
    ("n_negatives", "settings", "drawn"),
    [
        (11, {}, [11, 11]),
        (12, {}, []),
        (12, {"merged_candidates": "all"}, [12, 12, 12]),
        (11, {"merged_candidates": "all", "view_join": "vectors"}, [11, 11]),
        (21, {"merged_candidates": "all"}, []),
        (12, {"shard_items": True}, [12, 12]),
    ],
)
def test_a_sample_as_large_as_the_candidates_is_all_of_them(
    tiny_dataset, build, n_negatives, settings, drawn
):
    """Of 12 and 9 items; slices of tables take a sample in any case."""
    model = build("LLMEMF", tiny_dataset(), n_negatives=n_negatives, **settings)
    assert [len(pool) for pool in model.draw_negatives()] == drawn


def test_a_sampled_loss_has_finite_gradients(tiny_dataset, build, batch):
    absent = {"image": tuple(f"k{n}" for n in range(1, 10))}
    settings = {"learn_modality_weights": True, "learn_temperature": True, "fusion": "mixture"}
    model = build("TEMA", tiny_dataset(absent=absent), n_negatives=5, **settings, **WEIGHTS)
    rows = batch([([1, 14, 3, 17], 5), ([20], 2), ([4, 4, 13], 13)])
    for _ in range(5):
        model.zero_grad()
        model.calculate_loss(rows).backward()
        assert all(
            torch.isfinite(each.grad).all() for each in model.parameters() if each.grad is not None
        )


# ---- what may and what may not be learned ----------------------------------------------------


def test_frozen_features_are_neither_trained_nor_saved(tiny_dataset, build, batch):
    model = build("LLMEMF", tiny_dataset(), fusion="mixture")
    kept = {n: model.streams[n].modalities[0].frozen.clone() for n in ("text", "image")}
    trained = [tuple(parameter.shape) for parameter in model.parameters()]
    assert (22, 6) not in trained
    assert (22, 4) not in trained
    assert not any("frozen" in name for name in model.state_dict())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model.calculate_loss(batch([([1, 14, 3], 5), ([20], 2)])).backward()
        optimizer.step()
    for name, before in kept.items():
        frozen = model.streams[name].modalities[0].frozen
        assert torch.equal(frozen, before)
        assert not frozen.requires_grad


@pytest.mark.parametrize("trainable", [True, False])
def test_tag_vectors_start_from_the_texts_of_the_tags(tiny_dataset, config_of, trainable):
    tiny = tiny_dataset()
    config = config_of("TEMA", tiny, train_tag_embedding=trainable, tag_vectors="text")
    model = config.model_class(config, CrossDomainDataset(config))
    embedding = next(module for module in model.modules() if type(module).__name__ == "TagModality")
    names = sorted(tiny.vectors["tag"])
    assert not embedding.embedding.weight[0].any()
    for row, name in zip(embedding.embedding.weight[1:], names, strict=True):
        assert np.array_equal(row.detach().numpy(), tiny.vectors["tag"][name])
    assert embedding.embedding.weight.requires_grad == trainable


@pytest.mark.parametrize("views", [["single"], ["merged"]])
def test_only_the_views_that_are_on_learn(tiny_dataset, build, batch, views):
    model = build("LLMEMF", tiny_dataset(), views=views)
    model.calculate_loss(batch([([1, 14, 3, 13], 5), ([20, 2], 21)])).backward()
    for view, encoders in enumerate(model.encoders):
        learns = any(each.grad is not None for each in encoders.parameters())
        assert learns == (("merged" in views) if view == 2 else ("single" in views))


@pytest.mark.parametrize("learned", [True, False])
def test_temperature_and_weights_learn_only_if_told_to(tiny_dataset, build, batch, learned):
    settings = {"learn_temperature": learned, "learn_modality_weights": learned}
    model = build("LLMEMF", tiny_dataset(), fusion="mixture", **settings)
    model.calculate_loss(batch([([1, 14, 3], 5)])).backward()
    for parameter in (model.log_temperature, model.modality_weights):
        assert parameter.requires_grad == learned
        assert (parameter.grad is not None and bool(parameter.grad.any())) == learned


# ---- batches ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_padding_and_company_change_no_score(tiny_dataset, build, batch, dtype):
    model = build("TEMA", tiny_dataset()).to(dtype)
    rows = [([1, 14, 3], 5), ([20], 2), ([4, 5, 6, 7, 13, 14], 15), ([21, 20], 20)]
    with torch.no_grad():
        for domain in (0, 1):
            together = model.domain_scores(batch(rows, width=6), domain)
            for at, row in enumerate(rows):
                alone = model.domain_scores(batch([row]), domain)
                torch.testing.assert_close(alone[0], together[at], rtol=1e-5, atol=1e-6)


def test_a_loss_is_the_mean_over_all_positions_of_a_batch(tiny_dataset, build, batch):
    model = build("LLMEMF", tiny_dataset())
    rows = [([1, 14, 3], 5), ([20], 2), ([4, 5, 6, 7, 13, 14], 15)]
    sizes = [len(inputs) for inputs, _ in rows]
    apart = sum(model.calculate_loss(batch([row])) * n for row, n in zip(rows, sizes, strict=True))
    torch.testing.assert_close(model.calculate_loss(batch(rows)), apart / sum(sizes), **CLOSE)


@pytest.mark.parametrize(
    # From the end a state knows how many events of its view follow, but not which.
    ("positions", "followed"),
    [("start", []), ("none", []), ("end", [17, 4, 18])],
)
def test_what_follows_does_not_change_earlier_states(tiny_dataset, build, positions, followed):
    model = build("LLMEMF", tiny_dataset(), positions=positions)
    tables, _ = model._item_tables()

    def states(items):
        packing = Packing.of(torch.ones(1, len(items), dtype=torch.bool))
        views = model.encode(Events(torch.tensor(items), packing), tables)
        return {
            (view, at): [state[found.last[at]] for state in found.states]
            for view, found in views.items()
            for at in range(3)
            if found.last[at] >= 0
        }

    some, others = states([1, 14, 3, *followed]), states([1, 14, 3, 15, 2, 16])
    assert set(some) == set(others)
    assert len(some) == 3 + 3 + 2, "both views of the first item's domain and the merged one"
    for key, expected in some.items():
        for found, state in zip(others[key], expected, strict=True):
            torch.testing.assert_close(found, state, **CLOSE)


def test_the_batch_is_left_as_it_was(tiny_dataset, build, batch):
    model = build("TEMA", tiny_dataset())
    fields, copy = (batch([([1, 14, 3], 5), ([20], 2)]) for _ in range(2))
    model.calculate_loss(fields)
    model.full_sort_predict(fields)
    for name in fields.columns:
        assert torch.equal(fields[name], copy[name])


# ---- scores ----------------------------------------------------------------------------------


def test_full_sort_predict_and_predict_are_domain_scores(tiny_dataset, build, batch):
    model = build("TEMA", tiny_dataset())
    rows = [([1, 14, 3], 5), ([20], 2), ([4], 15)]
    fields = batch(rows)
    with torch.no_grad():
        food, kitchen = (model.domain_scores(fields, domain) for domain in (0, 1))
        full = model.full_sort_predict(fields).view(3, 22)
        assert torch.equal(full[:, 1:13], food)
        assert torch.equal(full[:, 13:], kitchen)
        assert (full[:, 0] == -torch.inf).all()
        assert model.predict(fields).tolist() == [full[0, 5], full[1, 2], full[2, 15]]


def test_probabilities_of_a_domain_sum_to_the_weights_of_the_views(tiny_dataset, build, batch):
    weights = {"score_view_weights": [0.9, 0.3, 0.5]}
    model = build("LLMEMF", tiny_dataset(), **weights)
    with torch.no_grad():
        scores = model.domain_scores(batch([([1, 14, 3], 5), ([20, 21], 2)]), 0)
    # The second history has no food, so that its own view (0.9) contributes nothing.
    torch.testing.assert_close(scores.sum(dim=1), torch.tensor([1.7, 0.8]).double(), **CLOSE)


@pytest.mark.parametrize("change", ["a step", "loading", "in place"])
def test_scores_follow_every_change_of_the_parameters(tiny_dataset, build, batch, change):
    tiny = tiny_dataset()
    model, other = build("LLMEMF", tiny), build("LLMEMF", tiny)
    fields = batch([([1, 14, 3], 5)])
    with torch.no_grad():
        before = model.domain_scores(fields, 0)
        assert torch.equal(model.domain_scores(fields, 0), before)
    if change == "a step":
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
        model.calculate_loss(fields).backward()
        optimizer.step()
    with torch.no_grad():
        if change == "in place":
            ids = model.stream_list[0].modalities[0].embedding.weight
            ids.add_(torch.randn_like(ids))
        elif change == "loading":
            for parameter in other.parameters():
                parameter.mul_(1.5)
            model.load_state_dict(other.state_dict())
        # One that has never scored anything cannot remember it.
        fresh = build("LLMEMF", tiny)
        fresh.load_state_dict(model.state_dict())
        after = model.domain_scores(fields, 0)
        assert not torch.allclose(after, before)
        assert torch.equal(after, fresh.domain_scores(fields, 0))


# ---- speed -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fusion", ["mixture", "early"])
@pytest.mark.parametrize("n_negatives", [0, 5])
def test_the_loss_by_another_implementation(tiny_dataset, build, batch, fusion, n_negatives):
    rows = batch([([1, 14, 3, 17], 5), ([20], 2), ([4, 4, 13], 13)])
    found = []
    for implementation in ("plain", "chunked"):
        torch.manual_seed(1)
        model = build(
            "TEMA",
            tiny_dataset(),
            fusion=fusion,
            n_negatives=n_negatives,
            loss_implementation=implementation,
            **WEIGHTS,
        )
        torch.manual_seed(2)
        loss = model.calculate_loss(rows)
        loss.backward()
        gradients = {
            name: each.grad for name, each in model.named_parameters() if each.grad is not None
        }
        found.append((loss.detach(), gradients))
    (plain, of_plain), (chunked, of_chunked) = found
    torch.testing.assert_close(chunked, plain, **CLOSE)
    assert of_plain.keys() == of_chunked.keys()
    for name, gradient in of_plain.items():
        torch.testing.assert_close(of_chunked[name], gradient, **CLOSE)


def test_compiled_encoders_give_the_same(tiny_dataset, build, batch):
    rows = batch([([1, 14, 3, 17], 5), ([20], 2), ([4, 4, 13], 13)])
    losses = []
    for backend in (None, "aot_eager"):
        torch.manual_seed(1)
        model = build("LLMEMF", tiny_dataset(), torch_compile=backend)
        losses.append(model.calculate_loss(rows))
        assert (model.encoders[0][0]._compiled_call_impl is not None) == (backend is not None)
    torch.testing.assert_close(losses[1], losses[0], **CLOSE)


def test_an_unknown_compiler_is_refused(tiny_dataset, build):
    with pytest.raises(ValueError, match=r"torch_compile: expected ~ or one of .*inductor"):
        build("LLMEMF", tiny_dataset(), torch_compile="gcc")


def test_frozen_features_are_neither_trained_nor_normalised_twice(tiny_dataset, build, batch):
    settings = {"feature_projection": "none", "fusion": "mixture", "similarity": "cosine"}
    model = build("LLMEMF", tiny_dataset(), **settings)
    assert not [name for name, _ in model.named_parameters() if "frozen" in name]
    rows = batch([([1, 14, 3, 17], 5), ([20], 2)])
    model.calculate_loss(rows)
    first = {m: keys for m, (_, keys) in model._fixed_keys.items()}
    assert set(first) == {1, 2}  # image and text
    model.calculate_loss(rows).backward()
    assert all(model._fixed_keys[m][1] is keys for m, keys in first.items())


@pytest.mark.parametrize("fused", [True, False])
def test_scores_follow_the_weights(tiny_dataset, build, batch, fused):
    model = build("LLMEMF", tiny_dataset())
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=fused)
    rows = batch([([1, 14, 3, 17], 5), ([20], 2)])
    with torch.no_grad():
        before = model.domain_scores(rows, 0)
    model.calculate_loss(rows).backward()
    optimizer.step()
    with torch.no_grad():
        after = model.domain_scores(rows, 0)
        fresh = build("LLMEMF", tiny_dataset())
        fresh.load_state_dict(model.state_dict())
        torch.testing.assert_close(after, fresh.domain_scores(rows, 0), **CLOSE)
    assert not torch.allclose(before, after)
