"""What sampling starts from: noise, or the source's latents with more or less noise."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from vidda.config import Config
from vidda.errors import ViddaError

Predict = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""The networks' output for noisy latents (N, 4, h, w) at a timestep, without guidance."""

Strength = Annotated[float, Field(gt=0.0, le=1.0)]


@dataclass(frozen=True, slots=True)
class StartInputs:
    """What there is before the first step.

    timesteps: of the steps to take, falling. noise: (N, 4, h, w) unit normal. source: the source's
    latents, of the same shape; None where no one asked for them.
    """

    scheduler: Any
    timesteps: torch.Tensor
    noise: torch.Tensor
    source: torch.Tensor | None
    predict: Predict


class FromNoise(Config):
    """Pure noise: only controls and prompt carry over from the source."""

    name: Literal["noise"] = "noise"

    @property
    def strength(self) -> float:
        """Return the share of the steps that are taken: all."""
        return 1.0

    def begin(self, given: StartInputs) -> torch.Tensor:
        """Return the first latents, (N, 4, h, w)."""
        return given.noise * given.scheduler.init_noise_sigma


class FromImage(Config):
    """The source's latents with noise (SDEdit, arXiv 2108.01073)."""

    name: Literal["image"] = "image"
    strength: Strength = Field(default=0.6, description="share of the steps that are taken")

    def begin(self, given: StartInputs) -> torch.Tensor:
        """Return the first latents, (N, 4, h, w)."""
        assert given.source is not None
        return noised(given.scheduler, given.source, given.noise, given.timesteps[0])


class Zodi(Config):
    """The source's latents with the noise that the UNet sees in them once noise was added.

    One-step stochastic inversion (ZoDi, arXiv 2403.13652): it keeps the layout better than fresh
    noise does, for one more pass of the networks.
    """

    name: Literal["zodi"] = "zodi"
    strength: Strength = Field(default=0.6, description="share of the steps that are taken")

    def begin(self, given: StartInputs) -> torch.Tensor:
        """Return the first latents, (N, 4, h, w)."""
        assert given.source is not None
        first = given.timesteps[0]
        signal = alpha_bar(given.scheduler, first)
        noisy = signal**0.5 * given.source + (1 - signal) ** 0.5 * given.noise
        seen = epsilon(given.scheduler, given.predict(noisy, first), noisy, signal)
        return noised(given.scheduler, given.source, seen, first)


class DdimInversion(Config):
    """The source's latents with the noise that DDIM, run backwards, finds for them.

    Song et al., arXiv 2010.02502, equation 14. It takes as many passes as sampling.
    """

    name: Literal["ddim_inversion"] = "ddim_inversion"
    strength: Strength = Field(default=1.0, description="share of the steps that are taken")

    def begin(self, given: StartInputs) -> torch.Tensor:
        """Return the first latents, (N, 4, h, w)."""
        assert given.source is not None
        latents, signal = given.source, 1.0
        for timestep in torch.unique(given.timesteps):  # rising; PNDM has one of them twice
            level = alpha_bar(given.scheduler, timestep)
            output = given.predict(latents, timestep)
            seen = epsilon(given.scheduler, output, latents, level)
            clean = (latents - (1 - signal) ** 0.5 * seen) / signal**0.5
            latents, signal = level**0.5 * clean + (1 - level) ** 0.5 * seen, level
        return noised(given.scheduler, clean, seen, given.timesteps[0])


StartConfig = Annotated[FromNoise | FromImage | Zodi | DdimInversion, Field(discriminator="name")]


def schedule(
    scheduler: Any, steps: int, strength: float, key: str = "backbone.sampling"
) -> torch.Tensor:
    """Set a scheduler up for so many steps; the timesteps of the last `strength` of them.

    The same rule as diffusers' image-to-image pipelines, but for PNDM: see `_pndm`. They stay on
    the CPU, where comparing them does not wait for the device. key: of the config that asks for
    them, for the message. Raises ViddaError when the scheduler cannot take so many.
    """
    from diffusers import PNDMScheduler

    try:
        scheduler.set_timesteps(steps, device="cpu")
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise ViddaError(
            f"{key}.steps: {type(scheduler).__name__} cannot take {steps} ({reason:.200}); correct"
            f" it or {key}.scheduler.overrides"
        ) from None
    skipped = (steps - int(steps * strength)) * scheduler.order
    if isinstance(scheduler, PNDMScheduler) and skipped:
        return _pndm(scheduler, skipped, key)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(skipped)
    timesteps: torch.Tensor = scheduler.timesteps[skipped:]
    return timesteps


def _pndm(scheduler: Any, skipped: int, key: str) -> torch.Tensor:
    """Return the timesteps of PNDM without the first `skipped` levels, begun as it begins.

    It takes its second level twice (or begins by Runge-Kutta), wherever it starts; diffusers'
    image-to-image pipelines cut that off, so that noise is left in the result. Raises ViddaError
    where too few levels are left for Runge-Kutta.
    """
    whole = scheduler.timesteps
    if scheduler.config.skip_prk_steps:
        levels = torch.unique(whole).flip(0)[skipped:]
        return torch.cat([levels[:2], levels[1:]])
    count, ramp = len(scheduler.prk_timesteps), 3  # levels by Runge-Kutta, of four passes each
    levels = torch.cat([whole[:count:4], whole[count:]])[skipped:]
    if len(levels) <= ramp:
        raise ViddaError(
            f"{key}.start.strength: leaves {len(levels)} of PNDM's steps, and its Runge-Kutta start"
            f" takes {ramp + 1}; raise it, or set {key}.scheduler.overrides.skip_prk_steps=true"
        )
    middle = levels[1 : ramp + 1] + whole[1] - whole[3]
    first = torch.stack([levels[:ramp], middle, middle, levels[1 : ramp + 1]], dim=1).flatten()
    scheduler.prk_timesteps = first.numpy()
    return torch.cat([first, levels[ramp:]])


def noised(
    scheduler: Any, clean: torch.Tensor, noise: torch.Tensor, timestep: torch.Tensor
) -> torch.Tensor:
    """Clean latents with the noise of a timestep, in the scheduler's own scale."""
    result: torch.Tensor = scheduler.add_noise(clean, noise, timestep.reshape(1))
    return result


def alpha_bar(scheduler: Any, timestep: torch.Tensor) -> float:
    """Return the share of the signal in the variance of noisy latents at a timestep, in [0, 1]."""
    return float(scheduler.alphas_cumprod[int(timestep.round())])


def epsilon(
    scheduler: Any, output: torch.Tensor, latents: torch.Tensor, signal: float
) -> torch.Tensor:
    """Return the noise that a network's output stands for, whatever it was trained to predict.

    latents: what it was given. signal: the share of signal that it was told, in [0, 1].
    """
    kind = scheduler.config.prediction_type
    if kind == "v_prediction":  # Salimans and Ho, arXiv 2202.00512, appendix D
        return signal**0.5 * output + (1 - signal) ** 0.5 * latents
    if kind == "sample":
        return (latents - signal**0.5 * output) / (1 - signal) ** 0.5
    return output
