"""The command ``recbole-tema-recommend``: what a trained model recommends."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from recbole_tema.formats import DOMAIN, ITEM, TITLE, USER, atomic_write

DESCRIPTION = """\
Recommend items of both domains to users, with a model that recbole-tema has trained."""

EPILOG = """\
Examples:
  recbole-tema-recommend results/fk --model TEMA --users 117,4022
  recbole-tema-recommend results/fk --model TEMA --history B000CQBZQA,B008H2JMFW \\
      --domain kitchen --k 5
  recbole-tema-recommend results/fk --model TEMA --seed 2 --csv top10.csv       # all users"""

# What the history of --history is called.
GIVEN = "history"
# Characters of a title on the screen.
LONGEST = 76


def parser() -> argparse.ArgumentParser:
    """All arguments."""
    result = argparse.ArgumentParser(
        "recbole-tema-recommend",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = result.add_argument
    add(
        "run",
        metavar="RUN",
        help="output folder of a recbole-tema run; of one on several data sets the folder of one "
        "of them in it",
    )
    add("--model", metavar="ROW", help="the row, TEMA or 'TEMA (paper)'; default: the only one")
    add("--seed", type=int, help="of the row's seeds; default: the run's first")
    who = result.add_mutually_exclusive_group()
    who.add_argument(
        "--users",
        metavar="ID,...",
        help="users of the data set, each with all that it has there; where it does not have all "
        "of them nothing is recommended",
    )
    who.add_argument(
        "--history",
        metavar="ITEM,...",
        help="somebody else's items, of both domains, oldest first; taken to be bought at the "
        "latest time that the data have",
    )
    add("--domain", metavar="NAME,...", help="default: both")
    add("--k", type=int, default=10, help="items a user and domain (default: %(default)s)")
    add(
        "--again",
        action="store_true",
        help="also items that the history holds already; by default new ones alone",
    )
    add(
        "--csv",
        metavar="FILE",
        help="write user_id,domain,rank,item_id,title there in place of the screen; of all users "
        "where none are named",
    )
    add("--data_path", metavar="DIR", help="where the data set lies now; default: as in the run")
    add("--checkpoint_dir", metavar="DIR", help="the --checkpoint_dir of the run, if it had one")
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status, 2 for input with which it cannot run."""
    from recbole_tema.compat import IncompatibleVersionError

    arguments = parser().parse_args(argv)
    try:
        users = _listed("--users", arguments.users)
        history = _listed("--history", arguments.history)
        domains = _listed("--domain", arguments.domain)
        if users is None and history is None and not arguments.csv:
            raise ValueError("name --users or give a --history; with --csv FILE it may be all")
        logging.basicConfig(level=logging.ERROR)  # a run's own file is nothing to be warned of
        from recbole_tema import Recommender

        recommender = Recommender(
            arguments.run,
            arguments.model,
            arguments.seed,
            arguments.data_path,
            arguments.checkpoint_dir,
        )
        name = recommender.dataset.dataset_name
        if unknown := recommender.unknown_users(users or ()):
            raise ValueError(
                f"--users: {name} does not have {', '.join(unknown)}; what somebody else has can "
                "be given by --history ITEM,…"
            )
        if unknown := recommender.unknown_items(history or ()):
            raise ValueError(f"--history: {name} does not have the items {', '.join(unknown)}")
        found = recommender.recommend(
            users=users,
            histories=None if history is None else {GIVEN: history},
            k=arguments.k,
            domains=domains,
            again=arguments.again,
            show_progress=bool(arguments.csv) and sys.stderr.isatty(),
        )
        if arguments.csv:
            with atomic_write(Path(arguments.csv)) as beside:
                found.to_csv(beside, index=False)
            print(f"recommendations: {len(found):,}, in {arguments.csv}")
        else:
            print(_text(found))
    except (ValueError, OSError, IncompatibleVersionError) as error:
        print(f"recbole-tema-recommend: {error}", file=sys.stderr)
        return 2
    return 0


def _listed(option: str, text: str | None) -> list[str] | None:
    if text is None:
        return None
    found = [each.strip() for each in text.split(",") if each.strip()]
    if not found:
        raise ValueError(f"{option}: expected at least one, or several joined by commas; got none")
    return found


def _cut(title: str) -> str:
    return title if len(title) <= LONGEST else f"{title[: LONGEST - 1].rstrip()}…"


def _text(found: pd.DataFrame) -> str:
    """For a terminal: under each user and domain a line an item."""
    width = found[ITEM].str.len().max() if len(found) else 0
    blocks = []
    for (user, domain), items in found.groupby([USER, DOMAIN], sort=False):
        lines = [
            f"{rank:>3}  {item:<{width}}  {_cut(title)}"
            for rank, item, title in items[["rank", ITEM, TITLE]].itertuples(index=False)
        ]
        blocks.append("\n".join([f"{user}: {domain}", *map(str.rstrip, lines)]))
    return "\n\n".join(blocks) or "nothing to recommend: no item is new to them"
