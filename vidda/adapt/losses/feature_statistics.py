"""Alignment of feature statistics at test time (ViTTA)."""

from collections.abc import Sequence

import torch


def clip_statistics(
    output: torch.Tensor, clips: int, channels: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean and the biased variance of each channel over a clip's positions, (clips, C)
    each.

    output: of a layer, (clips x n, ...), with the n rows of a clip one after another. channels: the
    dimension of `output` with the C channels; all other dimensions, and the n rows, are positions.
    Lin et al., Video Test-Time Adaptation for Action Recognition (ViTTA), CVPR 2023, with the
    expectation over one clip's positions in time and space.
    """
    positions = output.movedim(channels, -1)
    positions = positions.reshape(clips, -1, positions.shape[-1])
    return positions.mean(1), positions.var(1, correction=0)


def moving_average(old: torch.Tensor, new: torch.Tensor, momentum: float = 0.1) -> torch.Tensor:
    """Return the exponential moving average after one more value; no gradient goes through `old`.

    old, new: tensors of one shape. momentum: share of `new` in the result, in (0, 1].
    """
    return (1 - momentum) * old.detach() + momentum * new


def statistics_distance(
    means: Sequence[torch.Tensor],
    variances: Sequence[torch.Tensor],
    source_means: Sequence[torch.Tensor],
    source_variances: Sequence[torch.Tensor],
) -> torch.Tensor:
    """Return the L1 distance of all layers' means and variances from the source's, at least 0.

    It is averaged over a layer's channels and summed over the layers. means, variances: for each
    layer l the (C_l,) moving averages on the test clips, see `moving_average`. source_means,
    source_variances: those of the training clips. Lin et al., Video Test-Time Adaptation for Action
    Recognition (ViTTA), CVPR 2023, the alignment loss; the paper writes the norm itself where its
    code takes the mean over channels, as here.
    """
    found = (means, source_means), (variances, source_variances)
    return torch.stack(
        [(here - there).abs().mean() for a, b in found for here, there in zip(a, b, strict=True)]
    ).sum()


def view_distance(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return the mean L1 distance of two views' probabilities from their mean, in [0, 1].

    first, second: (B, K) logits of two temporal views. Lin et al., ViTTA, CVPR 2023, the temporal
    consistency between views; as in the released code the gradient goes through the mean too. There
    the clips of a batch are summed; with its batch of one that is the same as the mean taken here.
    """
    # Both are equally far from their mean: half the distance between them.
    return (first.softmax(1) - second.softmax(1)).abs().sum(1).mean() / 2
