"""The settings that LLM-EMF and TEMA-LLM share, checked once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from recbole.config import Config

from recbole_tema.config import flag
from recbole_tema.models.items import MODALITIES
from recbole_tema.models.layers import POSITIONS, SequenceEncoder
from recbole_tema.models.losses import IMPLEMENTATIONS

_CHOICES = {
    "fusion": ("mixture", "score", "early"),
    "similarity": ("cosine", "dot"),
    "view_join": ("probabilities", "log_probabilities", "vectors"),
    "feature_projection": ("linear", "none"),
    "merged_candidates": ("domain", "all"),
    "positions": POSITIONS,
    "loss_implementation": IMPLEMENTATIONS,
}
VIEWS = ("single", "merged")


@dataclass(frozen=True)
class ModelSettings:
    """See ``properties/model/LLMEMF.yaml`` for the meaning and source of each."""

    modalities: list[str]
    modality_weights: dict[str, float]
    learn_modality_weights: bool
    fusion: str
    feature_projection: str
    similarity: str
    temperature: float
    learn_temperature: bool
    views: list[str]
    view_join: str
    train_view_weights: tuple[float, float, float]
    score_view_weights: tuple[float, float, float]
    share_encoder: bool
    embedding_size: int
    n_layers: int
    n_heads: int
    inner_size: int
    positions: str
    time_knots: int
    max_length: int
    dropout: float
    attn_dropout: float
    initializer_range: float
    merged_candidates: str
    untrained_negatives: bool
    loss_implementation: str
    torch_compile: str | None

    @classmethod
    def from_config(cls, config: Config) -> "ModelSettings":
        """Read and check the settings.

        Raises:
            ValueError: naming the key, what came and what was expected.
        """
        for key, choices in _CHOICES.items():
            choice(config, key, choices)
        views = _list(config, "views")
        if not views or set(views) - set(VIEWS):
            raise ValueError(f"views: expected some of {VIEWS}, got {views}")
        temperature = float(at_least(config, "temperature", 0))
        if temperature == 0:
            raise ValueError("temperature: expected a positive number, got 0")
        if config["feature_projection"] == "none" and config["fusion"] == "early":
            raise ValueError(
                "fusion: early adds the modalities' vectors, which takes feature_projection: linear"
            )
        modality_weights = config["modality_weights"] or {}
        if not isinstance(modality_weights, dict):
            raise ValueError(
                f"modality_weights: expected a weight by modality, got {modality_weights!r}"
            )
        if unknown := set(modality_weights) - set(MODALITIES):
            raise ValueError(
                f"modality_weights: {sorted(unknown)} unknown; modalities {MODALITIES}"
            )
        if any(weight <= 0 for weight in modality_weights.values()):
            raise ValueError(
                f"modality_weights: expected positive numbers, got {modality_weights}; leave a "
                "modality out of modalities to switch it off"
            )
        return cls(
            modalities=_list(config, "modalities"),
            modality_weights=modality_weights,
            learn_modality_weights=flag(config, "learn_modality_weights"),
            fusion=config["fusion"],
            feature_projection=config["feature_projection"],
            similarity=config["similarity"],
            temperature=temperature,
            learn_temperature=flag(config, "learn_temperature"),
            views=views,
            view_join=config["view_join"],
            train_view_weights=_view_weights(config, "train_view_weights", views),
            score_view_weights=_view_weights(config, "score_view_weights", views),
            share_encoder=flag(config, "share_encoder"),
            embedding_size=int(at_least(config, "embedding_size", 1)),
            n_layers=int(at_least(config, "n_layers", 0)),
            n_heads=int(at_least(config, "n_heads", 1)),
            inner_size=int(at_least(config, "inner_size", 0)),
            positions=config["positions"],
            time_knots=_time_knots(config),
            max_length=int(at_least(config, "MAX_ITEM_LIST_LENGTH", 1)),
            dropout=float(at_least(config, "hidden_dropout_prob", 0)),
            attn_dropout=float(at_least(config, "attn_dropout_prob", 0)),
            initializer_range=float(config["initializer_range"]),
            merged_candidates=config["merged_candidates"],
            untrained_negatives=flag(config, "untrained_negatives"),
            loss_implementation=config["loss_implementation"],
            torch_compile=_compile_backend(config),
        )

    @property
    def encoded_views(self) -> set[int]:
        """The views that are switched on: 0 and 1 the domains', 2 the merged one."""
        single = {0, 1} if "single" in self.views else set()
        return single | ({2} if "merged" in self.views else set())

    @property
    def feature_size(self) -> int | None:
        """Length of projected features; None: raw."""
        return self.embedding_size if self.feature_projection == "linear" else None

    def encoder(self, dim: int) -> SequenceEncoder:
        """A fresh encoder for vectors of length ``dim``."""
        return SequenceEncoder(
            dim,
            self.max_length,
            self.positions,
            self.n_layers,
            self.n_heads,
            self.inner_size,
            self.dropout,
            self.attn_dropout,
        )


