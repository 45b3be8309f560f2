"""The autoencoder's decoder learns to paint the target's frames from their latents.

The encoder stays, so latents mean what they meant and the UNet need not learn anew.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from pydantic import Field
from torch import nn

from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.loading import Models
from vidda.translate.stable_diffusion.personalize.encoded_frames import (
    CHUNK,
    encode,
    to_frames,
    to_pixels,
)
from vidda.translate.stable_diffusion.personalize.learner import LearnerSettings
from vidda.translate.stable_diffusion.personalize.objective import squared_error
from vidda.translate.stable_diffusion.personalize.render_images import sheet
from vidda.translate.stable_diffusion.personalize.training_config import TrainingConfig


class VaeDecoderConfig(TrainingConfig):
    """Sharper pictures of the target, at its own resolution, for a small or foreign autoencoder."""

    name: Literal["vae_decoder"] = "vae_decoder"
    steps: int = Field(default=500, ge=1, description="steps of the optimizer")
    batch_size: int = Field(default=8, ge=1, description="frames at a time")
    lr: float = Field(default=1e-4, gt=0, description="highest learning rate")
    schedule: Literal["constant", "cosine"] = Field(
        default="cosine", description="learning rate after the warm-up; cosine ends at 0"
    )

    @property
    def token(self) -> None:
        """Prompts do not reach the autoencoder."""
        return None

    @property
    def caption(self) -> None:
        """Prompts do not reach the autoencoder."""
        return None

    def check(self, models: Models) -> None:
        """Raise ViddaError where the base's autoencoder is of another kind."""
        if not isinstance(models.vae, AutoencoderKL | AutoencoderTiny):
            kind = type(models.vae).__name__
            raise ViddaError(
                "method: vae_decoder tunes an AutoencoderKL or AutoencoderTiny; the base has a"
                f" {kind}"
            )

    def learning(self, models: Models) -> int:
        """Return how many weights learn."""
        return sum(parameter.numel() for parameter in _decoder(models.vae).values())

    def build(self, setting: LearnerSettings) -> "VaeDecoderLearner":
        """Return the method at work."""
        if self.gradient_checkpointing:
            setting.models.vae.enable_gradient_checkpointing()
        return VaeDecoderLearner(setting)


class VaeDecoderLearner:
    """See `learner.Learner`."""

    def __init__(self, setting: LearnerSettings) -> None:
        self._setting = setting
        self._vae = setting.models.vae
        self._vae.requires_grad_(False)
        self.learned: Mapping[str, nn.Parameter] = _decoder(self._vae)
        for parameter in self.learned.values():
            parameter.requires_grad_(True)
        device, frames = setting.accelerator.device, setting.frames
        seen = frames.train
        self._train = encode(self._vae, seen, device, "encoding frames", flip=setting.flip)
        shown = frames.held_out[:] if len(frames.held_out) else seen[: setting.samples]
        self._shown = shown
        self._shown_latents = encode(self._vae, shown, device, "encoding shown frames")

    @property
    def size(self) -> int:
        return len(self._setting.frames.train)

    def terms(self, numbers: torch.Tensor, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """See `learner.Learner`: the squared error of the pixels, in [-1, 1]."""
        if self._setting.flip:
            numbers = numbers + self.size * torch.randint(2, numbers.shape, generator=generator)
        device = self._setting.accelerator.device
        latents = self._train.draw(numbers, generator).to(device)
        wanted = to_pixels(self._pictures(numbers)).to(device)
        return {"loss": squared_error(self._vae.decode(latents).sample, wanted).mean()}

    def measure(self) -> dict[str, float]:
        """Squared error and PSNR in dB (of pixels in [-1, 1]) of the held-out frames."""
        if not len(self._setting.frames.held_out):
            return {}
        errors = squared_error(self._painted(), to_pixels(self._shown))
        decibels = [10 * math.log10(4 / max(error, 1e-12)) for error in errors.tolist()]
        return {"loss": float(errors.mean()), "psnr": sum(decibels) / len(decibels)}

    def sheet(self) -> np.ndarray:
        """Held-out frames above, what the decoder makes of them below."""
        count = self._setting.samples
        return sheet([self._shown[:count], to_frames(self._painted()[:count])])

    def save(self, folder: Path) -> None:
        """Write the autoencoder in diffusers' format."""
        self._vae.save_pretrained(folder, safe_serialization=True)

    def _pictures(self, numbers: torch.Tensor) -> np.ndarray:
        """Return the frames of these numbers, mirrored from N on, (B, S, S, 3) uint8."""
        pictures = self._setting.frames.train[(numbers % self.size).numpy()]
        mirrored = (numbers >= self.size).numpy()
        pictures[mirrored] = pictures[mirrored, :, ::-1]
        return pictures

    @torch.no_grad()
    def _painted(self) -> torch.Tensor:
        """What the decoder makes of the shown frames' mean latents, (M, 3, S, S) on the CPU."""
        device, latents = self._setting.accelerator.device, self._shown_latents.mean
        with self._setting.accelerator.autocast():
            parts = [
                self._vae.decode(latents[at : at + CHUNK].to(device)).sample.float().cpu()
                for at in range(0, len(latents), CHUNK)
            ]
        return torch.cat(parts)


def _decoder(vae: Any) -> dict[str, nn.Parameter]:
    """Return the decoder's parameters, by their names in the autoencoder."""
    return {
        name: parameter
        for name, parameter in vae.named_parameters()
        if name.startswith(("decoder.", "post_quant_conv."))
    }
