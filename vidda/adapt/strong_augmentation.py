"""Strong augmentation of a normalized batch, on the batch's device."""

import math

import torch
from einops import rearrange
from torch.nn import functional as F

ANGLE = math.radians(20)
ZOOM = 0.2
SHIFT = 0.2
CONTRAST = 0.5
BRIGHTNESS = 0.5
CUT = 0.5


def augment_strongly(video: torch.Tensor) -> torch.Tensor:
    """Return clips that are rotated, zoomed, shifted, recolored and partly cut out, frames of a
    clip alike.

    video: (B, C, T, H, W), normalized, as is the result. Each clip is rotated by up to 20 degrees,
    zoomed and shifted by up to a fifth; its contrast and each channel's brightness change by up to
    one half (of a standard deviation); and a square of up to half the side becomes 0. Nothing is
    mirrored, as left and right matter in gestures. Draws from torch's global generator, on the CPU:
    the same on every device.

    This replaces the RandAugment or CTAugment of image methods, which work on bytes.
    """
    return _cut_out(_jitter_colors(_transform_geometry(video)))


def _uniform(shape: tuple[int, ...], width: float, like: torch.Tensor) -> torch.Tensor:
    """Return uniform draws in [-width, width], on the device of `like`."""
    return ((torch.rand(shape) * 2 - 1) * width).to(like)


def _transform_geometry(video: torch.Tensor) -> torch.Tensor:
    clips, _, frames, _, _ = video.shape
    angle = _uniform((clips,), ANGLE, video)
    zoom = 1 + _uniform((clips,), ZOOM, video)
    # In coordinates of -1 .. 1, so a shift by a share of the side is twice that.
    shift = _uniform((clips, 2), 2 * SHIFT, video)
    cos, sin = angle.cos() / zoom, angle.sin() / zoom
    rows = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    affine = torch.cat([rows, shift[:, :, None]], 2).repeat_interleave(frames, 0)
    images = rearrange(video, "b c t h w -> (b t) c h w")
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    return rearrange(moved, "(b t) c h w -> b c t h w", t=frames)


def _jitter_colors(video: torch.Tensor) -> torch.Tensor:
    clips, channels = video.shape[:2]
    contrast = 1 + _uniform((clips, 1, 1, 1, 1), CONTRAST, video)
    brightness = _uniform((clips, channels, 1, 1, 1), BRIGHTNESS, video)
    mean = video.mean((1, 2, 3, 4), keepdim=True)
    return (video - mean) * contrast + mean + brightness


def _cut_out(video: torch.Tensor) -> torch.Tensor:
    height, width = video.shape[-2:]
    clips = len(video)
    half = torch.rand(clips) * CUT / 2 * min(height, width)
    middle = torch.rand(clips, 2) * torch.tensor([height, width])
    rows = (torch.arange(height) + 0.5 - middle[:, :1]).abs() < half[:, None]
    columns = (torch.arange(width) + 0.5 - middle[:, 1:]).abs() < half[:, None]
    hole = (rows[:, :, None] & columns[:, None, :]).to(video.device)
    return video.masked_fill(hole[:, None, None], 0)
