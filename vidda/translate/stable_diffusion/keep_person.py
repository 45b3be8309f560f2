"""Keeping the person of the source: latents until a noise level, or pixels, inside a mask."""

from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field

from vidda.config import Config
from vidda.translate.stable_diffusion.latents import soften
from vidda.translate.stable_diffusion.start import StartInputs, alpha_bar, noised

Feather = Annotated[float, Field(ge=0.0)]


class KeepLatents(Config):
    """Inside the mask the latents are the source's, until the noise has fallen to a level.

    Blended latent diffusion (arXiv 2206.02779), released early: what remains of the steps draws
    the person anew in the shape that is there.
    """

    name: Literal["latents"] = "latents"
    release: float = Field(
        default=0.35,
        ge=0.0,
        lt=1.0,
        description="deviation of the noise, 1 being noise alone, at which the person is let go;"
        " 0: kept in every step",
    )
    feather: Feather = Field(default=1.0, description="softness of the mask's edge, in latents")

    def problems(self, scheduler: Any, timesteps: torch.Tensor) -> list[str]:
        """Why the person would never be kept in sampling these timesteps, in a line; or nothing."""
        first = deviation(scheduler, timesteps[0])
        if first > self.release:
            return []
        return [
            f"backbone.sampling.keep_person.release {self.release:g}: sampling begins at a"
            f" deviation of {first:.3g}, so the person would never be kept; lower it, or raise"
            " backbone.sampling.start.strength"
        ]

    def blend(
        self, latents: torch.Tensor, mask: torch.Tensor, given: StartInputs, timestep: torch.Tensor
    ) -> torch.Tensor:
        """Return latents (N, 4, h, w) about to be denoised at a timestep, with the source's in the
        mask.

        mask: (N, 1, h, w) in [0, 1].
        """
        assert given.source is not None
        if deviation(given.scheduler, timestep) <= self.release:
            return latents
        own = noised(given.scheduler, given.source, given.noise, timestep)
        return torch.lerp(latents, own, mask)


def deviation(scheduler: Any, timestep: torch.Tensor) -> float:
    """Return the noise in latents at a timestep, whose variance is 1 with the signal's,
    in [0, 1].
    """
    return float((1 - alpha_bar(scheduler, timestep)) ** 0.5)


class KeepPixels(Config):
    """Inside the mask the finished frames are the source's."""

    name: Literal["pixels"] = "pixels"
    feather: Feather = Field(default=2.0, description="softness of the mask's edge, in pixels")

    def paste(self, frames: np.ndarray, source: np.ndarray, mask: np.ndarray) -> None:
        """Put the source's pixels into frames, in place; (T, H, W, 3) uint8, mask (T, H, W)."""
        for frame, original, inside in zip(frames, source, mask, strict=True):
            hard = torch.from_numpy(inside)[None, None].float()
            share = soften(hard, self.feather)[0, 0, ..., None].numpy()
            frame[:] = np.rint(share * original + (1 - share) * frame).astype(np.uint8)


KeepConfig = Annotated[KeepLatents | KeepPixels, Field(discriminator="name")]
