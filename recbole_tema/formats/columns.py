"""Column names and atomic-file headers of a data set; no other module spells them out."""

USER = "user_id"
ITEM = "item_id"
TIME = "timestamp"
HISTORY = "item_id_list"
DOMAIN = "domain"
TITLE = "title"
DESCRIPTION = "description"
CATEGORIES = "categories"
IMAGE = "image"

ALL_DOMAINS = "all"
"""The name under which figures over both domains stand; no domain may bear it."""

FIELD_TYPES = {
    USER: "token",
    ITEM: "token",
    TIME: "float",
    HISTORY: "token_seq",
    DOMAIN: "token",
    TITLE: "token_seq",
    DESCRIPTION: "token_seq",
    CATEGORIES: "token_seq",
    IMAGE: "token",
}
"""RecBole's field type of each column; the header of an atomic file reads ``name:type``."""

INTERACTION_COLUMNS = (USER, ITEM, TIME)
HISTORY_COLUMNS = (USER, HISTORY, ITEM)
ITEM_COLUMNS = (ITEM, DOMAIN, TITLE, DESCRIPTION, CATEGORIES, IMAGE)
ITEM_TEXT_COLUMNS = (TITLE, DESCRIPTION, CATEGORIES)

# fmt: off
IDS_READ_AS_MISSING = frozenset([
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>",
    "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
])
# fmt: on
"""Ids that RecBole's own reader takes for a missing value, so that no id may be one of them."""


def header(column: str) -> str:
    """The heading of a column in an atomic file, such as ``item_id:token``."""
    return f"{column}:{FIELD_TYPES[column]}"
