"""Going on from a checkpoint: the run that was never stopped, or a refusal."""

import logging
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import StepLR

from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.data.loaders import data_preparation
from recbole_tema.training import keeper, trainer
from recbole_tema.training.checkpoint import load_checkpoint, save_checkpoint
from recbole_tema.training.resume import RunCheckpoints, differences
from recbole_tema.training.run import train_and_rank
from recbole_tema.training.trainer import trainer_class

pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:recbole\.")

# One of every kind: ours, RecBole's samplers, counters beside the weights (MultiVAE, MacridVAE,
# LINE, DiffRec, LDiffRec), two optimizers (RecVAE), graphs drawn anew (SGL), one epoch alone.
MODELS = [
    *("TEMA", "LLMEMF", "SASRec", "GRU4Rec", "BERT4Rec", "SRGNN", "FPMC", "BPR", "NeuMF", "DMF"),
    *("MultiVAE", "MacridVAE", "LINE", "DiffRec", "LDiffRec", "RecVAE", "SGL", "Pop", "ItemKNN"),
]
# As the limits of a run that is gone on with may be raised, what they are is no state.
APART = ("train_seconds", "peak_memory", "settings")
SETTINGS = {"n_negatives": 4, "learning_rate": 0.01}


@pytest.fixture
def tiny(tiny_dataset):
    return tiny_dataset()


@pytest.fixture
def run(tiny, config_of):
    """``run(model, folder, resume, **settings)``: train it with its checkpoints in a folder."""

    def train(model="SASRec", folder="out", resume=False, **settings):
        config = config_of(model, tiny, **{"epochs": 2, **settings})
        checkpoints = RunCheckpoints(Path(folder))
        config["checkpoint_dir"] = str(checkpoints.folder)
        checkpoints.check([(model, config["seed"])], resume)
        done = train_and_rank(config, CrossDomainDataset(config), checkpoints, resume)
        checkpoints.finish()
        return done

    return train


def last_of(folder, model="SASRec", seed=2020):
    return load_checkpoint(RunCheckpoints(Path(folder)).files(model, seed).last, None)


def assert_same(one, other, where="checkpoint"):
    """Every tensor, array and value of two checkpoints, bit for bit."""
    assert type(one) is type(other), where
    if isinstance(one, dict):
        assert list(one) == list(other), where
        for key, value in one.items():
            assert_same(value, other[key], f"{where}.{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), where
        for at, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_same(left, right, f"{where}[{at}]")
    elif isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype, where
        assert torch.equal(one, other), where
    elif isinstance(one, np.ndarray):
        assert np.array_equal(one, other), where
    elif hasattr(one, "toarray"):
        assert np.array_equal(one.toarray(), other.toarray()), where
    else:
        assert one == other, where


# ---- as if never stopped ---------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_a_run_in_two_parts_is_the_run_in_one(run, model):
    whole = run(model, "whole", epochs=4, **SETTINGS)
    run(model, "parts", epochs=2, **SETTINGS)
    resumed = run(model, "parts", resume=True, epochs=4, **SETTINGS)
    left, right = last_of("whole", model), last_of("parts", model)
    for each in APART:
        left.pop(each)
        right.pop(each)
    assert_same(left, right)
    for mode, ranks in whole.ranks.items():
        assert np.array_equal(resumed.ranks[mode], ranks)
    assert resumed.curve == whole.curve
    assert (resumed.epochs, resumed.best_epoch) == (whole.epochs, whole.best_epoch)


def test_a_setting_of_another_model_may_come_and_go(run):
    """SASRec has no ``tag_vectors``: in a command for several models it is TEMA's."""
    whole = run(folder="whole", epochs=4)
    run(folder="parts", epochs=1)
    run(folder="parts", resume=True, epochs=2, tag_vectors="text")
    resumed = run(folder="parts", resume=True, epochs=4)
    assert resumed.curve == whole.curve
    run("TEMA", "tema", epochs=1, **SETTINGS)
    with pytest.raises(ValueError, match=r"tag_vectors \(then 'random', now 'text'\)"):
        run("TEMA", "tema", resume=True, epochs=2, tag_vectors="text", **SETTINGS)


def test_so_may_one_in_the_data_sets_property_file(run, tiny):
    file = tiny.files.properties
    as_it_was = file.read_text(encoding="utf-8")
    run("SASRec", "sas", epochs=1)
    run("TEMA", "tema", epochs=1, **SETTINGS)
    file.write_text(f"{as_it_was}\ntag_vectors: text\n", encoding="utf-8")
    run("SASRec", "sas", resume=True, epochs=2)
    with pytest.raises(ValueError, match=r"tag_vectors \(then 'random', now 'text'\)"):
        run("TEMA", "tema", resume=True, epochs=2, **SETTINGS)


def test_a_setting_that_a_model_reads_unlisted_may_not(run):
    """DiffRec reads ``norm``, which RecBole's property file of it lacks."""
    run("DiffRec", epochs=1)
    with pytest.raises(ValueError, match=r"norm \(then None, now True\)"):
        run("DiffRec", resume=True, epochs=2, norm=True)


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("SASRec", {"eval_step": 2}),
        ("SASRec", {"learner": "adamw", "weight_decay": 0.1}),
        ("SASRec", {"weight_average": 0.9, "shuffle_ties": True}),
        ("RecVAE", {"weight_average": 0.9}),
    ],
)
def test_other_ways_of_training_in_two_parts(run, model, settings):
    run(model, "whole", epochs=4, **settings)
    run(model, "parts", epochs=2, **settings)
    run(model, "parts", resume=True, epochs=4, **settings)
    left, right = last_of("whole", model), last_of("parts", model)
    for each in APART:
        left.pop(each)
        right.pop(each)
    assert_same(left, right)


