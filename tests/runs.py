"""Quick runs of the command on the tiny data set, and what they write."""

import csv
import re
from pathlib import Path

from recbole_tema import comparison
from recbole_tema.training.run import train_and_rank

QUICK = [
    *("--dataset", "tiny", "--candidates", "uni4", "--epochs=2", "--train_batch_size=32"),
    *("--show_progress=false", "--MAX_ITEM_LIST_LENGTH=5", "--gpu_id=", "--n_negatives=4"),
    "--learning_rate=0.01",
]
WITH_TIMES = {"timing.json", "cost.md", "cost.csv", "cost.tex", "report.html"}


def contents(folder):
    """The files of a folder by name, without times and the settings that made them."""
    files = {path.name: path for path in Path(folder).iterdir() if path.is_file()}
    found = {name: path.read_bytes() for name, path in files.items() if name not in WITH_TIMES}
    page = files["report.html"].read_text(encoding="utf-8")
    for section in ("cost", "setup"):
        page, cut = re.subn(
            f'<section aria-labelledby="{section}">.*?</section>', "", page, flags=re.S
        )
        assert cut == 1
    return {**found, "report.html": page}


def rows_of(path):
    return list(csv.DictReader(Path(path).read_text(encoding="utf-8").splitlines()))


def failing(monkeypatch, *wanted, error=None):
    """Let the training of these (model, seed) raise."""

    def train(config, *arguments):
        if (config["model"], config["seed"]) in wanted:
            raise error or RuntimeError("the loss is NaN")
        return train_and_rank(config, *arguments)

    monkeypatch.setattr(comparison, "train_and_rank", train)
