"""Two processes and one: the same gradients, the same ranks, each case once."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from recbole.utils import init_seed
from torch.distributed.tensor import DTensor

from recbole_tema import distributed
from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.data.loaders import data_preparation
from recbole_tema.distributed import process_group, sum_over_processes
from recbole_tema.evaluation.ranker import CaseRanker
from recbole_tema.launch import ProcessSettings, in_processes
from recbole_tema.models.sharding import shard_items, shards_items
from recbole_tema.models.slices import gathered
from recbole_tema.training.checkpoint import load_checkpoint
from recbole_tema.training.run import train_and_rank
from recbole_tema.training.sharing import SharedLoss, shareable
from recbole_tema.training.trainer import trainer_class

MODES = ["full", "uni4", "unseen"]
EPOCHS = 2
SMALL = {
    "MAX_ITEM_LIST_LENGTH": 5,
    "eval_batch_size": 7,
    "show_progress": False,
    "checkpoint_dir": "saved",
    "gpu_id": "",
    "clip_grad_norm": {"max_norm": 0.5},
}
# The last batch is a single row: 28 windows, 126 prefixes, 126 events.
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attn_dropout_prob": 0.0}
TEMA = {**NO_DROPOUT, "embedding_size": 8, "inner_size": 12, "train_batch_size": 9}
SIZES = {"hidden_size": 8, "inner_size": 12, "n_heads": 2, "n_layers": 1}
SASREC = {**NO_DROPOUT, **SIZES, "train_batch_size": 5}
SLICES = {"n_negatives": 6, "shard_items": True, "clip_grad_norm": None}
OTHERWISE = {
    "fusion": "mixture",
    "merged_candidates": "all",
    "similarity": "cosine",
    "feature_projection": "none",
}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "every item": ("TEMA", {**TEMA, "n_negatives": 0}),
    "negatives": ("TEMA", {**TEMA, "n_negatives": 6, "fusion": "mixture", "seed": 1}),
    "slices": ("TEMA", {**TEMA, **SLICES, "seed": 2}),
    "slices of a mixture": ("TEMA", {**TEMA, **OTHERWISE, **SLICES, "seed": 3}),
    "cross-entropy": ("SASRec", SASREC),
    "pairs": ("BPR", {"embedding_size": 8, "train_batch_size": 5}),
    "counts": ("Pop", {}),
}


def everything(folder: Path) -> dict[str, dict[str, Any]]:
    """What each model learns and ranks, by however many processes there are."""
    os.chdir(folder)
    torch.set_num_threads(1)
    with process_group():
        return {name: outcome(*asked, folder) for name, asked in MODELS.items()}


def outcome(model_name: str, settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Ranks before training, losses and weights of some epochs, ranks of the best weights."""
    from recbole_tema.config import TEMAConfig

    settings = {**SMALL, **settings, "data_path": str(folder / "dataset"), "epochs": EPOCHS}
    config = TEMAConfig(model_name, "tiny", config_dict=settings)
    train, valid, test = data_preparation(config, CrossDomainDataset(config))
    batches = [batch for _ in range(EPOCHS) for batch in train]
    torch.manual_seed(1)
    model = config.model_class(config, train._dataset).double()
    if shards_items(config, model):
        shard_items(config, model)
    if train._sampler is not None:
        train._sampler.sample_by_user_ids = some_negatives
    if config["n_negatives"]:
        model.draw_negatives = lambda: [
            start + torch.arange(0, 12, 2) % (stop - start)
            for start, stop in model.candidate_ranges
        ]
    trainer = trainer_class(config)(config, model)
    trainer.valid_metric = "ndcg@10"
    ranker, valid_ranker = CaseRanker(test, MODES, 3), CaseRanker(valid, MODES[:1], 2)
    untrained = None
    if model_name != "Pop":
        untrained = ranker.ranks(model, config["device"])
    train.generator.manual_seed(4)
    trainer.fit(train, valid_ranker, verbose=False, show_progress=False)
    weights = {
        name: gathered(value.detach()).numpy().copy()
        for name, value in trainer.model.named_parameters()
    }
    if model_name == "Pop":
        weights = {"counts": model.item_cnt.numpy().copy()}
    of_all = {name: sum_over_processes(value) for name, value in weights.items()}
    return {
        "rows": [len(batch) for batch in batches],
        "untrained": untrained,
        "losses": list(trainer.train_loss_dict.values()),
        "weights": weights,
        # Zero where the processes have the same.
        "apart": max(
            np.abs(of_all[name] - distributed.world_size() * value).max()
            for name, value in weights.items()
        ),
        "best": trainer.ranks(ranker),
        "resumed": resumed(config, model, trainer.files.last),
        "kept": {
            name: held_by(value)
            for name, value in (*model.named_parameters(), *model.named_buffers())
        },
        "optimised": [held_by(state["exp_avg"]) for state in trainer.optimizer.state.values()],
    }


