"""Domain-adversarial training: gradient reversal, and the loss of a domain discriminator."""

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


def reverse_gradient(features: torch.Tensor, strength: float) -> torch.Tensor:
    """Return the features unchanged; the backward pass multiplies their gradient by `-strength`.

    features: of any shape. strength: 0 or more. Ganin and Lempitsky, Unsupervised Domain Adaptation
    by Backpropagation, ICML 2015, equations 9 and 10.
    """
    reversed_: torch.Tensor = _Reversal.apply(features, strength)
    return reversed_


def reversal_strength(progress: float, gamma: float = 10.0) -> float:
    """Return the strength of gradient reversal, 2 / (1 + exp(-gamma p)) - 1, in [0, 1).

    progress: p, the share of the steps that is done, in [0, 1]. gamma: how fast it grows from 0.
    Ganin and Lempitsky 2015, section 4. TLlib has gamma p = step / 1000, however long the training
    is.
    """
    return 2 / (1 + math.exp(-gamma * progress)) - 1


def domain_loss(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the binary cross-entropy of a domain discriminator: log 2 at chance, 0 when perfect.

    source: (B,), target: (B',), its logits of being source (label 1) on the clips of each domain.
    Both domains weigh the same whatever their sizes, as in TLlib. Ganin and Lempitsky 2015,
    equation 4, where they are summed.
    """
    on_source = F.binary_cross_entropy_with_logits(source, torch.ones_like(source))
    on_target = F.binary_cross_entropy_with_logits(target, torch.zeros_like(target))
    return (on_source + on_target) / 2


def domain_accuracy(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the balanced accuracy of a domain discriminator, in [0, 1]; 0.5 at chance.

    source: (B,), target: (B',), its logits of being source. No gradient goes through it.
    """
    on_source = (source.detach() > 0).float().mean()
    return (on_source + (target.detach() <= 0).float().mean()) / 2
