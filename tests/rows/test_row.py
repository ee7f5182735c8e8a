"""What rows are called, what their files are, and what all of them have to share."""

import os
from pathlib import Path

import pytest

from recbole_tema.rows import Row, agreed, check_alike, check_labels, model_names, rows_of


@pytest.fixture
def files(in_tmp):
    """Some property files in this test's folder."""
    names = (
        *(
            "wide.yaml",
            "TEMA.yaml",
            "TEMA-deep.yaml",
            "tune/best-TEMA.yaml",
            "tune2/best-TEMA.yaml",
        ),
        *("out/config-TEMA.yaml", "out/config-TEMA-paper.yaml", "paper/wide.yaml", "a+b.yaml"),
    )
    for name in names:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("n_layers: 2\n", encoding="utf-8")
    return in_tmp


def labels(models):
    return [row.label for row in rows_of(models)]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("TEMA", "TEMA"),
        ("TEMA@paper/TEMA.yaml", "TEMA (paper)"),  # comes with the package
        ("TEMA@wide.yaml", "TEMA (wide)"),
        ("TEMA@./paper/../wide.yaml", "TEMA (wide)"),
        ("TEMA@TEMA-deep.yaml", "TEMA (deep)"),
        ("TEMA@tune/best-TEMA.yaml", "TEMA (tune)"),
        ("SASRec@tune/best-TEMA.yaml", "SASRec (best-TEMA)"),
        ("TEMA@out/config-TEMA.yaml", "TEMA (out)"),
        ("TEMA@out/config-TEMA-paper.yaml", "TEMA (paper)"),
        ("TEMA@paper/TEMA.yaml+wide.yaml", "TEMA (paper+wide)"),
        ("TEMA@a+b.yaml", "TEMA (a+b)"),
    ],
)
def test_labels(files, text, label):
    assert labels(text) == [label]


def test_a_file_in_the_current_folder_that_is_called_after_the_model(files):
    assert labels("TEMA@TEMA.yaml") == [f"TEMA ({os.path.basename(os.getcwd())})"]


def test_rows_in_their_order_with_their_files(files):
    rows = rows_of(" SASRec, TEMA@wide.yaml+paper/TEMA.yaml,TEMA")
    assert rows == [
        Row("SASRec"),
        Row("TEMA", ("wide+paper",), ("wide.yaml", "paper/TEMA.yaml")),
        Row("TEMA"),
    ]
    assert rows_of(["SASRec", "TEMA@wide.yaml+paper/TEMA.yaml", "TEMA"]) == rows


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ("", "expected different names"),
        ("TEMA,", "none of them empty, .*; got 'TEMA,'"),
        (["TEMA", ""], "none of them empty"),
        ("TEMA,TEMA", "expected different names"),
        ("TEMA@wide.yaml,TEMA@wide.yaml", "expected different names"),
        ("TEMA@tune/best-TEMA.yaml,TEMA@tune/../tune/best-TEMA.yaml", r"'TEMA \(tune\)'"),
        ("TEMA@wide.yaml,TEMA@paper/wide.yaml", r"rows of one name: 'TEMA \(wide\)'"),
        ("TEMA@no.yaml", "no file 'no.yaml'"),
        ("TEMA@", "no file ''"),
        ("TEMA@wide.yaml+", r"no file 'wide.yaml\+'|no file ''"),
        ("TEMA@tune", "no file 'tune'"),
    ],
)
def test_other_rows_are_refused(files, models, expected):
    with pytest.raises(ValueError, match=expected):
        rows_of(models)


def test_rows_whose_files_would_be_the_same_are_refused():
    check_labels([Row("TEMA", ("a b",)), Row("TEMA", ("a c",))])
    with pytest.raises(ValueError, match="rows of one name"):
        check_labels([Row("TEMA", ("a b",)), Row("TEMA", ("a-b",))])
    with pytest.raises(ValueError, match="rows of one name"):
        check_labels([Row("TEMA", ("A",)), Row("TEMA", ("a",))])  # one file on some disks
    with pytest.raises(ValueError, match="at most 120 characters"):
        check_labels([Row("TEMA", ("a" * 120,))])


def test_what_is_varied_comes_behind():
    row = Row("TEMA", ("paper",), ("p.yaml",)).varied("n_layers=2", {"n_layers": 2})
    assert row.label == "TEMA (paper; n_layers=2)"
    assert row.files == ("p.yaml",)
    assert row.varied("x", {"n_layers": 3}).settings == {"n_layers": 3}


def test_names_without_files(files):
    assert model_names("TEMA,SASRec") == ["TEMA", "SASRec"]
    with pytest.raises(ValueError, match=r"TEMA \(wide\): expected names alone"):
        model_names("SASRec,TEMA@wide.yaml")


def test_what_rows_share_is_said_once_or_alike():
    given = {"A": {}, "B": {"seeds": [1, 2]}, "C": {"seeds": None}, "D": {"seeds": [1, 2]}}
    assert agreed("seeds", given) == [1, 2]
    assert agreed("nproc", given) is None
    given["E"] = {"seeds": [3]}
    with pytest.raises(ValueError, match=r"seeds: \[3\] by the file of E, but \[1, 2\] .* of B"):
        agreed("seeds", given)


@pytest.mark.parametrize(
    ("key", "value"),
    [("candidates", "full"), ("candidate_seed", 7), ("topk", [3]), ("valid_metric", "MRR")],
)
def test_rows_that_would_be_measured_differently_are_refused(tiny_dataset, config_of, key, value):
    tiny = tiny_dataset()
    configs = {"A": config_of("Pop", tiny), "B": config_of("Pop", tiny, **{key: value})}
    check_alike({"A": configs["A"], "C": config_of("SASRec", tiny, epochs=3)}, seeds_given=False)
    with pytest.raises(ValueError, match=f"^{key}: .* in B, but .* in A; all rows have to be"):
        check_alike(configs, seeds_given=True)


def test_a_row_has_no_seed_of_its_own(tiny_dataset, config_of):
    tiny = tiny_dataset()
    configs = {"A": config_of("Pop", tiny), "B": config_of("Pop", tiny, seed=3)}
    check_alike(configs, seeds_given=True)
    with pytest.raises(ValueError, match="seed: 3 in B, but 2020 in A"):
        check_alike(configs, seeds_given=False)
