"""Search spaces: what is read, what is refused with file and key, and where they are found."""

from pathlib import Path

import optuna
import pytest
import yaml

from recbole_tema._layout import properties_dir
from recbole_tema.tuning.space import read_space, space_file


@pytest.fixture
def space_of(tmp_path):
    def read(text):
        path = tmp_path / "space.yaml"
        path.write_text(text, encoding="utf-8")
        return read_space(path)

    return read


WHOLE = """
learning_rate: {log: [1e-4, 0.01]}
dropout: {float: [0, 1]}
width: {int: [32, 96], step: 32}
layers: {int: [1, 3]}
weights: {choice: [[1, 0.5], [0.5, 1]]}
bias: {choice: [true, 1, a, ~]}
modality_weights: {id: 0.5, text: 0.5}
epochs: 7
decay: 1e-3
"""


def test_what_is_read(space_of):
    space = space_of(WHOLE)
    tuned = ["learning_rate", "dropout", "width", "layers", "weights", "bias"]
    assert list(space.ranges) == tuned
    assert space.fixed == {
        "modality_weights": {"id": 0.5, "text": 0.5},
        "epochs": 7,
        "decay": 0.001,
    }
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    seen = []
    for _ in range(60):
        trial = study.ask()
        seen.append(space.suggest(trial))
        assert space.values(trial.params) == seen[-1], "what is kept gives the settings back"
        study.tell(trial, 0.0)
    assert all(1e-4 <= each["learning_rate"] <= 0.01 for each in seen)
    # Evenly in its logarithm: half of them are below 1e-3, not a tenth.
    assert 20 < sum(each["learning_rate"] < 1e-3 for each in seen) < 40
    assert all(isinstance(each["dropout"], float) and 0 <= each["dropout"] <= 1 for each in seen)
    assert {each["width"] for each in seen} == {32, 64, 96}
    assert {each["layers"] for each in seen} == {1, 2, 3}
    assert {tuple(each["weights"]) for each in seen} == {(1, 0.5), (0.5, 1)}
    kinds = {(type(each["bias"]), each["bias"]) for each in seen}
    assert kinds == {(bool, True), (int, 1), (str, "a"), (type(None), None)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[1, 2]", "expected keys and values"),
        ("", "expected keys and values"),
        ("a: [", "expected YAML of keys and values"),
        ("epochs: 3", "nothing to tune"),
        ("a: {choice: []}", "a: choice: expected at least one value"),
        ("a: {choice: 3}", "a: choice: expected a list, got 3"),
        ("a: {choice: [1, 1]}", "a: choice: a value is given twice"),
        ("a: {choice: [2020-01-01]}", "a: choice: .*put texts into quotes"),
        ("a: {chioce: [1, 2]}", "a: 'chioce' is no kind of range; did you mean choice?"),
        ("a: {float: [1, 1]}", "a: float: expected the lowest below the highest"),
        ("a: {float: [2, 1]}", "a: float: expected the lowest below the highest"),
        ("a: {float: [0, .inf]}", "a: float: expected the lowest below the highest"),
        ("a: {float: [0, .nan]}", "a: float: expected the lowest below the highest"),
        ("a: {float: [0]}", r"a: float: expected \[lowest, highest\], two numbers"),
        ("a: {float: [0, x]}", r"a: float: expected \[lowest, highest\], two numbers"),
        ("a: {float: [false, true]}", r"a: float: expected \[lowest, highest\]"),
        ("a: {float: [0, 1], step: 0.1}", "a: expected float alone, got 'float', 'step'"),
        ("a: {float: [0, 1], log: [1, 2]}", "a: expected float alone"),
        ("a: {log: [0, 1]}", "a: log: expected numbers above 0"),
        ("a: {int: [1, 2.5]}", r"a: int: expected \[lowest, highest\], two whole numbers"),
        ("a: {int: [1, 6], step: 2}", "a: step: expected a whole number that leads from 1 to 6"),
        ("a: {int: [1, 6], step: 0}", "a: step: expected a whole number"),
        ("a: {int: [1, 6], step: 0.5}", "a: step: expected a whole number"),
        ("seed: {int: [1, 6]}", "seed: cannot be tuned: all trials have to be measured alike"),
        ("valid_metric: {choice: [MRR, Hit@5]}", "valid_metric: cannot be tuned"),
        ("model: TEMA\na: {int: [1, 6]}", "model: cannot be tuned"),
    ],
)
def test_what_is_refused(space_of, text, expected):
    with pytest.raises(ValueError, match=expected) as refusal:
        space_of(text)
    assert "space.yaml: " in str(refusal.value)


def test_settings_inside_the_ranges_are_where_a_study_starts(space_of):
    space = space_of(
        "a: {choice: [[1.0, 0.0], no, gelu]}\nb: {float: [0, 1]}\nc: {log: [1e-4, 1e-2]}\n"
        "d: {int: [2, 8], step: 3}\ne: 4\n"
    )
    inside = {"a": [1.0, 0.0], "b": 1, "c": 0.001, "d": 5, "e": 5, "f": 6}
    assert space.start(inside) == {"a": "[1.0, 0.0]", "b": 1, "c": 0.001, "d": 5}
    assert space.values(space.start(inside)) == {"a": [1.0, 0.0], "b": 1, "c": 0.001, "d": 5}
    assert space.start({"a": False})["a"] == "false"
    assert space.start({"a": "relu", "b": 1.1, "c": True, "d": 4}) == {}
    assert space.start({"d": 11, "b": "0.5"}) == {}


def test_where_a_space_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = properties_dir() / "tune" / "TEMA.yaml"
    assert space_file("tune/TEMA.yaml", "TEMA") == shipped
    assert space_file("tune", "TEMA") == shipped
    Path("tune").mkdir()
    Path("tune/TEMA.yaml").write_text("")
    assert space_file("tune", "TEMA") == Path("tune/TEMA.yaml")
    assert space_file("tune/TEMA.yaml", "SASRec") == Path("tune/TEMA.yaml")
    assert space_file("tune", "SASRec") == properties_dir() / "tune" / "SASRec.yaml"
    with pytest.raises(FileNotFoundError, match=r"nor a folder with NARM\.yaml.*GRU4Rec, .*LLMEMF"):
        space_file("tune", "NARM")


TUNED = {path.stem for path in (properties_dir() / "model").glob("*.yaml")} - {"Pop"}


@pytest.mark.parametrize("model", sorted(TUNED))
def test_a_shipped_space_holds_the_settings_that_its_model_ships_with(model):
    """So the first trial takes them, and a search is never worse than none."""
    defaults = yaml.safe_load((properties_dir() / "model" / f"{model}.yaml").read_text("utf-8"))
    space = read_space(space_file("tune", model))
    assert set(space.start(defaults)) == set(space.ranges)
    assert space.fixed == {key: defaults[key] for key in space.fixed}
