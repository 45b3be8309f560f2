"""Alignment of feature statistics at test time (ViTTA)."""

from collections.abc import Sequence

import torch


def clip_statistics(
    output: torch.Tensor, clips: int, channels: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and variance of each channel over the places of a clip, (clips, C) each.

    output: a layer's, (clips x n, ...), with all of a clip together. channels: the dimension that C
    is in; all others are places, n of them too. The variance is the biased one. Lin et al. 2023,
    with the expectation over one clip's places in time and space.
    """
    places = output.movedim(channels, -1)
    places = places.reshape(clips, -1, places.shape[-1])
    return places.mean(1), places.var(1, correction=0)


def running(old: torch.Tensor, new: torch.Tensor, momentum: float = 0.1) -> torch.Tensor:
    """Return the moving average after one more value; no gradient goes through the old one."""
    return (1 - momentum) * old.detach() + momentum * new


def statistics_distance(
    means: Sequence[torch.Tensor],
    variances: Sequence[torch.Tensor],
    source_means: Sequence[torch.Tensor],
    source_variances: Sequence[torch.Tensor],
) -> torch.Tensor:
    """Return the L1 distance of every layer's mean and variance from the source's; 0 where they
    agree.

    Each layer's is averaged over its channels, and the layers are summed. means, variances: (C_l,)
    moving averages on the test clips, see `running`. source_*: those of the training clips. Lin et
    al., Video Test-Time Adaptation for Action Recognition (ViTTA), CVPR 2023, the alignment loss;
    the paper writes the norm itself where its code takes the mean over channels, as here.
    """
    found = (means, source_means), (variances, source_variances)
    return torch.stack(
        [(here - there).abs().mean() for a, b in found for here, there in zip(a, b, strict=True)]
    ).sum()


def view_distance(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return the mean L1 distance of two temporal views' probabilities from their mean, 0 to 1.

    first, second: (B, K) logits. Lin et al. 2023, the temporal consistency between views; as in the
    released code the gradient goes through the mean too. There the clips of a batch are summed;
    with its batch of one that is the same as the mean taken here.
    """
    # Both lie equally far from their mean: half of what lies between them.
    return (first.softmax(1) - second.softmax(1)).abs().sum(1).mean() / 2
