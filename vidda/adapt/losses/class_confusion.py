"""Minimum class confusion (MCC)."""

import torch

from vidda.adapt.losses.entropy import entropies
from vidda.adapt.losses.full_precision import full_precision


def class_confusion(logits: torch.Tensor, temperature: float = 2.5) -> torch.Tensor:
    """Return how much predictions confuse pairs of classes, a scalar in [0, 1]; 0 where each is
    certain.

    logits: (B, K). temperature: logits are divided by it first. Clips with surer predictions weigh
    more. Jin et al., Minimum Class Confusion for Versatile Domain Adaptation, ECCV 2020, equations
    1 to 6; as in its code, no gradient goes through the weights. TLlib divides columns by the sums
    of rows, which for this symmetric matrix gives the same loss. A class without any probability
    counts 0; there it divides by 0.
    """
    with full_precision(logits):
        cooled = logits / temperature
        shares = cooled.softmax(1)
        weights = 1 + torch.exp(-entropies(cooled).detach())
        weights = weights * (len(logits) / weights.sum())
        together = (shares * weights[:, None]).T @ shares
        rows = together.sum(1, keepdim=True).clamp_min(torch.finfo(logits.dtype).tiny)
        confusion = together / rows
        return (confusion.sum() - confusion.trace()) / logits.shape[1]
