"""``recbole-tema-data build``."""

import argparse
from pathlib import Path

from .options import add_command, add_pairs, pair, paths

EXAMPLES = """examples:
  recbole-tema-data build --name food-kitchen --out dataset \\
      --domain food=food.csv.gz --domain kitchen=kitchen.csv.gz \\
      --items food=food_items.jsonl.gz --items kitchen=kitchen_items.jsonl.gz

  the Amazon dumps as they are (any release; see "files"):
  recbole-tema-data build --name food-kitchen --out dataset \\
      --domain food=reviews_Food.json.gz --items food=meta_Food.json.gz \\
      --domain kitchen=reviews_Kitchen.json.gz --items kitchen=meta_Kitchen.json.gz \\
      --min-user-domain 3 --min-item 5 --max-length 50 --allow-bad-rows

  histories that are split already:
  recbole-tema-data build --name arts-office --out dataset \\
      --train train.csv.gz --valid valid.csv.gz --test test.csv.gz \\
      --items arts=arts_items.jsonl.gz --items office=office_items.jsonl.gz

files: CSV, TSV, or a JSON object or Python literal a line; plain or gzip. A file is known by
its content, not by its name.
  interactions: user_id, item_id, timestamp
  histories:    user_id, item_id_list (blank separated, oldest first; the last is the target)
  items:        item_id, and where known title, description, categories, image
  Known besides: the names in the Amazon reviews and metadata of 2014, 2018 and 2023 (reviewerID,
  asin, parent_asin, unixReviewTime, category, imUrl, imageURLHighRes, images), and ratings_*.csv
  without a header, where the order of users and items is told from the values. Other names, or a
  column's number where there is no header, are given with --columns.

Of several lines of an item the first counts, and the others fill what it does not say. HTML is
taken out of texts. Times in milliseconds become seconds. The report says what was changed and left
out.

filters: --min-user, --min-user-domain and --min-item count together, again and again until nothing
more falls out. --max-length cuts last and nothing is counted again, so what was asked of a user in
a domain or of an item need not hold in what is written.

Files are read as a stream. What does not fit into 2 GB waits in temporary files (TMPDIR).

exit code 2: bad rows or files; they are named, and nothing is written."""


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = add_command(commands, "build", "make a data set folder from raw files", EXAMPLES)
    add = parser.add_argument
    add("--name", required=True, help="name of the data set")
    add("--out", required=True, type=Path, metavar="DIR", help="the data set becomes DIR/NAME/")
    add_pairs(parser, "--domain", "DOMAIN=FILE", "interactions of a domain; repeat it")
    add_pairs(parser, "--items", "DOMAIN=FILE", "items of a domain; repeat it")
    for split in ("train", "valid", "test"):
        add(f"--{split}", type=Path, metavar="FILE", help=f"{split} histories, split already")
    add_pairs(parser, "--images", "DOMAIN=DIR", "folder of images ITEM.jpg|jpeg|png|webp")
    add(
        "--columns",
        metavar="OURS=THEIRS",
        help="the files' own name of a column, such as user_id=customer; in a file without a "
        "header its number, such as user_id=1 item_id=2 timestamp=4",
        nargs="+",
        action="extend",
        default=[],
        type=pair,
    )
    add("--min-user", type=int, metavar="N", help="interactions a user needs (default: 3)")
    add(
        "--min-user-domain",
        type=int,
        metavar="N",
        help="interactions a user needs in every domain (default: 0)",
    )
    add(
        "--min-item",
        type=int,
        metavar="N",
        help="interactions an item needs; repeated with the users' until nothing more falls out "
        "(default: 0, items that nobody used stay as candidates)",
    )
    add("--max-length", type=int, metavar="N", help="keep each user's (history's) last N")
    add(
        "--allow-bad-rows",
        action="store_true",
        help="leave bad rows out and list them in NAME.bad_rows.csv, instead of stopping",
    )
    add(
        "--allow-truncated",
        action="store_true",
        help="use what is there of a gzip file that ends in the middle, and say how much",
    )
    add(
        "--engine",
        choices=("duckdb", "spark"),
        default="duckdb",
        help="what filters and sorts the interactions: this machine (default), or a Spark cluster, "
        "whose master spark-submit or spark-defaults.conf names",
    )
    add(
        "--exchange",
        type=Path,
        metavar="DIR",
        help="for Spark: a folder that all its machines see, for the interactions as Parquet",
    )
    add(
        "--overwrite",
        action="store_true",
        help="replace DIR/NAME/, with the features and tags in it",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, command: str) -> None:
    from ..build.dataset import build_dataset
    from ..build.leave_one_out import Filters

    given = {split: getattr(arguments, split) for split in ("train", "valid", "test")}
    splits = {split: path for split, path in given.items() if path is not None}
    domains = paths(arguments.domain, "--domain")
    wishes = {
        "min_user": arguments.min_user,
        "min_user_domain": arguments.min_user_domain,
        "min_item": arguments.min_item,
        "max_length": None if splits else arguments.max_length,
    }
    built = build_dataset(
        arguments.name,
        arguments.out,
        domains=domains or None,
        splits=splits or None,
        items=paths(arguments.items, "--items"),
        images=paths(arguments.images, "--images"),
        columns=dict(arguments.columns),
        filters=Filters(**{key: value for key, value in wishes.items() if value is not None}),
        max_length=arguments.max_length if splits else None,
        allow_bad_rows=arguments.allow_bad_rows,
        allow_truncated=arguments.allow_truncated,
        engine=arguments.engine,
        exchange=arguments.exchange,
        overwrite=arguments.overwrite,
        command=command,
    )
    print(built.report)
