"""Temporal consistency without the source (ATCoN)."""

from collections.abc import Callable
from itertools import combinations
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from vidda.adapt.clip_views import stretched
from vidda.adapt.joint import MethodConfig, MethodSettings
from vidda.adapt.losses.consistency import barlow
from vidda.adapt.losses.entropy import information_maximization
from vidda.adapt.losses.temporal_consistency import cluster_labels, scale_consistency
from vidda.recognize.method import Method, Outputs, SourceBatch, Supervised, TargetBatch, Terms
from vidda.recognize.recognizer import Recognizer


class AtconConfig(MethodConfig):
    """ATCoN (Xu et al., ECCV 2022) for any recognizer, from a trained one and target clips alone.

    The last layer stays as the source left it. The weights are the released code's. Its scales are
    TRN's relations of 2 to 5 frames, whose features it weighs by confidence into the clip's; here
    they are parts of the clip at a slower pace, and the clip's own pass is the whole. It renews
    pseudo-labels every 10 epochs of many, batch by batch; here by default before each, over all
    clips. train only names the classes: its clips are not opened. val, of the source, chooses.
    """

    name: Literal["atcon"] = "atcon"
    information: float = Field(0.5, ge=0, description="weight of information maximization")
    pseudo_labels: float = Field(0.2, ge=0, description="weight of labels by clustering")
    features: float = Field(0.01, ge=0, description="weight of the scales' features agreeing")
    predictions: float = Field(1.0, ge=0, description="weight of the scales' predictions agreeing")
    off_diagonal: float = Field(3.9e-3, ge=0, description="weight of features repeating others")
    scales: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (0.5, 0.75), min_length=2, description="shares of the clip's time that are compared"
    )
    every: int = Field(1, ge=1, description="epochs between two rounds of pseudo-labels")
    source_free: ClassVar[bool] = True
    least: ClassVar[int] = 2
    pixels: ClassVar[bool] = True

    def build(self, model: Recognizer, supervised: Supervised, setting: MethodSettings) -> Method:
        model.classifier.requires_grad_(False)
        return Atcon(self, setting.target)


class Atcon(Method):
    """See `AtconConfig`. clips: how many the target has."""

    labels: torch.Tensor

    def __init__(self, config: AtconConfig, clips: int) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("labels", torch.zeros(clips, dtype=torch.int64))

    def before_epoch(self, epoch: int, look: Callable[[], Outputs]) -> None:
        if epoch % self.config.every == 0:
            seen = look()
            self.labels.copy_(cluster_labels(seen.features, seen.logits))

    def step(self, model: nn.Module, source: SourceBatch, target: TargetBatch) -> Terms:
        c = self.config
        views = [target.video, *(stretched(target.video, share) for share in c.scales)]
        out = model(torch.cat(views))
        logits = out.logits.float().chunk(len(views))
        features = out.features.float().chunk(len(views))[1:]
        wanted = self.labels[target.number]
        pairs = [barlow(*pair, c.off_diagonal) / 2 for pair in combinations(features, 2)]
        losses = {
            "information": c.information * information_maximization(logits[0]),
            "pseudo_labels": c.pseudo_labels * F.cross_entropy(logits[0], wanted),
            "features": c.features * torch.stack(pairs).mean(),
            "predictions": c.predictions * scale_consistency(logits[1:], logits[0]),
        }
        same = (logits[0].argmax(1) == wanted).float().mean()
        return Terms(losses, {"follows_labels": same})
