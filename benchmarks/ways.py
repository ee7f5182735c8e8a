"""Ranking all test cases our way and RecBole 1.2.1's, and whether both give the same ranks.

RecBole's way is its stock classes: ``SequentialDataset``, its evaluation loaders and
``Trainer.evaluate``. Both read the same files and rank with the same untrained weights on the CPU.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import Measured, peak_mib
from recbole.config import Config
from recbole.data import create_samplers
from recbole.data import data_preparation as recbole_data_preparation
from recbole.data.dataset import SequentialDataset
from recbole.data.utils import get_dataloader
from recbole.trainer import Trainer
from recbole.utils import ModelType, init_seed

from recbole_tema.compat import add_numpy_aliases
from recbole_tema.config import TEMAConfig
from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.data.loaders import CaseLoader, data_preparation, trains_on_windows
from recbole_tema.evaluation.ranker import CaseRanker
from recbole_tema.evaluation.ranks import rank_of_target
from recbole_tema.formats import ITEM, DatasetFiles, read_items

FULL, UNI = "full", "uni999"
SEED = 2020
MAX_LENGTH = 50

add_numpy_aliases(np)  # RecBole's own Config reads them


@dataclass(frozen=True)
class Settings:
    """What is measured: the command's options."""

    model: str
    dataset: str
    data_path: str


def part(settings: Sequence[str], function: str, *arguments: Any) -> Measured:
    """One of the functions below, in the process started for it, with its peak memory."""
    imported = peak_mib()
    measured: Measured = globals()[function](Settings(*settings), *arguments)
    measured.imported_mib, measured.peak_mib = imported, peak_mib()
    return measured


# ---- our way -------------------------------------------------------------------------------------


def our_preparation(settings: Settings, data_cache: str | bool) -> Measured:
    """From the files, or the cache, to the first batches of training rows and of test cases."""
    config, measured = _our_config(settings, data_cache), Measured()
    with measured.timed():
        dataset = CrossDomainDataset(config)
        train, _, test = data_preparation(config, dataset)
        next(iter(train))
        next(iter(test))
    measured.cases = measured.all_cases = len(test.cases)
    return measured


def our_tables(settings: Settings, data_cache: str | bool) -> Measured:
    """Features and tags of a loaded data set; the cache, if there is one, holds the tags by then.

    Notes: ``tables``, how many of them the data set has.
    """
    dataset, measured = CrossDomainDataset(_our_config(settings, data_cache)), Measured()
    if data_cache:
        dataset.tags()
    with measured.timed():
        tables = [dataset.features("text"), dataset.features("image"), dataset.tags()]
    measured.notes["tables"] = sum(table is not None for table in tables)
    return measured


def our_ranking(settings: Settings, modes: Sequence[str]) -> Measured:
    """Every test case under each of ``modes``: candidates drawn, cases scored, ranks counted.

    Notes: ``draw``, the seconds of drawing; a training run draws once, for all its epochs.
    """
    config, measured = _our_config(settings), Measured()
    test = _our_loader(config)
    model = _model(config, test.dataset, settings)
    _warm_up(model, next(iter(test)).interaction)
    with measured.timed():
        start = time.perf_counter()
        ranker = CaseRanker(test, modes, SEED)
        measured.notes["draw"] = time.perf_counter() - start
        ranker.ranks(model, config["device"])
    measured.cases = measured.all_cases = len(test.cases)
    return measured


def _our_config(settings: Settings, data_cache: str | bool = False) -> TEMAConfig:
    keys = {**_common_keys(settings), "data_cache": data_cache}
    config = TEMAConfig(settings.model, settings.dataset, config_dict=keys)
    sequential = config["MODEL_TYPE"] == ModelType.SEQUENTIAL
    if not sequential or trains_on_windows(config.model_class):
        raise ValueError(
            f"--model {settings.model}: choose a sequential model of RecBole's own, such as SASRec "
            "or GRU4Rec; only those run both ways"
        )
    return config


def _our_loader(config: TEMAConfig) -> CaseLoader:
    _, _, test = data_preparation(config, CrossDomainDataset(config))
    return test


# ---- RecBole's way -------------------------------------------------------------------------------


def recbole_preparation(settings: Settings) -> Measured:
    """From the files to the first batches of training rows and of test cases."""
    config, measured = recbole_config(settings, FULL), Measured()
    with measured.timed():
        train, _, test = recbole_data_preparation(config, SequentialDataset(config))
        next(iter(train))
        next(iter(test))
    measured.cases = measured.all_cases = len(test.dataset)
    return measured


def recbole_ranking(settings: Settings, mode: str, cases: int | None = None) -> Measured:
    """``cases`` test cases, or all, under ``mode`` by ``Trainer.evaluate``."""
    config, measured = recbole_config(settings, mode), Measured()
    loader, measured.all_cases = _recbole_loader(config, cases)
    measured.cases = len(loader.dataset)
    model = _model(config, loader.dataset, settings)
    trainer = Trainer(config, model)
    _warm_up(model, loader.dataset[np.arange(min(measured.cases, 8))])
    with measured.timed():
        trainer.evaluate(loader, load_best_model=False)
    return measured


