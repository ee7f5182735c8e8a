"""The files of a run, down to their bytes."""

import gzip
import json
import math
import time
from dataclasses import replace

import numpy as np
import pytest

from recbole_tema.evaluation import metrics_by_domain
from recbole_tema.formats import FormatError
from recbole_tema.report.results import (
    RANKS_FILE,
    Cases,
    RunResult,
    metrics_of_results,
    read_metrics,
    read_ranks,
    write_metrics,
    write_ranks,
    write_timing,
)

CASES = Cases(
    users=["u1", 'u,"2"', "NA"],
    targets=["i1", "i2", "é3"],
    domain=np.array([0, 1, 0]),
    domain_names=("zoo", "art"),
    history_length=np.array([2, 30, 5]),
    target_count=np.array([7, 0, 1]),
    from_other=np.array([False, True, True]),
)


def result(model="TEMA", seed=1, cases=CASES, **ranks):
    ranks = ranks or {"uni999": np.array([1.0, 3.5, 2.0])}
    return RunResult(
        model=model,
        seed=seed,
        cases=cases,
        ranks=ranks,
        epochs=3,
        best_epoch=2,
        parameters=1000,
        train_seconds=12.5,
        seconds_per_epoch=4.0,
        eval_seconds=0.5,
        peak_memory=2048,
    )


def test_metrics_file(tmp_path):
    path = write_metrics(tmp_path / "new", [result()], topk=(1,))
    assert path == tmp_path / "new" / "metrics.json"
    assert json.loads(path.read_text()) == {
        "TEMA": {
            "1": {
                "uni999": {
                    "zoo": {"hr@1": 0.5, "ndcg@1": 0.5, "mrr": 0.75},
                    "art": {"hr@1": 0.0, "ndcg@1": 0.0, "mrr": 1 / 3.5},
                    "all": {"hr@1": 1 / 3, "ndcg@1": 1 / 3, "mrr": (1 + 1 / 3.5 + 0.5) / 3},
                }
            }
        }
    }


def test_metrics_file_is_the_same_whatever_the_order_of_the_runs(tmp_path):
    ranks = {"uni999": np.array([1.0, 2.0, 3.0]), "full": np.array([4.0, 5.0, 6.0])}
    runs = [result("TEMA", 10, **ranks), result("TEMA", 9, **ranks), result("Pop", 1, **ranks)]
    once = write_metrics(tmp_path / "a", runs).read_bytes()
    assert once == write_metrics(tmp_path / "b", runs[::-1]).read_bytes()
    tree = json.loads(once)
    assert list(tree) == ["Pop", "TEMA"]
    assert list(tree["TEMA"]) == ["9", "10"]
    assert list(tree["TEMA"]["9"]) == ["full", "uni999"]
    assert list(tree["TEMA"]["9"]["full"]) == ["zoo", "art", "all"]  # the data set's order


def test_a_domain_without_cases_is_null_on_disk_and_nan_in_memory(tmp_path):
    cases = replace(CASES, domain=np.array([0, 0, 0]))
    path = write_metrics(tmp_path, [result(cases=cases)])
    assert json.loads(path.read_text())["TEMA"]["1"]["uni999"]["art"]["mrr"] is None
    assert math.isnan(read_metrics(path)["TEMA"][1]["uni999"]["art"]["mrr"])


def test_metrics_come_back_as_they_were(tmp_path):
    runs = [result("SASRec", 2), result("Pop", 1)]
    in_memory = metrics_of_results(runs)
    assert list(in_memory) == ["SASRec", "Pop"]  # the order in which the models were asked for
    assert read_metrics(write_metrics(tmp_path, runs)) == in_memory


