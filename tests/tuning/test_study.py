"""Studies with a training that is made up: counting, pruning, errors, going on."""

import optuna
import pytest
from optuna.trial import TrialState

from recbole_tema.tuning import study as module
from recbole_tema.tuning.report import budget, state_of
from recbole_tema.tuning.study import EPOCHS, ERROR, ModelStudy, Outcome, value_of


def suggest(trial):
    return {"x": trial.suggest_float("x", 0.0, 1.0), "n": trial.suggest_int("n", 1, 9)}


def train(settings, after_epoch):
    after_epoch(0, settings["x"] / 2)
    after_epoch(1, settings["x"])
    return Outcome(settings["x"], 2, 1)


@pytest.fixture
def study_in(tmp_path):
    def make(name="folder", model="M", identity=None, bigger=True, start=None, seed=3):
        (tmp_path / name).mkdir(exist_ok=True)
        identity = identity or {"data": "abc"}
        return ModelStudy(tmp_path / name, model, identity, bigger, start or {}, seed)

    return make


def run(study, trials, train=train):
    study.run(trials, suggest, train, lambda trial: None)


def tried(study):
    """The settings of the trials that count, in their order."""
    trials = [each for each in study.trials() if state_of(each) in ("complete", "pruned", "error")]
    return [each.params for each in sorted(trials, key=lambda trial: trial.number)]


def test_the_best_trial_comes_first(study_in):
    study = study_in()
    after = []
    study.run(6, suggest, train, after.append)
    assert [trial.number for trial in after] == [0, 1, 2, 3, 4, 5]
    values = [trial.value for trial in study.trials()]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == 6
    assert study.best().value == max(trial.params["x"] for trial in after)
    assert budget(study.trials()).startswith("6 complete; epochs: 12, in ")

    least = study_in("least", bigger=False)
    run(least, 4)
    assert least.best().value == min(trial.params["x"] for trial in least.trials())


def test_the_first_trial_starts_where_it_is_told(study_in):
    start = {"x": 0.125, "n": 7}
    run(study_in(start=start), 1)
    assert tried(study_in(start=start)) == [start]
    run(study_in(start=start), 3)
    first, *others = tried(study_in())
    assert first == start
    assert start not in others
    run(study_in("half", start={"n": 7}), 2)
    assert tried(study_in("half"))[0]["n"] == 7


def test_a_killed_first_trial_starts_there_again(study_in):
    def interrupt(settings, after_epoch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(study_in(start={"x": 0.125, "n": 7}), 1, interrupt)
    run(study_in(), 2)
    assert tried(study_in())[0] == {"x": 0.125, "n": 7}
    assert len(tried(study_in())) == 2


def test_a_study_in_two_parts_is_the_study_in_one(study_in):
    """Beyond the sampler's random trials."""
    whole = study_in("whole")
    run(whole, 13)
    for trials in (4, 11, 13, 5):
        run(study_in("parts"), trials)
    assert tried(study_in("parts")) == tried(whole)
    other = study_in("other", seed=100)
    run(other, 2)
    assert tried(other) != tried(whole)[:2]


def test_an_interrupted_trial_is_tried_again(study_in):
    whole, study = study_in("whole"), study_in("parts")
    run(whole, 13)

    def interrupted(settings, after_epoch):
        if study.counted() == 11:
            after_epoch(0, 0.5)
            raise KeyboardInterrupt
        return train(settings, after_epoch)

    with pytest.raises(KeyboardInterrupt):
        run(study, 13, interrupted)
    assert study.counted() == 11
    resumed = study_in("parts")
    run(resumed, 13)
    states = [state_of(trial) for trial in sorted(resumed.trials(), key=lambda each: each.number)]
    assert states == ["complete"] * 11 + ["killed"] + ["complete"] * 2
    assert tried(resumed) == tried(whole)


def test_a_trial_that_was_killed_at_its_very_beginning_does_not_block(study_in, monkeypatch):
    study = study_in()
    optuna.load_study(study_name="M", storage=f"sqlite:///{study.database}").ask()
    monkeypatch.setattr(module, "GRACE", 0)
    run(study, 2)
    assert [state_of(trial) for trial in study.trials()] == ["complete", "complete", "killed"]


def test_bad_trials_are_pruned_when_there_are_enough_to_compare_with(study_in):
    short, long, late = [0.3] * 6, [0.5] * 8, [*[0.39] * 5, 0.46, 0.48, 0.2]
    curves = [short, long, [0.39] * 8, [0.45] * 8, late, [0.35] * 8]

    def train(settings, after_epoch):
        curve = curves[study.counted()]
        for epoch, value in enumerate(curve):
            after_epoch(epoch, value)
        return Outcome(max(curve), len(curve), 0)

    study = study_in()
    run(study, 6, train)
    trials = sorted(study.trials(), key=lambda trial: trial.number)
    # The first two are let alone. After the warm-up, at epoch 6, the third is below their median of
    # .4, and the fourth above; later there is one alone that came as far, to which it is not held.
    # The fifth has caught up by epoch 6, where the median of .3, .5, .45 is .45; the last has not.
    ends = ["complete", "complete", "pruned", "complete", "complete", "pruned"]
    assert [state_of(trial) for trial in trials] == ends
    assert [trial.user_attrs[EPOCHS] for trial in trials] == [6, 8, 6, 8, 8, 6]
    assert value_of(trials[2], True) == 0.39
    assert study.best().number == 1
    assert budget(trials).startswith("4 complete, 2 pruned; epochs: 42, in ")


def test_a_trial_that_fails_by_itself_counts_and_the_others_go_on(study_in):
    def failing(settings, after_epoch):
        if study.counted() == 1:
            after_epoch(0, 0.9)
            raise RuntimeError("Training loss is nan")
        return train(settings, after_epoch)

    study = study_in()
    run(study, 4, failing)
    failed = next(trial for trial in study.trials() if trial.state == TrialState.FAIL)
    assert state_of(failed) == "error"
    assert failed.user_attrs[ERROR] == "RuntimeError: Training loss is nan"
    assert len(study.trials()) == 4
    assert study.best().state == TrialState.COMPLETE, "what a failed trial reached is no result"


@pytest.mark.parametrize(("trials", "made"), [(5, 3), (2, 2)])
def test_a_space_of_which_nothing_runs_ends_the_study(study_in, trials, made):
    def failing(settings, after_epoch):
        raise ValueError("n_heads: does not divide")

    study = study_in()
    expected = f"no trial succeeded, {made} failed; .*n_heads: does not divide"
    with pytest.raises(ValueError, match=expected):
        run(study, trials, failing)
    assert len(study.trials()) == made
    assert study.best() is None


def test_other_settings_or_data_are_refused(study_in):
    study = study_in(identity={"data": "abc", "epochs": 3, "gone": 1})
    run(study, 1)
    with pytest.raises(ValueError, match=r"study\.db holds trials of M that cannot") as refusal:
        study_in(identity={"data": "abd", "epochs": 3})
    assert "data (then 'abc', now 'abd'), gone (then 1, now None)." in str(refusal.value)
    run(study_in(model="other", identity={"data": "abd"}), 1)
