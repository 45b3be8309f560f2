"""Temporal attentive adversarial adaptation (TA3N)."""

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from vidda.adapt.joint import MethodConfig, MethodSettings
from vidda.adapt.losses.domain import reverse
from vidda.adapt.losses.temporal_attention import attentive_entropy, two_way_accuracy
from vidda.adapt.temporal_relations import (
    RelationStrengths,
    TemporalRelations,
    branch_domain_logits,
    domain_discriminator,
    framewise,
    segmented,
)
from vidda.recognize.framewise import Framewise
from vidda.recognize.method import Method, SourceBatch, Supervised, TargetBatch, Terms
from vidda.recognize.recognizer import Recognizer


class Ta3nConfig(MethodConfig):
    """TA3N (Chen et al., ICCV 2019) beside any recognizer that knows features of each moment.

    Judges of domains see moments, relations of 2 to `segments` of them, and clips; 0.75, 0.75 and
    0.5 are, as in the released code, how strongly their gradient is reversed, while the judges
    themselves learn at full weight. Published with SGD at 0.03 and 30 epochs, on frozen ResNet-101
    features of 5 frames.

    Differences from the released code: the recognizer pools time by its own means and its own last
    layer is what is tested, so the judge of clips and the attentive entropy stand on its features
    and logits; relations are a branch with a classifier of its own, which is left behind after
    training. Moments are averaged over 5 equal parts of the clip. New layers start as PyTorch has
    them, there with deviation 0.001.
    There the features are frozen, here the whole recognizer learns. Numbers of the paper's
    equations are from memory, unverified.
    """

    name: Literal["ta3n"] = "ta3n"
    relation: float = Field(0.75, ge=0, description="strength of the judges of relations")
    video: float = Field(0.75, ge=0, description="strength of the judge of clips")
    frame: float = Field(0.5, ge=0, description="strength of the judge of moments")
    gamma: float = Field(0.003, ge=0, description="weight of attentive entropy")
    segments: int = Field(5, ge=2, description="parts of a clip that are related")
    width: int = Field(512, ge=1, description="of a moment's features in the branch")
    bottleneck: int = Field(256, ge=1, description="of a relation's features")
    dropout: float = Field(0.5, ge=0, lt=1, description="rate in the branch")

    def problems(self, setting: MethodSettings) -> list[str]:
        if setting.compiled:
            return ["compile: TA3N takes what is not compiled of the model; set it to false"]
        return []

    def build(self, model: Recognizer, supervised: Supervised, setting: MethodSettings) -> Method:
        return Ta3n(self, framewise(model, f"method: {self.name}"), supervised)


class Ta3n(Method):
    """See `Ta3nConfig`."""

    def __init__(self, config: Ta3nConfig, model: Framewise, supervised: Supervised) -> None:
        super().__init__()
        c = self.config = config
        self.supervised = supervised
        self.strengths = RelationStrengths(c.relation, c.video, c.frame)
        self.shared = nn.Sequential(
            nn.Linear(model.frame_dim, c.width), nn.ReLU(), nn.Dropout(c.dropout)
        )
        self.frames = domain_discriminator(c.width, c.width)
        self.relations = TemporalRelations(c.segments, c.width, c.bottleneck)
        self.classifier = nn.Sequential(
            nn.Dropout(c.dropout), nn.Linear(c.bottleneck, model.classes)
        )
        self.clips = domain_discriminator(model.feature_dim, c.bottleneck)

    def step(self, model: nn.Module, source: SourceBatch, target: TargetBatch) -> Terms:
        c, strengths = self.config, self.strengths
        video, wanted = self.supervised.mixed(source)
        assert isinstance(model, Framewise)
        out, frames = model.framewise(torch.cat([video, target.video]))
        logits, clips = out.logits.float(), len(video)
        terms = self.supervised.terms(logits[:clips], wanted)

        moments = self.shared(segmented(frames, c.segments))
        by_frame = self.frames(reverse(moments, strengths.frame)).float()
        related = self.relations(moments, strengths.relation)
        branch = self.supervised.terms(self.classifier(related.video)[:clips], wanted)
        by_clip = self.clips(reverse(out.features, strengths.video)).float()
        losses = {
            "branch": branch.losses["loss"],
            "frames": branch_domain_logits(by_frame, clips),
            "relations": branch_domain_logits(related.domains, clips),
            "clips": branch_domain_logits(by_clip, clips),
            "attentive": c.gamma * attentive_entropy(logits, by_clip),
        }
        shown = {
            "branch_accuracy": branch.shown["accuracy"],
            "domain_accuracy": two_way_accuracy(by_clip[:clips], by_clip[clips:]),
        }
        return Terms(terms.losses | losses, terms.shown | shown)
