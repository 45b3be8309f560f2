"""The sine and cosine positions of VideoMAE's tokens, stretched to clips of another size."""

from typing import Any

import torch
from torch.nn import functional as F

from vidda.recognize.videomae_start import ClipSize, VideoMaeScratch

Grid = tuple[int, int, int]


def grid(sizes: VideoMaeScratch, clip: ClipSize) -> Grid:
    """Return how many tokens a clip has along time, height and width."""
    side = clip.size // sizes.patch
    return clip.frames // sizes.tubelet, side, side


def stretch(table: torch.Tensor, old: Grid, new: Grid) -> torch.Tensor:
    """Return the positions of a grid, linearly interpolated in time and space from those of
    another.

    table: (1, tokens of `old`, D), time outermost. Returns (1, tokens of `new`, D); the very table
    when the grids are equal.
    """
    if old == new:
        return table
    volume = table.unflatten(1, old).permute(0, 4, 1, 2, 3)
    volume = F.interpolate(volume, size=new, mode="trilinear", align_corners=False)
    return volume.flatten(2).transpose(1, 2)


def set_positions(module: Any, width: int, sizes: VideoMaeScratch, clip: ClipSize) -> None:
    """Give a module of transformers the positions that its weights know, stretched to `clip`.

    module: has `position_embeddings`, which transformers keeps on the CPU and copies in every step;
    as a buffer it moves with the model, and stays out of the state_dict all the same.
    """
    from transformers.models.videomae.modeling_videomae import get_sinusoid_encoding_table

    old, new = grid(sizes, sizes.positions or clip), grid(sizes, clip)
    if old == new:
        table = module.position_embeddings
    else:
        time, height, across = old
        table = stretch(get_sinusoid_encoding_table(time * height * across, width), old, new)
    del module.position_embeddings
    module.register_buffer("position_embeddings", table, persistent=False)
