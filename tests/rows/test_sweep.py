"""What --sweep takes, and the rows that it makes."""

import pytest

from recbole_tema.report.sensitivity import Point
from recbole_tema.rows import Row
from recbole_tema.rows.sweep import sweep_values, swept


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("n_layers=0,1, 2", [0, 1, 2]),
        ("weight_decay=0,1e-3,1.5e-2", [0, 0.001, 0.015]),
        ("similarity=dot,cosine", ["dot", "cosine"]),
        ("positions=True,false", [True, False]),
        ("views=[single],[single, merged]", [["single"], ["single", "merged"]]),
        ("modality_weights={id: 1, text: 0.5},~", [{"id": 1, "text": 0.5}, None]),
        ("torch_compile='a,b',c", ["a,b", "c"]),
        ("--n_layers=1", [1]),
        ("positions=1,True", [1, True]),
    ],
)
def test_values_are_yaml(text, values):
    ((_, found),) = sweep_values(text).items()
    assert found == values
    assert list(map(type, found)) == list(map(type, values))


def test_several_keys():
    texts = ["n_layers=1,2", "similarity=dot"]
    assert sweep_values(texts) == {"n_layers": [1, 2], "similarity": ["dot"]}
    assert sweep_values({"n_layers": [1, 2], "similarity": ("dot",)}) == sweep_values(texts)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("n_layers", "expected KEY=V1,V2,.*got 'n_layers'"),
        ("=1,2", "expected KEY=V1,V2"),
        ("n_layers=", "n_layers: expected values.*got none"),
        ("n_layers=1,", "expected a value after every comma; got '1,'"),
        ("n_layers=1,,2", "expected values in YAML"),
        ("views=[single", "expected values in YAML"),
        ("n_layers=1,2,1", "n_layers: 1 is given twice"),
        ("weight_decay=0.001,1e-3", "0.001 is given twice"),
        ("views=[single],[single]", r"\[single\] is given twice"),
        (["n_layers=1", "n_layers=2"], "n_layers: given twice"),
        ("seed=1,2", "seed: cannot be varied"),
        ("candidates=full,uni9", "candidates: cannot be varied"),
        ("model=TEMA,Pop", "model: cannot be varied"),
        ("show_progress=True", "show_progress: cannot be varied"),
        ({"n_layers": 2}, "n_layers: expected a list of values, got 2"),
        ({"n_layers": []}, "n_layers: expected values"),
        ([], "expected KEY=V1,V2"),
        ({}, "expected KEY=V1,V2"),
    ],
)
def test_other_sweeps_are_refused(asked, expected):
    with pytest.raises(ValueError, match=expected):
        sweep_values(asked)


@pytest.fixture
def sweep(tiny_dataset, config_of):
    """``sweep(rows, values, **settings)``: the comparison, and its curves by key."""
    tiny = tiny_dataset()

    def make(rows, values, **settings):
        def configure(row):
            return config_of(row.model, tiny, **{**settings, **row.settings})

        found = swept([Row(each) for each in rows], values, configure)
        return found, {each.key: list(each.points) for each in found.more.args[0]}

    return make


def test_one_key_at_a_time_around_what_is_given(sweep):
    values = {"n_layers": [1, 2], "temperature": [0.5, 2.0]}
    found, curves = sweep(["TEMA"], values, n_layers=1, temperature=1.0)
    settings = {
        label: (each["n_layers"], each["temperature"]) for label, each in found.configs.items()
    }
    assert settings == {
        "TEMA": (1, 1.0),
        "TEMA (n_layers=2)": (2, 1.0),
        "TEMA (temperature=0.5)": (1, 0.5),
        "TEMA (temperature=2.0)": (1, 2.0),
    }
    assert found.must_run == set(settings) - {"TEMA"}
    # The value that was given is a point of each curve, named or not, and run once.
    assert curves["n_layers"] == [
        Point("TEMA", 1, "TEMA", given=True),
        Point("TEMA", 2, "TEMA (n_layers=2)"),
    ]
    assert [point.value for point in curves["temperature"]] == [1.0, 0.5, 2.0]


def test_lists_and_several_models(sweep):
    views = [["single"], ["merged"], ["single", "merged"]]
    found, curves = sweep(["TEMA", "LLMEMF"], {"views": views})
    assert list(found.configs) == [
        *("TEMA", "TEMA (views=[single])", "TEMA (views=[merged])"),
        *("LLMEMF", "LLMEMF (views=[single])", "LLMEMF (views=[merged])"),
    ]
    assert found.configs["LLMEMF (views=[merged])"]["views"] == ["merged"]
    assert [point.model for point in curves["views"]] == ["TEMA"] * 3 + ["LLMEMF"] * 3


def test_a_setting_that_a_model_lacks_is_an_error(sweep):
    with pytest.raises(ValueError, match=r"n_layer: TEMA has no such setting; did you mean n_lay"):
        sweep(["TEMA"], {"n_layer": [1]})
    with pytest.raises(ValueError, match=r"fusion: SASRec has no such setting"):
        sweep(["TEMA", "SASRec"], {"fusion": ["score"]})
