"""The data set: RecBole's fields for every model, and domains, features and tags for ours."""

import copy
import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from recbole.config import Config
from recbole.data.dataset import Dataset, SequentialDataset
from recbole.data.interaction import Interaction
from recbole.utils import FeatureSource, FeatureType
from torch import Tensor

from recbole_tema.data.cache import CacheEntry, cache_folder
from recbole_tema.data.item_features import FrozenFeatures, ItemTags, load_features, load_tags
from recbole_tema.data.item_graph import ItemGraph, load_graph
from recbole_tema.data.prepared import can_be_kept, restore, settings_of, to_content
from recbole_tema.data.reading import (
    ANY_NUMBER,
    read_split_histories,
    refuse_filters,
    table_files,
)
from recbole_tema.data.sequences import (
    Floats,
    Histories,
    Ints,
    Rows,
    leave_one_out,
    whole_rows,
)
from recbole_tema.formats import (
    ALL_DOMAINS,
    DOMAIN,
    FEATURE_KINDS,
    ITEM,
    TIME,
    USER,
    DatasetFiles,
    FormatError,
    read_interactions,
    read_items,
    sha256_of_file,
    sha256_of_files,
    sha256_of_tokens,
)


class CrossDomainDataset(SequentialDataset):
    """Two domains of one set of users, as ``recbole-tema-data build`` writes them.

    Item ids are 1 … N with the first domain's items in front, so that a domain is a range of ids;
    0 is padding. Histories stay flat (see :mod:`recbole_tema.data.sequences`); with rows (see
    :func:`recbole_tema.data.loaders.data_preparation`), ``dataset[index]`` cuts rows from them.

    Attributes:
        domains: names of the two domains.
        domain_ranges: for each domain the half-open range ``(start, stop)`` of its item ids.
        histories: of all users, whole; pre-split ones in the order of the parts.
        rows: of a prepared data set: its training rows or its cases.

    Raises:
        FormatError: files are missing or do not fit each other.
    """

    item_feat: Any
    domains: list[str]
    domain_ranges: list[tuple[int, int]]
    rows: Rows
    histories: Histories
    _file_tokens: list[str]
    _split_sizes: list[int]

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.domain_ranges = self._find_domain_ranges()

    # ---- reading -----------------------------------------------------------------------------

    def _from_scratch(self) -> None:
        self.files = DatasetFiles(Path(self.config["data_path"]))
        if self.config["benchmark_filename"] is not None:
            refuse_filters(self.config)
        # What a subclass prepares may be something else.
        kept = type(self) is CrossDomainDataset and can_be_kept(self.config)
        self._cache_folder = cache_folder(self.config, self.files) if kept else None
        entry = self._cache_entry(
            "data", settings_of(self.config), table_files(self.files, self.config)
        )
        content = entry.read() if entry else None
        if content is None:
            super()._from_scratch()
            self.histories = self._sorted_histories()
            if entry:
                entry.write(to_content(self))
        else:
            self._get_preset()
            self._get_field_from_config()
            restore(self, content)

    def _cache_entry(
        self, name: str, settings: Mapping[str, Any], sources: Sequence[Path]
    ) -> CacheEntry | None:
        if self._cache_folder is None:
            return None
        return CacheEntry(self._cache_folder, f"{self.files.name}.{name}", settings, sources)

    def _load_data(self, token: str, dataset_path: str) -> None:
        if not self.files.folder.is_dir():
            raise FormatError(
                f"no data set {token!r}: {self.files.folder} does not exist. Build one with "
                "recbole-tema-data build, or set data_path to the folder that holds it"
            )
        super()._load_data(token, dataset_path)
        self.item_feat = self._in_domain_order(self.item_feat)
        self._refuse_unknown_items()

    def _load_inter_feat(self, token: str, dataset_path: str) -> None:
        if self.benchmark_filename_list is None:
            frame = read_interactions(self.files.inter)
            self._split_sizes = []
        else:
            frame, self._split_sizes, self._history_lengths = read_split_histories(self.files)
        renamed = {USER: self.uid_field, ITEM: self.iid_field, TIME: self.time_field}
        self.inter_feat = frame.rename(columns=renamed)
        for field in self.inter_feat:
            kind = FeatureType.FLOAT if field == self.time_field else FeatureType.TOKEN
            self.set_field_property(field, kind, FeatureSource.INTERACTION, 1)

    def _load_feat(self, filepath: str, source: Any) -> pd.DataFrame | None:
        # RecBole's reader takes all columns of a file through Python, also those nobody wants.
        plain = {ITEM, DOMAIN}
        if source != FeatureSource.ITEM or self._get_load_and_unload_col(source) != (plain, None):
            return super()._load_feat(filepath, source)
        for field in (ITEM, DOMAIN):
            self.set_field_property(field, FeatureType.TOKEN, source, 1)
        return read_items(Path(filepath))[[ITEM, DOMAIN]]

    def _in_domain_order(self, item_feat: pd.DataFrame | None) -> pd.DataFrame:
        if item_feat is None or DOMAIN not in item_feat:
            raise FormatError(
                f"{self.files.items}: no column {DOMAIN}:token, so there are no two domains to "
                "recommend in; build the data set with recbole-tema-data build"
            )
        self._file_tokens = item_feat[self.iid_field].to_list()
        self.domains = list(self.config["domains"] or item_feat[DOMAIN].unique())
        found = set(item_feat[DOMAIN].unique())
        if len(self.domains) != 2 or found != set(self.domains) or ALL_DOMAINS in found:
            raise FormatError(
                f"{self.files.items}: expected the items of two domains, {self.domains}, none of "
                f"them called {ALL_DOMAINS!r}; found {sorted(map(str, found))}"
            )
        rank = item_feat[DOMAIN].map({name: at for at, name in enumerate(self.domains)})
        return item_feat.iloc[np.argsort(rank.to_numpy(), kind="stable")].reset_index(drop=True)

    def _refuse_unknown_items(self) -> None:
        """RecBole would drop their events unseen, or give them ids beyond both domains."""
        of_events = self.inter_feat[self.iid_field]
        unknown = of_events[~of_events.isin(self._file_tokens)].unique()
        if len(unknown):
            raise FormatError(
                f"{self.files.folder}: {len(unknown)} items of the interactions have no row in "
                f"{self.files.items.name}, first {list(unknown[:3])}; build the data set anew with "
                "recbole-tema-data build"
            )

    # ---- RecBole's processing, adapted -------------------------------------------------------

    def _data_processing(self) -> None:
        with warnings.catch_warnings():
            # RecBole fills NaN through chained assignment; right under pandas 2, but noisy.
            warnings.simplefilter("ignore", FutureWarning)
            super()._data_processing()

    def _remove_duplication(self) -> None:
        keep = self.config["rm_dup_inter"]
        if keep is None:
            return
        # RecBole sorts unstably here, which would change who is whose target.
        by_time = self.inter_feat.sort_values(self.time_field, kind="stable")
        self.inter_feat = by_time.drop_duplicates([self.uid_field, self.iid_field], keep=keep)

    def _filter_inter_by_user_or_item(self) -> None:
        # Every event's item has its row, as long as no value filter dropped rows.
        if self.config["val_interval"] or self.user_feat is not None:
            super()._filter_inter_by_user_or_item()

    def _filter_by_inter_num(self) -> None:
        # RecBole counts all tokens also where any number will do.
        asked = [self.config[f"{who}_inter_num_interval"] for who in ("user", "item")]
        if any(interval not in (None, ANY_NUMBER) for interval in asked):
            super()._filter_by_inter_num()

    def _get_remap_list(self, field_list: np.ndarray) -> list[tuple[pd.DataFrame, str, Any]]:
        # Item ids follow the order of the items, not of the interactions. Pre-split data name the
        # lists of items as an alias, but they were read into single events already.
        known = [field for field in field_list if field in self.field2type]
        remap_list = super()._get_remap_list(known)
        return sorted(remap_list, key=lambda entry: entry[0] is not self.item_feat)

    def _benchmark_presets(self) -> None:
        """Nothing to prepare: rows are cut from flat histories."""

    def _change_feat_format(self) -> None:
        if isinstance(self.item_feat, pd.DataFrame):  # else prepared before, for another model
            Dataset._change_feat_format(self)
        if not self.reads_histories:
            return
        list_field = self.iid_field + self.config["LIST_SUFFIX"]
        self.item_id_list_field = list_field
        self.set_field_property(
            list_field, FeatureType.TOKEN_SEQ, FeatureSource.INTERACTION, self.max_item_list_len
        )
        self.set_field_property(
            self.item_list_length_field, FeatureType.TOKEN, FeatureSource.INTERACTION, 1
        )

    def inter_matrix(self, form: str = "coo", value_field: str | None = None) -> Any:
        """Users x items of the training events, as RecBole's general models read it."""
        return Dataset.inter_matrix(self, form, value_field)

    # ---- domains, histories, features --------------------------------------------------------

    def _find_domain_ranges(self) -> list[tuple[int, int]]:
        of_item = self.item_feat[DOMAIN].to_numpy()
        ids = [self.field2token_id[DOMAIN].get(name) for name in self.domains]
        ranges = []
        for name, number in zip(self.domains, ids, strict=True):
            at = np.flatnonzero(of_item == number)
            if number is None or len(at) == 0:
                raise FormatError(f"domain {name!r} has no item left after filtering")
            ranges.append((int(at[0]), int(at[-1]) + 1))
        return ranges

    @cached_property
    def item_domain(self) -> Tensor:
        """(N + 1,) int64: 0 or 1, the domain of each item; -1 for padding."""
        domain = torch.full((self.item_num,), -1)
        for number, (start, stop) in enumerate(self.domain_ranges):
            domain[start:stop] = number
        return domain

    def domain_of(self, items: Ints) -> Ints:
        """(n,) 0 or 1 for each of ``items`` (n,)."""
        return np.where(items < self.domain_ranges[1][0], 0, 1)

    def features(self, kind: str) -> FrozenFeatures | None:
        """Frozen vectors of the items, ``text`` or ``image``; None where the data set has none."""
        name = self.config["text_features"] if kind == "text" else None
        return load_features(self.files, kind, self._file_tokens, self._item_tokens, name)

    def tags(self) -> ItemTags | None:
        """The items' tags with scores; None where the data set has none."""
        tokens = {"file": self._file_tokens, "ids": self._item_tokens}
        settings = {name: sha256_of_tokens(each) for name, each in tokens.items()}
        entry = self._cache_entry("tags", settings, [self.files.tags])
        return load_tags(self.files, self._file_tokens, self._item_tokens, entry)

    def graph(self) -> ItemGraph | None:
        """Typed edges between the items; None where the data set has none."""
        return load_graph(self.files, self._file_tokens, self._item_tokens)

    @property
    def _item_tokens(self) -> list[str]:
        return [str(token) for token in self.field2id_token[self.iid_field][1:]]

    def owned_items(self) -> tuple[Ints, Ints]:
        """What each user has, in any split: flat ascending item ids, and offsets by user id."""
        items = self.histories.items
        users = np.repeat(self.histories.users, np.diff(self.histories.offsets))
        pairs = np.unique(users * self.item_num + items)
        offsets = np.searchsorted(pairs, np.arange(self.user_num + 1) * self.item_num)
        return pairs % self.item_num, offsets

    def checksum(self) -> str:
        """sha256 over every file of the data set that a run may read."""
        features = [self.files.features(kind) for kind in FEATURE_KINDS]
        if name := self.config["text_features"]:
            features.append(self.files.features("text", name))
        paths = [
            *table_files(self.files, self.config),
            *features,
            self.files.tags,
            self.files.graph,
        ]
        return sha256_of_files(path for path in paths if path.is_file())

    def checksums(self) -> dict[str, str]:
        """sha256 by name of every file of the data set that the run's model may read."""
        text = self.files.features("text", self.config["text_features"])
        read = {
            "text": [text],
            "image": [self.files.features("image")],
            "tags": [self.files.tags, self.files.features("tag")],
            "graph": [self.files.graph],
        }
        kinds = getattr(self.config.model_class, "reads_files", ())
        more = [path for kind in kinds for path in read[kind]]
        paths = [*table_files(self.files, self.config), *more]
        return {path.name: sha256_of_file(path) for path in paths if path.is_file()}

    def _sorted_histories(self) -> Histories:
        """Every history in time order; equal times keep the order of the file."""
        users = self.inter_feat[self.uid_field].to_numpy(dtype=np.int64)
        items = self.inter_feat[self.iid_field].to_numpy(dtype=np.int64)
        if self.benchmark_filename_list is not None:
            offsets = np.concatenate([[0], np.cumsum(self._history_lengths)])
            return Histories(items, offsets, users[offsets[:-1]])
        times = self.inter_feat[self.time_field].to_numpy(dtype=np.float64)
        order = np.lexsort((times, users))
        users, items, times = users[order], items[order], times[order]
        starts = np.flatnonzero(np.diff(users, prepend=-1))
        return Histories(items, np.append(starts, len(items)), users[starts], times)

    # ---- splitting ---------------------------------------------------------------------------

    def split(self) -> tuple[Histories, Rows, Rows]:
        """Training histories, validation cases, test cases."""
        if self.benchmark_filename_list is None:
            return leave_one_out(self.histories)
        bounds = np.concatenate([[0], np.cumsum(self._split_sizes)])
        train, valid, test = (self.histories.part(a, b) for a, b in pairwise(bounds))
        return train, whole_rows(valid), whole_rows(test)

    def trained_items(self) -> Ints:
        """Ascending ids of the items that training histories hold."""
        return np.unique(self.split()[0].items)

    def training_times(self) -> Floats | None:
        """(E,) times of all training events; None where the data set has none."""
        return self.split()[0].times

    def with_rows(self, rows: Rows, events: Interaction) -> "CrossDomainDataset":
        """This data set with ``rows`` to cut and ``events`` (user and item of each) to count."""
        built = copy.copy(self)
        built.rows = rows
        built.inter_feat = events
        return built

    def shuffle_ties_of(self, histories: Histories) -> None:
        """From now on :meth:`begin_epoch` shuffles these, from which the rows were cut."""
        self._ties_of = histories

    def begin_epoch(self, epoch: int) -> None:
        """Put training events of one time in another order, by seed and epoch alone."""
        if self._ties_of is not None:
            random = np.random.default_rng([self.config["seed"], epoch])
            items = self._ties_of.with_ties_shuffled(random).items
            self.rows = dataclasses.replace(self.rows, items=items)

    def __len__(self) -> int:
        return len(self.rows) if hasattr(self, "rows") else super().__len__()

    def __getitem__(self, index: Any, join: bool = True) -> Interaction:
        """RecBole's fields of some rows: user, item list, its length, its times, target.

        Args:
            index: (B,) row numbers.
            join: add the columns of the item and user files.
        """
        index = np.atleast_1d(np.asarray(index))
        fields = {self.uid_field: self.rows.users[index], self.iid_field: self.rows.targets[index]}
        if self.reads_histories:
            items, lengths = self.rows.inputs(index, self.row_width, self.width_step)
            fields[self.item_id_list_field] = items
            fields[self.item_list_length_field] = lengths
            if self.gives_times:
                times = self.rows.input_times(index, items.shape[1])
                fields[self.time_field + self.config["LIST_SUFFIX"]] = times
        batch = Interaction({name: torch.from_numpy(value) for name, value in fields.items()})
        return self.join(batch) if join else batch

    # Set by `recbole_tema.data.loaders` for the model at hand.
    reads_histories: bool = True
    row_width: int | None = None
    width_step: int | None = None
    gives_times: bool = False
    # Whose ties each epoch shuffles; None: of nothing.
    _ties_of: Histories | None = None
