"""Keeping the source's person inside a mask: its latents up to a noise level, or its pixels."""

from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field

from vidda.config import Config
from vidda.translate.stable_diffusion.sampling_start import StartInputs, add_noise, alpha_bar

Feather = Annotated[float, Field(ge=0.0)]


class KeepLatents(Config):
    """The source's latents inside the mask, until the noise has fallen to a level.

    Blended latent diffusion (arXiv 2206.02779), released early: the remaining steps render the
    person anew in the same shape.
    """

    name: Literal["latents"] = "latents"
    release: float = Field(
        default=0.35,
        ge=0.0,
        lt=1.0,
        description="noise level (standard deviation, 1: noise alone) at which the person is"
        " released; 0: kept in every step",
    )
    feather: Feather = Field(default=1.0, description="softness of the mask's edge, in latents")

    def problems(self, scheduler: Any, timesteps: torch.Tensor) -> list[str]:
        """Return one line if the person would never be kept at these timesteps; else none.

        scheduler: of diffusers. timesteps: (S,) of sampling, the noisiest first.
        """
        first = noise_deviation(scheduler, timesteps[0])
        if first > self.release:
            return []
        return [
            f"backbone.sampling.keep_person.release {self.release:g}: sampling begins at a"
            f" deviation of {first:.3g}, so the person would never be kept; lower it, or raise"
            " backbone.sampling.start.strength"
        ]

    def blend(
        self, latents: torch.Tensor, mask: torch.Tensor, inputs: StartInputs, timestep: torch.Tensor
    ) -> torch.Tensor:
        """Return latents (N, 4, h, w) to be denoised at a timestep, the source's inside the mask.

        mask: (N, 1, h, w) in [0, 1]. Below the release level the latents come back unchanged.
        """
        assert inputs.source is not None
        if noise_deviation(inputs.scheduler, timestep) <= self.release:
            return latents
        own = add_noise(inputs.scheduler, inputs.source, inputs.noise, timestep)
        return torch.lerp(latents, own, mask)


def noise_deviation(scheduler: Any, timestep: torch.Tensor) -> float:
    """Return the standard deviation of the noise at a timestep, in [0, 1]; 1: noise alone.

    scheduler: a diffusers scheduler with `alphas_cumprod`. timestep: of one element.
    """
    return float((1 - alpha_bar(scheduler, timestep)) ** 0.5)


class KeepPixels(Config):
    """The source's pixels inside the mask, pasted into the finished frames."""

    name: Literal["pixels"] = Field(
        default="pixels", description="the source's pixels, pasted into the finished frames"
    )
    feather: Feather = Field(default=2.0, description="softness of the mask's edge, in pixels")

    def paste(self, frames: np.ndarray, source: np.ndarray, mask: np.ndarray) -> None:
        """Paste the source's pixels into frames, in place.

        frames, source: (T, H, W, 3) uint8. mask: (T, H, W) bool.
        """
        # It imports diffusers, which this config alone does not need.
        from vidda.translate.stable_diffusion.latents import blur_mask

        for frame, original, inside in zip(frames, source, mask, strict=True):
            hard = torch.from_numpy(inside)[None, None].float()
            share = blur_mask(hard, self.feather)[0, 0, ..., None].numpy()
            frame[:] = np.rint(share * original + (1 - share) * frame).astype(np.uint8)


KeepConfig = Annotated[KeepLatents | KeepPixels, Field(discriminator="name")]
