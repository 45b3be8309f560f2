"""The latents that sampling starts from: noise, or the source's latents with noise."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from vidda.config import Config
from vidda.errors import ViddaError

Predict = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From noisy latents (N, 4, h, w) and a timestep to the networks' output, without guidance."""

Strength = Annotated[float, Field(gt=0.0, le=1.0)]


@dataclass(frozen=True, slots=True)
class StartInputs:
    """The inputs from which a start computes the first latents.

    timesteps: of the steps to take, descending. noise: (N, 4, h, w) unit normal. source: latents of
    the source, of the same shape; None where the config does not need them.
    """

    scheduler: Any
    timesteps: torch.Tensor
    noise: torch.Tensor
    source: torch.Tensor | None
    predict: Predict


class FromNoise(Config):
    """Pure noise: only controls and prompt come from the source."""

    name: Literal["noise"] = "noise"

    @property
    def strength(self) -> float:
        """Return the share of the steps that are taken: 1."""
        return 1.0

    def begin(self, inputs: StartInputs) -> torch.Tensor:
        """Return the latents (N, 4, h, w) that enter the first step."""
        return inputs.noise * inputs.scheduler.init_noise_sigma


class FromImage(Config):
    """The source's latents with noise (SDEdit, arXiv 2108.01073)."""

    name: Literal["image"] = "image"
    strength: Strength = Field(default=0.6, description="share of the steps that are taken")

    def begin(self, inputs: StartInputs) -> torch.Tensor:
        """Return the latents (N, 4, h, w) that enter the first step."""
        assert inputs.source is not None
        return add_noise(inputs.scheduler, inputs.source, inputs.noise, inputs.timesteps[0])


class Zodi(Config):
    """The source's latents with the noise that the UNet predicts after noise was added to them.

    One-step stochastic inversion (ZoDi, arXiv 2403.13652): it keeps the layout better than fresh
    noise, for one more pass of the networks.
    """

    name: Literal["zodi"] = "zodi"
    strength: Strength = Field(default=0.6, description="share of the steps that are taken")

    def begin(self, inputs: StartInputs) -> torch.Tensor:
        """Return the latents (N, 4, h, w) that enter the first step."""
        assert inputs.source is not None
        first = inputs.timesteps[0]
        signal = alpha_bar(inputs.scheduler, first)
        noisy = signal**0.5 * inputs.source + (1 - signal) ** 0.5 * inputs.noise
        noise = predicted_noise(inputs.scheduler, inputs.predict(noisy, first), noisy, signal)
        return add_noise(inputs.scheduler, inputs.source, noise, first)


class DdimInversion(Config):
    """The source's latents with the noise that DDIM inversion finds for them.

    Song et al., arXiv 2010.02502, equation 14. It takes as many passes as sampling.
    """

    name: Literal["ddim_inversion"] = "ddim_inversion"
    strength: Strength = Field(default=1.0, description="share of the steps that are taken")

    def begin(self, inputs: StartInputs) -> torch.Tensor:
        """Return the latents (N, 4, h, w) that enter the first step."""
        assert inputs.source is not None
        latents, signal = inputs.source, 1.0
        for timestep in torch.unique(inputs.timesteps):  # rising; PNDM has one of them twice
            level = alpha_bar(inputs.scheduler, timestep)
            output = inputs.predict(latents, timestep)
            noise = predicted_noise(inputs.scheduler, output, latents, level)
            clean = (latents - (1 - signal) ** 0.5 * noise) / signal**0.5
            latents, signal = level**0.5 * clean + (1 - level) ** 0.5 * noise, level
        return add_noise(inputs.scheduler, clean, noise, inputs.timesteps[0])


SamplingStartConfig = Annotated[
    FromNoise | FromImage | Zodi | DdimInversion, Field(discriminator="name")
]


def set_timesteps(
    scheduler: Any, steps: int, strength: float, key: str = "backbone.sampling"
) -> torch.Tensor:
    """Set a scheduler's number of steps; return the timesteps of its last share, on the CPU.

    steps: from pure noise. strength: the share of them to take, in (0, 1], by the rule of
    diffusers' image-to-image pipelines except for PNDM (`_pndm_timesteps`). key: the config key for
    the message. Raises ViddaError when the scheduler cannot take so many steps.
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
        return _pndm_timesteps(scheduler, skipped, key)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(skipped)
    timesteps: torch.Tensor = scheduler.timesteps[skipped:]
    return timesteps


def _pndm_timesteps(scheduler: Any, skipped: int, key: str) -> torch.Tensor:
    """Return the timesteps of PNDM without the first `skipped` levels, but with its warm-up.

    PNDM starts by taking its second level twice (or by Runge-Kutta steps); diffusers'
    image-to-image pipelines cut that off, which leaves noise in the result. Raises ViddaError where
    too few levels are left for Runge-Kutta.
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


def add_noise(
    scheduler: Any, clean: torch.Tensor, noise: torch.Tensor, timestep: torch.Tensor
) -> torch.Tensor:
    """Return clean latents with the noise of a timestep, (N, 4, h, w), in the scheduler's scale.

    scheduler: of diffusers. clean, noise: (N, 4, h, w). timestep: of one element.
    """
    result: torch.Tensor = scheduler.add_noise(clean, noise, timestep.reshape(1))
    return result


def alpha_bar(scheduler: Any, timestep: torch.Tensor) -> float:
    """Return the share of the signal in the variance of noisy latents at a timestep, in [0, 1].

    scheduler: a diffusers scheduler with `alphas_cumprod`. timestep: of one element, rounded to a
    training timestep.
    """
    return float(scheduler.alphas_cumprod[int(timestep.round())])


def predicted_noise(
    scheduler: Any, output: torch.Tensor, latents: torch.Tensor, signal: float
) -> torch.Tensor:
    """Return the noise (N, 4, h, w) that a network's output implies, for any prediction type.

    scheduler: of diffusers, for its prediction type. output: (N, 4, h, w) of the UNet. latents: its
    input (N, 4, h, w), with unit variance. signal: the share of the signal in the variance at its
    timestep (`alpha_bar`), in [0, 1].
    """
    kind = scheduler.config.prediction_type
    if kind == "v_prediction":  # Salimans and Ho, arXiv 2202.00512, appendix D
        return signal**0.5 * output + (1 - signal) ** 0.5 * latents
    if kind == "sample":
        return (latents - signal**0.5 * output) / (1 - signal) ** 0.5
    return output
