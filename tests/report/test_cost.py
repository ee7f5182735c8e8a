"""The table of costs, as text."""

import csv
import io
import statistics
from dataclasses import replace

import numpy as np

from recbole_tema.report.cost import write_costs
from recbole_tema.report.results import Cases, RunResult

MIB = 1 << 20
CASES = Cases(["u"], ["i"], np.array([0]), ("food",), *np.zeros((3, 1)))
RUN = RunResult("A_1", 1, CASES, {}, 4, 2, 12345, 10.0, 2.5, 0.5, 300 * MIB)


def written(folder, results):
    return {path.suffix: path.read_text(encoding="utf-8") for path in write_costs(folder, results)}


def test_one_seed(tmp_path):
    text = written(tmp_path / "new", [RUN])
    assert text[".md"] == (
        "Cost of each model\n"
        "\n"
        "| Model | Parameters | Epochs | Training (s) | s / epoch | Test (s) | Memory (MiB) |\n"
        "| ----- | ---------: | -----: | -----------: | --------: | -------: | -----------: |\n"
        "| A\\_1  |     12,345 |    4.0 |         10.0 |      2.50 |      0.5 |          300 |\n"
    )
    rows = list(csv.DictReader(io.StringIO(text[".csv"])))
    assert rows[-1] == {
        "model": "A_1",
        "measure": "peak_memory",
        "mean": str(300.0 * MIB),
        "std": "",
        "seeds": "1",
    }


def test_several_seeds_and_a_gpu(tmp_path):
    runs = [
        replace(RUN, seed=seed, train_seconds=seconds, peak_gpu_memory=memory * MIB)
        for seed, seconds, memory in ((1, 10.0, 50), (2, 20.0, 70), (3, 60.0, 60))
    ]
    text = written(tmp_path, [*runs, replace(RUN, model="B", peak_gpu_memory=5 * MIB)])
    assert text[".md"].startswith("Cost of each model; mean ± std over 1–3 seeds\n")
    # The mean is 30, and the deviations -20, -10 and 30 give sqrt(1400 / 2).
    assert "30.0 ± 26.5" in text[".md"]
    assert statistics.stdev([10, 20, 60]) == 700**0.5
    assert "60 ± 10 |" in text[".md"]
    assert "12,345 |" in text[".md"], "what does not vary has no spread"
    assert r"30.0 $\pm$ 26.5" in text[".tex"]
    assert r"A\_1 & 12,345 & 4.0 &" in text[".tex"]
    assert r"\toprule" in text[".tex"]
    rows = {(r["model"], r["measure"]): r for r in csv.DictReader(io.StringIO(text[".csv"]))}
    assert float(rows["A_1", "train_seconds"]["std"]) == statistics.stdev([10, 20, 60])
    assert rows["A_1", "peak_gpu_memory"]["seeds"] == "3"


def test_memory_that_was_not_measured_for_all_is_left_out(tmp_path):
    text = written(tmp_path, [RUN, replace(RUN, model="B", peak_gpu_memory=MIB)])
    assert "GPU" not in text[".md"]
