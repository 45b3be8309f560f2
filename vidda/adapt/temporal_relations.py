"""Temporal relations with a judge of domains at each level, which TA3N and TranSVAE share."""

from typing import NamedTuple

import torch
from torch import nn

from vidda.adapt.losses.domain import reverse
from vidda.adapt.losses.temporal_attention import attended, relations, two_way_loss
from vidda.errors import ViddaError
from vidda.recognize.framewise import Framewise
from vidda.recognize.recognizer import Recognizer

MOST = 3
"""Relations of one size that are summed, as in TRN."""


class RelationStrengths(NamedTuple):
    """How strongly the gradient of each level's judge comes back, reversed."""

    relation: float
    video: float
    frame: float


class RelationOutputs(NamedTuple):
    """Relations of a batch. sizes: (B, S, W), one for each number of moments. domains: (B, S, 2),
    logits of being source or target. video: (B, W), their sum by attention."""

    sizes: torch.Tensor
    domains: torch.Tensor
    video: torch.Tensor


class TemporalRelations(nn.Module):
    """Relations of 2 to T moments, each judged by domain and weighted by what the judge says.

    moments: T. width: D of a moment's features. out: W of a relation's. Chen et al., TA3N, ICCV
    2019, section 4; relations are those of TRN (Zhou et al., ECCV 2018), equation 3.
    """

    def __init__(self, moments: int, width: int, out: int) -> None:
        super().__init__()
        sizes = range(moments, 1, -1)
        self.chosen = [relations(moments, size, MOST) for size in sizes]
        self.fusions = nn.ModuleList(
            nn.Sequential(nn.ReLU(), nn.Linear(size * width, out), nn.ReLU()) for size in sizes
        )
        self.judges = nn.ModuleList(domain_discriminator(out, out) for _ in sizes)

    def forward(self, moments: torch.Tensor, strength: float) -> RelationOutputs:
        """From (B, T, D). strength: of the reversed gradient of the judges."""
        found, domains = [], []
        for chosen, fusion, told in zip(self.chosen, self.fusions, self.judges, strict=True):
            parts = [fusion(moments[:, list(which)].flatten(1)) for which in chosen]
            found.append(torch.stack(parts).sum(0))
            domains.append(told(reverse(found[-1], strength)).float())
        related, judged = torch.stack(found, 1), torch.stack(domains, 1)
        weighted = attended(related.flatten(0, 1), judged.flatten(0, 1))
        return RelationOutputs(related, judged, weighted.view_as(related).sum(1))


def domain_discriminator(width: int, hidden: int) -> nn.Sequential:
    """From features (B, width) to the logits of source and target, (B, 2)."""
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 2))


def branch_domain_logits(domains: torch.Tensor, source: int) -> torch.Tensor:
    """Return the loss of judges' logits (B, ..., 2), of which the first so many clips are the
    source's.
    """
    here, there = domains[:source], domains[source:]
    return two_way_loss(here.reshape(-1, 2), there.reshape(-1, 2))


def segmented(frames: torch.Tensor, count: int) -> torch.Tensor:
    """Return the means of `count` parts of a clip's time, (B, count, D).

    frames: (B, T, D). Where T is no multiple of count the parts overlap, as in adaptive pooling.
    """
    length = frames.shape[1]
    parts = [(n * length // count, -(-(n + 1) * length // count)) for n in range(count)]
    return torch.stack([frames[:, start:end].mean(1) for start, end in parts], 1)


def framewise(model: Recognizer, key: str) -> Framewise:
    """Return the model itself, if it knows features of each moment, else a ViddaError.

    key: what in the config asks for it.
    """
    if not isinstance(model, Framewise):
        raise ViddaError(
            f"{key} needs features of each moment, which this model does not give; take"
            " model.name=biconvlstm or videomae"
        )
    return model
