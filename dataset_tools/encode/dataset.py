"""Feature files of a data set: texts and images of the items, tag strings."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from recbole_tema.formats import DatasetFiles, Features, FormatError, write_features

from ..wording import counted
from .devices import AUTO
from .job import IMAGE, TAG, TEXT, Job, read_job
from .model_encoder import ModelEncoder
from .offline_encoder import OfflineEncoder
from .pictures import MAX_PIXELS
from .shards import SHARD, remove_shards
from .template import DEFAULT
from .with_model import model_features


def encode_dataset(
    folder: Path,
    *,
    what: Sequence[str] | None = None,
    name: str | None = None,
    model: str | None = None,
    template: str = DEFAULT,
    images: Path | None = None,
    batch_size: int = 64,
    device: str = AUTO,
    precision: str = AUTO,
    workers: int | None = None,
    max_pixels: int = MAX_PIXELS,
    shard_size: int = SHARD,
    dims: int = 128,
) -> list[str]:
    """Write ``NAME.text``, ``NAME.image`` and ``NAME.tag.safetensors`` and return a report.

    With a model, the vectors made so far lie in a hidden folder beside the file until the file is
    whole, so that a process that was killed can go on.

    Args:
        folder: data set folder.
        what: kinds to make ("text", "image", "tag"); by default text, and tag where the data set
            has tags (with a ``name``: text alone).
        name: of other text vectors than the usual ones: "llm" makes ``NAME.text_llm.safetensors``,
            which models read by ``text_features: llm``.
        model: folder or hub name of a transformers model; None for the offline engine.
        template: what makes an item's text, see `Template`. An item without any is marked absent.
        images: folder of the images that were fetched; None for the data set's own.
        batch_size: texts or images at a time.
        device: of torch, such as "cpu" or "cuda"; "auto" takes a GPU where there is one.
        precision: of the model's products: "fp32", "bf16", "fp16", or "auto".
        workers: threads that read images ahead; None: one a processor, at most 16.
        max_pixels: of an image.
        shard_size: vectors after which those made so far are kept.
        dims: dimensions of the offline engine, cut to what the texts allow.
    """
    for option, number in (("--dims", dims), ("--shard-size", shard_size)):
        if number < 1:
            raise FormatError(f"{option} must be 1 or more")
    # Read before anything slow: a bad file should stop at once.
    job = read_job(DatasetFiles(folder), what, name, template)
    lines: list[str] = []
    if model is None:
        made = _offline(job, dims, lines)
    else:
        encoder = ModelEncoder(
            model, device, batch_size, precision=precision, workers=workers, max_pixels=max_pixels
        )
        made = model_features(encoder, job, images, shard_size, lines)
    for features in made:
        path = job.files.features(features.kind, name)
        write_features(path, features)
        remove_shards(job.files.shards(features.kind, name))
        absent = int((~features.present).sum())
        lines.append(
            f"{path}: {len(features.tokens):,} × {features.dims}, {absent:,} absent, "
            f"by {features.encoder}"
        )
    return lines


def _offline(job: Job, dims: int, lines: list[str]) -> Iterator[Features]:
    if IMAGE in job.kinds:
        raise FormatError("--what image needs --model with a model of CLIP's kind")
    try:
        encoder = OfflineEncoder(job.texts, dims)
    except ValueError:
        raise FormatError(
            f"the items' texts ({job.template}) have no words: nothing to make vectors of"
        ) from None
    name = f"{encoder.name} of {job.template}"
    for kind, tokens, strings in ((TEXT, job.tokens, job.texts), (TAG, job.tags, job.tags)):
        if kind in job.kinds:
            vectors, known = encoder.encode(strings)
            yield Features(tokens, vectors, known, name, kind)
            wordless = sum(map(bool, strings)) - int(known.sum())
            if wordless:
                lines.append(
                    f"{kind}: {counted(wordless, 'text')} without a known word, marked absent"
                )
