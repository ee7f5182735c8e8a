"""Features by a transformers model, kept in shards as they are made."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from recbole_tema.formats import IMAGE as IMAGE_COLUMN
from recbole_tema.formats import Features, FormatError

from ..images.paths import image_paths
from ..wording import counted
from .bad_images import BadImage, bad_images_report, write_bad_images
from .job import IMAGE, TAG, TEXT, Job
from .model_encoder import ModelEncoder
from .shards import Shards


def model_features(
    encoder: ModelEncoder, job: Job, images: Path | None, shard_size: int, lines: list[str]
) -> Iterator[Features]:
    """The features of each kind that the job asks for, one after the other.

    ``images`` is the folder of fetched images, or None for the data set's own. What there is to say
    about each kind is added to ``lines``.
    """
    for kind in job.kinds:
        with Shards(job.files.shards(kind, job.name) / encoder.key(kind), shard_size) as shards:
            if kind == TEXT:
                name = f"{encoder.name} of {job.template}"
                made = _texts(encoder, shards, job.tokens, job.texts, name, TEXT, lines)
            elif kind == TAG:
                made = _texts(encoder, shards, job.tags, job.tags, encoder.name, TAG, lines)
            else:
                made = _images(encoder, shards, job, images, lines)
        yield made


def _texts(
    encoder: ModelEncoder,
    shards: Shards,
    tokens: list[str],
    texts: Sequence[str],
    name: str,
    kind: str,
    lines: list[str],
) -> Features:
    present = np.array([bool(text) for text in texts])
    if not present.any():
        raise FormatError(f"{kind}: there is not one text to make vectors of")
    read = encoder.split([text for text in texts if text])
    found = encoder.encode_tokens(read, kind, shards)
    vectors = np.zeros((len(tokens), found.shape[1]), np.float32)
    vectors[present] = found
    lines.append(
        f"{kind}: {read.cut:,} of {counted(len(found), 'text')} cut at "
        f"{encoder.token_limit} tokens, {read.lost_share:.2%} of all tokens lost"
    )
    return Features(tokens, vectors, present, name, kind)


def _images(
    encoder: ModelEncoder, shards: Shards, job: Job, folder: Path | None, lines: list[str]
) -> Features:
    named = job.items[IMAGE_COLUMN]
    if not (named != "").any():
        raise FormatError(f"{job.files.items}: no item has an image; build with --images")
    paths = image_paths(job.files, job.items, folder)
    tokens = job.tokens
    bad = [
        BadImage(token, image, "not fetched", "run `recbole-tema-data images`")
        for token, image, path in zip(tokens, named, paths, strict=True)
        if image and path is None
    ]
    rows = [row for row, path in enumerate(paths) if path is not None]
    if not rows:
        raise FormatError(
            f"{job.files.items}: none of the images ({len(bad):,}) is fetched; run "
            "`recbole-tema-data images` first"
        )
    found, problems = encoder.encode_images([path for path in paths if path is not None], shards)
    bad += [
        BadImage(tokens[rows[at]], str(paths[rows[at]]), problem.reason, problem.detail)
        for at, problem in problems.items()
    ]
    vectors = np.zeros((len(tokens), found.shape[1]), np.float32)
    vectors[rows] = found
    present = np.zeros(len(tokens), bool)
    present[np.delete(rows, list(problems))] = True
    write_bad_images(job.files.bad_images, bad)
    if bad:
        lines.append(
            f"image: {len(bad):,} of {int((named != '').sum()):,} cannot be used, marked absent; "
            f"each is in {job.files.bad_images}\n{bad_images_report(bad)}"
        )
    return Features(tokens, vectors, present, encoder.name, IMAGE)
