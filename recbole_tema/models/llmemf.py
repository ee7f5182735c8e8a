"""LLM-EMF: LLM-enhanced multimodal fusion for cross-domain sequential recommendation."""

from collections.abc import Collection

from recbole.config import Config

from recbole_tema.data.dataset import CrossDomainDataset
from recbole_tema.models.items import (
    ID,
    IMAGE,
    TEXT,
    FrozenModality,
    IdModality,
    Modality,
    Stream,
)
from recbole_tema.models.multi_view import MultiViewRecommender


class LLMEMF(MultiViewRecommender):
    """Ids, images and texts of items in three views (§3).

    The paper's texts are titles with what an LLM adds (eq. 1); here the text vectors are of what
    ``recbole-tema-data encode`` was given.

    E_id is learned, E_img and E_tex are frozen (§3.4). For each view v and modality m a causal
    self-attention turns the history's vectors into h_m^v (eq. 2, 4); P_m^v is the softmax of its
    similarity with the candidates (eq. 3, 5-7), P^v their mixture (eq. 8). The views' losses are
    added with weights (eq. 9, 10), and so are their probabilities when scoring (eq. 11).
    """

    modality_names: tuple[str, ...] = (ID, IMAGE, TEXT)
    reads_files: tuple[str, ...] = ("image", "text")

    def build_streams(self, config: Config, dataset: CrossDomainDataset) -> dict[str, Stream]:
        found = self.frozen_and_id(config, dataset, self.settings.modalities)
        self.tell_of_absent(dataset, found)
        return self.streams_of(found)

    def tell_of_absent(self, dataset: CrossDomainDataset, found: Collection[str]) -> None:
        """Log which modalities are wanted and not ``found``; to lack some is normal, all not."""
        absent = [name for name in self.settings.modalities if name not in found]
        if not absent:
            return
        lacks = f"{dataset.dataset_name} has no {' and no '.join(absent)}"
        if [*found] == [ID]:
            self.logger.warning(
                f"{lacks}: this model knows its items by id alone. recbole-tema-data encode and "
                "tag make what is missing"
            )
        else:
            self.logger.info(f"{lacks}: left out")

    def frozen_and_id(
        self, config: Config, dataset: CrossDomainDataset, wanted: list[str]
    ) -> dict[str, Modality]:
        """The modalities ``id``, ``image`` and ``text``, as far as wanted and in the data set."""
        found: dict[str, Modality | None] = {ID: None}
        for name in (IMAGE, TEXT):
            features = dataset.features(name) if name in wanted else None
            found[name] = FrozenModality(features, self.settings.feature_size) if features else None
        if unknown := [name for name in wanted if name not in found]:
            raise ValueError(
                f"modalities: {unknown} unknown to {config['model']}; choose from "
                f"{list(self.modality_names)}"
            )
        names = [name for name in wanted if name == ID or found[name] is not None]
        if not names:
            raise ValueError(f"modalities: data set {config['dataset']} has none of {wanted}")
        found[ID] = IdModality(self.n_items, self.settings.embedding_size)
        return {name: modality for name in names if (modality := found[name]) is not None}
