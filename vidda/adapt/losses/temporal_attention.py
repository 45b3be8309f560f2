"""The pieces of TA3N: temporal relations, attention by domain, attentive entropy."""

import math
from itertools import combinations

import torch
from torch.nn import functional as F

from vidda.adapt.losses.entropy import entropies


def relations(frames: int, size: int, most: int) -> list[tuple[int, ...]]:
    """Which frames form relations of `size`: all in order, or `most` of them evenly spread.

    Zhou et al., Temporal Relational Reasoning in Videos (TRN), ECCV 2018, equation 3. TRN draws
    them anew at random in training; here, as in TA3N's released code, they are always the same.
    """
    every = list(combinations(range(frames), size))
    if len(every) <= most:
        return every
    return [every[math.ceil(n * len(every) / most)] for n in range(most)]


def attended(features: torch.Tensor, domains: torch.Tensor) -> torch.Tensor:
    """Return each feature times 2 - H(d): what tells the domains apart counts more, (B, D).

    features: (B, D). domains: (B, 2) logits of the domain. Chen et al., Temporal Attentive
    Alignment for Large-Scale Video Domain Adaptation (TA3N), ICCV 2019, equations 5 and 6: weight 1
    - H(d), H in nats, and a residual connection. As in the released code the gradient goes through
    the weight too.
    """
    return features * (2 - entropies(domains))[:, None]


def attentive_entropy(logits: torch.Tensor, domains: torch.Tensor) -> torch.Tensor:
    """Return the entropy of predictions, more where the domains look alike: mean (1 + H(d)) H(y).

    logits: (B, K). domains: (B, 2). TA3N, equation 8, over source and target clips together.
    """
    return ((1 + entropies(domains)) * entropies(logits)).mean()


def two_way_loss(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return cross-entropy of two-way domain logits, source 0 and target 1; log 2 at chance.

    source: (B, 2), target: (B', 2). Averaged over all clips, as in TA3N's code.
    """
    domains = torch.cat([torch.zeros(len(source)), torch.ones(len(target))]).long()
    return F.cross_entropy(torch.cat([source, target]), domains.to(source.device))


def two_way_accuracy(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return how often such logits are right, each domain weighing the same; 0.5 at chance."""
    right = (source.argmax(1) == 0).float().mean() + (target.argmax(1) == 1).float().mean()
    return right.detach() / 2
