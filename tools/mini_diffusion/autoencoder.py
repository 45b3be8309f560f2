"""Stage 1: training of the autoencoder, with more weight on the person's pixels."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tools.mini_diffusion.cache import PERSON, SceneImages
from tools.mini_diffusion.loop import Machine
from tools.mini_diffusion.networks import new_autoencoder
from tools.mini_diffusion.recipe import AutoencoderStage, SizesConfig
from vidda.translate.stable_diffusion.personalize.encoded_frames import to_frames, to_pixels
from vidda.translate.stable_diffusion.personalize.render_images import image_grid

SHOWN = 64
CHUNK = 32
SCALED_BY = 2048
"""Images from whose latents the scaling factor to unit deviation is computed."""


class Autoencoder:
    """A `loop.Stage` that trains the autoencoder.

    samples: images in a row of a contact sheet. seed: of the initial weights.
    """

    def __init__(
        self,
        train: SceneImages,
        held_out: SceneImages,
        sizes: SizesConfig,
        config: AutoencoderStage,
        machine: Machine,
        samples: int,
        seed: int,
    ) -> None:
        self._config, self._machine, self._samples = config, machine, samples
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.vae: Any = new_autoencoder(sizes).to(machine.device)
        self.learned: Mapping[str, torch.nn.Parameter] = dict(self.vae.named_parameters())
        self.size = len(train)
        self._train, self._shown = train.frames, held_out.frames[:SHOWN]
        self._person = train.facts
        self._shown_person = held_out.facts[:SHOWN] >= PERSON

    def loss_terms(
        self, numbers: torch.Tensor, generator: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Return the losses of pixels, of differences between neighbors, and of latents' size.

        numbers: (B,) of training images. generator: of all random numbers, on the device.
        """
        device, config = self._machine.device, self._config
        cut = self._cut(generator)
        chosen = (numbers.numpy(), *cut)
        pixels = to_pixels(self._train[chosen]).to(device, memory_format=torch.channels_last)
        person = torch.from_numpy(self._person[chosen] >= PERSON).to(device)[:, None]
        weight = 1.0 + config.person * person
        weight = weight / weight.mean()
        latents = self.vae.encode(pixels).latents
        noise = torch.randn(latents.shape, generator=generator, device=device)
        decoded = self.vae.decode(latents + config.noise * noise).sample
        error = (decoded - pixels).float()
        return {
            "pixels": (weight * error.abs()).mean(),
            "differences": config.gradient * _differences(error, weight),
            "latents": config.shrink * latents.float().square().mean(),
        }

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Return the PSNR in dB on held-out images, of all pixels and of people's pixels."""
        error = self._reconstructed() - to_pixels(self._shown)
        squared = (error / 2.0).square().mean(1).numpy()
        return {
            "psnr": -10.0 * math.log10(squared.mean()),
            "psnr_person": -10.0 * math.log10(squared[self._shown_person].mean()),
        }

    def contact_sheet(self) -> np.ndarray:
        """Return held-out images above their reconstructions, (H, W, 3) uint8."""
        count = self._samples
        return image_grid([self._shown[:count], to_frames(self._reconstructed()[:count])])

    @torch.no_grad()
    def save(self, folder: Path) -> None:
        """Write the autoencoder, with the scaling factor that gives latents unit deviation."""
        chosen = np.linspace(0, self.size - 1, min(SCALED_BY, self.size)).astype(int)
        latents = encode_frames(self.vae, self._train[chosen], self._machine)
        self.vae.register_to_config(scaling_factor=float(1.0 / latents.float().std()))
        self.vae.save_pretrained(folder, safe_serialization=True)

    @torch.no_grad()
    def _reconstructed(self) -> torch.Tensor:
        parts = []
        for at in range(0, len(self._shown), CHUNK):
            pixels = to_pixels(self._shown[at : at + CHUNK]).to(self._machine.device)
            with self._machine.autocast():
                latents = self.vae.encode(pixels).latents
                parts.append(self.vae.decode(latents).sample.float().cpu())
        return torch.cat(parts)

    def _cut(self, generator: torch.Generator) -> tuple[slice, slice]:
        """Return the rows and columns of a step's random crop, by the generator's seed alone."""
        size, side = self._train.shape[1], min(self._config.cut, self._train.shape[1])
        top, left = np.random.default_rng(generator.initial_seed()).integers(0, size - side + 1, 2)
        return slice(top, top + side), slice(left, left + side)


@torch.no_grad()
def encode_frames(vae: Any, frames: np.ndarray, machine: Machine) -> torch.Tensor:
    """Return the unscaled latents (N, C, h, w) of frames (N, H, W, 3) uint8, float16 on the CPU."""
    parts = []
    for at in range(0, len(frames), CHUNK):
        pixels = to_pixels(frames[at : at + CHUNK]).to(machine.device)
        with machine.autocast():
            latents = vae.encode(pixels).latents
        parts.append(latents.half().cpu().contiguous())
    return torch.cat(parts)


def _differences(error: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the mean error of the differences between neighbors, which is large for blur."""
    across = (error[..., 1:] - error[..., :-1]).abs()
    down = (error[..., 1:, :] - error[..., :-1, :]).abs()
    return (across * weight[..., 1:]).mean() + (down * weight[..., 1:, :]).mean()
