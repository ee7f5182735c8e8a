"""What a run of `images` found and did, as text for people."""

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..text_table import table
from .failures import FAILED, Failure
from .index import StoredImage

if TYPE_CHECKING:
    from .dataset import Fetched

SAME = 3
"""Different URLs with one picture from which on it looks like a shop's placeholder."""


def images_report(run: "Fetched") -> str:
    """Counts of items, the reasons of failures, the speed, and where it all lies."""
    later = sum(not failed.lasting for failed in run.failed.values())
    rows: list[tuple[str, int]] = [
        ("fetched now", len(run.stored)),
        ("there already", len(run.there)),
        ("failed now, asked for again by the next run", later),
        ("failed now for good", len(run.failed) - later),
        ("failed for good before, not asked for", len(run.skipped)),
        ("image is a path, nothing to fetch", run.paths),
        ("no image named", run.without),
    ]
    lines = [table(["image", "items"], [row for row in rows if row[1]])]
    failed = [*run.failed.values(), *run.skipped.values()]
    if failed:
        lines += ["", _reasons(failed)]
        lines.append(f"all of them: {run.folder / FAILED}; again, with all of it: --retry-failed")
    if run.stored:
        speed = len(run.stored) / max(run.seconds, 1e-9)
        lines.append(
            f"{run.bytes / 1e6:,.1f} MB in {run.seconds:,.1f} s, {speed:,.0f} images a second"
        )
    lines += _same([*run.there.values(), *run.stored.values()])
    if run.there or run.stored or failed:
        lines.append(str(run.folder))
    else:
        lines.append("nothing to fetch: no item names a URL")
    return "\n".join(lines)


def _reasons(failures: Iterable[Failure]) -> str:
    """Each kind of failure with its number and an example, the most frequent first."""
    kinds: defaultdict[str, list[Failure]] = defaultdict(list)
    for failed in failures:
        kinds[failed.kind].append(failed)
    lines = []
    for own in sorted(kinds.values(), key=len, reverse=True):
        first = own[0]
        lines.append(f"  {len(own):,} × {first.reason}")
        lines.append(f"      such as item {first.item_id}: {first.url}")
    return "\n".join(lines)


def _same(images: Iterable[StoredImage]) -> list[str]:
    """A warning of pictures that many URLs share."""
    urls: defaultdict[str, set[str]] = defaultdict(set)
    example: dict[str, str] = {}
    for image in images:
        urls[image.sha256].add(image.url)
        example.setdefault(image.sha256, image.file)
    lines = []
    for digest, own in sorted(urls.items(), key=lambda pair: -len(pair[1])):
        if len(own) >= SAME:
            lines.append(
                f"the same picture from {len(own):,} URLs, such as {example[digest]}: "
                "a placeholder for those that are missing?"
            )
    return lines[:3]
