"""Vectors of texts and images from a transformers model: a text encoder or one of CLIP's kind."""

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recbole_tema.formats import FormatError

from .ahead import ahead, usable_cpus
from .devices import AUTO, choose_device, choose_precision, mixed
from .loading import load_image_processor, load_model, load_tokenizer, token_limit
from .pictures import MAX_PIXELS, PictureError, decode, own_pixel_limit, read_bytes
from .pooling import Pooling, pool, read_pooling, unit
from .shards import Rows, Shards
from .tokens import Tokens, split_texts

if TYPE_CHECKING:
    import torch

MOST_WORKERS = 16


class ModelEncoder:
    """A model folder or hub name, ready to encode.

    A model with ``get_text_features`` and ``get_image_features`` (CLIP, SigLIP, Chinese-CLIP,
    AltCLIP and others) gives these, scaled to length 1. Any other model gives its last hidden
    states, pooled as its sentence-transformers settings say; without such settings, their mean over
    the tokens of the text, scaled to length 1. Pooling and scaling are done in float32 whatever the
    precision of the model.
    """

    def __init__(
        self,
        model: str,
        device: str = AUTO,
        batch_size: int = 64,
        *,
        precision: str = AUTO,
        workers: int | None = None,
        max_pixels: int = MAX_PIXELS,
        option: str = "--model",
    ) -> None:
        """Load the model.

        Args:
            model: folder or hub name.
            device: "auto", "cpu", "cuda", …
            batch_size: texts or images at a time; vectors do not depend on it, but for rounding.
            precision: "auto", or of the model's products "fp32", "bf16" or "fp16".
            workers: threads that read images ahead; None: as many as processors, at most 16.
            max_pixels: of an image.
            option: by which the model was given, for errors.

        Raises:
            FormatError: no such model or device, or a number below 1.
        """
        for name, number in (
            ("--batch-size", batch_size),
            ("--workers", workers),
            ("--max-pixels", max_pixels),
        ):
            if number is not None and number < 1:
                raise FormatError(f"{name} must be 1 or more")
        self._source = model
        self._option = option
        self._batch_size = batch_size
        self._device = choose_device(device)
        self._precision = choose_precision(precision, self._device)
        self._workers = workers or min(usable_cpus(), MOST_WORKERS)
        self._max_pixels = max_pixels
        loaded = load_model(model, option)
        # Not typed: models of CLIP's kind have methods that no other module has.
        self._model: Any = loaded.model.to(self._device)
        self._config = loaded.config
        self._made_up = loaded.made_up
        self._has_features = loaded.has_features
        self._pooling = Pooling() if loaded.has_features else read_pooling(model, option)
        self.name = Path(model).resolve().name if Path(model).is_dir() else model
        if self._precision != "fp32":
            self.name += f" ({self._precision})"

    def split(self, texts: Sequence[str]) -> Tokens:
        """What the model reads of each text."""
        lower = self._pooling.lower_case
        texts = [text.lower() for text in texts] if lower else texts
        return split_texts(self._tokenizer, texts, self.token_limit)

    def encode_texts(self, texts: Sequence[str], what: str) -> tuple[np.ndarray, int]:
        """Vectors (n, d) float32, and how many texts were longer than the model reads.

        ``what`` names them on the progress bar.
        """
        tokens = self.split(texts)
        return self.encode_tokens(tokens, what), tokens.cut

    def encode_tokens(self, tokens: Tokens, what: str, shards: Shards | None = None) -> np.ndarray:
        """Vectors (n, d) float32 of texts; those in the shards are taken from there."""
        from tqdm import tqdm

        digests = tokens.digests()
        done = Rows(len(digests), shards)
        todo = [row for row in tokens.longest_first() if not done.take(row, digests[row])]
        known = len(digests) - len(todo)
        with tqdm(total=len(digests), initial=known, desc=what, unit="text") as progress:
            for start in range(0, len(todo), self._batch_size):
                rows = todo[start : start + self._batch_size]
                vectors = self._text_vectors([tokens.ids[row] for row in rows])
                done.add(rows, [digests[row] for row in rows], vectors)
                progress.update(len(rows))
        return done.vectors

    def encode_images(
        self, paths: Sequence[Path], shards: Shards | None = None
    ) -> tuple[np.ndarray, dict[int, PictureError]]:
        """Vectors (n, d) float32, and why an image cannot be used, by row (zeros there).

        Raises FormatError when not one of them can be used.
        """
        from tqdm import tqdm

        process = self._image_processor
        done = Rows(len(paths), shards)
        problems: dict[int, PictureError] = {}
        batch: list[tuple[int, bytes, Any]] = []

        def load(row: int) -> tuple[int, bytes, Any]:
            """Row, digest of the file, and what the model reads of it or why it cannot; nothing
            where the vector is there already."""
            digest = b""
            try:
                data = read_bytes(paths[row])
                digest = hashlib.sha256(data).digest()
                if shards is not None and digest in shards:
                    return row, digest, None
                picture = decode(data, self._max_pixels)
                return row, digest, dict(process(images=picture, return_tensors="pt"))
            except PictureError as error:
                return row, digest, error

        def encode() -> None:
            rows, digests, images = zip(*batch, strict=True)
            done.add(rows, digests, self._image_vectors(images))
            batch.clear()

        with own_pixel_limit(), tqdm(total=len(paths), desc="image", unit="image") as progress:
            # A whole batch is read while the model is at the one before.
            window = self._batch_size + self._workers
            for row, digest, found in ahead(load, range(len(paths)), self._workers, window):
                if isinstance(found, PictureError):
                    problems[row] = found
                elif found is None:
                    done.take(row, digest)
                else:
                    batch.append((row, digest, found))
                if len(batch) == self._batch_size:
                    encode()
                progress.update()
            if batch:
                encode()
        if len(problems) == len(paths):
            raise FormatError(
                f"none of the images ({len(paths):,}) can be used, such as "
                f"{paths[0]}: {problems[0]}"
            )
        return done.vectors, problems

    def key(self, kind: str) -> str:
        """64 hexadecimal digits for all that determines the vectors of a kind (text, tag, image)
        apart from the texts' tokens and the images' bytes."""
        import transformers

        config = self._config.to_dict()
        config.pop("_name_or_path", None)
        about: dict[str, Any] = {
            "weights": self._weights_digest,
            "config": config,
            "precision": self._precision,
            "transformers": transformers.__version__,
        }
        if kind == "image":
            about["images"] = self._image_processor.to_dict()
        else:
            padding = (self._tokenizer.pad_token_id, self._tokenizer.padding_side)
            about["texts"] = [vars(self._pooling), self.token_limit, padding]
        return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()

    @cached_property
    def _weights_digest(self) -> str:
        digest = hashlib.sha256()
        for name, tensor in sorted(self._model.state_dict().items()):
            if name not in self._made_up:
                digest.update(f"{name}\0{tuple(tensor.shape)}\0".encode())
                digest.update(tensor.cpu().contiguous().numpy().data)
        return digest.hexdigest()

    @cached_property
    def _tokenizer(self) -> Any:
        return load_tokenizer(self._source, self._option)

    @cached_property
    def _image_processor(self) -> Any:
        if not self._has_features:
            raise FormatError(
                f"{self._option} {self._source}: a {self._config.model_type} model reads no images "
                "here; give a model of CLIP's kind"
            )
        return load_image_processor(self._source, self._option)

    @cached_property
    def token_limit(self) -> int:
        """Tokens that the model reads of a text, with its marks of begin and end."""
        return token_limit(self._model, self._tokenizer, self._pooling.max_tokens)

    def _text_vectors(self, ids: Sequence[np.ndarray]) -> np.ndarray:
        tokenizer = self._tokenizer
        reads_mask = "attention_mask" in tokenizer.model_input_names
        # SigLIP takes the state at the last place, and learnt that with the padding in front of it.
        whole = self._has_features and (
            not reads_mask or self._config.model_type.startswith("siglip")
        )
        batch = tokenizer.pad(
            {"input_ids": [each.tolist() for each in ids]},
            padding="max_length" if whole else "longest",
            max_length=self.token_limit,
            return_attention_mask=reads_mask or not self._has_features,
            return_tensors="pt",
            verbose=False,
        ).to(self._device)
        if self._has_features:
            return self._features(self._model.get_text_features, batch)
        states = self._run(self._model, batch).last_hidden_state
        return _to_numpy(pool(states, batch["attention_mask"], self._pooling))

    def _image_vectors(self, images: Sequence[dict[str, "torch.Tensor"]]) -> np.ndarray:
        import torch

        batch = {
            name: torch.cat([image[name] for image in images]).to(self._device)
            for name in images[0]
        }
        return self._features(self._model.get_image_features, batch)

    def _features(self, give: Callable[..., Any], batch: Any) -> np.ndarray:
        found = self._run(give, batch)
        # A tensor, or since transformers 5 an output that holds it.
        vectors = getattr(found, "pooler_output", found)
        if getattr(vectors, "ndim", None) != 2:
            raise FormatError(
                f"{self._option} {self._source}: a {self._config.model_type} model does not give "
                "one vector a text or image; give a model of CLIP's kind, or a text encoder"
            )
        return _to_numpy(unit(vectors.float()))

    def _run(self, give: Callable[..., Any], batch: Any) -> Any:
        import torch

        try:
            with torch.inference_mode(), mixed(self._device, self._precision):
                return give(**batch)
        except torch.OutOfMemoryError:
            raise FormatError(
                f"--batch-size {self._batch_size}: the memory of {self._device} is too small for "
                "it; give a smaller one"
            ) from None


def _to_numpy(vectors: "torch.Tensor") -> np.ndarray:
    return vectors.float().cpu().numpy()
