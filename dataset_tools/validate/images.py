"""Images that the items name: whether they are there, and as they were fetched."""

from pathlib import Path

import numpy as np
import pandas as pd

from recbole_tema.formats import IMAGE, ITEM, DatasetFiles

from ..images.index import read_index
from ..images.paths import image_paths, is_url
from ..images.store import damaged
from ..wording import counted
from .findings import Findings


def check_images(
    files: DatasetFiles, items: pd.DataFrame, folder: Path | None, findings: Findings
) -> np.ndarray:
    """(n,) which items have an image file on this machine.

    ``folder``: of the fetched images; None for the data set's own.
    """
    folder = files.images if folder is None else folder
    paths = findings.attempt("images", lambda: image_paths(files, items, folder))
    if paths is None:
        return np.zeros(len(items), bool)
    here = np.array([path is not None and path.is_file() for path in paths], bool)
    url = items[IMAGE].map(is_url).to_numpy(bool)
    fetched = np.array([path is not None for path in paths], bool)
    index = read_index(folder) if url.any() else {}
    waiting = url & ~fetched
    if waiting.any():
        findings.warn(
            "images",
            f"{int(waiting.sum()):,} of {counted(int(url.sum()), 'image URL')} not fetched, such "
            f"as that of {items[ITEM].iloc[int(waiting.argmax())]!r}: `recbole-tema-data images`",
        )
    gone = fetched & ~here & ~url
    if gone.any():
        findings.problem(
            "images",
            f"{files.items.name}, line {int(gone.argmax()) + 2}: no such image as "
            f"{str(paths[int(gone.argmax())])!r} ({counted(int(gone.sum()), 'item')} in all)",
        )
    stored = [index[item] for item in items[ITEM][url & fetched]]
    bad = damaged(folder, stored)
    if bad:
        findings.problem(
            "images",
            f"{folder}: {counted(len(bad), 'fetched image is', 'fetched images are')} gone or "
            f"changed, such as that of {min(bad)!r}; `recbole-tema-data images` fetches them again",
        )
    return here & ~items[ITEM].isin(bad).to_numpy(bool)