def resumed(config: Any, model: Any, file: Path) -> list[np.ndarray]:
    """The first moments of a new optimizer that goes on from a checkpoint."""
    trainer = trainer_class(config)(config, model)
    trainer.resume_checkpoint(file)
    states = trainer.optimizer.state_dict()["state"]
    return [gathered(states[number]["exp_avg"]).numpy() for number in sorted(states)]


def held_by(value: torch.Tensor) -> tuple[int, int]:
    """How many numbers a tensor has, and how many of them this process keeps."""
    own = value.to_local() if isinstance(value, DTensor) else value
    return value.numel(), own.numel()


def some_negatives(users: np.ndarray, items: np.ndarray, number: int) -> torch.Tensor:
    """Negatives that depend on nothing but the row."""
    return torch.from_numpy(np.tile((np.asarray(users) + np.asarray(items)) % 20 + 1, number))


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory, tiny_dataset_in) -> dict[int, dict[str, dict[str, Any]]]:
    """By one process and by two."""
    here = Path.cwd()
    found = {}
    for number in (1, 2):
        folder = tmp_path_factory.mktemp(f"by_{number}")
        tiny_dataset_in(folder / "dataset")
        try:
            found[number] = in_processes(ProcessSettings(number, number), everything, folder)
        finally:
            os.chdir(here)
        found[number]["folder"] = folder
    return found


LEARNERS = [name for name in MODELS if name != "counts"]


