"""Item vectors by modality: E_id learned, E_img and E_tex frozen, e_tag a weighted multi-hot."""

from collections.abc import Iterable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recbole_tema.data.item_features import FrozenFeatures, ItemTags
from recbole_tema.models.slices import rows_of

ID, IMAGE, TEXT, TAG = "id", "image", "text", "tag"
MODALITIES = (ID, IMAGE, TEXT, TAG)


class Modality(nn.Module):
    """Vectors of one modality. ``missing`` stands in a history for an item without it.

    Attributes:
        dim: length of the vectors.
        present: (N + 1,) bool buffer, whether an item has the modality; row 0 is padding.
    """

    present: Tensor

    def __init__(self, dim: int, present: Tensor) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("present", present, persistent=False)
        self.missing = None if bool(present[1:].all()) else nn.Parameter(torch.zeros(dim))

    def vectors(self, items: Tensor | None = None) -> Tensor:
        """(n, dim) vectors of ``items`` (n,), None: of ids 0 to N; zeros for items without it."""
        raise NotImplementedError

    def in_history(self, vectors: Tensor, items: Tensor) -> Tensor:
        """``vectors`` (…, dim) of ``items`` (…), with ``missing`` where there is none."""
        if self.missing is None:
            return vectors
        lacking = ~self.present[items] & (items > 0)
        return torch.where(lacking[..., None], self.missing, vectors)


class IdModality(Modality):
    """E_id (LLM-EMF §3.4): one learned vector an item."""

    def __init__(self, n_items: int, dim: int) -> None:
        super().__init__(dim, torch.arange(n_items) > 0)
        self.embedding = nn.Embedding(n_items, dim, padding_idx=0)

    def vectors(self, items: Tensor | None = None) -> Tensor:
        return _rows(self.embedding.weight, items)


class FrozenModality(Modality):
    """E_img or E_tex (LLM-EMF §3.4): frozen vectors, raw or through a learned projection."""

    frozen: Tensor

    def __init__(self, features: FrozenFeatures, dim: int | None) -> None:
        """``dim``: of the projection; None: the raw vectors."""
        width = features.vectors.shape[1]
        super().__init__(dim or width, features.present)
        # Neither trained nor saved: the data set keeps them.
        self.register_buffer("frozen", features.vectors, persistent=False)
        self.projection = nn.Linear(width, dim, bias=False) if dim else nn.Identity()

    def vectors(self, items: Tensor | None = None) -> Tensor:
        return self.projection(_rows(self.frozen, items))


class TagModality(Modality):
    """e_tag(i) = Σ_t w_it E_tag[t] / Σ_t w_it over the tags of item i (method.md, TEMA-LLM 3).

    Args:
        tags: the items' tags; E_tag starts from the vectors of the tag strings, where there are.
        dim: of the result; E_tag is projected to it when its own width differs.
        weighted: False: every tag of an item counts the same (the ablation).
        trainable: whether E_tag is trained.
    """

    index: Tensor
    weights: Tensor

    def __init__(self, tags: ItemTags, dim: int, weighted: bool, trainable: bool) -> None:
        super().__init__(dim, tags.present)
        weights = tags.scores if weighted else (tags.scores > 0).float()
        total = weights.sum(dim=1, keepdim=True)
        self.register_buffer("index", tags.index, persistent=False)
        # An item without tags keeps weights of 0, and so a vector of zeros.
        self.register_buffer("weights", weights / total.clamp(min=1e-12), persistent=False)
        width = dim if tags.vectors is None else tags.vectors.shape[1]
        self.embedding = nn.Embedding(len(tags.names) + 1, width, padding_idx=0)
        self.start = tags.vectors
        self.embedding.weight.requires_grad_(trainable)
        self.projection = nn.Identity() if width == dim else nn.Linear(width, dim, bias=False)

    def load_tag_vectors(self) -> None:
        """Start E_tag from the tag strings' vectors; called after the random initialisation."""
        if self.start is not None:
            with torch.no_grad():
                self.embedding.weight.copy_(self.start)
            self.start = None

    def vectors(self, items: Tensor | None = None) -> Tensor:
        # The projection is linear, so it may go before the sum: cheaper where all tags are needed.
        project_first = items is None
        tags = self.embedding.weight
        if project_first:
            # Mixed precision projects in another dtype than the weights have.
            tags = self.projection(tags).to(self.weights.dtype)
        bags = F.embedding_bag(
            _rows(self.index, items),
            tags,
            per_sample_weights=_rows(self.weights, items),
            mode="sum",
        )
        return bags if project_first else self.projection(bags)


class Stream(nn.Module):
    """Modalities whose vectors are added into one item vector before anything looks at it.

    In the mixture and in the sum of scores each modality is a stream of its own; with early fusion
    a single stream adds all of them. A tag may gate the sum instead of adding to it.

    Args:
        modalities: what is added; all of one length.
        gate: a tag modality that scales the sum: item ⊙ 2 σ(W e_tag), for items that have tags.

    Attributes:
        present: (N + 1,) bool buffer, whether an item has at least one of the modalities.
    """

    present: Tensor

    def __init__(self, modalities: Sequence[Modality], gate: TagModality | None = None) -> None:
        super().__init__()
        dims = {each.dim for each in modalities}
        if len(dims) != 1:
            raise ValueError(
                f"modalities of different lengths ({sorted(dims)}) cannot be added: set "
                "feature_projection: linear"
            )
        self.dim = dims.pop()
        self.modalities = nn.ModuleList(modalities)
        present = torch.stack([each.present for each in modalities]).any(dim=0)
        self.register_buffer("present", present, persistent=False)
        if len(modalities) > 1:
            # In a sum an absent vector adds nothing, and the others stand for the item.
            for modality in modalities:
                modality.missing = None
        self.gate = gate
        if gate is not None:
            self.gate_projection = nn.Linear(gate.dim, self.dim, bias=False)

    @property
    def members(self) -> list[Modality]:
        """The modalities that are added."""
        return list(cast(Iterable[Modality], self.modalities))

    @property
    def fixed(self) -> bool:
        """Whether the vectors are the same in every step."""
        return self.gate is None and all(
            isinstance(each, FrozenModality) and isinstance(each.projection, nn.Identity)
            for each in self.members
        )

    def vectors(self, items: Tensor | None = None) -> Tensor:
        """(n, dim) vectors of ``items`` (n,); None: of ids 0 to N."""
        vectors = [modality.vectors(items) for modality in self.members]
        total = vectors[0] if len(vectors) == 1 else torch.stack(vectors).sum(dim=0)
        if self.gate is not None:
            gate = 2 * torch.sigmoid(self.gate_projection(self.gate.vectors(items)))
            gated = _rows(self.gate.present, items)
            total = torch.where(gated[:, None], total * gate, total)
        return total

    def in_history(self, vectors: Tensor, items: Tensor) -> Tensor:
        """``vectors`` of ``items`` as a history shows them; see :meth:`Modality.in_history`."""
        return self.members[0].in_history(vectors, items) if len(self.members) == 1 else vectors


def _rows(table: Tensor, items: Tensor | None) -> Tensor:
    return table if items is None else rows_of(table, items)
