"""Clips with blocks of them hidden."""

import torch
from torch.nn import functional as F


def masked(video: torch.Tensor, block: int, ratio: float) -> torch.Tensor:
    """Return each clip with random blocks set to 0 (the mean color), the same ones in all its
    frames.

    video: (B, C, T, H, W), normalized. block: side of a block in pixels; the frame is divided into
    round(H / block) x round(W / block) of about that size. ratio: chance of a block to be hidden.
    Draws from torch's global generator, on the CPU. Hoyer et al., MIC, CVPR 2023, equations 3 and
    4; frames of one clip share the mask, or motion would show what is behind it.
    """
    height, width = video.shape[-2:]
    rows, columns = max(1, round(height / block)), max(1, round(width / block))
    kept = (torch.rand(len(video), 1, rows, columns) > ratio).to(video)
    return video * F.interpolate(kept, (height, width))[:, :, None]
