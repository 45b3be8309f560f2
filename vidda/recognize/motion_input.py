"""Motion as the input of a recognizer, in three channels in place of RGB."""

from typing import Literal

import torch

VideoInput = Literal["rgb", "motion"]


def motion_channels(video: torch.Tensor) -> torch.Tensor:
    """Return three channels of motion in place of RGB, of the shape of `video`.

    video: (B, 3, T, H, W) float in any range. The channels are the gray frame, its difference from
    the previous frame (0 for the first one), and its difference from the mean of all frames, each
    scaled to mean 0 and deviation 1 over the clip. So brightness, contrast and tint of a clip have
    no effect, and what does not move is 0 in the last two.
    """
    gray = video.mean(1)
    change = torch.cat([torch.zeros_like(gray[:, :1]), gray.diff(dim=1)], dim=1)
    channels = torch.stack([gray, change, gray - gray.mean(1, keepdim=True)], dim=1)
    channels = channels - channels.mean((2, 3, 4), keepdim=True)
    deviation = channels.square().mean((2, 3, 4), keepdim=True).sqrt()
    # A still clip stays 0; the noise of a camera is far above this.
    return channels / deviation.clamp_min(1e-3)
