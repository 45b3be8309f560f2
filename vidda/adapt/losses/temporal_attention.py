"""Building blocks of TA3N: temporal relations, domain attention, attentive entropy."""

import math
from itertools import combinations

import torch
from torch.nn import functional as F

from vidda.adapt.losses.entropy import entropies


def select_relations(frames: int, size: int, most: int) -> list[tuple[int, ...]]:
    """Return the subsets of `size` frames that form relations, as increasing tuples of numbers.

    frames: number of frames. All subsets are returned, or `most` of them, evenly spread. Zhou et
    al., Temporal Relational Reasoning in Videos (TRN), ECCV 2018, equation 3. TRN draws new ones at
    random in training; here, as in TA3N's released code, they are always the same.
    """
    every = list(combinations(range(frames), size))
    if len(every) <= most:
        return every
    return [every[math.ceil(n * len(every) / most)] for n in range(most)]


def domain_attention(features: torch.Tensor, domains: torch.Tensor) -> torch.Tensor:
    """Return features times 2 - H(d), (B, D): those that reveal their domain weigh more.

    features: (B, D). domains: (B, 2) logits of a domain discriminator; H(d) is their entropy in
    nats. Chen et al., Temporal Attentive Alignment for Large-Scale Video Domain Adaptation (TA3N),
    ICCV 2019, equations 5 and 6: weight 1 - H(d) and a residual connection. As in the released code
    the gradient goes through the weight too.
    """
    return features * (2 - entropies(domains))[:, None]


def attentive_entropy(logits: torch.Tensor, domains: torch.Tensor) -> torch.Tensor:
    """Return the mean of (1 + H(d)) H(y): the entropy of predictions, weighted by that of their
    domain.

    logits: (B, K) of the classes y. domains: (B, 2) logits of the domain d. In nats, at least 0.
    TA3N, equation 8, over source and target clips together.
    """
    return ((1 + entropies(domains)) * entropies(logits)).mean()


def two_way_domain_loss(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of a domain discriminator with two logits; log 2 at chance.

    source: (B, 2), target: (B', 2), its logits of source (index 0) and target (index 1) on the
    clips of each domain. Averaged over all clips, as in TA3N's code.
    """
    domains = torch.cat([torch.zeros(len(source)), torch.ones(len(target))]).long()
    return F.cross_entropy(torch.cat([source, target]), domains.to(source.device))


def two_way_domain_accuracy(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the balanced accuracy of a domain discriminator with two logits, in [0, 1]; 0.5 at
    chance.

    source: (B, 2), target: (B', 2), its logits, source at index 0. No gradient goes through it.
    """
    right = (source.argmax(1) == 0).float().mean() + (target.argmax(1) == 1).float().mean()
    return right.detach() / 2
