"""TEMA-LLM: tag-enriched multi-attention for cross-domain sequential recommendation."""

from collections.abc import Callable
from dataclasses import replace

from recbole.config import Config
from torch import Tensor

from recbole_tema.config import flag
from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.data.item_features import shuffled_tags
from recbole_tema.models.items import ID, MODALITIES, TAG, Stream, TagModality
from recbole_tema.models.llmemf import LLMEMF
from recbole_tema.models.settings import at_least, choice, whole_number
from recbole_tema.models.tag_overlap import TagOverlap
from recbole_tema.models.views import Events, View

TAG_FUSIONS = ("add", "gate", "modality")
TAG_VECTORS = ("random", "text")


class TEMA(LLMEMF):
    """LLM-EMF with tags that an LLM wrote and scored.

    e_tag(i) = Σ_t w_it E_tag[t] / Σ_t w_it enriches the item representation (Figure 2):
    ``tag_fusion: add`` adds it to the item vector, ``gate`` scales the item vector by it, and
    ``modality`` makes it a fourth modality beside id, image and text; with ``fusion: early`` one
    beside their sum, whose similarity is added to that of the sum.

    When scoring, P(i) is multiplied by (overlap(i) + ε)^w, where the overlap says how alike the
    tags of item i and of the history are (:class:`TagOverlap`). No loss sees it.
    """

    modality_names = MODALITIES
    reads_files = (*LLMEMF.reads_files, "tags")

    def __init__(self, config: Config, dataset: CrossDomainDataset) -> None:
        super().__init__(config, dataset)
        self.overlap_weight = float(at_least(config, "tag_overlap", 0))
        self.smoothing = float(at_least(config, "tag_overlap_smoothing", 1e-6))
        decay = float(at_least(config, "tag_overlap_decay", 0))
        if not 0 < decay <= 1:
            raise ValueError(f"tag_overlap_decay: expected a number in (0, 1], got {decay}")
        tag = next((each for each in self.modules() if isinstance(each, TagModality)), None)
        self.overlap = (
            TagOverlap(tag, self.item_domain, decay) if tag and self.overlap_weight else None
        )

    def build_streams(self, config: Config, dataset: CrossDomainDataset) -> dict[str, Stream]:
        wanted = self.settings.modalities
        others = [name for name in wanted if name != TAG]
        tags = dataset.tags() if TAG in wanted else None
        modalities = self.frozen_and_id(config, dataset, others) if others else {}
        if tags is None:
            if not modalities:
                raise ValueError(f"modalities: data set {config['dataset']} has none of {wanted}")
            self.tell_of_absent(dataset, modalities)
            return self.streams_of(modalities)
        self.tell_of_absent(dataset, [*modalities, TAG])
        fusion = choice(config, "tag_fusion", TAG_FUSIONS)
        if config["shuffle_tags"] is not None:
            number = whole_number(config, "shuffle_tags")
            tags = shuffled_tags(tags, dataset.item_domain, number)
            self.logger.info(f"the tags are shuffled between items (shuffle_tags: {number})")
        if choice(config, "tag_vectors", TAG_VECTORS) == "random":
            tags = replace(tags, vectors=None)
        tag = TagModality(
            tags,
            self.settings.embedding_size,
            weighted=flag(config, "weighted_tags"),
            trainable=flag(config, "train_tag_embedding"),
        )
        if not modalities:
            return self.streams_of({TAG: tag})
        if fusion == "modality":
            # Apart from the sum of the others too, or it would be the same as "add".
            return {**self.streams_of(modalities), TAG: Stream([tag])}
        # Into the item vector: the sum of all modalities, or with several streams that of the id.
        streams = self.streams_of(modalities)
        host = ID if ID in streams else next(iter(streams))
        members = streams[host].members
        enriched = Stream(members, gate=tag) if fusion == "gate" else Stream([*members, tag])
        return {**streams, host: enriched}

    def weighted_scores(
        self,
        events: Events,
        domain: int,
        views: dict[int, View],
        items: tuple[int, int],
        log_probability: Callable[[list[Tensor], int], Tensor],
    ) -> Tensor:
        """(B, items) those of LLM-EMF, times (overlap + ε)^w, or its logarithm added."""
        scores = super().weighted_scores(events, domain, views, items, log_probability)
        if self.overlap is None:
            return scores
        overlap = self.overlap(events, domain, items) + self.smoothing
        if self.settings.view_join == "log_probabilities":
            return scores + overlap.log_().mul_(self.overlap_weight)
        return scores * overlap**self.overlap_weight
