"""Items as a reader knows them: title, tags, and a small picture where the data set has one."""

import base64
import io
import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from recbole_tema.formats import (
    DOMAIN,
    IMAGE,
    ITEM,
    TITLE,
    DatasetFiles,
    FormatError,
    Tags,
    read_items,
    read_tags,
)

MOST_TAGS = 6
# Pixels of a picture's longer side; it is shown a little smaller.
PIXELS = 64
JPEG_QUALITY = 65

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Card:
    """One item.

    title: its id, and that there is none, where the data set has no title. tags: the best scored
    ones first. picture: a ``data:`` URI, "" for none.
    """

    item: str
    domain: str
    title: str
    tags: tuple[str, ...] = ()
    picture: str = ""


def read_cards(files: DatasetFiles, items: Collection[str]) -> dict[str, Card]:
    """The cards of some items by item; what a data set does not have stays empty.

    Tags and pictures that cannot be read are left out: many models do without them, and a page is
    written when the work is done. Raises FormatError on the file of the items.
    """
    frame = read_items(files.items)
    tags = _tags(files.tags)
    cards = {}
    for row in frame[frame[ITEM].isin(items)].to_dict("records"):
        scores = tags.get(row[ITEM], {})
        best = sorted(scores, key=lambda tag: -scores[tag])[:MOST_TAGS]
        cards[row[ITEM]] = Card(
            item=row[ITEM],
            domain=row[DOMAIN],
            title=row[TITLE] or f"{row[ITEM]} (no title)",
            tags=tuple(best),
            picture=_picture(files.folder / row[IMAGE]) if row[IMAGE] else "",
        )
    return cards


def _tags(path: Path) -> Tags:
    if not path.is_file():
        return {}
    try:
        return read_tags(path)
    except FormatError as error:
        logger.warning(f"the report shows no tags: {error}")
        return {}


def _picture(path: Path) -> str:
    """A small JPEG on white as a ``data:`` URI, or "" where there is no readable picture."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            image.draft("RGB", (2 * PIXELS, 2 * PIXELS))  # decodes a large JPEG at a smaller size
            upright = ImageOps.exif_transpose(image).convert("RGBA")
            upright.thumbnail((PIXELS, PIXELS))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ""
    white = Image.new("RGBA", upright.size, "white")
    packed = io.BytesIO()
    Image.alpha_composite(white, upright).convert("RGB").save(
        packed, "JPEG", quality=JPEG_QUALITY, optimize=True
    )
    return f"data:image/jpeg;base64,{base64.b64encode(packed.getvalue()).decode()}"
