"""What a trained model recommends to a user: ``Recommender``, of a run's output folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from recbole_tema.asked import settings_in
from recbole_tema.config import FULL, UNSEEN, TEMAConfig
from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.data.loaders import CaseLoader, data_preparation, knows_users
from recbole_tema.data.sequences import Floats, Ints, Rows
from recbole_tema.evaluation.ranker import CaseRanker
from recbole_tema.formats import DOMAIN, ITEM, TITLE, USER, file_name_of, read_items
from recbole_tema.training.checkpoint import load_checkpoint
from recbole_tema.training.resume import RunCheckpoints, changed_files

COLUMNS = (USER, DOMAIN, "rank", ITEM, TITLE)


@dataclass(frozen=True)
class _Person:
    """Who is to be recommended to.

    user: id, 0 (RecBole's padding) where there is none. items: (n,) what the model is given, oldest
    first. times: (n,) of these; None: nobody knows. besides: items of the person's other histories.
    """

    user: int
    items: Ints
    times: Floats | None
    besides: Ints

    @property
    def owned(self) -> Ints:
        return np.concatenate([self.besides, self.items])


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
        if changed := changed_files(trained["data"], self.dataset.checksums()):
            raise ValueError(
                f"{self.dataset.files.folder} is not what {best} was trained on: "
                f"{', '.join(changed)} changed since. Put the files of then back, or name their "
                "folder with --data_path"
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
            users: of the data set, each with the whole history that it has there. Of several
                histories (pre-split data) the model is given the last one. None, and no
                ``histories`` either: all of them.
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
        if users is None and histories is None:
            ids = np.unique(self.dataset.histories.users)
            users = self.dataset.field2id_token[self.dataset.uid_field][ids].tolist()
        users, histories = list(dict.fromkeys(users or ())), histories or {}
        if not users and not histories:
            raise ValueError("users: expected at least one, or a history; got none")
        names = [*users, *histories]
        if both := sorted(set(users) & set(histories)):
            raise ValueError(f"histories: {', '.join(both)}: a user asked for has this name")
        people = [*self._of_users(users), *self._given(histories)]
        best = self._best(people, chosen, k, again, show_progress)

        titles = dict(read_items(self.dataset.files.items)[[ITEM, TITLE]].itertuples(index=False))
        tokens = self.dataset.field2id_token[self.dataset.iid_field]
        lines = []
        for case, items in enumerate(best):
            number, domain = divmod(case, len(chosen))
            if not again:
                items = items[~np.isin(items, people[number].owned)]
            for rank, item in enumerate(tokens[items[items > 0]].tolist(), start=1):
                name = names[number], self.dataset.domains[chosen[domain]]
                lines.append((*name, rank, item, titles.get(item, "")))
        return pd.DataFrame(lines, columns=list(COLUMNS))

    def unknown_users(self, users: Sequence[str]) -> list[str]:
        """Those of ``users`` of whom the data set has no history."""
        of_token = self.dataset.field2token_id[self.dataset.uid_field]
        known = set(self.dataset.histories.users.tolist())
        return [user for user in users if of_token.get(user) not in known]

    def unknown_items(self, items: Sequence[str]) -> list[str]:
        """Those of ``items`` that the data set does not have."""
        of_token = self.dataset.field2token_id[self.dataset.iid_field]
        return [item for item in items if not of_token.get(item)]  # 0: padding

    def _domains(self, domains: Sequence[str] | None) -> list[int]:
        asked = list(self.dataset.domains if domains is None else domains)
        unknown = [name for name in asked if name not in self.dataset.domains]
        if unknown or not asked or len(set(asked)) < len(asked):
            raise ValueError(
                f"domain: expected some of {', '.join(self.dataset.domains)}, got "
                f"{', '.join(map(str, asked)) or 'none'}"
            )
        return [self.dataset.domains.index(name) for name in asked]

    def _of_users(self, users: Sequence[str]) -> list[_Person]:
        if unknown := self.unknown_users(users):
            raise ValueError(
                f"users: {self.dataset.dataset_name} does not have {', '.join(unknown[:3])}"
                f"{', …' if len(unknown) > 3 else ''} ({len(unknown)} of {len(users)}); what "
                "somebody else has can be given in histories"
            )
        of_token = self.dataset.field2token_id[self.dataset.uid_field]
        all_of_them = self.dataset.histories
        last = {int(user): number for number, user in enumerate(all_of_them.users)}
        owned, offsets = self.dataset.owned_items()
        found = []
        for user in map(of_token.get, users):
            one = all_of_them.part(last[user], last[user] + 1)
            besides = np.setdiff1d(owned[offsets[user] : offsets[user + 1]], one.items)
            found.append(_Person(user, one.items, one.times, besides))
        return found

    def _given(self, histories: Mapping[str, Sequence[str]]) -> list[_Person]:
        if histories and knows_users(self._config):
            raise ValueError(
                f"{self._config['model']} knows users by id, and can recommend to those of the "
                "data set alone; choose a model that reads histories, such as TEMA or SASRec"
            )
        of_token = self.dataset.field2token_id[self.dataset.iid_field]
        times = self.dataset.histories.times
        latest = None if times is None else times.max()
        found = []
        for name, items in histories.items():
            if not len(items):
                raise ValueError(f"histories: {name}: expected at least one item, got none")
            if unknown := self.unknown_items(items):
                raise ValueError(
                    f"histories: {name}: {self.dataset.dataset_name} does not have "
                    f"{', '.join(map(str, unknown[:3]))}{', …' if len(unknown) > 3 else ''} "
                    f"({len(unknown)} of {len(items)})"
                )
            ids = np.array([of_token[item] for item in items], dtype=np.int64)
            when = None if latest is None else np.full(len(ids), latest)
            found.append(_Person(0, ids, when, ids[:0]))
        return found

    def _cases(self, people: Sequence[_Person], domains: Sequence[int]) -> tuple[Rows, Rows]:
        """For each person and domain a row of all that is owned, and one that the model is given.

        The target is an item to fill in: none that is owned, as far as there are others.
        """
        items: list[Ints] = []
        times: list[Floats] = []
        for each in people:
            owned = each.owned
            for first, stop in (self.dataset.domain_ranges[domain] for domain in domains):
                # Among one more than are owned is one that is not.
                some = np.arange(first, min(stop, first + len(owned) + 1))
                new = some[~np.isin(some, owned)]
                items.append(np.append(owned, new[0] if len(new) else first))
                if each.times is not None:
                    before = np.full(len(each.besides), each.times[0])
                    times.append(np.concatenate([before, each.times, each.times[-1:]]))
        stops = np.cumsum([len(part) for part in items], dtype=np.int64)
        whole = Rows(
            np.concatenate(items).astype(np.int64),
            np.concatenate([[0], stops[:-1]]),
            stops,
            np.repeat([each.user for each in people], len(domains)).astype(np.int64),
            np.concatenate(times) if times else None,
        )
        besides = np.repeat([len(each.besides) for each in people], len(domains))
        given = replace(whole, starts=whole.starts + besides)
        return whole, given.shortened(self._config["MAX_ITEM_LIST_LENGTH"])

    def _best(
        self,
        people: Sequence[_Person],
        domains: Sequence[int],
        k: int,
        again: bool,
        show_progress: bool,
    ) -> np.ndarray:
        """(people * domains, k) ids, the best first, -1 where there are no more."""
        prepared, size = self._prepared.dataset, self._config["eval_batch_size"]
        whole, given = self._cases(people, domains)
        loader = CaseLoader(prepared.with_rows(given, prepared.inter_feat), whole, size)
        ranker = CaseRanker(loader, [FULL if again else UNSEEN], seed=0)
        k = min(k, max(stop - first for first, stop in self.dataset.domain_ranges))
        found = []
        for start in tqdm(
            range(0, len(whole), size), ncols=100, desc="Recommend  ", disable=not show_progress
        ):
            cases = np.arange(start, min(start + size, len(whole)))
            found.append(ranker.top(self._model, self._device, cases, k).items)
        return np.concatenate(found)


def _row_of(
    run: Path, label: str | None, seed: int | None, data_path: str | Path | None
) -> tuple[str, TEMAConfig]:
    """What files of one row are called by, and the configuration that its run wrote."""
    files = {path.stem.removeprefix("config-"): path for path in sorted(run.glob("config-*.yaml"))}
    if not files:
        parts = sorted(str(path.parent) for path in run.glob("*/config-*.yaml"))
        hint = f"; choose one of {', '.join(dict.fromkeys(parts))}" if parts else ""
        what = "no run has finished a model here" if run.is_dir() else "no such folder"
        raise ValueError(f"{run}: {what}; expected the output folder of a run{hint}")
    if label is None and len(files) > 1:
        raise ValueError(f"{run} has several models, {', '.join(files)}: choose one with --model")
    row = next(iter(files)) if label is None else file_name_of(label)
    if row not in files:
        raise ValueError(f"{run} has no model {label}; choose from {', '.join(files)}")
    said = settings_in([str(files[row])])
    if not {"model", "dataset"} <= said.keys():
        raise ValueError(f"{files[row]}: not the configuration that a run writes")
    own: dict[str, Any] = {"nproc": 1, "world_size": None, "show_progress": False}
    if seed is not None:
        own["seed"] = seed
    if data_path is not None:
        own["data_path"] = str(data_path)
    return row, TEMAConfig(said["model"], said["dataset"], [str(files[row])], own)
