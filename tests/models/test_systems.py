"""What holds for every other system: no state looks ahead, and every parameter is trained."""

import pytest
import torch

from tests.models.histories import rows_of

SYSTEMS = {
    "ABXI": {},
    "C2DSR": {"n_graph_layers": 2, "positions": "start"},
    "C2DSR, positions from the end": {"positions": "end"},
    "GRU4RecWindows": {},
    "MIFN": {},
    "PSJNet": {"variant": "II"},
    "PSJNet, variant I": {"variant": "I"},
    "PiNet": {},
    "SASRecWindows": {"positions": "start"},
    "SASRecWindows, positions from the end": {"positions": "end"},
    "TriCDR": {"positions": "start"},
    "TriCDR, positions from the end": {"positions": "end"},
}

MIXED = {
    **SYSTEMS,
    "LLMEMF": {},
    "TEMA, tags that start at random": {"tag_vectors": "random"},
    "TEMA, tags that start from text": {"tag_vectors": "text"},
    "TEMA, a sample": {"tag_vectors": "text", "n_negatives": 6},
    "TEMA, a mixture of cosines": {"fusion": "mixture", "similarity": "cosine"},
    "TEMA, a sum of scores": {"fusion": "score"},
    "TEMA, tags as a gate": {"tag_fusion": "gate"},
    "TEMA, tags apart": {"tag_fusion": "modality"},
    "TEMA, calendar time": {"time_knots": 4, "view_join": "log_probabilities"},
}


@pytest.fixture(params=SYSTEMS)
def settings(request):
    """The name of a system and its settings."""
    return request.param.split(",")[0], SYSTEMS[request.param]


def test_no_query_looks_ahead(build, batch, tiny_dataset, settings):
    """Other items change the queries from their event on, and none before it.

    Each domain has as many of them, as positions may count from the end.
    """
    name, more = settings
    model = build(name, tiny_dataset(), **more)
    for domain in (0, 1):
        found = []
        with torch.no_grad():
            for later in ([3, 16], [17, 4]):
                fields = batch([([1, 14, 2, 15, *later], 5)])
                states = model.encode(fields, model.events_of(fields))
                found.append(model.queries(states, domain, torch.arange(6)))
        difference = (found[0] - found[1]).abs().amax(dim=1)
        assert difference[:4].max() < 1e-12
        assert difference[4:].min() > 1e-6


def test_gradients_reach_every_parameter(build, batch, tiny_dataset, settings):
    name, more = settings
    tiny = tiny_dataset()
    model = build(name, tiny, **more)
    model.calculate_loss(batch(rows_of(tiny))).backward()
    gradients = {key: each.grad for key, each in model.named_parameters()}
    assert [key for key, each in gradients.items() if each is None or not each.any()] == []
    assert all(each.isfinite().all() for each in gradients.values())


@pytest.mark.parametrize(
    ("n_negatives", "candidates", "drawn"),
    [(11, "domain", [11, 11]), (12, "domain", []), (12, "all", [12] * 3), (21, "all", [])],
)
def test_a_sample_as_large_as_the_candidates_is_all_of_them(
    build, tiny_dataset, n_negatives, candidates, drawn
):
    """Of 12 and 9 items."""
    model = build("ABXI", tiny_dataset(), n_negatives=n_negatives, loss_candidates=candidates)
    assert [len(pool) for pool in model.draw_negatives()] == drawn


@pytest.mark.parametrize("dropout", [0.0, 0.2])
@pytest.mark.parametrize("choice", MIXED)
def test_mixed_precision_is_near_the_whole_one(build, batch, tiny_dataset, choice, dropout):
    tiny = tiny_dataset()
    of_model = {"hidden_dropout_prob": dropout, "dropout_prob": dropout}
    model = build(choice.split(",")[0], tiny, **MIXED[choice], **of_model).float().train()
    fields = batch(rows_of(tiny))
    fields["timestamp_list"] = fields["timestamp_list"].float()
    torch.manual_seed(1)
    whole = model.calculate_loss(fields).item()
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model.calculate_loss(fields)
    mixed.backward()
    gradients = [each.grad for each in model.parameters() if each.grad is not None]
    assert gradients
    assert all(each.isfinite().all() for each in gradients)
    assert mixed.item() == pytest.approx(whole, rel=0.1)
