"""Several data sets in one command: each as if alone, and their tables side by side."""

import json
import os
import signal
from pathlib import Path

import pytest

from recbole_tema import comparison, run_on_datasets, run_recbole_tema
from recbole_tema.cli import main
from recbole_tema.formats import PRE_SPLIT
from recbole_tema.report import read_metrics
from recbole_tema.training.run import train_and_rank
from tests.runs import QUICK, contents, rows_of

BOTH = [argument.replace("tiny", "tiny,split") for argument in QUICK]
SETTINGS = {"gpu_id": "", "candidates": "uni4", "show_progress": False, "epochs": 1}


@pytest.fixture
def split(tiny, tiny_dataset):
    """A second data set below the same folder, of other users in each part."""
    return tiny_dataset(name="split", split=PRE_SPLIT)


def on(dataset):
    return [argument.replace("tiny", dataset) for argument in QUICK]


def test_each_is_as_if_alone_and_all_stand_side_by_side(split, trained):
    asked = ["--model", "TEMA,Pop", "--seeds", "1,2"]
    assert main([*BOTH, *asked, "--output", "both"]) == 0
    assert len(trained) == 8
    for dataset in ("tiny", "split"):
        assert main([*on(dataset), *asked, "--output", dataset]) == 0
        here, alone = contents(f"both/{dataset}"), contents(dataset)
        assert here == alone

    names = {path.name for path in Path("both").iterdir()}
    wanted = {f"table_uni4.{suffix}" for suffix in ("md", "csv", "tex")}
    assert names == wanted | {"tests_uni4.csv", "comparison_uni4.png", "tiny", "split"}
    lines = Path("both/table_uni4.md").read_text(encoding="utf-8").splitlines()
    heads = [head.strip() for head in lines[2].split("|")[2:-1]]
    assert heads[::5] == [
        *("tiny: food HR@5", "tiny: kitchen HR@5", "split: food HR@5", "split: kitchen HR@5")
    ]
    rows = rows_of("both/table_uni4.csv")
    assert len(rows) == 2 * 4 * 5
    for row in rows:
        dataset, domain = row["domain"].split(": ")
        metrics = read_metrics(Path(dataset, "metrics.json"))[row["model"]]
        values = [metrics[seed]["uni4"][domain][row["metric"]] for seed in (1, 2)]
        assert float(row["mean"]) == pytest.approx(sum(values) / 2)
        assert row["seeds"] == "2"
    # The tests are those of each data set's own table.
    tests = {
        (row["domain"], row["metric"]): row["p_holm"] for row in rows_of("both/tests_uni4.csv")
    }
    assert len(tests) == 2 * 2 * 5
    for row in rows_of("split/tests_uni4.csv"):
        if row["domain"] != "all":
            assert tests[f"split: {row['domain']}", row["metric"]] == row["p_holm"]


def test_a_row_that_one_of_them_cannot_have(split, capsys):
    # BPR knows users by id, and those of a pre-split test have no training.
    asked = [argument.replace("tiny,split", "split,tiny") for argument in BOTH]
    assert main([*asked, "--model", "BPR,Pop", "--output", "out"]) == 1
    printed = capsys.readouterr()
    (line,) = [line for line in printed.err.splitlines() if line.startswith("recbole-tema: ")]
    assert line.startswith("recbole-tema: BPR with seed 2020 on split failed: ")
    rows = {(row["model"], row["domain"]): row for row in rows_of("out/table_uni4.csv")}
    assert [model for model, _ in rows][::4] == ["BPR", "Pop"]
    assert rows["BPR", "tiny: food"]["mean"]
    assert rows["BPR", "tiny: food"]["seeds"] == "1"
    assert rows["BPR", "split: food"]["mean"] == ""
    assert rows["BPR", "split: food"]["seeds"] == "0"
    assert rows["Pop", "split: food"]["mean"]
    assert "split: kitchen" in printed.out.rpartition("Candidates:")[2]
    assert printed.out.endswith("\nResults: out\n")
    assert "BPR" in json.loads(Path("out/split/failures.json").read_text(encoding="utf-8"))
    assert not Path("out/tiny/failures.json").exists()


