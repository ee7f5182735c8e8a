"""The images of a data set's items: what is there already, what is asked for, what came."""

import asyncio
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout
from PIL import Image
from tqdm import tqdm

from recbole_tema.formats import IMAGE, ITEM, DatasetFiles, FormatError, read_items

from .download import Download, Job, Settings
from .failures import FAILED, Failure, read_failures
from .failures import record_of as failure_record
from .fetch import REFUSED, Limits
from .index import INDEX, StoredImage, read_index, record_of
from .journal import extended, write_journal
from .paths import is_url
from .picture import MOST_PIXELS
from .report import images_report
from .store import clear_leftovers, damaged

DEFAULTS = Settings(
    concurrency=32,
    per_host=8,
    retries=4,
    limits=Limits(max_bytes=10_000_000, timeout=30.0),
    max_pixels=50_000_000,
    allow_private=False,
)


LOCK = ".lock"


@dataclass
class Fetched:
    """What a run found and did, by item.

    ``there``: fetched before; ``stored``: by this run; ``failed``: this run could not;
    ``skipped``: failed for good in an earlier run, and not asked for; ``paths``: items whose image
    is a path and needs no fetching; ``without``: items that name no image.
    """

    folder: Path
    there: dict[str, StoredImage]
    paths: int
    without: int
    stored: dict[str, StoredImage] = field(default_factory=dict)
    failed: dict[str, Failure] = field(default_factory=dict)
    skipped: dict[str, Failure] = field(default_factory=dict)
    bytes: int = 0
    seconds: float = 0.0

    @property
    def report(self) -> str:
        return images_report(self)


def fetch_images(
    folder: Path,
    *,
    to: Path | None = None,
    settings: Settings = DEFAULTS,
    retry_failed: bool = False,
) -> Fetched:
    """Fetch the image of each item that names a URL; where none does, no folder is made.

    Args:
        folder: data set folder.
        to: folder of the images and their index; by default ``images/`` in the data set's.
        settings: how hosts are asked.
        retry_failed: ask for those again, too, that failed for good in an earlier run.

    Raises:
        FormatError: not a data set, a damaged index, a setting that cannot be, or another run at
            work in the folder of the images.
    """
    _check(settings)
    files = DatasetFiles(folder)
    files.check()
    items = read_items(files.items)
    target = files.images if to is None else Path(to)
    wanted = {item: url for item, url in zip(items[ITEM], items[IMAGE], strict=True) if is_url(url)}
    without = int((items[IMAGE] == "").sum())
    run = Fetched(target, {}, len(items) - len(wanted) - without, without)
    if wanted or target.exists():
        target.mkdir(parents=True, exist_ok=True)
        with _alone(target):
            _fetch(run, wanted, settings, retry_failed)
    return run


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two runs would write each over the other's index; one that is killed lets go."""
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise FormatError(
            f"{folder}: another command is fetching images into it; wait until it has ended"
        ) from None
    except OSError:
        pass  # a file system without locks: nothing can be told of others
    try:
        yield
    finally:
        lock.release()


def _fetch(run: Fetched, wanted: Mapping[str, str], settings: Settings, retry_failed: bool) -> None:
    """Fetch what is wanted, the URL of each item, into the run's folder."""
    target = run.folder
    clear_leftovers(target)
    index = read_index(target)
    there = {item: index[item] for item, url in wanted.items() if _is(index, item, url)}
    for item in damaged(target, there.values()):
        del there[item], index[item]
    failures = read_failures(target)
    failures = {
        item: failures[item]
        for item, url in wanted.items()
        if item not in there and _is(failures, item, url)
    }
    run.there = there
    if not retry_failed:
        run.skipped = {
            item: failed
            for item, failed in failures.items()
            if failed.lasting and not (settings.allow_private and failed.kind == REFUSED)
        }
    jobs = _jobs(wanted, {*there, *run.skipped})
    _download(run, jobs, index, failures, settings)
    left = {item: failed for item, failed in failures.items() if item not in run.stored}
    write_journal(target / FAILED, map(failure_record, (left | run.failed).values()))


def _download(
    run: Fetched,
    jobs: list[Job],
    index: Mapping[str, StoredImage],
    failures: Mapping[str, Failure],
    settings: Settings,
) -> None:
    begun = time.monotonic()
    with (
        extended(run.folder / INDEX, map(record_of, index.values())) as stored_lines,
        extended(run.folder / FAILED, map(failure_record, failures.values())) as failed_lines,
        tqdm(total=len(jobs), desc="images", unit="image", disable=not jobs) as progress,
        warnings.catch_warnings(),
    ):
        # Pictures above a limit are refused here, not warned of.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)

        def stored(image: StoredImage) -> None:
            stored_lines.add(record_of(image))
            run.stored[image.item_id] = image
            _remove_former(run.folder, index.get(image.item_id), image)

        def failed(failure: Failure) -> None:
            failed_lines.add(failure_record(failure))
            run.failed[failure.item_id] = failure
            progress.set_postfix(failed=len(run.failed), refresh=False)

        asyncio.run(Download(run.folder, settings, stored, failed, progress.update).run(jobs))
    run.seconds = time.monotonic() - begun
    run.bytes = sum((run.folder / image.file).stat().st_size for image in run.stored.values())


def _jobs(wanted: Mapping[str, str], done: set[str]) -> list[Job]:
    """A job for each URL: items of one URL share its answer."""
    items: dict[str, list[str]] = {}
    for item, url in wanted.items():
        if item not in done:
            items.setdefault(url, []).append(item)
    return [Job(url, tuple(own)) for url, own in items.items()]


def _is(known: Mapping[str, StoredImage] | Mapping[str, Failure], item: str, url: str) -> bool:
    return item in known and known[item].url == url


def _remove_former(folder: Path, former: StoredImage | None, image: StoredImage) -> None:
    """An item's image of another URL, when it lies under another name."""
    if former is not None and former.file != image.file:
        (folder / former.file).unlink(missing_ok=True)


def _check(settings: Settings) -> None:
    for option, value in {
        "--concurrency": settings.concurrency,
        "--per-host": settings.per_host,
        "--max-bytes": settings.limits.max_bytes,
        "--max-pixels": settings.max_pixels,
    }.items():
        if value < 1:
            raise FormatError(f"{option} must be 1 or more")
    if settings.retries < 0:
        raise FormatError("--retries must be 0 or more")
    if not 0 < settings.limits.timeout < float("inf"):
        raise FormatError("--timeout must be a number of seconds above 0")
    if settings.max_pixels > MOST_PIXELS:
        raise FormatError(f"--max-pixels must be at most {MOST_PIXELS:,}, what Pillow opens")