def test_early_stopping_goes_on_counting(run):
    settings = {"learning_rate": 0.2, "stopping_step": 3}
    whole = run(folder="whole", epochs=40, **settings)
    assert 4 < whole.epochs < 40, "a run that stops early"
    for epochs in range(2, whole.epochs, 2):
        resumed = run(folder="parts", resume=epochs > 2, epochs=epochs, **settings)
        assert resumed.epochs == epochs
    resumed = run(folder="parts", resume=True, epochs=40, **settings)
    assert (resumed.epochs, resumed.curve) == (whole.epochs, whole.curve)


def test_more_patience_goes_on_where_a_run_stopped_early(run):
    settings = {"learning_rate": 0.2, "epochs": 30}
    short = run(folder="parts", stopping_step=1, **settings)
    whole = run(folder="whole", stopping_step=4, **settings)
    assert short.epochs < whole.epochs
    resumed = run(folder="parts", resume=True, stopping_step=4, **settings)
    assert resumed.curve == whole.curve


def test_a_finished_run_is_ranked_again_and_not_trained(run, caplog, monkeypatch):
    first = run("BPR")
    before = {path: path.read_bytes() for path in Path("out/checkpoints").iterdir()}
    caplog.clear()
    # What is trained takes time; a clock that stands shows none but that of the first run.
    for module in (keeper, trainer):
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: 5.0))
    with caplog.at_level(logging.INFO):
        again = run("BPR", resume=True, candidates="full,uni6")  # the first one validates
    assert "epoch 0 training" not in caplog.text
    assert list(again.ranks) == ["full", "uni6"]
    assert np.array_equal(again.ranks["full"], first.ranks["full"])
    # Of the first one too, what was written: its own time has that of writing it besides.
    (last,) = (path for path in before if path.name.endswith("-last.pth"))
    written = load_checkpoint(last, None)["train_seconds"]
    assert 0 < written <= first.train_seconds
    assert again.train_seconds == written
    assert list(before) == list(Path("out/checkpoints").iterdir())


def test_the_time_of_all_parts_counts(run):
    run(epochs=2, max_train_seconds=1000)
    last = last_of("out")
    last["train_seconds"] = 5000.0
    save_checkpoint(RunCheckpoints(Path("out")).files("SASRec", 2020).last, last)
    over = run(resume=True, epochs=4, max_train_seconds=1000)
    assert over.epochs == 2
    more = run(resume=True, epochs=4, max_train_seconds=6000)
    assert more.epochs == 4
    assert 5000 < more.train_seconds < 6000


