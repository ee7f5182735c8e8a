"""``recbole-tema-data images``."""

import argparse
import os
import sys
from pathlib import Path

from .options import add_command

EXAMPLES = """examples:
  recbole-tema-data images dataset/food-kitchen
  recbole-tema-data images dataset/food-kitchen --retry-failed
  recbole-tema-data images dataset/food-kitchen --to /big/images --concurrency 64 --per-host 16

The column image of NAME.item holds a path or a URL; paths need no fetching. The images lie in
DIR/images/ under names made from the item ids, with index.jsonl, which `encode` reads, and
failed.jsonl, which says what failed and why. `build --overwrite` replaces DIR and with it
DIR/images/: keep them elsewhere with --to.

One run at a time in a folder. The same command goes on after a kill or an interruption; what is
there and whole is not fetched again. An answer that may change (429, 5xx, no connection, too slow)
is asked for again with growing waits, or when Retry-After says, and by the next run; 404, no
picture, too large, and refused addresses are final until --retry-failed (refused addresses until
--allow-private).

Only http and https, to public addresses, after each redirect too. The proxies of the environment
(HTTP_PROXY, HTTPS_PROXY) are not used: a proxy resolves names itself, so that nothing here could
tell where a request goes.

exit code 1: images were asked for, and none came. 2: not a data set, or a wrong setting."""


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = add_command(commands, "images", "fetch the images of the items", EXAMPLES)
    add = parser.add_argument
    add("folder", type=Path, metavar="DIR", help="data set folder")
    add("--to", type=Path, metavar="DIR", help="folder of the images (default: DIR/images)")
    add(
        "--concurrency",
        type=int,
        default=32,
        metavar="N",
        help="images in hand at a time: asked for, decoded, written (default: 32)",
    )
    add(
        "--per-host",
        type=int,
        default=8,
        metavar="N",
        help="requests at a time of one host (default: 8)",
    )
    add(
        "--retries",
        type=int,
        default=4,
        metavar="N",
        help="more tries of a URL that may still answer (default: 4)",
    )
    add(
        "--timeout",
        type=float,
        default=30,
        metavar="S",
        help="seconds for one request, from connecting to its last byte (default: 30)",
    )
    add(
        "--max-bytes",
        type=int,
        default=10_000_000,
        metavar="N",
        help="bytes of an image (default: 10000000)",
    )
    add(
        "--max-pixels",
        type=int,
        default=50_000_000,
        metavar="N",
        help="width times height of an image (default: 50000000)",
    )
    add(
        "--retry-failed",
        action="store_true",
        help="ask for those again, too, that failed for good",
    )
    add(
        "--allow-private",
        action="store_true",
        help="also from loopback, private, link-local and other addresses that are not public",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, command: str) -> int:
    from ..images.dataset import fetch_images
    from ..images.download import Settings
    from ..images.fetch import Limits

    proxies = [name for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") if _environment(name)]
    if proxies:
        print(f"{', '.join(proxies)} is set and not used (see --help)", file=sys.stderr)
    done = fetch_images(
        arguments.folder,
        to=arguments.to,
        settings=Settings(
            concurrency=arguments.concurrency,
            per_host=arguments.per_host,
            retries=arguments.retries,
            limits=Limits(arguments.max_bytes, arguments.timeout),
            max_pixels=arguments.max_pixels,
            allow_private=arguments.allow_private,
        ),
        retry_failed=arguments.retry_failed,
    )
    print(done.report)
    return 1 if done.failed and not done.stored else 0


def _environment(name: str) -> str:
    return os.environ.get(name) or os.environ.get(name.lower()) or ""
