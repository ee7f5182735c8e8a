"""Command line of the data set tools: ``recbole-tema-data build | encode | tag``."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from recbole_tema.formats import FEATURE_KINDS, FormatError

BUILD_EXAMPLES = """examples:
  recbole-tema-data build --name food-kitchen --out dataset \\
      --domain food=food.csv.gz --domain kitchen=kitchen.csv.gz \\
      --items food=food_items.jsonl.gz --items kitchen=kitchen_items.jsonl.gz

  histories that are split already:
  recbole-tema-data build --name arts-office --out dataset \\
      --train train.csv.gz --valid valid.csv.gz --test test.csv.gz \\
      --items arts=arts_items.jsonl.gz --items office=office_items.jsonl.gz

files: CSV, TSV or JSON lines, plain or gzip.
  interactions: user_id, item_id, timestamp
  histories:    user_id, item_id_list (blank separated, oldest first; the last is the target)
  items:        item_id, and where known title, description, categories, image

exit code 2: bad rows or files; they are named, and nothing is written."""

ENCODE_EXAMPLES = """examples:
  recbole-tema-data encode dataset/food-kitchen
  recbole-tema-data encode dataset/food-kitchen --model models/all-MiniLM-L6-v2
  recbole-tema-data encode dataset/food-kitchen --model openai/clip-vit-base-patch32 \\
      --what text --what image

Without --model the offline engine makes the vectors: TF-IDF of words and word pairs, cut to
--dims by a truncated SVD. Tag strings get vectors in the same space as the items."""

TAG_EXAMPLES = """examples:
  recbole-tema-data tag dataset/food-kitchen
  recbole-tema-data tag dataset/arts-office --responses llm_responses.jsonl.gz
  recbole-tema-data tag dataset/arts-office --responses llm_responses.jsonl.gz \\
      --source responses,attributes
  recbole-tema-data tag dataset/food-kitchen --scorer embedding \\
      --model models/all-MiniLM-L6-v2 --expand 2

Without answers the tags are the items' categories and what their titles say: "brand: bodum",
"kind: french press", "use: coffee", "diet: organic", and flavour, material, colour, origin, size,
weight, volume, length, pieces, pack. Rare tags score higher; an encoder (--scorer embedding) scores
by how near item and tag are, beside the items that do not carry the tag.