@pytest.mark.parametrize("text", ["{", "[]", '{"TEMA": 3}', '{"TEMA": {"one": {}}}', "\xff"])
def test_a_broken_metrics_file_is_refused(tmp_path, text):
    path = tmp_path / "metrics.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(FormatError, match=r"metrics\.json: not \{model"):
        read_metrics(path)


def test_ranks_file(tmp_path):
    runs = [result("TEMA", 2), result("Pop", 1, full=np.array([1234.0, 0.1 + 0.9, 2.5]))]
    path = write_ranks(tmp_path, runs)
    assert gzip.decompress(path.read_bytes()).decode() == (
        "model,seed,candidates,user_id,domain,target_item_id,"
        "history_length,target_count,from_other_domain,rank\n"
        "Pop,1,full,u1,zoo,i1,2,7,0,1234\n"
        'Pop,1,full,"u,""2""",art,i2,30,0,1,1\n'
        "Pop,1,full,NA,zoo,é3,5,1,1,2.5\n"
        "TEMA,2,uni999,u1,zoo,i1,2,7,0,1\n"
        'TEMA,2,uni999,"u,""2""",art,i2,30,0,1,3.5\n'
        "TEMA,2,uni999,NA,zoo,é3,5,1,1,2\n"
    )


def test_ranks_file_depends_on_the_ranks_alone(tmp_path, monkeypatch):
    once = write_ranks(tmp_path / "a", [result()]).read_bytes()
    monkeypatch.setattr(time, "time", lambda: 1.9e9)
    later = replace(result(), train_seconds=99.0, eval_seconds=7.0)
    assert write_ranks(tmp_path / "b", [later]).read_bytes() == once


def test_metrics_can_be_worked_out_from_the_ranks_file(tmp_path):
    rng = np.random.default_rng(0)
    n = 500
    cases = Cases(
        [str(i) for i in range(n)],
        [str(i) for i in range(n)],
        rng.integers(0, 2, n),
        ("zoo", "art"),
        rng.integers(1, 50, n),
        rng.integers(0, 9, n),
        rng.random(n) < 0.5,
    )
    run = result(cases=cases, uni999=rng.integers(2, 2001, n) / 2)
    frame = read_ranks(write_ranks(tmp_path, [run]))
    assert frame["seed"].dtype == np.int64
    assert frame["user_id"].tolist() == cases.users
    domain = frame["domain"].map({"zoo": 0, "art": 1}).to_numpy()
    found = metrics_by_domain(frame["rank"].to_numpy(), domain, cases.domain_names)
    assert found == metrics_of_results([run])["TEMA"][1]["uni999"]
    facts = frame[["history_length", "target_count", "from_other_domain"]].to_numpy()
    assert facts.T.tolist() == [each.astype(int).tolist() for each in cases.facts]


def test_user_names_that_look_like_missing_values_come_back(tmp_path):
    frame = read_ranks(write_ranks(tmp_path, [result()]))
    assert frame["user_id"].tolist() == CASES.users


HEAD = (
    "model,seed,candidates,user_id,domain,target_item_id,"
    "history_length,target_count,from_other_domain,rank\n"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user,rank\n1,2\n", r"line 1: expected the columns model,seed,.* found user,rank"),
        (f"{HEAD}P,x,f,u,d,i,1,1,0,1\n", "not a rank"),
        (f"{HEAD}P,1,f,u,d,i,1,1,0,\n", "not a rank"),
        (f"{HEAD}P,1,f,u,d,i,1,?,0,1\n", "not a rank"),
        (
            f"{HEAD}P,1,f,u,d,i,1,1,0,1\nP,1,f,u,d,i,1,1,0,0.5\n",
            r"line 3: expected a rank from 1 on, found 0\.5",
        ),
        ("", "not a rank file"),
    ],
)
def test_a_broken_ranks_file_is_refused(tmp_path, text, message):
    path = tmp_path / RANKS_FILE
    path.write_bytes(gzip.compress(text.encode()))
    with pytest.raises(FormatError, match=message):
        read_ranks(path)


@pytest.mark.parametrize("damage", [lambda data: data[:-30], lambda data: b"model" + data])
def test_a_damaged_gzip_file_is_refused(tmp_path, damage):
    path = write_ranks(tmp_path, [result()])
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(FormatError, match="not a rank file"):
        read_ranks(path)


def test_timing_file(tmp_path):
    path = write_timing(tmp_path, [result("TEMA", 2), result("Pop", 1)])
    assert path.name == "timing.json"
    tree = json.loads(path.read_text())
    assert list(tree) == ["Pop", "TEMA"]
    assert tree["TEMA"]["2"] == {
        "epochs": 3,
        "best_epoch": 2,
        "parameters": 1000,
        "train_seconds": 12.5,
        "seconds_per_epoch": 4.0,
        "eval_seconds": 0.5,
        "peak_memory": 2048,
        "peak_gpu_memory": None,
    }


def test_runs_that_cannot_be_compared_are_refused(tmp_path):
    other = replace(CASES, targets=["i1", "i2", "i4"])
    assert not CASES.same_as(other)
    assert not CASES.same_as(replace(CASES, target_count=np.array([7, 0, 2])))
    for write in (write_metrics, write_ranks):
        with pytest.raises(ValueError, match="two runs of TEMA with seed 1"):
            write(tmp_path, [result(), result()])
        with pytest.raises(ValueError, match="Pop with seed 1 was tested on other cases than TEMA"):
            write(tmp_path, [result(), result("Pop", cases=other)])
    assert not list(tmp_path.iterdir())
    same = replace(CASES, users=list(CASES.users), domain=CASES.domain.copy())
    write_ranks(tmp_path, [result(), result("Pop", cases=same)])


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"TEMA, seed 1, full: expected one rank for each of 3"):
        result(full=np.array([1.0]))
    for short in ({"users": ["u1"]}, {"from_other": np.array([True])}):
        with pytest.raises(ValueError, match="a user, a target and a domain"):
            replace(CASES, **short)
    with pytest.raises(ValueError, match="no domain may be called 'all'"):
        replace(CASES, domain_names=("zoo", "all"))
