"""Similar features of a clip and of its translation (ZoDi)."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from vidda.adapt.joint import MethodConfig, MethodSettings
from vidda.adapt.losses.consistency import feature_distance
from vidda.recognize.method import Method, SourceBatch, Supervised, TargetBatch, Terms
from vidda.recognize.recognizer import Recognizer


class FeatureSimilarityConfig(MethodConfig):
    """Both are trained on, and their features are drawn to each other (ZoDi, arXiv 2403.13652).

    train names the manifest of the source and that of its translation (whose clips know their
    parents). The target itself is not shown: in ZoDi there is none. For how the released code
    compares features see `losses.consistency.feature_distance`; its weight is for that loss, so the
    default here is ours.
    """

    name: Literal["feature_similarity"] = "feature_similarity"
    weight: float = Field(1.0, gt=0, description="of one less the cosine of the features")
    paired: ClassVar[bool] = True

    def problems(self, setting: MethodSettings) -> list[str]:
        found = []
        if not (setting.parents >= 0).any():
            found.append(
                "train: no clip is the translation of another; give the manifest of the source and"
                " the one that vidda translate made of it"
            )
        if setting.mixes:
            found.append("mixup, cutmix: a mixed clip has no translation; set both to 0")
        return found

    def build(self, model: Recognizer, supervised: Supervised, setting: MethodSettings) -> Method:
        return FeatureSimilarity(self, torch.from_numpy(setting.parents), supervised)


class FeatureSimilarity(Method):
    """See `FeatureSimilarityConfig`. parents: (N,), see `MethodSettings`."""

    parents: torch.Tensor

    def __init__(
        self, config: FeatureSimilarityConfig, parents: torch.Tensor, supervised: Supervised
    ) -> None:
        super().__init__()
        self.config = config
        self.supervised = supervised
        # Known again from the manifests, so not in the checkpoint.
        self.register_buffer("parents", parents, persistent=False)

    def step(self, model: nn.Module, source: SourceBatch, target: TargetBatch) -> Terms:
        video, wanted = self.supervised.mixed(source)
        out = model(video)
        terms = self.supervised.terms(out.logits, wanted)
        child, parent = self.pairs(source.number)
        features = out.features.float()
        # A batch without a pair still has the term, or figures would come and go.
        loss = features.sum() * 0
        if len(child):
            loss = feature_distance(features[child], features[parent])
        pairs = torch.tensor(float(len(child)), device=features.device)
        losses = {**terms.losses, "similarity": self.config.weight * loss}
        return Terms(losses, terms.shown | {"pairs": pairs})

    def pairs(self, number: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Where in a batch of these clips translations are, and where their parents. (P,) each."""
        matches = self.parents[number][:, None] == number[None]
        child, parent = matches.nonzero(as_tuple=True)
        return child, parent