def test_domains_of_other_names_stand_as_they_are(tiny, tiny_dataset):
    from recbole_tema.formats import dataset_properties, write_properties

    other = tiny_dataset(name="other")
    text = other.files.items.read_text(encoding="utf-8")
    other.files.items.write_text(text.replace("food", "arts"), encoding="utf-8")
    write_properties(
        other.files.properties, dataset_properties(["arts", "kitchen"], "leave_one_out"), "by hand"
    )
    run = run_on_datasets(["tiny", "other"], model="Pop", config_dict=SETTINGS, output="out")
    assert list(run) == ["tiny", "other"]
    assert run["other"]["output"] == Path("out/other")
    assert set(run["other"]["metrics"]["Pop"][2020]["uni4"]) == {"arts", "kitchen", "all"}
    domains = dict.fromkeys(row["domain"] for row in rows_of("out/table_uni4.csv"))
    assert list(domains) == ["food", "tiny: kitchen", "arts", "other: kitchen"]


@pytest.mark.parametrize("then", ["tiny", "tiny,split"])
def test_tables_of_several_are_not_written_over(split, trained, capsys, then):
    assert main([*BOTH, "--model", "Pop", "--output", "out"]) == 0
    before = {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
    trained.clear()
    assert main([*on(then), "--model", "Pop", "--output", "out"]) == 2
    assert "out holds the results of a run on several data sets. " in capsys.readouterr().err
    assert trained == []
    after = {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
    assert after == before
    assert main([*BOTH, "--model", "Pop,ItemKNN", "--output", "out", "--resume"]) == 0


def test_results_of_one_are_not_written_over_by_tables_of_several(split, trained, capsys):
    assert main([*on("tiny"), "--model", "Pop", "--output", "out"]) == 0
    trained.clear()
    for more in ([], ["--resume"]):
        assert main([*BOTH, "--model", "Pop", "--output", "out", *more]) == 2
        assert "out holds the results of a run on one data set. " in capsys.readouterr().err
    assert trained == []


def test_of_several_the_unfinished_one_is_told_of(split, capsys):
    assert main([*on("tiny"), "--model", "Pop", "--output", "out/tiny"]) == 0
    Path("out/split/checkpoints").mkdir(parents=True)
    Path("out/split/checkpoints/Pop-2020-last.pth").write_bytes(b"hours of work")
    Path("out/split/UNFINISHED.txt").write_text("Pop-2020\n", encoding="utf-8")
    assert main([*BOTH, "--model", "Pop", "--output", "out"]) == 2
    assert "out/split holds a run that is not finished" in capsys.readouterr().err


def test_a_stop_in_the_second_goes_on_there(split, monkeypatch, capsys):
    asked = [*BOTH, "--model", "Pop,TEMA"]
    assert main([*asked, "--output", "whole"]) == 0
    done = []

    def stopping(config, *arguments):
        done.append((config["model"], config.dataset))
        if done[-1] == ("Pop", "split"):
            os.kill(os.getpid(), signal.SIGTERM)
        return train_and_rank(config, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(comparison, "train_and_rank", stopping)
        assert main([*asked, "--output", "parts"]) == 143
    assert done == [("Pop", "tiny"), ("TEMA", "tiny"), ("Pop", "split")]
    assert "--output parts --resume" in capsys.readouterr().err
    # As without: what is not finished is not lost.
    trained = {path: path.stat().st_mtime_ns for path in Path("parts/tiny").rglob("*-best.pth")}
    assert len(trained) == 2
    assert main([*asked, "--output", "parts", "--resume"]) == 0
    assert {path: path.stat().st_mtime_ns for path in trained} == trained
    for dataset in ("tiny", "split"):
        assert contents(f"parts/{dataset}") == contents(f"whole/{dataset}")
    for name in ("table_uni4.md", "tests_uni4.csv"):
        assert Path("parts", name).read_bytes() == Path("whole", name).read_bytes()


@pytest.mark.parametrize("changed", ["settings", "data"])
def test_what_cannot_be_gone_on_with_is_said_before_more_is_trained(
    split, trained, capsys, changed
):
    assert main([*BOTH, "--model", "SASRec", "--output", "out"]) == 0
    table = Path("out/table_uni4.csv").read_bytes()
    file = split.files.properties if changed == "settings" else split.files.split_inter("train")
    lines = file.read_text(encoding="utf-8").splitlines()
    lines = [*lines, "learning_rate: 0.05"] if changed == "settings" else lines[:-1]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    trained.clear()
    more = [*BOTH, "--model", "SASRec,GRU4Rec", "--output", "out", "--resume"]
    if changed == "settings":
        more.remove("--learning_rate=0.01")
    assert main(more) == 2
    assert f"SASRec-2020-last.pth was made with other {changed}" in capsys.readouterr().err
    assert trained == []
    assert Path("out/table_uni4.csv").read_bytes() == table


def test_a_stop_leaves_the_tables_of_all_as_they_were(split, monkeypatch):
    assert main([*BOTH, "--model", "Pop", "--output", "out"]) == 0
    table = Path("out/table_uni4.csv").read_bytes()

    def stopping(config, *arguments):
        if config.dataset == "split":
            os.kill(os.getpid(), signal.SIGTERM)
        return train_and_rank(config, *arguments)

    monkeypatch.setattr(comparison, "train_and_rank", stopping)
    assert main([*BOTH, "--model", "Pop,ItemKNN", "--output", "out", "--resume"]) == 143
    assert Path("out/table_uni4.csv").read_bytes() == table


def test_resuming_where_nothing_was_begun_is_refused(split, trained, capsys):
    assert main([*BOTH, "--model", "Pop", "--output", "out", "--resume"]) == 2
    assert "nothing to resume" in capsys.readouterr().err
    assert trained == []


def test_an_unfinished_run_of_one_of_them_is_not_lost(split, trained, monkeypatch, capsys):
    Path("out/split/checkpoints").mkdir(parents=True)
    Path("out/split/checkpoints/Pop-2020-last.pth").write_bytes(b"hours of work")
    Path("out/split/UNFINISHED.txt").write_text("Pop-2020\n", encoding="utf-8")
    assert main([*BOTH, "--model", "Pop", "--output", "out"]) == 2
    assert "holds a run that is not finished" in capsys.readouterr().err
    assert trained == []
    assert not Path("out/tiny").exists()


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (["--dataset", "tiny,nowhere"], "no data set 'nowhere'"),
        (["--dataset", "tiny,split,tiny"], "dataset: expected different names"),
        (["--dataset", ","], "dataset: expected different names"),
        (["--model", "TEMA,LLMEMF", "--fusion=late"], "fusion: expected one of"),
        # What only the second one lacks.
        (["--model", "BPR"], "recbole-tema: split: BPR scores users by id"),
        (["--tune", "tune", "--trials", "1"], "--tune searches on one data set"),
    ],
)
def test_what_is_wrong_with_one_ends_it_before_the_first(split, trained, capsys, extra, expected):
    asked = [*BOTH, "--model", "Pop", *extra]
    for option in ("--dataset", "--model"):  # the last one given holds
        while asked.count(option) > 1:
            del asked[asked.index(option) : asked.index(option) + 2]
    assert main([*asked, "--output", "out"]) == 2
    assert expected in capsys.readouterr().err
    assert trained == []
    assert not list(Path().glob("out/*"))


def test_lists_of_different_lengths_are_refused(split, trained):
    text = split.files.properties.read_text(encoding="utf-8")
    split.files.properties.write_text(f"{text}\ntopk: [3, 10]\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"topk: \[3, 10\] on split, but \[5, 10\] on tiny"):
        run_on_datasets("tiny,split", model="Pop", config_dict=SETTINGS, output="out")
    assert trained == []
    # Given for both, it holds for both.
    run_on_datasets(
        "tiny,split", model="Pop", config_dict={**SETTINGS, "topk": [3, 10]}, output="out"
    )
    metrics = {row["metric"] for row in rows_of("out/table_uni4.csv")}
    assert metrics == {"hr@3", "hr@10", "ndcg@3", "ndcg@10", "mrr"}


def test_one_call_for_one_data_set_takes_one(split, trained):
    with pytest.raises(ValueError, match="dataset: expected one, got tiny, split; run_on_datasets"):
        run_recbole_tema("Pop", "tiny,split", config_dict=SETTINGS, output="out")
    assert trained == []


def test_two_processes(split):
    asked = [*BOTH, "--model", "BPR,Pop,SASRec", "--nproc=2"]
    assert main([*asked, "--output", "two"]) == 1
    rows = {(row["model"], row["domain"]): row for row in rows_of("two/table_uni4.csv")}
    assert [model for model, _ in rows][::4] == ["BPR", "Pop", "SASRec"]
    assert rows["BPR", "split: food"]["mean"] == ""
    assert all(rows["SASRec", f"{name}: kitchen"]["mean"] for name in ("tiny", "split"))
    table = Path("two/table_uni4.csv").read_bytes()
    assert main([*asked, "--output", "two", "--resume"]) == 1
    assert Path("two/table_uni4.csv").read_bytes() == table