def recbole_config(settings: Settings, mode: str, **more: Any) -> Config:
    """RecBole's own configuration for our files; ``more`` settings win."""
    files = DatasetFiles(Path(settings.data_path) / settings.dataset)
    keys = {
        **_common_keys(settings),
        "eval_args": {
            "split": {"LS": "valid_and_test"},
            "order": "TO",
            "group_by": "user",
            "mode": mode,
        },
        # The items are loaded so that both ways know the same ones, also those that nobody has.
        "load_col": {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id"]},
        "metrics": ["Hit", "NDCG", "MRR"],
        "topk": [5, 10],
        **more,
    }
    config = Config(settings.model, settings.dataset, [str(files.properties)], keys)
    if config["benchmark_filename"]:
        config["load_col"]["inter"] = ["user_id", "item_id_list", "item_id"]
    # RecBole reads a data set called ml-100k from inside its own wheel.
    config["data_path"] = str(files.folder)
    return config


def _recbole_loader(config: Config, cases: int | None = None) -> tuple[Any, int]:
    """RecBole's loader of so many test cases, evenly spread over all of them; how many all are."""
    dataset = SequentialDataset(config)
    built = dataset.build()
    test, sampler = built[2], create_samplers(config, dataset, built)[2]
    number = len(test)
    if cases is not None and cases < number:
        chosen = np.linspace(0, number - 1, cases).astype(np.int64)
        test = test.copy(test.inter_feat[chosen])
    return get_dataloader(config, "test")(config, test, sampler), number


# ---- both on the same cases ----------------------------------------------------------------------


def same_ranks(settings: Settings) -> Measured:
    """Ranks under ``full`` both ways, RecBole's scores restricted to the target's domain.

    A case is the same one if user, history and target are.

    Notes: ``compared``, how many cases are the same; ``equal``, how many of their ranks are; and
    ``largest``, the largest difference between two ranks.
    """
    config = _our_config(settings)
    test = _our_loader(config)
    ours = test.dataset
    ranker = CaseRanker(test, [FULL], SEED)
    ranks = ranker.ranks(_model(config, ours, settings), config["device"])[FULL]
    our_rank = dict(zip(_cases(ours, ours[np.arange(len(ranks))]), ranks, strict=True))

    their_config = recbole_config(settings, FULL)
    their_config["eval_batch_size"] = config["eval_batch_size"]
    loader, all_cases = _recbole_loader(their_config)
    theirs = loader.dataset
    model = _model(their_config, theirs, settings).eval()
    # Their number of each item in our order; 0 is padding in both.
    tokens = ours.id2token(ours.iid_field, np.arange(1, ours.item_num))
    number = torch.from_numpy(np.append(0, theirs.token2id(theirs.iid_field, tokens)))
    differences = []
    for interaction, *_ in loader:
        with torch.no_grad():
            scores = model.full_sort_predict(interaction)[:, number]
        for row, case in enumerate(_cases(theirs, interaction)):
            if case not in our_rank:
                continue
            target = np.array([ours.token2id(ours.iid_field, case[1])])
            first, stop = ours.domain_ranges[int(ours.domain_of(target)[0])]
            their_rank = rank_of_target(scores[[row], first:stop], scores[row, target], True)
            differences.append(abs(their_rank.item() - our_rank[case]))
    apart = np.array(differences)
    notes = {
        "compared": float(apart.size),
        "equal": float((apart == 0).sum()),
        "largest": float(apart.max(initial=0.0)),
    }
    return Measured(len(theirs), all_cases, notes=notes)


def _cases(dataset: SequentialDataset, interaction: Any) -> list[tuple[str, str, str]]:
    """User, target and history of each case, by their tokens."""
    users = dataset.id2token(dataset.uid_field, interaction[dataset.uid_field])
    targets = dataset.id2token(dataset.iid_field, interaction[dataset.iid_field])
    histories = dataset.id2token(dataset.iid_field, interaction[dataset.item_id_list_field])
    lengths = interaction[dataset.item_list_length_field].tolist()
    read = (" ".join(row[:length]) for row, length in zip(histories, lengths, strict=True))
    return list(zip(users, targets, read, strict=True))


# ---- shared --------------------------------------------------------------------------------------


def _common_keys(settings: Settings) -> dict[str, Any]:
    return {
        "data_path": settings.data_path,
        "gpu_id": "",
        "seed": SEED,
        "MAX_ITEM_LIST_LENGTH": MAX_LENGTH,
        "train_neg_sample_args": None,  # nothing is trained, or on all items
        "show_progress": False,
        "checkpoint_dir": os.getcwd(),
    }


def _model(config: Config, dataset: SequentialDataset, settings: Settings) -> Any:
    """The model with weights that depend on the seed and the item file alone.

    The two ways number the items differently: the k-th item of the file gets the k-th row of what
    the constructor drew, whatever its number.
    """
    items = read_items(DatasetFiles(Path(settings.data_path) / settings.dataset).items)
    if dataset.item_num != len(items) + 1:
        raise ValueError(
            f"{settings.dataset}: the item file has {len(items)} items, but {dataset.item_num - 1} "
            "were loaded; the two ways would not rank the same ones"
        )
    numbers = torch.from_numpy(dataset.token2id(dataset.iid_field, items[ITEM].to_list()))
    init_seed(SEED, True)
    model = config.model_class(config, dataset)
    for weights in model.state_dict().values():
        if weights.shape[:1] == (dataset.item_num,):
            weights[numbers] = weights[1:].clone()
    return model


def _warm_up(model: Any, interaction: Any) -> None:
    """Score a few cases untimed: a library's first call sets things up."""
    model.eval()
    with torch.no_grad():
        model.full_sort_predict(interaction)
