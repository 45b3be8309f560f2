"""Building blocks of AdaMatch: logit interpolation, distribution alignment, relative threshold."""

import math

import torch
from torch.nn import functional as F


def interpolate_logits(
    together: torch.Tensor, alone: torch.Tensor, shares: torch.Tensor
) -> torch.Tensor:
    """Return logits at random between those of a joint batch and those of the source alone, (B, K).

    together, alone: (B, K) logits of the same source clips in a pass with and without the target.
    shares: (B, K) in [0, 1], the weight of `together`, drawn uniformly for each logit. Berthelot et
    al., AdaMatch: A Unified Approach to Semi-Supervised Learning and Domain Adaptation, ICLR 2022,
    equation 3.
    """
    return shares * together + (1 - shares) * alone


def align_distribution(
    target: torch.Tensor, source_mean: torch.Tensor, target_mean: torch.Tensor
) -> torch.Tensor:
    """Return the target's probabilities rescaled by both domains' means, (B, K); rows sum to 1.

    target: (B, K) probabilities. source_mean, target_mean: (K,) mean probabilities of the two
    domains. AdaMatch, equation 4: p source_mean / target_mean, normalized; the code's 1e-6 keeps a
    class that is never predicted finite.
    """
    shifted = target * ((source_mean + 1e-6) / (target_mean + 1e-6))
    return shifted / shifted.sum(1, keepdim=True)


def relative_threshold(source: torch.Tensor, ratio: float = 0.9) -> torch.Tensor:
    """Return `ratio` times the mean confidence on the source, a scalar in (0, 1].

    source: (B, K) probabilities of weakly augmented source clips. AdaMatch, equation 5.
    """
    return ratio * source.max(1).values.mean()


def pseudo_label_loss(
    strong: torch.Tensor, guess: torch.Tensor, threshold: torch.Tensor
) -> torch.Tensor:
    """Return the cross-entropy with confident pseudo-labels, averaged over all clips, at least 0.

    strong: (B, K) logits of strongly augmented clips. guess: (B, K) probabilities of the same
    clips, weakly augmented, through which no gradient goes; a clip whose highest one is below
    `threshold` (a scalar) counts 0. AdaMatch, equation 7; the most likely class is the label, as in
    the released code, where the paper writes the probabilities.
    """
    confidence, labels = guess.detach().max(1)
    sure = (confidence >= threshold.detach()).to(strong.dtype)
    return (sure * F.cross_entropy(strong, labels, reduction="none")).mean()


def warm_up(progress: float) -> float:
    """Return the weight of the target's loss, 1/2 - cos(min(pi, 2 pi p)) / 2, in [0, 1].

    progress: p, the share of the steps that is done, in [0, 1]; the weight is 1 from halfway on.
    AdaMatch, equation 8.
    """
    return 0.5 - math.cos(min(math.pi, 2 * math.pi * progress)) / 2