def test_schedulers_go_on(tiny, config_of):
    """RecBole's trainers have none, but one made from them may."""

    def trainer_of(epochs):
        config = config_of("SASRec", tiny, epochs=epochs, checkpoint_dir=".")
        train, _, _ = data_preparation(config, CrossDomainDataset(config))
        base = trainer_class(config)

        class Scheduled(base):
            def __init__(self, config, model):
                super().__init__(config, model)
                self.scheduler = StepLR(self.optimizer, 1, gamma=0.5)

            def _train_epoch(self, *args, **kwargs):
                loss = super()._train_epoch(*args, **kwargs)
                self.scheduler.step()
                return loss

        return Scheduled(config, config.model_class(config, train._dataset)), train

    first, train = trainer_of(2)
    first.fit(train, verbose=False)
    second, train = trainer_of(3)
    second.resume_checkpoint(first.files.last)
    second.fit(train, verbose=False)
    assert second.scheduler.last_epoch == 3
    assert second.optimizer.param_groups[0]["lr"] == 0.001 / 8


# ---- refusals --------------------------------------------------------------------------------


def test_other_settings_are_refused_and_named(run):
    run(epochs=3, stopping_step=5, max_train_seconds=100)
    with pytest.raises(ValueError, match="made with other settings") as refusal:
        run(
            resume=True,
            epochs=2,
            stopping_step=4,
            max_train_seconds=99,
            hidden_dropout_prob=0.1,
            show_progress=True,
        )
    text = str(refusal.value)
    assert "SASRec-2020-last.pth" in text
    expected = (
        "epochs (then 3, now 2), hidden_dropout_prob (then 0.5, now 0.1), max_train_seconds (then "
        "100, now 99), stopping_step (then 5, now 4)."
    )
    assert expected in text


@pytest.mark.parametrize(
    ("then", "now", "expected"),
    [
        ({"epochs": 3}, {"epochs": 4}, []),
        ({"epochs": 4}, {"epochs": 3}, ["epochs (then 4, now 3)"]),
        ({"max_train_seconds": 5}, {}, []),
        ({}, {"max_train_seconds": 5}, ["max_train_seconds (then None, now 5)"]),
        ({"a": [1], "b": 2}, {"a": [1], "c": 3}, ["b (then 2, now None)", "c (then None, now 3)"]),
        ({"loss_type": "CE"}, {"loss_type": "BPR"}, ["loss_type (then 'CE', now 'BPR')"]),
    ],
)
def test_what_may_differ(then, now, expected):
    assert differences(then, now) == expected


def test_other_data_are_refused(run, tiny):
    run()
    tags = tiny.files.inter.read_text(encoding="utf-8").splitlines()
    tiny.files.inter.write_text("\n".join([*tags[:-2], tags[-1]]) + "\n", encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"SASRec-2020-last\.pth was made with other data: tiny\.inter"
    ):
        run(resume=True, epochs=3)


def test_another_model_is_refused(run, tiny, config_of):
    run("GRU4Rec")
    config = config_of("SASRec", tiny)
    train, _, _ = data_preparation(config, CrossDomainDataset(config))
    trainer = trainer_class(config)(config, config.model_class(config, train._dataset))
    with pytest.raises(ValueError, match="holds a GRU4Rec, but the model is SASRec"):
        trainer.resume_checkpoint("out/checkpoints/GRU4Rec-2020-last.pth")
    with pytest.raises(ValueError, match=r"from a file named …-last\.pth alone"):
        trainer.resume_checkpoint("out/checkpoints/GRU4Rec-2020-best.pth")


@pytest.mark.parametrize("harm", ["cut", "empty", "flipped", "text"])
def test_a_damaged_checkpoint_is_named_and_the_best_one_stays(run, harm):
    run()
    files = RunCheckpoints(Path("out")).files("SASRec", 2020)
    data, best = files.last.read_bytes(), files.best.read_bytes()
    middle = len(data) // 2
    flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    harmed = {"cut": data[:middle], "empty": b"", "flipped": flipped, "text": b"nothing"}[harm]
    files.last.write_bytes(harmed)
    with pytest.raises(ValueError, match=r"SASRec-2020-last\.pth: not a checkpoint") as refusal:
        run(resume=True, epochs=3)
    assert "the best weights so far lie beside it" in str(refusal.value)
    assert files.best.read_bytes() == best
    files.last.unlink()
    assert run(resume=True, epochs=3).epochs == 3, "as the message says"


