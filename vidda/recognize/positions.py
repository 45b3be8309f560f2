"""Sine and cosine position embeddings of VideoMAE's tokens, interpolated to other clip sizes."""

from typing import Any

import torch
from einops import rearrange
from torch.nn import functional as F

from vidda.recognize.videomae_start import ClipSize, VideoMaeScratch

Grid = tuple[int, int, int]
"""Tokens along time, height and width."""


def token_grid(sizes: VideoMaeScratch, clip: ClipSize) -> Grid:
    """Return the number of tokens of a clip along time, height and width."""
    side = clip.size // sizes.patch
    return clip.frames // sizes.tubelet, side, side


def stretch_positions(table: torch.Tensor, old: Grid, new: Grid) -> torch.Tensor:
    """Return position embeddings of one grid, interpolated linearly in time and space from
    another's.

    table: (1, tokens of `old`, D), time outermost. Returns (1, tokens of `new`, D); `table` itself
    when the grids are equal.
    """
    if old == new:
        return table
    time, height, width = old
    volume = rearrange(table, "b (t h w) d -> b d t h w", t=time, h=height, w=width)
    volume = F.interpolate(volume, size=new, mode="trilinear", align_corners=False)
    return rearrange(volume, "b d t h w -> b (t h w) d")


def set_positions(module: Any, width: int, sizes: VideoMaeScratch, clip: ClipSize) -> None:
    """Set a module's position embeddings to those that its weights were trained with, stretched to
    `clip`.

    module: of transformers, with `position_embeddings`, which transformers keeps on the CPU and
    copies in every step; as a non-persistent buffer it moves with the model and is not in the
    state_dict. width: D of a token.
    """
    from transformers.models.videomae.modeling_videomae import get_sinusoid_encoding_table

    old, new = token_grid(sizes, sizes.positions or clip), token_grid(sizes, clip)
    if old == new:
        table = module.position_embeddings
    else:
        time, height, across = old
        table = stretch_positions(
            get_sinusoid_encoding_table(time * height * across, width), old, new
        )
    del module.position_embeddings
    module.register_buffer("position_embeddings", table, persistent=False)
