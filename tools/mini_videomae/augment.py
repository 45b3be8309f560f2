"""Random augmentation of the training clips and of what is known of them, in whole batches."""

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from tools.mini_videomae.clips import POINTS
from tools.mini_videomae.recipe import AugmentConfig

OTHER_SIDE = {"left": "right", "right": "left"}


def _mirrored(name: str) -> str:
    side, _, rest = name.partition("_")
    return f"{OTHER_SIDE[side]}_{rest}" if side in OTHER_SIDE else name


MIRRORED = [POINTS.index(_mirrored(name)) for name in POINTS]
"""For each joint, the index of its counterpart in a mirrored clip."""


@dataclass(frozen=True)
class Batch:
    """Augmented clips with their truth.

    video: (B, T, S, S) float32 gray in [0, 1]; arms: (B, T, 2, 2, 3) directions, see `MotionClip`;
    points: (B, T, POINTS, 2) float32 pixels.
    """

    video: torch.Tensor
    arms: torch.Tensor
    points: torch.Tensor


def augment(clips: Batch, size: int, config: AugmentConfig, generator: torch.Generator) -> Batch:
    """Return clips with random crops, mirroring, shake, gamma and noise.

    Exposure and contrast are no use, since motion as input is scaled. clips: of any size, in random
    order, because noise is added to half of them. size: pixels a side of the result. generator: on
    the device of the clips.
    """
    count, length, side, _ = clips.video.shape
    flip = torch.rand(count, generator=generator, device=generator.device) < 0.5
    moves = random_affines(count, length, side, size, flip, config, generator)
    video = warp(clips.video, moves, size)
    half = video[: count // 2]
    spread = config.noise * _uniform((len(half), 1, 1, 1), 0.0, 1.0, generator) ** 2
    half += spread * torch.randn(half.shape, generator=generator, device=generator.device)
    points = move_points(clips.points, moves)
    return Batch(
        video,
        torch.where(flip[:, None, None, None, None], clips.arms.flip(2), clips.arms),
        torch.where(flip[:, None, None, None], points[:, :, MIRRORED], points),
    )


def center(clips: Batch, size: int) -> Batch:
    """Return clips at another size, without randomness."""
    count, length, side, _ = clips.video.shape
    zoom = size / side
    move = torch.tensor([[zoom, 0.0, (zoom - 1) / 2], [0.0, zoom, (zoom - 1) / 2]])
    moves = move.to(clips.video.device).expand(count, length, 2, 3)
    points = move_points(clips.points, moves)
    return Batch(warp(clips.video, moves, size), clips.arms, points)


def random_affines(
    count: int,
    length: int,
    before: int,
    after: int,
    flip: torch.Tensor,
    config: AugmentConfig,
    generator: torch.Generator,
) -> torch.Tensor:
    """Return random affine matrices (B, T, 2, 3) from pixels of clips to pixels of augmented ones.

    length: T. before, after: pixels a side of the two. flip: (B,) bool, which to mirror. Within a
    clip only the shift changes, as a shaken camera's does.
    """
    device = generator.device
    low, high = (math.log(zoom) for zoom in config.zoom)
    zoom = torch.exp(_uniform((count,), low, high, generator)) * after / before
    angle = torch.randn(count, generator=generator, device=device) * math.radians(config.turn)
    cosine, sine = zoom * torch.cos(angle), zoom * torch.sin(angle)
    turn = torch.stack([cosine, -sine, sine, cosine], dim=1).reshape(count, 2, 2)
    shift = torch.randn(count, 2, generator=generator, device=device) * config.shift * after
    middle = torch.full((2,), (before - 1) / 2, device=device)
    offset = (after - 1) / 2 + shift - turn @ middle
    strength = _uniform((count, 1, 1), 0.0, config.shake, generator)
    steps = torch.randn(2, count, length, 2, generator=generator, device=device) * strength
    drift = 0.5 * steps[0].cumsum(dim=1)
    shaken = offset[:, None] + drift - drift.mean(dim=1, keepdim=True) + 0.8 * steps[1]
    moves = torch.cat([turn[:, None].expand(-1, length, -1, -1), shaken[..., None]], dim=3)
    moves[flip, :, 0] *= -1.0
    moves[flip, :, 0, 2] += after - 1
    return moves


def warp(video: torch.Tensor, moves: torch.Tensor, size: int) -> torch.Tensor:
    """Return clips (B, T, P, P) transformed by the matrices, (B, T, size, size).

    Beyond the border, its pixels are repeated.
    """
    count, length, side, _ = video.shape
    back = torch.linalg.inv(moves[..., :2])
    start = -(back @ moves[..., 2:])
    at = torch.arange(size, device=video.device, dtype=torch.float32)
    row, column = torch.meshgrid(at, at, indexing="ij")
    pixels = torch.stack([column, row]).reshape(2, -1)
    sources = (back @ pixels + start).transpose(2, 3).reshape(count * length, size, size, 2)
    grid = sources * (2.0 / (side - 1)) - 1.0
    flat = video.reshape(count * length, 1, side, side)
    warped = functional.grid_sample(flat, grid, padding_mode="border", align_corners=True)
    return warped.reshape(count, length, size, size)


def move_points(points: torch.Tensor, moves: torch.Tensor) -> torch.Tensor:
    """Return points (B, T, N, 2) transformed by the matrices (B, T, 2, 3)."""
    return points @ moves[..., :2].transpose(2, 3) + moves[..., None, :, 2]


def draw_gammas(count: int, spread: float, generator: torch.Generator) -> torch.Tensor:
    """Return random tables (count, 256) float32 from gray levels to [0, 1].

    spread: standard deviation of the logarithm of gamma.
    """
    device = generator.device
    gamma = torch.exp(spread * torch.randn(count, 1, generator=generator, device=device))
    levels: torch.Tensor = torch.linspace(0.0, 1.0, 256, device=device) ** gamma
    return levels


def apply_tables(frames: torch.Tensor, tables: torch.Tensor) -> torch.Tensor:
    """Return clips (B, T, P, P) uint8 by the table (B, 256) of each, float32."""
    return torch.stack([table[one.int()] for one, table in zip(frames, tables, strict=True)])


def _uniform(
    shape: tuple[int, ...], low: float, high: float, generator: torch.Generator
) -> torch.Tensor:
    drawn = torch.rand(shape, generator=generator, device=generator.device)
    return low + (high - low) * drawn
