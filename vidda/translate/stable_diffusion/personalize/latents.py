"""Frames as the autoencoder sees them: encoded once, drawn from at every step."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny

from vidda.progress import meter

CHUNK = 8


@dataclass(frozen=True, slots=True)
class Latents:
    """The autoencoder's view of N pictures, on the CPU, not scaled.

    mean, deviation: (N, C, h, w) float32.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __len__(self) -> int:
        return len(self.mean)

    def draw(self, numbers: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Latents (B, C, h, w) of the pictures of these numbers (B,), a new draw of each."""
        mean = self.mean[numbers]
        return mean + self.deviation[numbers] * torch.randn(mean.shape, generator=generator)


@torch.no_grad()
def encode(vae: Any, frames: np.ndarray, device: torch.device, label: str) -> Latents:
    """Encode frames, (N, H, W, 3) uint8 RGB, on a device where the autoencoder already is."""
    means, deviations = [], []
    with meter(label=label, total=len(frames), unit="frames") as passed:
        for start in range(0, len(frames), CHUNK):
            pixels = to_pixels(frames[start : start + CHUNK]).to(device)
            mean, deviation = _distribution(vae, pixels)
            means.append(mean.float().cpu())
            deviations.append(deviation.float().cpu())
            passed(len(pixels))
    return Latents(torch.cat(means), torch.cat(deviations))


def _distribution(vae: Any, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation of the latents of pixels; a tiny autoencoder is sure of its own."""
    seen = vae.encode(pixels)
    if isinstance(vae, AutoencoderTiny):
        return seen.latents, torch.zeros_like(seen.latents)
    return seen.latent_dist.mean, seen.latent_dist.std


def to_pixels(frames: np.ndarray) -> torch.Tensor:
    """(N, H, W, 3) uint8 as (N, 3, H, W) float32 in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_frames(pixels: torch.Tensor) -> np.ndarray:
    """The inverse of `to_pixels`; values outside [-1, 1] are cut off."""
    levels = ((pixels.float() + 1) * 127.5).round().clamp(0, 255).byte()
    return levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
