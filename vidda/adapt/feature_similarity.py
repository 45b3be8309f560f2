"""Feature similarity between a clip and its translation (ZoDi)."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from vidda.adapt.joint import MethodConfig, MethodSettings
from vidda.adapt.losses.consistency import feature_distance
from vidda.recognize.method import Method, SourceBatch, Supervised, TargetBatch, Terms
from vidda.recognize.recognizer import Recognizer


class FeatureSimilarityConfig(MethodConfig):
    """Train on clips and their translations, with similar features for both (ZoDi, arXiv
    2403.13652).

    `train` lists the source's manifest and that of its translation, whose clips name their parents.
    The model is not trained on the target itself: in ZoDi there is none. The default weight is the
    released code's, for the plain cosine as here. There the cross-entropies of a clip and of its
    translation are added up, here they are averaged over the batch, so 0.05 would give the same
    ratio. There both pass the model apart, with batch statistics of their own, and every clip has
    its translation; here they are in one batch, and only pairs that are complete in it count.
    """

    name: Literal["feature_similarity"] = "feature_similarity"
    weight: float = Field(
        0.1, gt=0, description="weight of 1 minus the cosine of both clips' features"
    )
    paired: ClassVar[bool] = True
    aligns_features: ClassVar[bool] = True

    def problems(self, settings: MethodSettings) -> list[str]:
        found = []
        if not (settings.parents >= 0).any():
            found.append(
                "train: no clip is the translation of another; list the source's manifest and the"
                " one that vidda translate made of it"
            )
        if settings.mixed:
            found.append("mixup, cutmix: a mixed clip has no translation; set both to 0")
        return found

    def build(self, model: Recognizer, supervised: Supervised, settings: MethodSettings) -> Method:
        return FeatureSimilarity(self, torch.from_numpy(settings.parents), supervised)


class FeatureSimilarity(Method):
    """The method of `FeatureSimilarityConfig`.

    parents: (N,) int64, index in the manifest of the clip that each clip is a translation of, -1
    where it is none or that clip is not in the manifest.
    """

    parents: torch.Tensor

    def __init__(
        self, config: FeatureSimilarityConfig, parents: torch.Tensor, supervised: Supervised
    ) -> None:
        super().__init__()
        self.config = config
        self.supervised = supervised
        # Comes from the manifests again, so not in the checkpoint.
        self.register_buffer("parents", parents, persistent=False)

    def step(self, model: nn.Module, source: SourceBatch, target: TargetBatch) -> Terms:
        video, wanted = self.supervised.mixed(source)
        out = model(video)
        terms = self.supervised.terms(out.logits, wanted)
        child, parent = self.pairs(source.number)
        features = out.features.float()
        # A batch without a pair still has the term, so that every step has the same metrics.
        loss = features.sum() * 0
        if len(child):
            loss = feature_distance(features[child], features[parent])
        pairs = torch.tensor(float(len(child)), device=features.device)
        losses = {**terms.losses, "similarity": self.config.weight * loss}
        return Terms(losses, terms.metrics | {"pairs": pairs})

    def pairs(self, number: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return indices into a batch: of P translations, and of their parents, (P,) int64 each.

        number: (B,) int64, the index of each clip of the batch in the manifest. Translations
        without their parent in the batch are left out.
        """
        matches = self.parents[number][:, None] == number[None]
        child, parent = matches.nonzero(as_tuple=True)
        return child, parent
