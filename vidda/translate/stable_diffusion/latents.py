"""Encoding of frames to latents and back, a few at a time, and masks on the latents' grid."""

from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny
from einops import rearrange
from torch.nn import functional as F
from torchvision.transforms.v2.functional import gaussian_blur

from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.batch_fitting import Fitting
from vidda.translate.stable_diffusion.model_files import pixels_per_latent


def pixels_per_latent_of(vae: Any) -> int:
    """Return the pixels along a side of one latent of an autoencoder.

    vae: diffusers' AutoencoderKL.
    """
    return pixels_per_latent(vae.config)


@torch.inference_mode()
def encode_frames(vae: Any, frames: np.ndarray, fitting: Fitting) -> torch.Tensor:
    """Return the scaled latents of frames, (T, 4, h, w) float32 on the VAE's device.

    vae: diffusers' AutoencoderKL. frames: (T, H, W, 3) uint8 RGB. fitting: finds how many frames
    fit into memory at once. Latents are the mode of the VAE's distribution, since samples would
    make a still clip flicker.
    """
    assert frames.dtype == np.uint8  # of 0..255, not floats of 0..1
    parts = []
    done = 0
    while done < len(frames):
        mode = fitting.run(lambda size, at=done: _encode_mode(vae, frames[at : at + size]))  # type: ignore[misc]
        parts.append(mode)
        done += len(mode)
    return torch.cat(parts)


@torch.inference_mode()
def decode_latents(vae: Any, latents: torch.Tensor, fitting: Fitting) -> np.ndarray:
    """Return the frames, (T, H, W, 3) uint8 RGB, of scaled latents (T, 4, h, w).

    vae: diffusers' AutoencoderKL. fitting: finds how many frames fit into memory at once. Raises
    ViddaError when values are not finite, which fp16 can cause.
    """
    height, width = (pixels_per_latent_of(vae) * side for side in latents.shape[2:])
    frames = np.empty((len(latents), height, width, 3), np.uint8)
    done = 0
    while done < len(frames):
        part = fitting.run(lambda size, at=done: _decode_pixels(vae, latents[at : at + size]))  # type: ignore[misc]
        frames[done : done + len(part)] = part
        done += len(part)
    return frames


def mask_to_latents(mask: np.ndarray, grid: tuple[int, int], feather: float) -> torch.Tensor:
    """Return the share of each latent that a mask covers, (T, 1, h, w) float32 in [0, 1].

    mask: (T, H, W) bool. grid: h, w. feather: standard deviation of a Gaussian blur of the result,
    in latents; 0: none.
    """
    # Frame by frame, because as floats the masks of a long clip take four times the memory.
    shares = torch.cat(
        [F.adaptive_avg_pool2d(torch.from_numpy(m)[None, None].float(), grid) for m in mask]
    )
    return blur_mask(shares, feather)


def blur_mask(mask: torch.Tensor, deviation: float) -> torch.Tensor:
    """Return a mask (T, 1, h, w) after a Gaussian blur; deviation: in cells, 0: unchanged."""
    if deviation == 0:
        return mask
    # Reflection at the border needs a kernel that is smaller than the mask.
    reach = max(1, min(round(3 * deviation), *(side - 1 for side in mask.shape[2:])))
    return gaussian_blur(mask, [2 * reach + 1] * 2, [deviation] * 2)


def _encode_mode(vae: Any, frames: np.ndarray) -> torch.Tensor:
    pixels = rearrange(torch.from_numpy(frames).to(vae.device), "t h w c -> t c h w").to(vae.dtype)
    encoded = vae.encode(pixels / 127.5 - 1.0)
    latents = encoded.latents if isinstance(vae, AutoencoderTiny) else encoded.latent_dist.mode()
    scaled: torch.Tensor = latents.float() * vae.config.scaling_factor
    return scaled


def _decode_pixels(vae: Any, latents: torch.Tensor) -> np.ndarray:
    scaled = (latents / vae.config.scaling_factor).to(vae.dtype)
    pixels = vae.decode(scaled, return_dict=False)[0].float()
    if not bool(torch.isfinite(pixels).all()):
        raise ViddaError(
            "the decoded frames have values that are not finite; take bf16 or fp32 instead of fp16"
        )
    levels = ((pixels / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
    result: np.ndarray = rearrange(levels, "t c h w -> t h w c").cpu().numpy()
    return result
