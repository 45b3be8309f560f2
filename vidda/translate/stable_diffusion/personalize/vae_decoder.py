"""Training of the autoencoder's decoder to reconstruct the target's frames from their latents.

The encoder is frozen, so latents keep their meaning and every UNet of the base still fits.
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
    encode_images,
    to_frames,
    to_pixels,
)
from vidda.translate.stable_diffusion.personalize.learner import LearnerSettings
from vidda.translate.stable_diffusion.personalize.objective import squared_error
from vidda.translate.stable_diffusion.personalize.render_images import image_grid
from vidda.translate.stable_diffusion.personalize.training_config import TrainingConfig


class VaeDecoderConfig(TrainingConfig):
    """Training of the autoencoder's decoder, for an autoencoder that blurs the target's frames."""

    name: Literal["vae_decoder"] = "vae_decoder"
    steps: int = Field(default=500, ge=1, description="steps of the optimizer")
    batch_size: int = Field(default=8, ge=1, description="frames at a time")
    lr: float = Field(default=1e-4, gt=0, description="highest learning rate")
    schedule: Literal["constant", "cosine"] = Field(
        default="cosine", description="learning rate after the warm-up; cosine ends at 0"
    )

    @property
    def token(self) -> None:
        """Return None, because the autoencoder has no prompts."""
        return None

    @property
    def caption(self) -> None:
        """Return None, because the autoencoder has no prompts."""
        return None

    def check(self, models: Models) -> None:
        """Raise ViddaError when the base's autoencoder is of another class."""
        if not isinstance(models.vae, AutoencoderKL | AutoencoderTiny):
            kind = type(models.vae).__name__
            raise ViddaError(
                "method: vae_decoder tunes an AutoencoderKL or AutoencoderTiny; the base has a"
                f" {kind}"
            )

    def trainable_count(self, models: Models) -> int:
        """Return the number of weights that are trained."""
        return sum(parameter.numel() for parameter in _decoder(models.vae).values())

    def build(self, settings: LearnerSettings) -> "VaeDecoderLearner":
        """Return the learner."""
        if self.gradient_checkpointing:
            settings.models.vae.enable_gradient_checkpointing()
        return VaeDecoderLearner(settings)


class VaeDecoderLearner:
    """A `Learner` that trains the decoder of the models' autoencoder."""

    def __init__(self, settings: LearnerSettings) -> None:
        self._settings = settings
        self._vae = settings.models.vae
        self._vae.requires_grad_(False)
        self.learned: Mapping[str, nn.Parameter] = _decoder(self._vae)
        for parameter in self.learned.values():
            parameter.requires_grad_(True)
        device, frames = settings.accelerator.device, settings.frames
        train = frames.train
        self._train = encode_images(self._vae, train, device, "encoding frames", flip=settings.flip)
        test = frames.held_out[:] if len(frames.held_out) else train[: settings.samples]
        self._test = test
        self._test_latents = encode_images(self._vae, test, device, "encoding held-out")

    @property
    def size(self) -> int:
        """Return the number of training frames."""
        return len(self._settings.frames.train)

    def loss_terms(
        self, numbers: torch.Tensor, generator: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Return `loss`, the mean squared error of the decoded pixels in [-1, 1].

        numbers: (B,) of training frames. generator: of all random numbers, on the CPU.
        """
        if self._settings.flip:
            numbers = numbers + self.size * torch.randint(2, numbers.shape, generator=generator)
        device = self._settings.accelerator.device
        latents = self._train.sample(numbers, generator).to(device)
        target = to_pixels(self._frames(numbers)).to(device)
        return {"loss": squared_error(self._vae.decode(latents).sample, target).mean()}

    def measure(self) -> dict[str, float]:
        """Return mean squared error and PSNR in dB of the held-out frames; empty without any."""
        if not len(self._settings.frames.held_out):
            return {}
        errors = squared_error(self._decoded(), to_pixels(self._test))
        decibels = [10 * math.log10(4 / max(error, 1e-12)) for error in errors.tolist()]
        return {"loss": float(errors.mean()), "psnr": sum(decibels) / len(decibels)}

    def contact_sheet(self) -> np.ndarray:
        """Return held-out frames (training frames without any) above their reconstructions."""
        count = self._settings.samples
        return image_grid([self._test[:count], to_frames(self._decoded()[:count])])

    def save(self, folder: Path) -> None:
        """Write the autoencoder in diffusers' format."""
        self._vae.save_pretrained(folder, safe_serialization=True)

    def _frames(self, numbers: torch.Tensor) -> np.ndarray:
        """Return the frames of numbers in 0..2N-1, mirrored from N on, (B, S, S, 3) uint8."""
        images = self._settings.frames.train[(numbers % self.size).numpy()]
        mirrored = (numbers >= self.size).numpy()
        images[mirrored] = images[mirrored, :, ::-1]
        return images

    @torch.no_grad()
    def _decoded(self) -> torch.Tensor:
        """Return the reconstructions of the M test frames, (M, 3, S, S) on the CPU."""
        device, latents = self._settings.accelerator.device, self._test_latents.mean
        with self._settings.accelerator.autocast():
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