def sequence_encoder(config: Config, dim: int) -> SequenceEncoder:
    """A fresh encoder, as the settings have it."""
    return SequenceEncoder(
        dim,
        int(at_least(config, "MAX_ITEM_LIST_LENGTH", 1)),
        choice(config, "positions", POSITIONS),
        int(at_least(config, "n_layers", 0)),
        int(at_least(config, "n_heads", 1)),
        int(at_least(config, "inner_size", 0)),
        float(at_least(config, "hidden_dropout_prob", 0)),
        float(at_least(config, "attn_dropout_prob", 0)),
    )


def choice(config: Config, key: str, choices: Sequence[str]) -> str:
    """A setting that is one of ``choices``.

    Raises:
        ValueError: it is anything else.
    """
    if config[key] not in choices:
        raise ValueError(f"{key}: expected one of {choices}, got {config[key]!r}")
    return config[key]


def whole_number(config: Config, key: str) -> int:
    """A setting that is a whole number from 0 on.

    Raises:
        ValueError: it is anything else.
    """
    value = config[key]
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{key}: expected a whole number from 0 on, or ~; got {value!r}")
    return value


def _compile_backend(config: Config) -> str | None:
    backend = config["torch_compile"]
    if backend and backend not in (known := torch.compiler.list_backends(exclude_tags=())):
        raise ValueError(f"torch_compile: expected ~ or one of {known}, got {backend!r}")
    return backend or None


def at_least(config: Config, key: str, least: float) -> Any:
    """A setting that is a number.

    Raises:
        ValueError: it is none, or below ``least``.
    """
    value = config[key]
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not least <= value < math.inf:
        raise ValueError(f"{key}: expected a number of at least {least}, got {value!r}")
    return value


def sample_size(config: Config, candidates: int) -> int:
    """``n_negatives``; 0, which is all, where a sample would be no smaller than the candidates.

    With ``shard_items``, where no process has all items, it stays a sample.

    Args:
        config: the model's.
        candidates: how many items targets are told from, in the largest range.
    """
    asked = int(at_least(config, "n_negatives", 0))
    return asked if asked < candidates or config["shard_items"] else 0


def _time_knots(config: Config) -> int:
    knots = int(at_least(config, "time_knots", 0))
    if knots == 1:
        raise ValueError("time_knots: expected 0 (no times) or at least 2, got 1")
    return knots


def _list(config: Config, key: str) -> list[str]:
    value = config[key]
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"{key}: expected a list such as ['{value}'], got {value!r}")
    return list(value)


def _view_weights(config: Config, key: str, views: list[str]) -> tuple[float, float, float]:
    """The weights of two single-domain views and the merged one."""
    weights = config[key]
    good = isinstance(weights, (list, tuple)) and len(weights) == 3
    good = good and all(isinstance(each, (int, float)) and each >= 0 for each in weights)
    if not good or not any(weights):
        raise ValueError(f"{key}: expected three numbers from 0 on, not all 0, got {weights!r}")
    first, second, third = (float(weight) for weight in weights)
    if not ("single" in views and first + second > 0) and not ("merged" in views and third > 0):
        raise ValueError(f"{key}: {weights} gives no weight to the views that are on, {views}")
    return first, second, third
