"""``recbole-tema-data graph``."""

import argparse
from pathlib import Path

from .options import add_command

EXAMPLES = """examples:
  recbole-tema-data graph dataset/food-kitchen
  recbole-tema-data graph dataset/food-kitchen --neighbours 20
  recbole-tema-data graph dataset/food-kitchen \\
      --links meta_Grocery.json.gz --links meta_Kitchen.json.gz

Two items are joined by what both have: category (of the items file), brand and tag (of the tags
file, so make the tags first), and by the lists of a shop, which --links names: JSON lines with an
item under item_id or asin and lists of items under also_buy, also_view, bought_together or
buy_after_viewing (Amazon, 2018), or under also_bought, also_viewed and so on in "related" (2014).
Such lists come from everybody's purchases, those that a test asks for among them.

For each relation an item has its nearest neighbours in each domain: those with which it shares the
most, where rare things count more.

exit code 2: a wrong file or setting, or items that have nothing in common; an earlier graph stays
as it was."""


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = add_command(
        commands, "graph", "join the items by what they have in common, as MIFN reads it", EXAMPLES
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="DIR", help="data set folder")
    add(
        "--links",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="metadata with co-purchases, JSON lines, plain or gzip; may be given several times",
    )
    add(
        "--neighbours",
        type=int,
        default=10,
        metavar="N",
        help="of an item, for each relation and domain (default: 10)",
    )
    add(
        "--max-items",
        type=int,
        default=1000,
        metavar="N",
        help="a category, brand or tag of more items joins nothing (default: 1000)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, command: str) -> None:
    from ..graph.dataset import graph_dataset

    print(
        graph_dataset(
            arguments.folder,
            links=arguments.links,
            neighbours=arguments.neighbours,
            max_items=arguments.max_items,
            made_by=command,
        )
    )
