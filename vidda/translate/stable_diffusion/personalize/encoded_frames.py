"""Encoded frames: their latent distributions are computed once and sampled at every step."""

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
    """The latent distributions of N images, on the CPU, not scaled by the scaling factor.

    mean, deviation: (N, C, h, w) float32.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __len__(self) -> int:
        return len(self.mean)

    def sample(self, numbers: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return random samples of the latents (B, C, h, w) of images; numbers: (B,)."""
        mean = self.mean[numbers]
        return mean + self.deviation[numbers] * torch.randn(mean.shape, generator=generator)


@torch.no_grad()
def encode_images(
    vae: Any, frames: Images, device: torch.device, label: str, *, flip: bool = False
) -> EncodedFrames:
    """Encode N frames, a few at a time, on the device of the autoencoder.

    frames: (N, H, W, 3) uint8. label: of the progress meter. flip: encode the mirrored frames as
    well, as numbers N..2N-1.
    """
    starts = range(0, len(frames), CHUNK)
    mean = deviation = torch.empty(0)
    at = 0
    with meter(label=label, total=len(frames) * (1 + flip), unit="frames") as passed:
        for mirrored, start in product((False, True)[: 1 + flip], starts):
            part = frames[start : start + CHUNK]
            pixels = to_pixels(part[:, :, ::-1] if mirrored else part).to(device)
            encoded = _distribution(vae, pixels)
            if not at:  # allocated once, because joining chunks would need twice the memory
                shape = (len(frames) * (1 + flip), *encoded[0].shape[1:])
                mean, deviation = torch.empty(shape), torch.empty(shape)
            mean[at : at + len(part)], deviation[at : at + len(part)] = encoded
            at += len(part)
            passed(len(part))
    return EncodedFrames(mean, deviation)


def _distribution(vae: Any, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and deviation of the latents of pixels; deviation 0 for AutoencoderTiny."""
    encoded = vae.encode(pixels)
    if isinstance(vae, AutoencoderTiny):
        return encoded.latents, torch.zeros_like(encoded.latents)
    return encoded.latent_dist.mean, encoded.latent_dist.std


def to_pixels(frames: np.ndarray) -> torch.Tensor:
    """Return frames (N, H, W, 3) uint8 as pixels (N, 3, H, W) float32 in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_frames(pixels: torch.Tensor) -> np.ndarray:
    """Return pixels (N, 3, H, W), clipped to [-1, 1], as frames (N, H, W, 3) uint8."""
    levels = ((pixels.float() + 1) * 127.5).round().clamp(0, 255).byte()
    return levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