@pytest.mark.parametrize("name", LEARNERS)
def test_two_processes_learn_what_one_learns(outcomes, name):
    one, two = outcomes[1][name], outcomes[2][name]
    # The batches are uneven, and of the last one, a single row, the second process has nothing.
    assert one["rows"][-1] == 1
    assert two["rows"] == [-(-rows // 2) for rows in one["rows"]]
    assert two["losses"] == pytest.approx(one["losses"], rel=1e-12)
    assert two["apart"] == 0
    for parameter, weights in one["weights"].items():
        np.testing.assert_allclose(two["weights"][parameter], weights, rtol=1e-9, atol=1e-12)
    changed = [np.ptp(each) for each in one["weights"].values()]
    assert max(changed) > 0


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("mode", MODES)
def test_two_processes_rank_as_one_for_the_same_weights(outcomes, name, mode):
    one, two = (outcomes[number][name]["untrained"][mode] for number in (1, 2))
    assert len(one) % 7  # the last batch is short
    assert (one >= 1).all()
    assert np.array_equal(one, two)


def test_what_is_counted_is_counted_once(outcomes):
    one, two = (outcomes[number]["counts"] for number in (1, 2))
    assert one["weights"]["counts"].sum() == one["rows"][0] == two["rows"][0] == 126
    assert np.array_equal(one["weights"]["counts"], two["weights"]["counts"])
    assert all(np.array_equal(one["best"][mode], two["best"][mode]) for mode in MODES)


@pytest.mark.parametrize("name", LEARNERS)
def test_all_processes_go_on_from_a_checkpoint(outcomes, name):
    one, two = (outcomes[number][name]["best"] for number in (1, 2))
    for mode in MODES:
        assert np.array_equal(one[mode], two[mode])
    moments = (outcomes[number][name]["resumed"] for number in (1, 2))
    for of_one, of_two in zip(*moments, strict=True):
        np.testing.assert_allclose(of_two, of_one, rtol=1e-9, atol=1e-12)


def test_each_process_keeps_a_slice_of_the_items_and_of_what_optimises_them(outcomes):
    two = outcomes[2]["slices of a mixture"]
    sliced = {name: each for name, each in two["kept"].items() if each[0] != each[1]}
    assert sliced == {
        "streams.id.modalities.0.embedding.weight": (22 * 8, 11 * 8),
        "streams.image.modalities.0.frozen": (22 * 4, 11 * 4),
        "streams.text.modalities.0.frozen": (22 * 6, 11 * 6),
    }
    assert two["optimised"].count((22 * 8, 11 * 8)) == 1
    assert all(of_all == own for of_all, own in outcomes[1]["slices"]["kept"].values())


def test_only_the_first_process_writes(outcomes):
    written = []
    for number in (1, 2):
        folder = outcomes[number]["folder"]
        files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        written.append(Counter(path.parts[0] for path in files))
    assert written[0] == written[1]
    assert written[0]["saved"] == 2 * len(MODELS)  # the best and the last of each


def test_a_checkpoint_has_whole_tables(outcomes):
    (file,) = outcomes[2]["folder"].glob("saved/TEMA-tiny-3-*-best.pth")
    weights = load_checkpoint(file, torch.device("cpu"))["state_dict"]
    assert weights["streams.id.modalities.0.embedding.weight"].shape == (22, 8)


# ---- what cannot be shared -----------------------------------------------------------------------


@pytest.fixture
def of_many(monkeypatch):
    """As if this process were one of 40."""
    monkeypatch.setattr(distributed, "world_size", lambda: 40)


def test_more_processes_than_cases_are_refused(config_of, tiny_dataset, of_many):
    config = config_of("TEMA", tiny_dataset())
    with pytest.raises(
        ValueError, match=r"world_size: 40 processes for .* cases; start at most 28"
    ):
        train_and_rank(config, CrossDomainDataset(config))


def test_a_trainer_of_two_optimizers_is_refused(config_of, tiny_dataset, of_many):
    config = config_of("RecVAE", tiny_dataset())
    with pytest.raises(ValueError, match="RecVAE trains its parts in turns"):
        trainer_class(config)


@pytest.fixture
def group_of_one(monkeypatch):
    """A group that this process is alone in."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize("name", ["CDAE", "ENMF", "BERT4Rec"])
def test_a_loss_that_is_no_mean_over_rows_is_refused(config_of, tiny_dataset, group_of_one, name):
    # Sums over rows, and a mean over masked positions.
    shared, batch = shared_loss(config_of(name, tiny_dataset()))
    with pytest.raises(ValueError, match=f"{name}: its loss is no mean over the rows of a batch"):
        shared(batch)


@pytest.mark.parametrize("name", ["BPR", "NeuMF", "SASRec", "GRU4Rec", "NARM", "FPMC", "TEMA"])
def test_a_mean_over_rows_is_shared(config_of, tiny_dataset, group_of_one, name):
    shared, batch = shared_loss(config_of(name, tiny_dataset()))
    state = torch.random.get_rng_state()
    alone = shared._model.calculate_loss(batch)
    torch.random.set_rng_state(state)
    # The trial leaves dropout and the random numbers as they were.
    torch.testing.assert_close(shared(batch), alone)


def shared_loss(config: Any) -> tuple[SharedLoss, Any]:
    """The shared loss of a new model, and its first batch, the same in every run."""
    # Else BERT4Rec masks as many positions in one half of a batch as in the other now and then.
    init_seed(config["seed"], config["reproducibility"])
    train, _, _ = data_preparation(config, CrossDomainDataset(config))
    model = config.model_class(config, train._dataset)
    return SharedLoss(model), next(iter(train))


def test_normalising_over_the_batch_is_refused_on_processors(config_of, tiny_dataset, of_many):
    config = config_of("BPR", tiny_dataset())
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    with pytest.raises(ValueError, match=r"BPR normalises over the rows.*nproc: 1"):
        shareable(config, model)
    assert shareable(config, model[0]) is model[0]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"n_negatives": 0}, "shard_items: takes a sampled loss"),
        ({"clip_grad_norm": {"max_norm": 1.0}}, "shard_items: torch cannot clip"),
    ],
)
def test_what_needs_whole_tables_is_refused(config_of, tiny_dataset, settings, expected):
    config = config_of("TEMA", tiny_dataset(), shard_items=True, **settings)
    model = config.model_class(config, CrossDomainDataset(config))
    assert not shards_items(config, model)  # a single process
    with pytest.raises(ValueError, match=expected):
        shard_items(config, model)


def test_slices_are_asked_for_by_true_or_false(config_of, tiny_dataset):
    config = config_of("TEMA", tiny_dataset(), shard_items="no")
    model = config.model_class(config, CrossDomainDataset(config))
    with pytest.raises(ValueError, match="shard_items: expected True or False, got 'no'"):
        shards_items(config, model)
