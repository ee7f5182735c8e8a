"""What a trained model recommends to a user: ``Recommender``, of a run's output folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from recbole.utils import ModelType
from tqdm import tqdm

from recbole_tema.config import FULL, UNSEEN, TEMAConfig
from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.data.loaders import (
    KNOW_USERS,
    CaseLoader,
    data_preparation,
    scores_histories,
)
from recbole_tema.data.sequences import Floats, Ints, Rows
from recbole_tema.evaluation.ranker import CaseRanker
from recbole_tema.formats import DOMAIN, ITEM, TITLE, USER, file_name_of, read_items
from recbole_tema.training.checkpoint import load_checkpoint
from recbole_tema.training.resume import RunCheckpoints

COLUMNS = (USER, DOMAIN, "rank", ITEM, TITLE)


class Recommender:
    """A trained model of a run, and the data set that it was trained on.

    Args:
        run: the output folder of a run; of one on several data sets the folder of one of them.
        model: the row, ``TEMA`` or ``TEMA (paper)``; None: the only one that the run has.
        seed: None: the run's first.
        data_path: where the data set lies now; None: where it lay then.
        checkpoint_dir: what the run was given, if it was.

    Attributes:
        dataset: with the histories of all users.

    Raises:
        ValueError: no such run, row or seed; or the data set has changed since (also FormatError).
        OSError: a file could not be read.
    """

    def __init__(
        self,
        run: str | Path,
        model: str | None = None,
        seed: int | None = None,
        data_path: str | Path | None = None,
        checkpoint_dir: str | None = None,
    ) -> None:
        row, config = _row_of(Path(run), model, seed, data_path)
        best = RunCheckpoints(Path(run), checkpoint_dir).files(row, config["seed"]).best
        if not best.is_file():
            there = sorted(path.name for path in best.parent.glob("*-best.pth"))
            raise ValueError(
                f"{best}: no such checkpoint; {best.parent} has {', '.join(there) or 'none'}. "
                "Choose one with --model and --seed"
            )
        self._config, self._device = config, config["device"]
        self.dataset = CrossDomainDataset(config)
        trained = load_checkpoint(best, self._device)
        if trained["data"] != self.dataset.checksum():
            raise ValueError(
                f"{self.dataset.files.folder} is not what {best} was trained on, so that its items "
                "may be others: put the files of then back, or name their folder with --data_path"
            )
        train, _, self._prepared = data_preparation(config, self.dataset)
        self._model = config.model_class(config, train._dataset).to(self._device)
        self._model.load_state_dict(trained["state_dict"])
        self._model.load_other_parameter(trained["other_parameter"])

    def recommend(
        self,
        users: Sequence[str] | None = None,
        histories: Mapping[str, Sequence[str]] | None = None,
        k: int = 10,
        domains: Sequence[str] | None = None,
        again: bool = False,
        show_progress: bool = False,
    ) -> pd.DataFrame:
        """The best items of each domain for some users, given all that they have in both domains.

        Args:
            users: of the data set, each with the whole history that it has there; None, and no
                ``histories``: all of them.
            histories: of people whom the data set need not know: {name: its items, oldest first}.
                They stand at the latest time that the data have.
            k: items a user and domain.
            domains: None: both.
            again: also what the history holds already.
            show_progress: a bar.

        Returns:
            ``COLUMNS``: a line an item, the best first; fewer than ``k`` where a domain has no
            more. A title that is missing is empty.

        Raises:
            ValueError: a user, item or domain that the data set does not have, an empty history, a
                ``k`` below 1; or the model knows users by id, and cannot be given histories.
        """
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ValueError(f"k: expected a whole number of at least 1, got {k!r}")
        chosen = self._domains(domains)
        if users is None and not histories:
            users = self.dataset.field2id_token[self.dataset.uid_field][1:].tolist()
        names = [*(users or ()), *(histories or {})]
        known = [*self._of_users(users or ()), *self._given(histories or {})]
        rows, domain = self._cases(known, chosen)
        best = self._best(rows, k, again, show_progress)

        titles = dict(read_items(self.dataset.files.items)[[ITEM, TITLE]].itertuples(index=False))
        tokens = self.dataset.field2id_token[self.dataset.iid_field]
        lines = []
        for case, items in enumerate(best):
            _, held, _ = known[case // len(chosen)]
            if not again:
                items = items[~np.isin(items, held)]
            for rank, item in enumerate(tokens[items[items > 0]].tolist(), start=1):
                name = names[case // len(chosen)], self.dataset.domains[domain[case]]
                lines.append((*name, rank, item, titles.get(item, "")))
        return pd.DataFrame(lines, columns=list(COLUMNS))

    def _domains(self, domains: Sequence[str] | None) -> list[int]:
        asked = list(self.dataset.domains if domains is None else domains)
        unknown = [name for name in asked if name not in self.dataset.domains]
        if unknown or not asked or len(set(asked)) < len(asked):
            raise ValueError(
                f"domain: expected some of {', '.join(self.dataset.domains)}, got "
                f"{', '.join(map(str, asked)) or 'none'}"
            )
        return [self.dataset.domains.index(name) for name in asked]

    def _of_users(self, users: Sequence[str]) -> list[tuple[int, Ints, Floats | None]]:
        """Id, items and times of each; of a user with several histories the last one."""
        of_token = self.dataset.field2token_id[self.dataset.uid_field]
        if unknown := [user for user in users if user not in of_token]:
            raise ValueError(
                f"users: {self.dataset.dataset_name} does not have {len(unknown)} of {len(users)}, "
                f"first {unknown[:3]}; give what they have as histories"
            )
        all_of_them = self.dataset.histories
        last = {int(user): number for number, user in enumerate(all_of_them.users)}
        found = []
        for user in users:
            number = last[of_token[user]]
            one = all_of_them.part(number, number + 1)
            found.append((of_token[user], one.items, one.times))
        return found

    def _given(
        self, histories: Mapping[str, Sequence[str]]
    ) -> list[tuple[int, Ints, Floats | None]]:
        """The same of people without an id: 0, RecBole's padding."""
        reads = self._config["MODEL_TYPE"] == ModelType.SEQUENTIAL or scores_histories(self._config)
        if histories and (not reads or self._config["model"] in KNOW_USERS):
            raise ValueError(
                f"{self._config['model']} knows users by id, and can recommend to those of the "
                "data set alone; choose a model that reads histories, such as TEMA or SASRec"
            )
        of_token = self.dataset.field2token_id[self.dataset.iid_field]
        times = self.dataset.histories.times
        found = []
        for name, items in histories.items():
            unknown = [item for item in items if item not in of_token]
            if unknown or not len(items):
                raise ValueError(
                    f"histories: {name}: expected items of {self.dataset.dataset_name}, oldest "
                    f"first; got {', '.join(map(str, unknown[:3])) or 'none'}"
                )
            ids = np.array([of_token[item] for item in items], dtype=np.int64)
            latest = None if times is None else np.full(len(ids), times.max())
            found.append((0, ids, latest))
        return found

    def _cases(
        self, known: Sequence[tuple[int, Ints, Floats | None]], domains: Sequence[int]
    ) -> tuple[Rows, Ints]:
        """A row for each history and domain, and its domain; the target is an item to fill in.

        It is none that the history holds, as far as there are others.
        """
        items: list[Any] = []
        times: list[Any] = []
        users, lengths = [], []
        for user, held, when in known:
            for domain in domains:
                first, stop = self.dataset.domain_ranges[domain]
                # Among one more than it holds is one that it does not hold.
                some = np.arange(first, min(stop, first + len(held) + 1))
                new = some[~np.isin(some, held)]
                target = new[0] if len(new) else first
                items += [held, [target]]
                times += [] if when is None else [when, when[-1:]]
                users.append(user)
                lengths.append(len(held) + 1)
        stops = np.cumsum(lengths, dtype=np.int64)
        rows = Rows(
            np.concatenate(items).astype(np.int64),
            stops - np.array(lengths, dtype=np.int64),
            stops,
            np.array(users, dtype=np.int64),
            np.concatenate(times) if times else None,
        )
        return rows, np.tile(domains, len(known))

    def _best(self, rows: Rows, k: int, again: bool, show_progress: bool) -> np.ndarray:
        """(cases, k) ids, the best first, -1 where there are no more."""
        prepared, size = self._prepared.dataset, self._config["eval_batch_size"]
        short = rows.shortened(self._config["MAX_ITEM_LIST_LENGTH"])
        loader = CaseLoader(prepared.with_rows(short, prepared.inter_feat), rows, size)
        ranker = CaseRanker(loader, [FULL if again else UNSEEN], seed=0)
        found = []
        for start in tqdm(
            range(0, len(rows), size), ncols=100, desc="Recommend  ", disable=not show_progress
        ):
            cases = np.arange(start, min(start + size, len(rows)))
            found.append(ranker.top(self._model, self._device, cases, k).items)
        return np.concatenate(found)


def _row_of(
    run: Path, label: str | None, seed: int | None, data_path: str | Path | None
) -> tuple[str, TEMAConfig]:
    """What files of one row are called by, and the configuration that its run wrote."""
    files = {path.stem.removeprefix("config-"): path for path in sorted(run.glob("config-*.yaml"))}
    if not files:
        raise ValueError(f"{run}: no output folder of a run on one data set: no config-MODEL.yaml")
    if label is None and len(files) > 1:
        raise ValueError(f"{run} has several models, {', '.join(files)}: choose one with --model")
    row = next(iter(files)) if label is None else file_name_of(label)
    if row not in files:
        raise ValueError(f"{run} has no model {label}; choose from {', '.join(files)}")
    said: dict[str, Any] = yaml.safe_load(files[row].read_text(encoding="utf-8"))
    own: dict[str, Any] = {"nproc": 1, "world_size": None, "show_progress": False}
    if seed is not None:
        own["seed"] = seed
    if data_path is not None:
        own["data_path"] = str(data_path)
    return row, TEMAConfig(said["model"], said["dataset"], [str(files[row])], own)
