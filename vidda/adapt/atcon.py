"""Source-free adaptation by temporal consistency (ATCoN)."""

from collections.abc import Callable
from itertools import combinations
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from vidda.adapt.clip_views import stretch_in_time
from vidda.adapt.joint import MethodConfig, MethodSettings
from vidda.adapt.losses.consistency import barlow_twins
from vidda.adapt.losses.entropy import information_maximization
from vidda.adapt.losses.temporal_consistency import cluster_labels, scale_consistency
from vidda.recognize.infer import Outputs
from vidda.recognize.method import Method, SourceBatch, Supervised, TargetBatch, Terms
from vidda.recognize.recognizer import Recognizer


class AtconConfig(MethodConfig):
    """ATCoN (Xu et al., ECCV 2022) for any recognizer: it needs a trained one and target clips, no
    source.

    The last layer stays as it was trained on the source. The weights are the released code's. Its
    scales are TRN's relations of 2 to 5 frames, whose features it combines by confidence into the
    clip's; here they are parts of the clip in slow motion, and the clip's own forward pass is the
    whole. There all scales' features pass one batch norm and are multiplied by the confidence of
    their predictions before they are compared, without the standardization of Barlow Twins; here
    they are standardized over the batch. The layers below that batch norm learn at 0.1 of the
    learning rate, here all at the same. It updates pseudo-labels every 10 epochs of many, batch by
    batch; here by default before each epoch, over all clips. `train` only names the classes: its
    clips are not opened. `val`, of the source, chooses the epoch.
    """

    name: Literal["atcon"] = "atcon"
    information: float = Field(0.5, ge=0, description="weight of information maximization")
    pseudo_labels: float = Field(0.2, ge=0, description="weight of pseudo-labels by clustering")
    features: float = Field(0.01, ge=0, description="weight of consistent features across scales")
    predictions: float = Field(
        1.0, ge=0, description="weight of consistent predictions across scales"
    )
    off_diagonal: float = Field(
        3.9e-3, ge=0, description="weight of correlations between different features"
    )
    scales: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (0.5, 0.75), min_length=2, description="temporal scales: shares of the clip's duration"
    )
    every: int = Field(1, ge=1, description="epochs between updates of the pseudo-labels")
    source_free: ClassVar[bool] = True
    min_clips: ClassVar[int] = 2
    needs_pixels: ClassVar[bool] = True

    def build(self, model: Recognizer, supervised: Supervised, settings: MethodSettings) -> Method:
        model.classifier.requires_grad_(False)
        return Atcon(self, settings.target_clips)


class Atcon(Method):
    """The training method of `AtconConfig`. clips: the number of target clips.

    labels: (clips,) int64, their pseudo-labels; those of clips that cannot be read are never used.
    """

    labels: torch.Tensor

    def __init__(self, config: AtconConfig, clips: int) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("labels", torch.zeros(clips, dtype=torch.int64))

    def before_epoch(self, epoch: int, infer_target: Callable[[], Outputs]) -> None:
        if epoch % self.config.every == 0:
            outputs = infer_target()
            found = cluster_labels(outputs.features, outputs.logits)
            self.labels[outputs.number] = found.to(self.labels)

    def step(self, model: nn.Module, source: SourceBatch, target: TargetBatch) -> Terms:
        c = self.config
        views = [target.inputs, *(stretch_in_time(target.inputs, share) for share in c.scales)]
        out = model(torch.cat(views))
        logits = out.logits.float().chunk(len(views))
        features = out.features.float().chunk(len(views))[1:]
        wanted = self.labels[target.number]
        pairs = [barlow_twins(*pair, c.off_diagonal) / 2 for pair in combinations(features, 2)]
        losses = {
            "information": c.information * information_maximization(logits[0]),
            "pseudo_labels": c.pseudo_labels * F.cross_entropy(logits[0], wanted),
            "features": c.features * torch.stack(pairs).mean(),
            "predictions": c.predictions * scale_consistency(logits[1:], logits[0]),
        }
        same = (logits[0].argmax(1) == wanted).float().mean()
        return Terms(losses, {"follows_labels": same})
