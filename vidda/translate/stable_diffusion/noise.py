"""The noise that the frames of a clip start from, and how much of it they share.

All random numbers come from generators on the CPU, one for each clip and purpose: they depend
neither on the device nor on what else is translated, in what order or chunks.
"""

import hashlib
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch.nn import functional as F

from vidda.config import Config
from vidda.control.controls import Controls

Shape = tuple[int, int, int]


class IndependentNoise(Config):
    """Every frame has noise of its own."""

    name: Literal["independent"] = "independent"

    def draw(self, seed: int, length: int, shape: Shape, controls: Controls) -> torch.Tensor:
        """Return unit normal noise of a clip, (length, *shape) float32; shape: (channels, h, w)."""
        return torch.randn((length, *shape), generator=generator(seed, "noise"))

    def step_generators(self, seed: int, step: int, length: int) -> list[torch.Generator]:
        """Return a generator for each frame, for schedulers that add noise in every step."""
        return [generator(seed, f"step {step}")] * length


class SharedNoise(Config):
    """All frames of a clip have the same noise, or mostly: for a camera that stands still."""

    name: Literal["shared"] = "shared"
    rho: float = Field(default=1.0, ge=0.0, le=1.0, description="share of variance in common")

    def draw(self, seed: int, length: int, shape: Shape, controls: Controls) -> torch.Tensor:
        """Return unit normal noise of a clip, (length, *shape) float32; shape: (channels, h, w)."""
        anchor = torch.randn((1, *shape), generator=generator(seed, "anchor noise"))
        fresh = torch.randn((length, *shape), generator=generator(seed, "noise"))
        return mix(anchor, fresh, self.rho)

    def step_generators(self, seed: int, step: int, length: int) -> list[torch.Generator]:
        """Return a generator for each frame, for schedulers that add noise in every step."""
        return [generator(seed, f"step {step}") for _ in range(length)]


class FlowWarpedNoise(Config):
    """One noise of the clip moves along with what is seen; needs the flow to frame 0."""

    name: Literal["flow_warped"] = "flow_warped"
    rho: float = Field(default=0.9, ge=0.0, le=1.0, description="share of variance that moves")

    def draw(self, seed: int, length: int, shape: Shape, controls: Controls) -> torch.Tensor:
        """Return unit normal noise of a clip, (length, *shape) float32; shape: (channels, h, w)."""
        assert controls.flow_anchor is not None  # checked before sampling
        assert controls.occluded_anchor is not None
        anchor = torch.randn(shape, generator=generator(seed, "anchor noise"))
        noise = torch.randn((length, *shape), generator=generator(seed, "noise"))
        moved = torch.randn((length, *shape), generator=generator(seed, "uncovered noise"))
        for frame in range(length):
            flow, occluded = on_grid(
                controls.flow_anchor[frame], controls.occluded_anchor[frame], shape[1:]
            )
            moved[frame] = warp(anchor, flow, occluded, moved[frame])
        return mix(moved, noise, self.rho)

    def step_generators(self, seed: int, step: int, length: int) -> list[torch.Generator]:
        """Return a generator for each frame, for schedulers that add noise in every step.

        That noise is the same in all frames, and does not move.
        """
        return [generator(seed, f"step {step}") for _ in range(length)]


NoiseConfig = Annotated[
    IndependentNoise | SharedNoise | FlowWarpedNoise, Field(discriminator="name")
]


def generator(seed: int, purpose: str) -> torch.Generator:
    """Return a CPU generator that depends on nothing but the seed and what it is for."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))


def mix(common: torch.Tensor, fresh: torch.Tensor, rho: float) -> torch.Tensor:
    """sqrt(rho) common + sqrt(1 - rho) fresh: unit normal when both are, and independent."""
    return rho**0.5 * common + (1.0 - rho) ** 0.5 * fresh


def warp(
    anchor: torch.Tensor, flow: torch.Tensor, occluded: torch.Tensor, fresh: torch.Tensor
) -> torch.Tensor:
    """Return a frame's noise, gathered from the anchor's where the flow points.

    anchor, fresh: (C, h, w) unit normal. flow: (h, w, 2) x, y in cells. occluded: (h, w) bool.
    Every cell takes the nearest cell whole, and no cell is taken twice: so the result is as normal
    and white as the anchor, which interpolation would not leave it. Where the flow leaves the
    picture, where it is occluded, and where an earlier cell took the same, the noise is fresh.
    """
    height, width = occluded.shape
    cells = torch.arange(height * width)
    x = torch.round(cells % width + flow[..., 0].flatten()).long()
    y = torch.round(cells // width + flow[..., 1].flatten()).long()
    good = (x >= 0) & (x < width) & (y >= 0) & (y < height) & ~occluded.flatten()
    wanted = torch.where(good, y * width + x, 0)
    claims = torch.where(good, cells, height * width)
    first = torch.full_like(cells, height * width).scatter_reduce(0, wanted, claims, "amin")
    good &= first[wanted] == cells
    moved = torch.where(good, anchor.flatten(1)[:, wanted], fresh.flatten(1))
    return moved.view_as(fresh)


def on_grid(
    flow: np.ndarray, occluded: np.ndarray, grid: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return flow and occlusion of one frame on the latents' grid.

    flow: (H, W, 2) float in pixels. occluded: (H, W) bool. Gives the mean flow of each cell, in
    cells, (h, w, 2), and whether most of the cell is occluded, (h, w).
    """
    height, width = occluded.shape
    both = np.concatenate([flow, occluded[..., None].astype(np.float32)], axis=2)
    means = F.adaptive_avg_pool2d(torch.from_numpy(both).permute(2, 0, 1), grid)
    scale = torch.tensor([grid[1] / width, grid[0] / height])
    return means[:2].permute(1, 2, 0) * scale, means[2] > 0.5
