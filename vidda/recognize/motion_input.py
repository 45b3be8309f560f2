"""What moves in a clip, in three channels: an input for models that would learn it too slowly."""

from typing import Literal

import torch

VideoInput = Literal["rgb", "motion"]


def motion(video: torch.Tensor) -> torch.Tensor:
    """Three channels that show what moves, in place of RGB.

    video: (B, 3, T, H, W) float in any range; the result has its shape. The channels are the gray
    frame, its change since the frame before (of the first frame 0), and its distance from the mean
    of all frames, each brought to mean 0 and deviation 1 over the clip. So a clip's brightness,
    contrast and tint do not enter; what does not move is 0 in the last two.
    """
    gray = video.mean(1)
    change = torch.cat([torch.zeros_like(gray[:, :1]), gray.diff(dim=1)], dim=1)
    channels = torch.stack([gray, change, gray - gray.mean(1, keepdim=True)], dim=1)
    channels = channels - channels.mean((2, 3, 4), keepdim=True)
    deviation = channels.square().mean((2, 3, 4), keepdim=True).sqrt()
    # A still clip stays 0; one of a camera has noise far above this.
    return channels / deviation.clamp_min(1e-3)
