"""What RecBole's processing makes of the atomic files, as arrays and JSON, and back."""

from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd
from recbole.config import Config
from recbole.utils import FeatureSource, FeatureType
from recbole.utils.argument_list import dataset_arguments

from recbole_tema.data.cache import Content
from recbole_tema.data.sequences import Histories

# Settings that RecBole's processing of a data set reads, and ours. Rows are cut from histories
# later, so that no entry depends on their greatest length.
SETTINGS = sorted(
    {*dataset_arguments, "domains", "encoding"}.difference({"MAX_ITEM_LIST_LENGTH", "NEG_PREFIX"})
)

# Settings that read further files or put lists of pairs into tables; no data set of ours needs any.
NOT_KEPT = ("additional_feat_suffix", "preload_weight", "numerical_features", "discretization")

TABLES = ("inter_feat", "user_feat", "item_feat")
PLAIN = ("field2seqlen", "field2bucketnum", "domains", "_file_tokens", "_split_sizes")
PARTS = fields(Histories)


def can_be_kept(config: Config) -> bool:
    """Whether the prepared data set holds nothing but plain columns and sequences."""
    return not any(config[key] for key in NOT_KEPT)


def settings_of(config: Config) -> dict[str, Any]:
    """The settings that a prepared data set follows from."""
    return {key: config[key] for key in SETTINGS}


def to_content(dataset: Any) -> Content:
    """The state of a :class:`~recbole_tema.data.dataset.CrossDomainDataset` just loaded."""
    parts = {each.name: getattr(dataset.histories, each.name) for each in PARTS}
    arrays = {f"histories/{name}": part for name, part in parts.items() if part is not None}
    columns: dict[str, list[str]] = {}
    for table in TABLES:
        frame = getattr(dataset, table)
        if frame is None:
            continue
        columns[table] = list(frame.columns)
        for column in frame.columns:
            _put(arrays, f"{table}/{column}", frame[column].to_numpy())
    about = {
        "columns": columns,
        "types": {field: kind.value for field, kind in dataset.field2type.items()},
        "sources": {field: source.value for field, source in dataset.field2source.items()},
        "tokens": {field: tokens.tolist() for field, tokens in dataset.field2id_token.items()},
        "plain": {name: getattr(dataset, name) for name in PLAIN},
    }
    return Content(about, arrays)


def restore(dataset: Any, content: Content) -> None:
    """Give a data set the state that :func:`to_content` took."""
    about, arrays = content.about, content.arrays
    for name, value in about["plain"].items():
        setattr(dataset, name, value)
    parts: dict[str, Any] = {each.name: arrays.get(f"histories/{each.name}") for each in PARTS}
    dataset.histories = Histories(**parts)
    for table in TABLES:
        columns = about["columns"].get(table)
        frame = None
        if columns is not None:
            frame = pd.DataFrame({name: _get(arrays, f"{table}/{name}") for name in columns})
        setattr(dataset, table, frame)
    dataset.field2type = {field: FeatureType(kind) for field, kind in about["types"].items()}
    dataset.field2source = {name: FeatureSource(kind) for name, kind in about["sources"].items()}
    dataset.field2id_token = {name: np.array(tokens) for name, tokens in about["tokens"].items()}
    dataset.field2token_id = {
        name: {token: at for at, token in enumerate(tokens)}
        for name, tokens in about["tokens"].items()
    }
    dataset._init_alias()
    dataset.feat_name_list = dataset._build_feat_name_list()


def _put(arrays: dict[str, np.ndarray], name: str, column: np.ndarray) -> None:
    """A column of numbers as it is, one of sequences as its values in a row and their lengths."""
    if column.dtype != object:
        arrays[name] = column
        return
    arrays[f"{name}/lengths"] = np.fromiter(map(len, column), dtype=np.int64, count=len(column))
    arrays[f"{name}/values"] = np.concatenate(column)


def _get(arrays: dict[str, np.ndarray], name: str) -> Any:
    if name in arrays:
        return arrays[name]
    return np.split(arrays[f"{name}/values"], np.cumsum(arrays[f"{name}/lengths"])[:-1])
