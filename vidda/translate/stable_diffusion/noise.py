"""The initial noise of a clip's frames, and how much of it they share.

All random numbers come from generators on the CPU, one for each clip and purpose, so they do not
depend on the device, on the other clips, or on order and chunks.
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
"""Channels, height and width of one frame's latents."""


class IndependentNoise(Config):
    """Independent noise for each frame."""

    name: Literal["independent"] = "independent"

    def draw(self, seed: int, length: int, shape: Shape, controls: Controls) -> torch.Tensor:
        """Return unit normal noise of a clip, (length, *shape) float32.

        seed: of the clip. length: number of frames. shape: (channels, h, w) of one frame's latents.
        controls: not used.
        """
        return torch.randn((length, *shape), generator=generator(seed, "noise"))

    def step_generators(self, seed: int, step: int, length: int) -> list[torch.Generator]:
        """Return a generator for each frame, for schedulers that add noise at `step`."""
        return [generator(seed, f"step {step}")] * length


class SharedNoise(Config):
    """The same or mostly the same noise for all frames of a clip: for a static camera."""

    name: Literal["shared"] = "shared"
    rho: float = Field(
        default=1.0, ge=0.0, le=1.0, description="share of the variance that frames share"
    )

    def draw(self, seed: int, length: int, shape: Shape, controls: Controls) -> torch.Tensor:
        """Return unit normal noise of a clip, (length, *shape) float32.

        seed: of the clip. length: number of frames. shape: (channels, h, w) of one frame's latents.
        controls: not used.
        """
        anchor = torch.randn((1, *shape), generator=generator(seed, "anchor noise"))
        fresh = torch.randn((length, *shape), generator=generator(seed, "noise"))
        return mix_noise(anchor, fresh, self.rho)

    def step_generators(self, seed: int, step: int, length: int) -> list[torch.Generator]:
        """Return a generator for each frame, for schedulers that add noise at `step`."""
        return [generator(seed, f"step {step}") for _ in range(length)]


class FlowWarpedNoise(Config):
    """Noise of frame 0 that moves with the clip's optical flow; needs the flow to frame 0."""

    name: Literal["flow_warped"] = "flow_warped"
    rho: float = Field(default=0.9, ge=0.0, le=1.0, description="share of the variance that moves")

    def draw(self, seed: int, length: int, shape: Shape, controls: Controls) -> torch.Tensor:
        """Return unit normal noise of a clip, (length, *shape) float32.

        seed: of the clip. length: number of frames. shape: (channels, h, w) of one frame's latents.
        controls: with the flow to frame 0.
        """
        assert controls.flow_anchor is not None  # checked before sampling
        assert controls.occluded_anchor is not None
        anchor = torch.randn(shape, generator=generator(seed, "anchor noise"))
        noise = torch.randn((length, *shape), generator=generator(seed, "noise"))
        warped = torch.randn((length, *shape), generator=generator(seed, "uncovered noise"))
        for frame in range(length):
            flow, occluded = flow_on_grid(
                controls.flow_anchor[frame], controls.occluded_anchor[frame], shape[1:]
            )
            warped[frame] = warp_noise(anchor, flow, occluded, warped[frame])
        return mix_noise(warped, noise, self.rho)

    def step_generators(self, seed: int, step: int, length: int) -> list[torch.Generator]:
        """Return a generator for each frame, for schedulers that add noise at `step`.

        That noise is the same in all frames, and does not move.
        """
        return [generator(seed, f"step {step}") for _ in range(length)]


NoiseConfig = Annotated[
    IndependentNoise | SharedNoise | FlowWarpedNoise, Field(discriminator="name")
]


def generator(seed: int, purpose: str) -> torch.Generator:
    """Return a CPU generator seeded by the seed and the purpose of its numbers."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))


def mix_noise(common: torch.Tensor, fresh: torch.Tensor, rho: float) -> torch.Tensor:
    """Return sqrt(rho) common + sqrt(1 - rho) fresh, which is unit normal when both are.

    common, fresh: of the same shape or broadcastable, independent. rho: in [0, 1].
    """
    return rho**0.5 * common + (1.0 - rho) ** 0.5 * fresh


def warp_noise(
    anchor: torch.Tensor, flow: torch.Tensor, occluded: torch.Tensor, fresh: torch.Tensor
) -> torch.Tensor:
    """Return a frame's noise (C, h, w), gathered from the anchor's along the flow.

    anchor, fresh: (C, h, w) unit normal. flow: (h, w, 2) x, y in cells. occluded: (h, w) bool.
    Each cell copies the nearest cell of the anchor, and none is copied twice, so that the result
    stays white and unit normal, unlike with interpolation. Where the flow leaves the image, where
    it is occluded, and where another cell took the same source, the noise is fresh.
    """
    height, width = occluded.shape
    cells = torch.arange(height * width)
    x = torch.round(cells % width + flow[..., 0].flatten()).long()
    y = torch.round(cells // width + flow[..., 1].flatten()).long()
    valid = (x >= 0) & (x < width) & (y >= 0) & (y < height) & ~occluded.flatten()
    sources = torch.where(valid, y * width + x, 0)
    claims = torch.where(valid, cells, height * width)
    first = torch.full_like(cells, height * width).scatter_reduce(0, sources, claims, "amin")
    valid &= first[sources] == cells
    warped = torch.where(valid, anchor.flatten(1)[:, sources], fresh.flatten(1))
    return warped.view_as(fresh)


def flow_on_grid(
    flow: np.ndarray, occluded: np.ndarray, grid: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return one frame's mean flow (h, w, 2) in cells and its occlusion (h, w) bool on a grid.

    flow: (H, W, 2) float in pixels. occluded: (H, W) bool. grid: h, w. A cell is occluded where
    most of its pixels are.
    """
    height, width = occluded.shape
    both = np.concatenate([flow, occluded[..., None].astype(np.float32)], axis=2)
    means = F.adaptive_avg_pool2d(torch.from_numpy(both).permute(2, 0, 1), grid)
    scale = torch.tensor([grid[1] / width, grid[0] / height])
    return means[:2].permute(1, 2, 0) * scale, means[2] > 0.5
