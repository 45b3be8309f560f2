"""The pieces of AdaMatch: interpolated logits, aligned distributions, a relative threshold."""

import math

import torch
from torch.nn import functional as F


def interpolated(together: torch.Tensor, alone: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Return each logit somewhere between that of a joint batch and that of the source alone, (B,
    K).

    shares: (B, K) in [0, 1], how much of `together`; drawn uniformly, one by one. Berthelot et al.,
    AdaMatch: A Unified Approach to Semi-Supervised Learning and Domain Adaptation, ICLR 2022,
    equation 3.
    """
    return shares * together + (1 - shares) * alone


def aligned(
    target: torch.Tensor, source_mean: torch.Tensor, target_mean: torch.Tensor
) -> torch.Tensor:
    """Return the target's probabilities after their mean is brought to the source's, (B, K).

    target: (B, K) probabilities. source_mean, target_mean: (K,) mean probabilities of the two
    domains. AdaMatch, equation 4: p source_mean / target_mean, normalized; the code's 1e-6 keeps a
    class that never comes finite.
    """
    shifted = target * ((source_mean + 1e-6) / (target_mean + 1e-6))
    return shifted / shifted.sum(1, keepdim=True)


def relative_threshold(source: torch.Tensor, ratio: float = 0.9) -> torch.Tensor:
    """`ratio` times the mean confidence on the source. source: (B, K) probabilities.

    AdaMatch, equation 5, on weakly augmented clips.
    """
    return ratio * source.max(1).values.mean()


def pseudo_label_loss(
    strong: torch.Tensor, guess: torch.Tensor, threshold: torch.Tensor
) -> torch.Tensor:
    """Return cross-entropy of strongly augmented clips with guesses that are sure enough, over all
    clips.

    strong: (B, K) logits. guess: (B, K) probabilities, through which no gradient goes; one that is
    nowhere as high as `threshold` counts 0. AdaMatch, equation 7; the most likely class is the
    label, as in the released code, where the paper writes the probabilities.
    """
    confidence, labels = guess.detach().max(1)
    sure = (confidence >= threshold.detach()).to(strong.dtype)
    return (sure * F.cross_entropy(strong, labels, reduction="none")).mean()


def warm_up(progress: float) -> float:
    """1/2 - cos(min(pi, 2 pi p)) / 2: from 0 at the start to 1 halfway, then 1.

    progress: p, the share of the steps that is done. AdaMatch, equation 8.
    """
    return 0.5 - math.cos(min(math.pi, 2 * math.pi * progress)) / 2
