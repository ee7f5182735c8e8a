"""Synthetic data sets: the sizes asked for, the same files each time, fit to be loaded."""

import sys

import numpy as np
import pytest

from benchmarks import synthetic
from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.formats import (
    DatasetFiles,
    read_features,
    read_histories,
    read_interactions,
    read_items,
    sha256_of_files,
)


@pytest.fixture
def write(tmp_path, monkeypatch):
    """``write(*options)``: run the command with ``--out``; the files it wrote."""

    def run(*options: str, out: str = "dataset") -> DatasetFiles:
        command = ["synthetic.py", *options, "--out", str(tmp_path / out)]
        monkeypatch.setattr(sys, "argv", command)
        synthetic.main()
        return DatasetFiles(tmp_path / out / options[0])

    return run


def test_a_leave_one_out_data_set(write, config_of):
    files = write("M", "--users", "300", "--items", "50", "70")
    events, items = read_interactions(files.inter), read_items(files.items)
    assert items["domain"].tolist() == ["x"] * 50 + ["y"] * 70
    assert events["user_id"].nunique() == 300
    lengths = events.groupby("user_id").size()
    assert lengths.min() == 3
    assert lengths.mean() == pytest.approx(10, abs=1.5)
    assert events["timestamp"].is_monotonic_increasing
    per_item = np.sort(events.groupby("item_id").size().to_numpy())
    assert per_item[-12:].sum() > 3 * per_item[:12].sum()  # some items are popular
    assert set(events["item_id"]) <= set(items["item_id"])

    config = config_of("SASRec", _Files(files))
    dataset = CrossDomainDataset(config)
    assert dataset.domain_ranges == [(1, 51), (51, 121)]
    _, valid, test = dataset.split()
    assert len(valid) == len(test) == 300


def test_a_pre_split_data_set_with_features(write):
    files = write("MB", "--users", "50", "--items", "20", "30", "--features", "8")
    parts = [read_histories(files.split_inter(part)) for part in ("train", "valid", "test")]
    assert [len(part) for part in parts] == [40, 5, 5]
    assert all((part["item_id_list"].str.split().str.len() == 11).all() for part in parts)
    tokens = read_items(files.items)["item_id"].tolist()
    for kind in ("text", "image"):
        features = read_features(files.features(kind), tokens)
        assert features.vectors.shape == (50, 8)
        assert features.present.any()


def test_the_same_options_give_the_same_files(write):
    options = ("MB", "--users", "30", "--items", "9", "9", "--features", "4")
    one, same = write(*options), write(*options, out="again")
    other = write(*options, "--seed", "7", out="other")
    sums = [
        sha256_of_files(sorted(set(files.folder.iterdir()) - {files.properties}))
        for files in (one, same, other)
    ]
    assert sums[0] == sums[1] != sums[2]


def test_sizes_that_cannot_be_are_refused(write, capsys):
    with pytest.raises(SystemExit):
        write("M", "--events", "2")
    assert "3 events a history" in capsys.readouterr().err


class _Files:
    """As much of a tiny data set as a configuration for tests needs."""

    def __init__(self, files: DatasetFiles) -> None:
        self.files = files
