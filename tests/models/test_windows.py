"""RecBole's models trained at every position: the same states and loss as prefix by prefix."""

import subprocess
import sys

import pytest
import torch

from recbole_tema.data.dataset import CrossDomainDataset

SETTINGS = {
    "SASRec": {"hidden_size": 8, "inner_size": 12, "n_layers": 2, "n_heads": 2},
    "GRU4Rec": {"embedding_size": 6, "hidden_size": 8, "num_layers": 2},
}
PLAIN = {"n_negatives": 0, "loss_candidates": "all", "temperature": 1.0, "positions": "start"}
# Item ids; 1-12 are of the first domain, 13-21 of the second.
ROWS = [([1, 13, 2, 2, 14], 3), ([15], 4), ([20, 21, 1], 16), ([5, 6], 7)]


@pytest.fixture(params=["SASRec", "GRU4Rec"])
def pair(request, config_of, tiny_dataset):
    """RecBole's model and the same, with the same weights, over whole histories."""
    tiny, name = tiny_dataset(), request.param
    models = []
    for model, more in ((name, {}), (f"{name}Windows", PLAIN)):
        settings = {**SETTINGS[name], **more, "MAX_ITEM_LIST_LENGTH": 6}
        config = config_of(model, tiny, **settings)
        models.append(config.model_class(config, CrossDomainDataset(config)).double().eval())
    recbole, ours = models
    with torch.no_grad():
        for parameter in recbole.parameters():
            parameter.copy_(0.6 * torch.randn_like(parameter))
    ours.load_state_dict(recbole.state_dict())
    return recbole, ours


def test_the_loss_is_the_mean_over_all_prefixes(pair, batch):
    recbole, ours = pair
    losses = []
    for inputs, target in ROWS:
        following = [*inputs[1:], target]
        for end in range(1, len(inputs) + 1):
            fields = batch([(inputs[:end], following[end - 1])], width=6)
            with torch.no_grad():
                scores = recbole.full_sort_predict(fields).flatten()
            # RecBole's softmax holds the padding item too, which nobody can buy.
            losses.append(-scores[1:].log_softmax(0)[following[end - 1] - 1])
    with torch.no_grad():
        loss = ours.calculate_loss(batch(ROWS))
    torch.testing.assert_close(loss, torch.stack(losses).mean(), rtol=1e-9, atol=1e-12)


def test_the_loss_over_the_targets_domain_leaves_the_other_out(pair, batch):
    recbole, ours = pair
    ours.among_all = False
    fields = batch([([1, 13], 14)])
    with torch.no_grad():
        first = recbole.full_sort_predict(batch([([1], 13)], width=6)).flatten()
        second = recbole.full_sort_predict(batch([([1, 13], 14)], width=6)).flatten()
        losses = [-first[13:].log_softmax(0)[0], -second[13:].log_softmax(0)[1]]
        torch.testing.assert_close(ours.calculate_loss(fields), sum(losses) / 2)


def test_scores_are_recboles(pair, batch):
    recbole, ours = pair
    fields = batch(ROWS)
    with torch.no_grad():
        expected = recbole.full_sort_predict(fields)
        for domain, (start, stop) in enumerate(ours.candidate_ranges[:2]):
            found = ours.domain_scores(fields, domain)
            torch.testing.assert_close(found, expected[:, start:stop], rtol=1e-9, atol=1e-12)


def test_the_temperature_divides(pair, batch):
    _, ours = pair
    fields = batch(ROWS)
    with torch.no_grad():
        plain = ours.domain_scores(fields, 0)
        ours.temperature = 0.5
        torch.testing.assert_close(ours.domain_scores(fields, 0), 2 * plain)


def test_positions_from_the_end_are_recboles_with_as_many_in_front(config_of, tiny_dataset, batch):
    """Position vectors in reverse are the same model for a row as long as there are vectors."""
    settings = {**SETTINGS["SASRec"], **PLAIN, "MAX_ITEM_LIST_LENGTH": 4}
    models = {}
    for positions in ("start", "end"):
        settings["positions"] = positions
        config = config_of("SASRecWindows", tiny_dataset(), **settings)
        models[positions] = config.model_class(config, CrossDomainDataset(config)).double().eval()
    start, end = models["start"], models["end"]
    end.load_state_dict(start.state_dict())
    assert end.position_embedding.weight.requires_grad
    with torch.no_grad():
        start.position_embedding.weight.normal_()
        end.position_embedding.weight.copy_(start.position_embedding.weight.flip(0))
        rows = batch([([1, 13, 2, 14], 3), ([20, 21, 1, 15], 16)], width=4)
        torch.testing.assert_close(end.calculate_loss(rows), start.calculate_loss(rows))
        # A shorter row has its last event at the same place, so elsewhere for the other model.
        short = batch([([1, 13], 2)], width=4)
        assert not torch.allclose(end.calculate_loss(short), start.calculate_loss(short))
        start.position_embedding.weight.copy_(end.position_embedding.weight[[1, 0, 2, 3]])
        torch.testing.assert_close(end.calculate_loss(short), start.calculate_loss(short))


def test_importing_them_does_not_slow_torch_down():
    """RecBole's models, once imported, leave anomaly detection switched on."""
    code = (
        "import torch, recbole_tema.models.windows as windows\n"
        "print(windows.SASRec.__module__, torch.is_anomaly_enabled())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["recbole.model.sequential_recommender.sasrec", "False"]
