"""What is read of a data set beside RecBole's own ways: its files and histories that come split."""

from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from recbole.config import Config

from recbole_tema.data.sequences import Ints
from recbole_tema.formats import HISTORY, ITEM, SPLITS, USER, DatasetFiles, read_histories

# RecBole's default of user_inter_num_interval and item_inter_num_interval.
ANY_NUMBER = "[0,inf)"

# RecBole's settings that drop interactions.
FILTERS = ("rm_dup_inter", "val_interval", "user_inter_num_interval", "item_inter_num_interval")


def table_files(files: DatasetFiles, config: Config) -> list[Path]:
    """The atomic files that there may be: interactions or split histories, items, users.

    And those of RecBole's ``additional_feat_suffix``.
    """
    more = config["additional_feat_suffix"] or ()
    splits = [files.split_inter(split) for split in SPLITS]
    others = [files.folder / f"{files.name}.{suffix}" for suffix in ("user", *more)]
    return [files.inter, *splits, files.items, *others]


def refuse_filters(config: Config) -> None:
    """Raise ValueError when interactions are to be dropped from histories that come split."""
    for key in FILTERS:
        # A run's config-ROW.yaml names those that drop none, too.
        if config.external_config_dict.get(key) not in (None, ANY_NUMBER):
            raise ValueError(
                f"{key}: the histories of {config['dataset']} come split and are kept whole; "
                "filter the raw data instead"
            )


def read_split_histories(files: DatasetFiles) -> tuple[pd.DataFrame, list[int], Ints]:
    """All events of the pre-split histories, histories a split, and events a history."""
    parts = [read_histories(files.split_inter(split)) for split in SPLITS]
    frame = pd.concat(parts, ignore_index=True)
    columns = frame[HISTORY], frame[ITEM]
    histories = [f"{first} {last}".split() for first, last in zip(*columns, strict=True)]
    lengths = np.fromiter(map(len, histories), dtype=np.int64, count=len(histories))
    items = np.array(list(chain.from_iterable(histories)), dtype=object)
    events = pd.DataFrame({USER: np.repeat(frame[USER].to_numpy(), lengths), ITEM: items})
    return events, [len(part) for part in parts], lengths