Responses are JSON lines {"item_id": …, "model": …, "content": the answer as it came}. Answers that
cannot be read are counted by reason and kept in NAME.tags.retry.jsonl."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 when all went well, 2 when a file or a setting is not as it should be."""
    argv = sys.argv[1:] if argv is None else list(argv)
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments, shlex.join(["recbole-tema-data", *argv]))
    except (FormatError, FileNotFoundError, PermissionError, NotADirectoryError) as error:
        print(f"recbole-tema-data {arguments.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"recbole-tema-data {arguments.command}: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="recbole-tema-data",
        description="Make data sets for recbole_tema: build, then encode and tag.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_build(commands)
    _add_encode(commands)
    _add_tag(commands)
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    what: str,
    examples: str,
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=what,
        description=what[0].upper() + what[1:] + ".",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_pairs(parser: argparse.ArgumentParser, option: str, metavar: str, what: str) -> None:
    parser.add_argument(option, action="append", default=[], type=_pair, metavar=metavar, help=what)


def _add_build(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _command(commands, "build", "make a data set folder from raw files", BUILD_EXAMPLES)
    add = parser.add_argument
    add("--name", required=True, help="name of the data set")
    add("--out", required=True, type=Path, metavar="DIR", help="the data set becomes DIR/NAME/")
    _add_pairs(parser, "--domain", "DOMAIN=FILE", "interactions of a domain; repeat it")
    _add_pairs(parser, "--items", "DOMAIN=FILE", "items of a domain; repeat it")
    for split in ("train", "valid", "test"):
        add(f"--{split}", type=Path, metavar="FILE", help=f"{split} histories, split already")
    _add_pairs(parser, "--images", "DOMAIN=DIR", "folder of images ITEM.jpg|jpeg|png|webp")
    add(
        "--columns",
        metavar="OURS=THEIRS",
        help="the files' own name of a column, such as user_id=reviewerID",
        nargs="+",
        action="extend",
        default=[],
        type=_pair,
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
        "--overwrite",
        action="store_true",
        help="replace DIR/NAME/, with the features and tags in it",
    )
    parser.set_defaults(run=_build)


def _add_encode(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _command(commands, "encode", "make feature vectors of items and tags", ENCODE_EXAMPLES)
    add = parser.add_argument
    add("folder", type=Path, metavar="DIR", help="data set folder")
    add(
        "--model",
        metavar="FOLDER|NAME",
        help="a sentence encoder or CLIP model, as a folder or by its hub name "
        "(default: the offline engine)",
    )
    add(
        "--what",
        action="append",
        choices=FEATURE_KINDS,
        help="repeat it for several (default: text, and tag when the data set has tags)",
    )
    add("--batch-size", type=int, default=64, metavar="N", help="(default: 64)")
    add("--device", default="cpu", help="such as cpu or cuda (default: cpu)")
    add(
        "--dims",
        type=int,
        default=128,
        metavar="N",
        help="dimensions of the offline engine (default: 128)",
    )
    add(
        "--text-fields",
        default="title,categories,description",
        metavar="F,F…",
        help="columns that make an item's text, in order (default: title,categories,description)",
    )
    parser.set_defaults(run=_encode)


def _add_tag(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _command(commands, "tag", "write scored tags of the items", TAG_EXAMPLES)
    add = parser.add_argument
    add("folder", type=Path, metavar="DIR", help="data set folder")
    add("--responses", type=Path, metavar="FILE", help="answers of an LLM, JSON lines")
    add(
        "--source",
        metavar="S,S",
        help="some of categories, attributes, responses, the first before the others (default: "
        "responses with --responses, else categories,attributes)",
    )
    add("--max-tags", type=int, default=8, metavar="N", help="tags of an item (default: 8)")
    add(
        "--min-items",
        type=int,
        default=2,
        metavar="N",
        help="items that a tag needs to stay (default: 2)",
    )
    add(
        "--scorer",
        default="rules",
        metavar="S",
        help="rules: rare tags score higher; embedding: by the vectors of --model (default: rules)",
    )
    add("--model", metavar="FOLDER|NAME", help="text encoder, as a folder or by its hub name")
    add(
        "--expand",
        type=int,
        default=0,
        metavar="N",
        help="with an encoder: up to N tags an item that its text does not spell out (default: 0)",
    )
    add("--batch-size", type=int, default=64, metavar="N", help="of the encoder (default: 64)")
    add("--device", default="cpu", help="of the encoder, such as cpu or cuda (default: cpu)")
    parser.set_defaults(run=_tag)


def _build(arguments: argparse.Namespace, command: str) -> None:
    from .build import build_dataset
    from .leave_one_out import Filters

    given = {split: getattr(arguments, split) for split in ("train", "valid", "test")}
    splits = {split: path for split, path in given.items() if path is not None}
    domains = _paths(arguments.domain, "--domain")
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
        items=_paths(arguments.items, "--items"),
        images=_paths(arguments.images, "--images"),
        columns=dict(arguments.columns),
        filters=Filters(**{key: value for key, value in wishes.items() if value is not None}),
        max_length=arguments.max_length if splits else None,
        allow_bad_rows=arguments.allow_bad_rows,
        overwrite=arguments.overwrite,
        command=command,
    )
    print(built.report)


def _encode(arguments: argparse.Namespace, command: str) -> None:
    from .encode import encode_dataset

    for line in encode_dataset(
        arguments.folder,
        what=arguments.what,
        model=arguments.model,
        batch_size=arguments.batch_size,
        device=arguments.device,
        dims=arguments.dims,
        text_fields=arguments.text_fields.split(","),
    ):
        print(line)


def _tag(arguments: argparse.Namespace, command: str) -> None:
    from .tag import tag_dataset

    print(
        tag_dataset(
            arguments.folder,
            responses=arguments.responses,
            sources=arguments.source.split(",") if arguments.source else None,
            max_tags=arguments.max_tags,
            min_items=arguments.min_items,
            scorer=arguments.scorer,
            model=arguments.model,
            expand=arguments.expand,
            batch_size=arguments.batch_size,
            device=arguments.device,
        )
    )


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=VALUE")
    return name, value


def _paths(pairs: list[tuple[str, str]], option: str) -> dict[str, Path]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise FormatError(f"{option}: a domain is given twice ({', '.join(names)})")
    return {name: Path(value) for name, value in pairs}
