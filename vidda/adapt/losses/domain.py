"""Domain-adversarial training: a reversed gradient and what a domain classifier is told."""

import math
from typing import Any

import torch
from torch.nn import functional as F


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: torch.Tensor, strength: float) -> torch.Tensor:
        ctx.strength = strength
        return features.view_as(features)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return -ctx.strength * gradients[0], None


def reverse(features: torch.Tensor, strength: float) -> torch.Tensor:
    """Return the features themselves; their gradient comes back multiplied by `-strength`.

    Ganin and Lempitsky, Unsupervised Domain Adaptation by Backpropagation, ICML 2015, equations
    9 and 10.
    """
    reversed_: torch.Tensor = _Reversal.apply(features, strength)
    return reversed_


def ganin_strength(progress: float, gamma: float = 10.0) -> float:
    """2 / (1 + exp(-gamma p)) - 1: from 0 at the start to nearly 1 at the end.

    progress: p, the share of the steps that is done, in [0, 1]. Ganin and Lempitsky 2015, section
    4. TLlib has gamma p = step / 1000, however long the training is.
    """
    return 2 / (1 + math.exp(-gamma * progress)) - 1


def domain_loss(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of telling source (1) from target (0); log 2 at chance, 0 when
    perfect.

    source: (B,), target: (B',), the domain classifier's logits. Both domains weigh the same
    whatever their sizes, as in TLlib. Ganin and Lempitsky 2015, equation 4, where they are summed.
    """
    told = F.binary_cross_entropy_with_logits(source, torch.ones_like(source))
    other = F.binary_cross_entropy_with_logits(target, torch.zeros_like(target))
    return (told + other) / 2


def domain_accuracy(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return how often the domain classifier is right, each domain weighing the same; 0.5 at
    chance.
    """
    told = (source.detach() > 0).float().mean()
    return (told + (target.detach() <= 0).float().mean()) / 2
