"""What happens to pictures before the network sees them, in whole batches, by a generator."""

import math

import torch
from torch.nn import functional

from tools.mini_pose.recipe import AugmentConfig
from vidda.control.keypoints import JOINTS

KERNEL = 9
BORDER = 0.5
"""Of the pictures, how many go on beyond their edge; the others are black there."""


def _other_side(name: str) -> str:
    side, _, rest = name.partition("_")
    return {"left": f"right_{rest}", "right": f"left_{rest}"}.get(side, name)


MIRRORED = [JOINTS.index(_other_side(name)) for name in JOINTS]
"""For each joint, which one is in its place in a mirror."""


def augmented(
    frames: torch.Tensor,
    keypoints: torch.Tensor,
    size: int,
    config: AugmentConfig,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures and their joints, changed at random.

    frames: (B, P, P, 3) uint8 RGB, in random order, since some changes are made to a part of the
    batch. keypoints: (B, 17, 3) float32 x, y in pixels and whether the picture holds the joint.
    size: pixels a side of what comes out: (B, 3, size, size) float32 in [0, 1] and (B, 17, 3), 0
    where a joint has left the picture. The generator is on the device of the pictures.
    """
    count = len(frames)
    flip = torch.rand(count, generator=generator, device=generator.device) < 0.5
    moves = placement(count, frames.shape[1], size, flip, config, generator)
    pictures = warped(frames.permute(0, 3, 1, 2).float() / 255.0, moves, size, generator)
    if config.color:
        pictures = recolored(pictures, config.color, generator)
    half = count // 2
    blurry = blurred(pictures[half // 2 : half // 2 + half], config.blur, generator)
    pictures = torch.cat([pictures[: half // 2], blurry, pictures[half // 2 + half :]])
    noisy = pictures[:half]
    spread = config.noise * _uniform((half, 1, 1, 1), 0.0, 1.0, generator) ** 2
    noisy = noisy + spread * torch.randn(noisy.shape, generator=generator, device=generator.device)
    pictures = torch.cat([noisy, pictures[half:]]).clamp(0.0, 1.0)
    return pictures, moved(keypoints, moves, flip, size)


def placement(
    count: int,
    before: int,
    after: int,
    flip: torch.Tensor,
    config: AugmentConfig,
    generator: torch.Generator,
) -> torch.Tensor:
    """Matrices (B, 2, 3) from pixels of pictures to pixels of what is made of them.

    Without chance it is what mmpose's TopdownAffine does to the whole frame.
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


def warped(
    pictures: torch.Tensor, moves: torch.Tensor, size: int, generator: torch.Generator
) -> torch.Tensor:
    """Pictures (B, 3, P, P) as the matrices move them, (B, 3, size, size)."""
    count, _, side, _ = pictures.shape
    back = torch.linalg.inv(moves[:, :, :2])
    start = -(back @ moves[:, :, 2:])
    at = torch.arange(size, device=pictures.device, dtype=torch.float32)
    row, column = torch.meshgrid(at, at, indexing="ij")
    places = torch.stack([column, row]).reshape(2, -1)
    sources = (back @ places + start).transpose(1, 2).reshape(count, size, size, 2)
    grid = sources * (2.0 / (side - 1)) - 1.0
    goes_on = torch.rand(count, 1, 1, 1, generator=generator, device=generator.device) < BORDER
    grid = torch.where(goes_on, grid.clamp(-1.0, 1.0), grid)
    return functional.grid_sample(pictures, grid, align_corners=True)


def moved(
    keypoints: torch.Tensor, moves: torch.Tensor, flip: torch.Tensor, size: int
) -> torch.Tensor:
    """Joints (B, 17, 3) as the matrices move them; left is right in a mirror."""
    at = keypoints[..., :2] @ moves[:, :, :2].transpose(1, 2) + moves[:, None, :, 2]
    inside = ((at > -0.5) & (at < size - 0.5)).all(dim=-1) & (keypoints[..., 2] > 0)
    joints = torch.cat([at, inside[..., None].to(at.dtype)], dim=-1)
    return torch.where(flip[:, None, None], joints[:, MIRRORED], joints)


def recolored(pictures: torch.Tensor, strength: float, generator: torch.Generator) -> torch.Tensor:
    """Other exposure, white balance, contrast and saturation for each picture."""
    count = len(pictures)

    def factors(channels: int, spread: float) -> torch.Tensor:
        drawn = torch.randn(count, channels, 1, 1, generator=generator, device=generator.device)
        return torch.exp(drawn * spread * strength)

    pictures = pictures * (factors(1, 0.25) * factors(3, 0.08))
    mean = pictures.mean(dim=(1, 2, 3), keepdim=True)
    pictures = mean + (pictures - mean) * factors(1, 0.25)
    gray = pictures.mean(dim=1, keepdim=True)
    return gray + (pictures - gray) * factors(1, 0.5)


def blurred(pictures: torch.Tensor, widest: float, generator: torch.Generator) -> torch.Tensor:
    """Return each picture through a Gaussian of its own: longer in one direction, as motion is."""
    count, channels = pictures.shape[:2]
    along = _uniform((count, 1, 1), 0.1, widest, generator)
    across = along * _uniform((count, 1, 1), 0.1, 1.0, generator)
    angle = _uniform((count, 1, 1), 0.0, math.pi, generator)
    at = torch.arange(KERNEL, device=pictures.device) - KERNEL // 2
    row, column = torch.meshgrid(at, at, indexing="ij")
    u = column * torch.cos(angle) + row * torch.sin(angle)
    v = row * torch.cos(angle) - column * torch.sin(angle)
    kernel = torch.exp(-0.5 * ((u / along) ** 2 + (v / across.clamp(min=0.3)) ** 2))
    kernel = kernel / kernel.sum(dim=(1, 2), keepdim=True)
    weights = kernel.repeat_interleave(channels, dim=0)[:, None]
    flat = functional.pad(
        pictures.reshape(1, count * channels, *pictures.shape[2:]),
        (KERNEL // 2,) * 4,
        mode="replicate",
    )
    return functional.conv2d(flat, weights, groups=count * channels).reshape(pictures.shape)


def _uniform(
    shape: tuple[int, ...], low: float, high: float, generator: torch.Generator
) -> torch.Tensor:
    drawn = torch.rand(shape, generator=generator, device=generator.device)
    return low + (high - low) * drawn