def test_missing_and_damaged_best_weights_are_noticed_before_training(run):
    run()
    best = RunCheckpoints(Path("out")).files("SASRec", 2020).best
    best.write_bytes(best.read_bytes()[:-100])
    hint = r"Delete it and .*SASRec-2020-last\.pth to have this model trained anew"
    with pytest.raises(ValueError, match=r"best\.pth holds the best weights .* a damaged.*" + hint):
        run(resume=True, epochs=3)
    best.unlink()
    with pytest.raises(ValueError, match=r"best\.pth holds the best weights .* No such.*" + hint):
        run(resume=True, epochs=3)
    RunCheckpoints(Path("out")).files("SASRec", 2020).last.unlink()
    assert run(epochs=3).epochs == 3, "as the message says"


def test_another_environment_is_told(run, caplog):
    run()
    last = last_of("out")
    last["environment"] = {**last["environment"], "torch": "1.0"}
    save_checkpoint(RunCheckpoints(Path("out")).files("SASRec", 2020).last, last)
    run(resume=True, epochs=3)
    assert f"made elsewhere: torch (then '1.0', now '{torch.__version__}')" in caplog.text


# ---- folders ---------------------------------------------------------------------------------


@pytest.fixture
def stopped(tmp_path):
    """The checkpoints of a run that is not finished, of two models."""
    checkpoints = RunCheckpoints(tmp_path / "out")
    checkpoints.check(BOTH, resume=False)
    for model in ("A", "B"):
        files = checkpoints.files(model, 1)
        checkpoints.begin(files, resume=False)
        for path in (files.best, files.last):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(model)
    return checkpoints


BOTH = [("A", 1), ("B", 1)]


def test_an_unfinished_run_is_not_started_over(stopped):
    with pytest.raises(ValueError, match=r"out holds a run that is not finished.*--resume"):
        stopped.check([("C", 1)], resume=False)
    stopped.check(BOTH, resume=True)
    assert "--resume" in stopped.unfinished.read_text()
    stopped.finish()
    stopped.check([("C", 1)], resume=False)
    stopped.check([*BOTH, ("C", 1)], resume=True)


def test_what_a_finished_run_left_is_no_part_of_the_next(stopped):
    stopped.finish()
    stopped.check([("C", 1)], resume=False)
    files = stopped.files("C", 1)
    stopped.begin(files, resume=False)
    files.last.write_text("C")
    stopped.check([("C", 1)], resume=True)
    with pytest.raises(ValueError, match=r"C-1 \(model-seed\) would be lost"):
        stopped.check(BOTH, resume=True)
    # A and B may be trained anew beside it, though not in the folder of an unfinished run.
    with pytest.raises(ValueError, match="holds a run that is not finished"):
        stopped.check(BOTH, resume=False)


def test_outputs_of_one_name_do_not_share_a_checkpoint_dir(tmp_path):
    places = [RunCheckpoints(tmp_path / each / "out", str(tmp_path / "ck")) for each in "ab"]
    again = RunCheckpoints(tmp_path / "b" / ".." / "a" / "out", str(tmp_path / "ck"))
    assert places[0].folder.parent == places[1].folder.parent == tmp_path / "ck"
    assert places[0].folder != places[1].folder
    assert places[0].folder.name.startswith("out-")
    assert again.folder == places[0].folder


@pytest.mark.parametrize("asked", [[("A", 1)], [("A", 1), ("B", 2)], [("C", 1)]])
def test_resuming_names_what_would_be_left_out(stopped, asked):
    with pytest.raises(ValueError, match=r"B-1 \(model-seed\) would be lost"):
        stopped.check(asked, resume=True)


def test_nothing_to_resume(tmp_path):
    with pytest.raises(ValueError, match="nothing to resume"):
        RunCheckpoints(tmp_path).check(BOTH, resume=True)


def test_deleted_checkpoints_give_a_run_up(stopped):
    shutil.rmtree(stopped.folder)
    stopped.check(BOTH, resume=False)
    stopped.check(BOTH, resume=True)


@pytest.mark.parametrize("resume", [False, True])
def test_beginning_clears_away_what_a_killed_process_left(stopped, resume):
    files = stopped.files("A", 1)
    half = [files.last.with_name(".writing-123-0-C-1-last.pth"), stopped.output / ".writing-1-0-x"]
    for path in half:
        path.write_text("half")
    stopped.check(BOTH, resume=True)
    stopped.begin(files, resume)
    assert not any(path.exists() for path in half)
    assert files.last.exists() == files.best.exists() == resume
    assert stopped.files("B", 1).last.read_text() == "B"
