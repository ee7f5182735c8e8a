"""``NAME.tags.jsonl``: the scored tags of each item, one readable line an item."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from recbole_tema.formats.columns import ITEM
from recbole_tema.formats.errors import FormatError
from recbole_tema.formats.files import atomic_write

Tags = dict[str, dict[str, float]]
"""``{item: {tag: score}}``."""


def read_tags(path: Path, known_items: Collection[str] | None = None) -> Tags:
    """Read ``{item: {tag: score}}`` in file order; scores lie in [0, 1].

    With ``known_items`` the file must have a line for exactly these items.
    """
    path = Path(path)
    if not path.is_file():
        raise FormatError(f"{path}: no such file; make it with `recbole-tema-data tag`")
    tags: Tags = {}
    printable: set[str] = set()
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            where = f"{path}, line {number}"
            try:
                record = json.loads(line)
            except ValueError as error:
                raise FormatError(f"{where}: not a JSON line: {error}") from None
            if (
                not isinstance(record, dict)
                or not isinstance(record.get(ITEM), str)
                or not isinstance(record.get("tags"), dict)
            ):
                raise FormatError(
                    f'{where}: expected {{"item_id": "…", "tags": {{"tag": score}}}}, '
                    f"found {line.strip()[:80]}"
                )
            if record[ITEM] in tags:
                raise FormatError(f"{where}: item {record[ITEM]!r} has a line above already")
            tags[record[ITEM]] = _checked(where, record["tags"], printable)
    if known_items is not None:
        known = set(known_items)
        extra = [item for item in tags if item not in known]
        missing = sum(item not in tags for item in known)
        if extra or missing:
            raise FormatError(
                f"{path}: does not fit the data set: {len(extra):,} items that it does not have"
                f"{f' (such as {extra[0]!r})' if extra else ''}, {missing:,} items without a line. "
                "Make it again with `recbole-tema-data tag`"
            )
    return tags


def write_tags(path: Path, tags: Mapping[str, Mapping[str, float]]) -> None:
    """Write ``{item: {tag: score}}`` in the order given; an item without tags has ``{}``."""
    printable: set[str] = set()
    with atomic_write(path) as beside, open(beside, "w", encoding="utf-8") as file:
        for item, scores in tags.items():
            _checked(f"{path}, item {item!r}", scores, printable)
            file.write(json.dumps({ITEM: item, "tags": dict(scores)}, ensure_ascii=False) + "\n")


def tag_vocabulary(tags: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The distinct tag strings, sorted: the row order of ``NAME.tag.safetensors``."""
    return sorted({tag for scores in tags.values() for tag in scores})


def _checked(where: str, scores: Mapping[str, float], printable: set[str]) -> dict[str, float]:
    """The scores as floats; ``printable`` gathers the tags that were found to be printable text."""
    for tag, score in scores.items():
        if tag not in printable:
            if not tag.strip() or not tag.isprintable():
                raise FormatError(f"{where}: {tag!r} is no tag; expected printable text")
            printable.add(tag)
        number = isinstance(score, int | float) and not isinstance(score, bool)
        if not number or not 0 <= score <= 1:  # NaN is neither
            raise FormatError(f"{where}: tag {tag!r} has score {score!r}, expected one in [0, 1]")
    return {tag: float(score) for tag, score in scores.items()}
