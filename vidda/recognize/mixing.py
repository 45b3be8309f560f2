"""Mixup and CutMix: pairs of clips of a batch and their labels are combined."""

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2


def mix(
    video: torch.Tensor, labels: torch.Tensor, classes: int, *, mixup: float, cutmix: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a batch after mixup (arXiv 1710.09412) or CutMix (arXiv 1905.04899), chosen at random.

    It returns clips (B, C, T, H, W) and class probabilities (B, classes). video: (B, C, T, H, W);
    CutMix replaces the same window in all frames. labels: (B,) int64. mixup, cutmix: alpha of their
    Beta distributions; 0 disables one, and with both at 0 the batch is unchanged. Draws from
    torch's global generator.
    """
    transforms: list[v2.Transform] = []
    if mixup > 0:
        transforms.append(v2.MixUp(alpha=mixup, num_classes=classes))
    if cutmix > 0:
        transforms.append(v2.CutMix(alpha=cutmix, num_classes=classes))
    if not transforms:
        return video, torch.nn.functional.one_hot(labels, classes).to(video.dtype)
    # As a tv_tensor torchvision accepts five dimensions; it uses the last two only.
    mixed, probabilities = v2.RandomChoice(transforms)(tv_tensors.Video(video), labels)
    return mixed.as_subclass(torch.Tensor), probabilities
