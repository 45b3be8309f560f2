"""Temporal attentive adversarial adaptation (TA3N)."""

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from vidda.adapt.joint import MethodSettings
from vidda.adapt.losses.domain import reverse_gradient
from vidda.adapt.losses.temporal_attention import attentive_entropy, two_way_domain_accuracy
from vidda.adapt.temporal_relations import (
    BranchConfig,
    Segments,
    TemporalRelations,
    branch_domain_loss,
    frame_features,
    require_framewise,
    segment_means,
    two_way_discriminator,
)
from vidda.recognize.framewise import Framewise
from vidda.recognize.method import Method, SourceBatch, Supervised, TargetBatch, Terms
from vidda.recognize.recognizer import Recognizer


class Ta3nConfig(BranchConfig):
    """TA3N (Chen et al., ICCV 2019) for any recognizer with features of each time step
    (`Framewise`).

    Domain discriminators work on time steps, on relations of 2 to `segments` of them, and on clips;
    0.75, 0.75 and 0.5 are, as in the released code, how strongly their gradient is reversed, while
    the discriminators themselves learn at full weight. They and gamma 0.003 are its constants for
    UCF to HMDB; for HMDB to UCF relation is 1 and gamma 0.3. Published with SGD at 0.03 and 30
    epochs, on frozen ResNet-101 features of 5 frames, with 128 source and 74 target clips a step
    (in proportion to the sets).

    Differences from the released code: the recognizer pools time in its own way and its own last
    layer is tested, so the discriminator of clips and the attentive entropy use its features and
    logits; relations are a branch with a classifier of its own, which is dropped after training.
    Features are averaged over 5 equal segments of the clip. New layers are initialized as in
    PyTorch, there with deviation 0.001. There the features are frozen, here the whole recognizer
    learns. The numbers of the paper's equations are from memory, unverified.
    """

    name: Literal["ta3n"] = "ta3n"
    gamma: float = Field(0.003, ge=0, description="weight of attentive entropy")
    segments: Segments = 5
    width: int = Field(512, ge=1, description="width of a segment's features in the branch")
    bottleneck: int = Field(256, ge=1, description="width of a relation's features")

    def build(self, model: Recognizer, supervised: Supervised, settings: MethodSettings) -> Method:
        return Ta3n(self, require_framewise(model, f"method: {self.name}"), supervised)


class Ta3n(Method):
    """The training method of `Ta3nConfig`."""

    def __init__(self, config: Ta3nConfig, model: Framewise, supervised: Supervised) -> None:
        super().__init__()
        c = self.config = config
        self.supervised = supervised
        # The names of modules are keys of saved checkpoints.
        self.shared = nn.Sequential(
            nn.Linear(model.frame_dim, c.width), nn.ReLU(), nn.Dropout(c.dropout)
        )
        self.frames = two_way_discriminator(c.width, c.width)
        self.relations = TemporalRelations(c.segments, c.width, c.bottleneck)
        self.classifier = nn.Sequential(
            nn.Dropout(c.dropout), nn.Linear(c.bottleneck, model.classes)
        )
        self.clips = two_way_discriminator(model.feature_dim, c.bottleneck)

    def step(self, model: nn.Module, source: SourceBatch, target: TargetBatch) -> Terms:
        c = self.config
        video, wanted = self.supervised.mixed(source)
        out, frames = frame_features(model, torch.cat([video, target.inputs]))
        logits, clips = out.logits.float(), len(video)
        terms = self.supervised.terms(logits[:clips], wanted)

        segments = self.shared(segment_means(frames, c.segments))
        frame_domains = self.frames(reverse_gradient(segments, c.frame)).float()
        related = self.relations(segments, c.relation)
        branch = self.supervised.terms(self.classifier(related.video)[:clips], wanted)
        clip_domains = self.clips(reverse_gradient(out.features, c.video)).float()
        losses = {
            "branch": branch.losses["loss"],
            "frames": branch_domain_loss(frame_domains, clips),
            "relations": branch_domain_loss(related.domains, clips),
            "clips": branch_domain_loss(clip_domains, clips),
            "attentive": c.gamma * attentive_entropy(logits, clip_domains),
        }
        metrics = {
            "branch_accuracy": branch.metrics["accuracy"],
            "domain_accuracy": two_way_domain_accuracy(clip_domains[:clips], clip_domains[clips:]),
        }
        return Terms(terms.losses | losses, terms.metrics | metrics)
