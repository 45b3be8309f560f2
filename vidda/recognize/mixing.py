"""Mixup and CutMix: pairs of clips of a batch become one, and so do their labels."""

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2


def mix(
    video: torch.Tensor, labels: torch.Tensor, classes: int, *, mixup: float, cutmix: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a batch after mixup (arXiv 1710.09412) or CutMix (arXiv 1905.04899), one of them by
    chance.

    video: (B, C, T, H, W); CutMix cuts the same window out of all frames. labels: (B,) int64.
    mixup, cutmix: alpha of their Beta distributions; 0 switches one off, and with both at 0 the
    batch stays as it is. Returns the clips and (B, classes) probabilities. Draws from torch's
    global generator.
    """
    ways: list[v2.Transform] = []
    if mixup > 0:
        ways.append(v2.MixUp(alpha=mixup, num_classes=classes))
    if cutmix > 0:
        ways.append(v2.CutMix(alpha=cutmix, num_classes=classes))
    if not ways:
        return video, torch.nn.functional.one_hot(labels, classes).to(video.dtype)
    # Told that it is a video, torchvision takes five dimensions; it looks at the last two only.
    mixed, shares = v2.RandomChoice(ways)(tv_tensors.Video(video), labels)
    return mixed.as_subclass(torch.Tensor), shares
