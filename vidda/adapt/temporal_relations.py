"""The branch of TA3N and TranSVAE: temporal relations with a domain discriminator for each size."""

from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from torch import nn

from vidda.adapt.joint import MethodConfig, MethodSettings
from vidda.adapt.losses.domain import reverse_gradient
from vidda.adapt.losses.temporal_attention import (
    domain_attention,
    select_relations,
    two_way_domain_loss,
)
from vidda.errors import ViddaError
from vidda.recognize.framewise import FrameFeatures, Framewise, FrozenHead
from vidda.recognize.recognizer import Recognizer

MAX_RELATIONS = 3
"""Number of relations of one size that are summed, as in TRN."""


Segments = Annotated[
    int, Field(ge=2, description="equal segments of a clip, the time steps of the branch")
]


class BranchConfig(MethodConfig):
    """The base of the configs of methods with a branch of temporal relations."""

    relation: float = Field(
        0.75, ge=0, description="gradient reversal of the domain discriminators of relations"
    )
    video: float = Field(
        0.75, ge=0, description="gradient reversal of the domain discriminator of clips"
    )
    frame: float = Field(
        0.5, ge=0, description="gradient reversal of the domain discriminator of time steps"
    )
    segments: Segments
    dropout: float = Field(0.5, ge=0, lt=1, description="dropout rate in the branch")

    def problems(self, settings: MethodSettings) -> list[str]:
        """Return a line where the model is compiled."""
        if settings.compiled:
            return [f"compile: {self.name} reads features inside the model; set it to false"]
        return []


class RelationOutputs(NamedTuple):
    """The relations of a batch.

    sizes: (B, S, W), one for each number of related time steps. domains: (B, S, 2), logits of
    source and target. video: (B, W), the sum of `sizes` weighted by domain attention.
    """

    sizes: torch.Tensor
    domains: torch.Tensor
    video: torch.Tensor


class TemporalRelations(nn.Module):
    """Relations of 2 to T time steps, each with a domain discriminator, and their sum by domain
    attention.

    time_steps: T. width: D of the features of a time step. out: W, width of a relation's features.
    Chen et al., TA3N, ICCV 2019, section 4; relations are those of TRN (Zhou et al., ECCV 2018),
    equation 3.
    """

    def __init__(self, time_steps: int, width: int, out: int) -> None:
        super().__init__()
        sizes = range(time_steps, 1, -1)
        # The names of modules are keys of saved checkpoints; `judges` are domain discriminators.
        self.chosen = [select_relations(time_steps, size, MAX_RELATIONS) for size in sizes]
        self.fusions = nn.ModuleList(
            nn.Sequential(nn.ReLU(), nn.Linear(size * width, out), nn.ReLU()) for size in sizes
        )
        self.judges = nn.ModuleList(two_way_discriminator(out, out) for _ in sizes)

    def forward(self, features: torch.Tensor, strength: float) -> RelationOutputs:
        """Return the relations of features (B, T, D).

        strength: of the reversed gradient of the domain discriminators.
        """
        found, domains = [], []
        for chosen, fusion, judge in zip(self.chosen, self.fusions, self.judges, strict=True):
            relations = [fusion(features[:, list(steps)].flatten(1)) for steps in chosen]
            found.append(torch.stack(relations).sum(0))
            domains.append(judge(reverse_gradient(found[-1], strength)).float())
        related, domain_logits = torch.stack(found, 1), torch.stack(domains, 1)
        weighted = domain_attention(related.flatten(0, 1), domain_logits.flatten(0, 1))
        return RelationOutputs(related, domain_logits, weighted.view_as(related).sum(1))


def two_way_discriminator(width: int, hidden: int) -> nn.Sequential:
    """Return a domain discriminator, from features (..., width) to the logits of source and target,
    (..., 2).

    hidden: width of its hidden layer.
    """
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 2))


def branch_domain_loss(domains: torch.Tensor, source: int) -> torch.Tensor:
    """Return the cross-entropy of a domain discriminator's logits; log 2 at chance.

    domains: (B, ..., 2) logits of source and target. source: how many of the first clips are the
    source's.
    """
    on_source, on_target = domains[:source], domains[source:]
    return two_way_domain_loss(on_source.reshape(-1, 2), on_target.reshape(-1, 2))


def segment_means(frames: torch.Tensor, count: int) -> torch.Tensor:
    """Return the mean features of `count` equal segments of a clip's time, (B, count, D).

    frames: (B, T, D). Where T is not a multiple of count the segments overlap, as in adaptive
    pooling.
    """
    length = frames.shape[1]
    parts = [(n * length // count, -(-(n + 1) * length // count)) for n in range(count)]
    return torch.stack([frames[:, start:end].mean(1) for start, end in parts], 1)


def frame_features(model: nn.Module, inputs: torch.Tensor) -> FrameFeatures:
    """Return a model's outputs for a batch, with features of each time step.

    model: a `Framewise` recognizer for clips (B, C, T, H, W), or a `FrozenHead` for their states.
    """
    assert isinstance(model, Framewise | FrozenHead)
    return model.framewise(inputs)


def require_framewise(model: Recognizer, key: str) -> Framewise:
    """Return the model if it has features of each time step; raises ViddaError otherwise.

    key: the config's key that requires it.
    """
    if not isinstance(model, Framewise):
        raise ViddaError(
            f"{key} needs features of each time step, which this model does not have; set"
            " model.name=biconvlstm or videomae"
        )
    return model
