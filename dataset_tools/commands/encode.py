"""``recbole-tema-data encode``."""

import argparse
from pathlib import Path

from recbole_tema.formats import FEATURE_KINDS

from ..encode.devices import AUTO, PRECISIONS
from ..encode.pictures import MAX_PIXELS
from ..encode.shards import SHARD
from ..encode.template import DEFAULT
from .options import add_command

EXAMPLES = """examples:
  recbole-tema-data encode dataset/food-kitchen
  recbole-tema-data encode dataset/food-kitchen --model models/all-MiniLM-L6-v2
  recbole-tema-data encode dataset/movie-book --model openai/clip-vit-base-patch32 \\
      --what text --what image
  recbole-tema-data encode dataset/movie-book --model openai/clip-vit-base-patch32 \\
      --name llm --template "{title}. {enriched}"
  recbole-tema-data encode dataset/movie-book --model intfloat/e5-base-v2 \\
      --template "passage: {title} ({categories}). {description}"

Without --model the offline engine makes the vectors: TF-IDF of words and word pairs, cut to
--dims by a truncated SVD. Tag strings get vectors in the same space as the items.

A model of CLIP's kind (CLIP, SigLIP, Chinese-CLIP, AltCLIP, …) gives its text and image features,
any other model its states, pooled as its sentence-transformers settings say. Texts longer than it
reads (77 tokens for CLIP) are cut and counted.

--template names the fields that make an item's text: {title}, {categories}, {description},
{domain} and {enriched}, which is what `tag --stages enrich` had an LLM write. A field that is empty
takes along the punctuation before it, its label and its brackets: an item with a title alone reads
"Green tea" by "{title} ({categories}). Uses: {enriched}". Words before the first field stay. An
item of which nothing but the domain is known has no text.

Images: transparent parts are laid on white, EXIF's orientation is followed, the first frame stands
for an animation, 16-bit greyscale, CMYK and palettes are converted. What is missing, damaged, of
another format, over --max-pixels, longer than 100 times its width or a single pixel is marked
absent and listed with the reason in NAME.bad_images.csv.

A run that was killed goes on where it was: vectors are kept in a hidden folder beside the file
(.NAME.text.shards) until the file is whole, for the same model, precision, texts and images, with
any --batch-size and --device.

exit code 0: the files are written, with texts and images that are marked absent or without. 2: a
wrong file, model or setting, or nothing to make vectors of; the file in question stays as it was.
130: interrupted by Ctrl-C."""


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = add_command(commands, "encode", "make feature vectors of items and tags", EXAMPLES)
    add = parser.add_argument
    add("folder", type=Path, metavar="DIR", help="data set folder")
    add(
        "--model",
        metavar="FOLDER|NAME",
        help="a text encoder or a model of CLIP's kind, as a folder or by its hub name "
        "(default: the offline engine)",
    )
    add(
        "--what",
        action="append",
        choices=FEATURE_KINDS,
        help="repeat it for several (default: text, and tag when the data set has tags)",
    )
    add(
        "--template",
        default=DEFAULT,
        metavar="TEXT",
        help=f'what makes an item\'s text, see below (default: "{DEFAULT}")',
    )
    add(
        "--name",
        metavar="NAME",
        help="of other text vectors than the usual ones: llm writes DATASET.text_llm.safetensors, "
        "which models read by text_features: llm (default: none)",
    )
    add(
        "--images",
        type=Path,
        metavar="FOLDER",
        help="where `images` put what it fetched (default: the data set's own folder of images)",
    )
    add(
        "--device",
        default=AUTO,
        help="auto, cpu, cuda, cuda:1, mps (default: auto, a GPU where there is one)",
    )
    add(
        "--precision",
        default=AUTO,
        choices=(AUTO, *PRECISIONS),
        help="of the model's products; pooling and lengths are always fp32 (default: auto: on cuda "
        "bf16, or fp16 where the GPU has none, else fp32)",
    )
    add(
        "--batch-size",
        type=int,
        default=64,
        metavar="N",
        help="texts or images at a time; the vectors do not depend on it (default: 64)",
    )
    add(
        "--workers",
        type=int,
        metavar="N",
        help="threads that read images ahead (default: one a processor, at most 16)",
    )
    add(
        "--max-pixels",
        type=int,
        default=MAX_PIXELS,
        metavar="N",
        help=f"of an image (default: {MAX_PIXELS:,})",
    )
    add(
        "--shard-size",
        type=int,
        default=SHARD,
        metavar="N",
        help="vectors that are made again at most after the process was killed, or a batch "
        f"(default: {SHARD})",
    )
    add(
        "--dims",
        type=int,
        default=128,
        metavar="N",
        help="dimensions of the offline engine (default: 128)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, command: str) -> None:
    from ..encode.dataset import encode_dataset

    for line in encode_dataset(
        arguments.folder,
        what=arguments.what,
        name=arguments.name,
        model=arguments.model,
        template=arguments.template,
        images=arguments.images,
        batch_size=arguments.batch_size,
        device=arguments.device,
        precision=arguments.precision,
        workers=arguments.workers,
        max_pixels=arguments.max_pixels,
        shard_size=arguments.shard_size,
        dims=arguments.dims,
    ):
        print(line)
