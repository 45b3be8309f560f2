"""Random augmentation of the training images and keypoints, in whole batches."""

import math

import torch
from torch.nn import functional

from tools.mini_pose.recipe import AugmentConfig
from vidda.control.keypoints import JOINTS

KERNEL = 9
BORDER = 0.5
"""The share of images that are padded with their border pixels; others are padded with black."""


def _other_side(name: str) -> str:
    side, _, rest = name.partition("_")
    return {"left": f"right_{rest}", "right": f"left_{rest}"}.get(side, name)


MIRRORED = [JOINTS.index(_other_side(name)) for name in JOINTS]
"""For each joint, the index of its counterpart in a mirrored image."""


def augment(
    frames: torch.Tensor,
    keypoints: torch.Tensor,
    size: int,
    config: AugmentConfig,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return augmented images (B, 3, size, size) float32 in [0, 1] and keypoints (B, 17, 3).

    frames: (B, P, P, 3) uint8 RGB, in random order, because some changes apply to a part of the
    batch. keypoints: (B, 17, 3) float32 x, y in pixels and 1 if the joint is inside the image, else
    0, which is updated. generator: on the device of the frames.
    """
    count = len(frames)
    flip = torch.rand(count, generator=generator, device=generator.device) < 0.5
    moves = random_affines(count, frames.shape[1], size, flip, config, generator)
    images = warp_images(frames.permute(0, 3, 1, 2).float() / 255.0, moves, size, generator)
    if config.color:
        images = recolor(images, config.color, generator)
    half = count // 2
    blurry = blur(images[half // 2 : half // 2 + half], config.blur, generator)
    images = torch.cat([images[: half // 2], blurry, images[half // 2 + half :]])
    noisy = images[:half]
    spread = config.noise * _uniform((half, 1, 1, 1), 0.0, 1.0, generator) ** 2
    noisy = noisy + spread * torch.randn(noisy.shape, generator=generator, device=generator.device)
    images = torch.cat([noisy, images[half:]]).clamp(0.0, 1.0)
    return images, move_keypoints(keypoints, moves, flip, size)


def random_affines(
    count: int,
    before: int,
    after: int,
    flip: torch.Tensor,
    config: AugmentConfig,
    generator: torch.Generator,
) -> torch.Tensor:
    """Return random affine matrices (B, 2, 3) from pixels of frames to pixels of augmented images.

    before, after: pixels a side of the two. flip: (B,) bool, which to mirror. Without randomness it
    equals mmpose's TopdownAffine of the whole frame.
    """
    device = generator.device
    low, high = (math.log(zoom) for zoom in config.zoom)
    zoom = torch.exp(_uniform((count,), low, high, generator)) * after / before
    angle = torch.randn(count, generator=generator, device=device) * math.radians(config.turn)
    shift = torch.randn(count, 2, generator=generator, device=device) * config.shift * after
    cosine, sine = zoom * torch.cos(angle), zoom * torch.sin(angle)
    turn = torch.stack([cosine, -sine, sine, cosine], dim=1).reshape(count, 2, 2)
    center = torch.full((2,), before / 2, device=device)
    offset = after / 2 + shift - turn @ center
    moves = torch.cat([turn, offset[..., None]], dim=2)
    moves[flip, 0] *= -1.0
    moves[flip, 0, 2] += after - 1
    return moves


def warp_images(
    images: torch.Tensor, moves: torch.Tensor, size: int, generator: torch.Generator
) -> torch.Tensor:
    """Return images (B, 3, P, P) transformed by the matrices, (B, 3, size, size)."""
    count, _, side, _ = images.shape
    back = torch.linalg.inv(moves[:, :, :2])
    start = -(back @ moves[:, :, 2:])
    at = torch.arange(size, device=images.device, dtype=torch.float32)
    row, column = torch.meshgrid(at, at, indexing="ij")
    pixels = torch.stack([column, row]).reshape(2, -1)
    sources = (back @ pixels + start).transpose(1, 2).reshape(count, size, size, 2)
    grid = sources * (2.0 / (side - 1)) - 1.0
    padded = torch.rand(count, 1, 1, 1, generator=generator, device=generator.device) < BORDER
    grid = torch.where(padded, grid.clamp(-1.0, 1.0), grid)
    return functional.grid_sample(images, grid, align_corners=True)


def move_keypoints(
    keypoints: torch.Tensor, moves: torch.Tensor, flip: torch.Tensor, size: int
) -> torch.Tensor:
    """Return joints (B, 17, 3) transformed by the matrices; flip: (B,) bool, swaps the sides."""
    at = keypoints[..., :2] @ moves[:, :, :2].transpose(1, 2) + moves[:, None, :, 2]
    inside = ((at > -0.5) & (at < size - 0.5)).all(dim=-1) & (keypoints[..., 2] > 0)
    joints = torch.cat([at, inside[..., None].to(at.dtype)], dim=-1)
    return torch.where(flip[:, None, None], joints[:, MIRRORED], joints)


def recolor(images: torch.Tensor, strength: float, generator: torch.Generator) -> torch.Tensor:
    """Return images with random exposure, white balance, contrast and saturation each."""
    count = len(images)

    def factors(channels: int, spread: float) -> torch.Tensor:
        drawn = torch.randn(count, channels, 1, 1, generator=generator, device=generator.device)
        return torch.exp(drawn * spread * strength)

    images = images * (factors(1, 0.25) * factors(3, 0.08))
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    images = mean + (images - mean) * factors(1, 0.25)
    gray = images.mean(dim=1, keepdim=True)
    return gray + (images - gray) * factors(1, 0.5)


def blur(images: torch.Tensor, widest: float, generator: torch.Generator) -> torch.Tensor:
    """Return images with a random anisotropic Gaussian blur each, like motion blur."""
    count, channels = images.shape[:2]
    along = _uniform((count, 1, 1), 0.1, widest, generator)
    across = along * _uniform((count, 1, 1), 0.1, 1.0, generator)
    angle = _uniform((count, 1, 1), 0.0, math.pi, generator)
    at = torch.arange(KERNEL, device=images.device) - KERNEL // 2
    row, column = torch.meshgrid(at, at, indexing="ij")
    u = column * torch.cos(angle) + row * torch.sin(angle)
    v = row * torch.cos(angle) - column * torch.sin(angle)
    kernel = torch.exp(-0.5 * ((u / along) ** 2 + (v / across.clamp(min=0.3)) ** 2))
    kernel = kernel / kernel.sum(dim=(1, 2), keepdim=True)
    weights = kernel.repeat_interleave(channels, dim=0)[:, None]
    flat = functional.pad(
        images.reshape(1, count * channels, *images.shape[2:]),
        (KERNEL // 2,) * 4,
        mode="replicate",
    )
    return functional.conv2d(flat, weights, groups=count * channels).reshape(images.shape)


def _uniform(
    shape: tuple[int, ...], low: float, high: float, generator: torch.Generator
) -> torch.Tensor:
    drawn = torch.rand(shape, generator=generator, device=generator.device)
    return low + (high - low) * drawn
