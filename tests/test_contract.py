"""What every model keeps, ours and RecBole's: the same cases and candidates, ranks, checkpoints."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import recbole_tema
from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.data.loaders import data_preparation
from recbole_tema.training.checkpoint import load_checkpoint
from recbole_tema.training.run import train_and_rank
from recbole_tema.training.trainer import trainer_class

OURS = [
    "TEMA", "LLMEMF", "ABXI", "C2DSR", "TriCDR", "PiNet", "PSJNet", "MIFN",
    "SASRecWindows", "GRU4RecWindows",
]  # fmt: skip
# SASRecCPR re-ranks its hundred best items unless told otherwise, more than there are here.
SETTINGS = {"SASRecCPR": {"reranker_CAN_NUM": "5"}}
SEQUENTIAL = [
    "SASRec", "GRU4Rec", "SRGNN", "NARM", "STAMP", "Caser", "BERT4Rec", "FPMC", "LightSANs",
    "CORE", "GCSAN", "HGN", "NextItNet", "SHAN", "SINE", "TransRec", "SASRecCPR",
]  # fmt: skip
pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:recbole\.")

GENERAL = ["Pop", "BPR", "ItemKNN", "NeuMF", "DMF", "EASE", "MultiVAE", "SGL"]
MODELS = [*OURS, *SEQUENTIAL, *GENERAL]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory, tiny_dataset_in):
    root = tmp_path_factory.mktemp("contract")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        yield tiny_dataset_in(root / "dataset")


@pytest.fixture(scope="module")
def trained(tiny, lasting_config_of):
    """``trained(model)``: one epoch of it, once for all tests; ``again=True``: once more."""
    known = {}

    def train(model, again=False, **settings):
        if again or model not in known:
            settings = {**SETTINGS.get(model, {}), **settings}
            config = lasting_config_of(model, tiny, **settings)
            run = train_and_rank(config, CrossDomainDataset(config))
            result = SimpleNamespace(config=config, run=run)
            if again:
                return result
            known[model] = result
        return known[model]

    return train


def parts_of(config):
    """A fresh data set, its loaders, and an untrained model."""
    train, _, test = data_preparation(config, CrossDomainDataset(config))
    torch.manual_seed(99)
    return train, test, config.model_class(config, train._dataset)


# ---- training and ranking --------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_every_case_has_a_rank_among_its_candidates(trained, tiny, model):
    run = trained(model).run
    rows, dataset = run.test.loader.cases, run.test.loader.dataset
    users = dataset.id2token("user_id", rows.users).tolist()
    targets = dataset.id2token("item_id", rows.targets).tolist()
    assert dict(zip(users, targets, strict=True)) == {
        user: items[-1] for user, items in tiny.histories if len(items) > 1
    }
    assert list(run.ranks) == ["full", "uni4"]
    most = {
        "full": np.where(run.test.loader.domain == 0, 12, 9),
        "uni4": run.test._sampled["uni4"][1] + 1,
    }
    for mode, ranks in run.ranks.items():
        assert ranks.shape == (len(users),)
        assert ranks.dtype == np.float64
        assert ((ranks >= 1) & (ranks <= most[mode])).all()


@pytest.mark.parametrize("model", MODELS)
def test_cases_and_candidates_are_those_of_every_other_model(trained, model):
    run, first = trained(model).run, trained(MODELS[0]).run
    assert np.array_equal(run.test.loader.cases.users, first.test.loader.cases.users)
    assert np.array_equal(run.test.loader.cases.targets, first.test.loader.cases.targets)
    for found, expected in zip(run.test._sampled["uni4"], first.test._sampled["uni4"], strict=True):
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("model", MODELS)
def test_the_loss_is_finite(trained, model):
    train, _, untrained = parts_of(trained(model).config)
    untrained.train()
    for batch in train:
        losses = untrained.calculate_loss(batch)
        for loss in losses if isinstance(losses, tuple) else (losses,):
            assert torch.isfinite(loss).all()


@pytest.mark.parametrize("model", MODELS)
def test_the_same_seed_gives_the_same_ranks(trained, model):
    first, again = trained(model).run, trained(model, again=True).run
    for mode, ranks in first.ranks.items():
        assert np.array_equal(again.ranks[mode], ranks)
    assert again.curve == first.curve


@pytest.mark.parametrize("model", ["TEMA", "LLMEMF", "SASRec", "BPR"])
def test_another_seed_gives_another_model_on_the_same_candidates(trained, model):
    first, other = trained(model).run, trained(model, again=True, seed=7).run
    assert not np.array_equal(first.ranks["full"], other.ranks["full"])
    found, expected = other.test._sampled["uni4"][0], first.test._sampled["uni4"][0]
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(("eval_step", "validated"), [(1, [0, 1, 2, 3]), (2, [1, 3])])
def test_runs_note_their_epochs(trained, eval_step, validated):
    run = trained("SASRec", again=True, epochs=4, eval_step=eval_step).run
    assert [epoch for epoch, _ in run.curve] == validated
    best = max(value for _, value in run.curve)
    assert dict(run.curve)[run.best_epoch] == best
    assert run.epochs == 4
    assert run.parameters > 0


def test_no_epoch_at_all_ranks_with_the_start(trained):
    run = trained("SASRec", again=True, epochs=0).run
    assert (run.epochs, run.curve, run.best_epoch) == (0, [], -1)
    assert (run.ranks["full"] >= 1).all()


def test_one_domain_can_validate(trained):
    both = trained("SASRec").run
    alone = trained("SASRec", again=True, valid_metric="food/Hit@5").run
    assert alone.curve != both.curve


def test_the_best_epoch_ranks_the_test_cases(trained):
    run = trained("SASRec", again=True, epochs=4, learning_rate=0.05).run
    alone = trained("SASRec", again=True, epochs=run.best_epoch + 1, learning_rate=0.05).run
    assert alone.best_epoch == run.best_epoch
    for mode, ranks in run.ranks.items():
        assert np.array_equal(alone.ranks[mode], ranks)


# ---- checkpoints -----------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_a_checkpoint_in_a_fresh_model_gives_the_same_ranks(trained, model):
    known = trained(model)
    state = load_checkpoint(known.run.checkpoint, torch.device("cpu"))  # weights_only
    assert state["model"] == model
    _, _, fresh = parts_of(known.config)
    trainer = trainer_class(known.config)(known.config, fresh)
    ranks = trainer.ranks(known.run.test, model_file=known.run.checkpoint)
    for mode, expected in known.run.ranks.items():
        assert np.array_equal(ranks[mode], expected)


def test_a_pickle_is_no_checkpoint(tiny, tmp_path):
    path = tmp_path / "evil.pth"
    torch.save({"model": SimpleNamespace()}, path)
    with pytest.raises(ValueError, match="not a checkpoint of recbole_tema"):
        load_checkpoint(path, torch.device("cpu"))


# ---- scores ----------------------------------------------------------------------------------


# RecBole's own: NeuMF scores pairs alone, SASRecCPR no pairs; CORE's predict does not normalise
# items as its full_sort_predict does, and SHAN's reads the history backwards.
WITHOUT_BOTH = ("NeuMF", "SASRecCPR", "CORE", "SHAN")


@pytest.mark.parametrize("model", [name for name in MODELS if name not in WITHOUT_BOTH])
def test_predict_scores_like_full_sort_predict(trained, model):
    known = trained(model)
    _, _, fresh = parts_of(known.config)
    trainer = trainer_class(known.config)(known.config, fresh)
    trainer.ranks(known.run.test, model_file=known.run.checkpoint)
    with torch.no_grad():
        for batch in known.run.test.loader:
            every = fresh.full_sort_predict(batch.interaction).view(len(batch.cases), -1)
            own = every.gather(1, batch.interaction["item_id"][:, None]).squeeze(1)
            found = fresh.predict(batch.interaction).view(-1)
            torch.testing.assert_close(found.double(), own.double(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_a_model_names_the_files_that_it_reads(tiny, lasting_config_of, monkeypatch, model):
    read = set()

    def noting(name, load):
        def wrapped(dataset, *kind):
            read.update(kind or [name])
            return load(dataset, *kind)

        return wrapped

    for name in ("features", "tags", "graph"):
        load = getattr(CrossDomainDataset, name)
        monkeypatch.setattr(CrossDomainDataset, name, noting(name, load))
    config = lasting_config_of(model, tiny, **SETTINGS.get(model, {}))
    train, _, _ = data_preparation(config, CrossDomainDataset(config))
    config.model_class(config, train._dataset)
    assert read == set(getattr(config.model_class, "reads_files", ()))


# ---- other data sets -------------------------------------------------------------------------


@pytest.mark.parametrize("model", OURS)
def test_ours_run_without_features_and_tags(tiny_dataset, config_of, model):
    config = config_of(model, tiny_dataset(text=0, image=0, tags=False))
    run = train_and_rank(config, CrossDomainDataset(config))
    assert (run.ranks["full"] >= 1).all()


@pytest.mark.parametrize("model", [*OURS, "SASRec", "GRU4Rec", "Pop"])
def test_pre_split_data(tiny_dataset, config_of, model):
    tiny = tiny_dataset(split="pre_split")
    config = config_of(model, tiny)
    run = train_and_rank(config, CrossDomainDataset(config))
    assert len(run.ranks["full"]) == len(tiny.splits["test"])


@pytest.mark.parametrize("model", ["SASRecF", "GRU4RecF", "FDSA"])
def test_models_that_read_columns_of_the_items(tiny_dataset, config_of, model):
    tiny = tiny_dataset()
    config = config_of(model, tiny, selected_features=["domain"])
    run = train_and_rank(config, CrossDomainDataset(config))
    assert (run.ranks["full"] >= 1).all()


# ---- the process they run in -----------------------------------------------------------------


def test_importing_recboles_models_does_not_slow_torch_down(trained):
    from recbole_tema.compat import import_recbole_model

    trained("SINE")
    import_recbole_model("SINE")
    assert not torch.is_anomaly_enabled()


def test_numpy_has_the_names_that_recbole_reads(trained):
    trained("Pop")
    for name in ("float", "int", "float_", "unicode_", "complex_", "object", "str"):
        assert hasattr(np, name)


def test_ray_is_never_imported():
    code = (
        "import sys, torch\n"
        "from recbole_tema import run_recbole_tema\n"
        "from recbole_tema.registry import model_class\n"
        "model_class('SINE')\n"
        "assert not torch.is_anomaly_enabled()\n"
        "assert 'ray' not in sys.modules\n"
    )
    root = Path(recbole_tema.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr


def test_training_ends_with_the_epoch_in_which_the_time_is_up(trained, caplog):
    run = trained("SASRec", again=True, epochs=5, max_train_seconds=1e-9).run
    assert run.epochs == 1
    assert run.best_epoch == 0
    assert "stopped after 1 epochs: max_train_seconds" in caplog.text
    assert all((ranks >= 1).all() for ranks in run.ranks.values())
