"""Frames as the autoencoder sees them: encoded once, drawn from at every step."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny

from vidda.progress import meter
from vidda.translate.stable_diffusion.personalize.stored_images import Images

CHUNK = 8


@dataclass(frozen=True, slots=True)
class EncodedFrames:
    """The autoencoder's view of N pictures, on the CPU, not scaled.

    mean, deviation: (N, C, h, w) float32.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __len__(self) -> int:
        return len(self.mean)

    def draw(self, numbers: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return latents (B, C, h, w) of the pictures of these numbers (B,), a new draw of each."""
        mean = self.mean[numbers]
        return mean + self.deviation[numbers] * torch.randn(mean.shape, generator=generator)


@torch.no_grad()
def encode(
    vae: Any, frames: Images, device: torch.device, label: str, *, flip: bool = False
) -> EncodedFrames:
    """Encode frames, a few at a time, on a device where the autoencoder already is.

    flip: the same frames mirrored come after them, N further ones.
    """
    starts = range(0, len(frames), CHUNK)
    mean = deviation = torch.empty(0)
    at = 0
    with meter(label=label, total=len(frames) * (1 + flip), unit="frames") as passed:
        for mirrored, start in product((False, True)[: 1 + flip], starts):
            part = frames[start : start + CHUNK]
            pixels = to_pixels(part[:, :, ::-1] if mirrored else part).to(device)
            found = _distribution(vae, pixels)
            if not at:  # the whole at once: parts to be joined would be there twice
                shape = (len(frames) * (1 + flip), *found[0].shape[1:])
                mean, deviation = torch.empty(shape), torch.empty(shape)
            mean[at : at + len(part)], deviation[at : at + len(part)] = found
            at += len(part)
            passed(len(part))
    return EncodedFrames(mean, deviation)


def _distribution(vae: Any, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and deviation of the latents of pixels; a tiny autoencoder is sure of its own."""
    seen = vae.encode(pixels)
    if isinstance(vae, AutoencoderTiny):
        return seen.latents, torch.zeros_like(seen.latents)
    return seen.latent_dist.mean, seen.latent_dist.std


def to_pixels(frames: np.ndarray) -> torch.Tensor:
    """(N, H, W, 3) uint8 as (N, 3, H, W) float32 in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_frames(pixels: torch.Tensor) -> np.ndarray:
    """Return the inverse of `to_pixels`; values outside [-1, 1] are cut off."""
    levels = ((pixels.float() + 1) * 127.5).round().clamp(0, 255).byte()
    return levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
