"""A denoiser that learns what the target's frames look like: the core of three methods."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vidda.translate.stable_diffusion.personalize.encoded_frames import EncodedFrames, encode
from vidda.translate.stable_diffusion.personalize.learner import LearnerSettings
from vidda.translate.stable_diffusion.personalize.objective import (
    min_snr_weight,
    squared_error,
    target,
)
from vidda.translate.stable_diffusion.personalize.render_images import draw, seed_of, sheet
from vidda.translate.stable_diffusion.schedulers import SchedulerConfig, build

TIMES = 4
"""Noise levels at which each held-out frame is measured."""
CHUNK = 8
SAMPLES = 2
"""The purpose of seeds for sample pictures, see `drawing.seed_of`."""

Conditions = Callable[[torch.Tensor], torch.Tensor]
"""From prompt numbers (B,) to the text encoder's states (B, L, D)."""


@dataclass(frozen=True)
class Prior:
    """Pictures of the class by the base itself, which keep it from forgetting the class.

    latents: of the pictures. prompt: the number of their prompt. weight: of their loss.
    """

    latents: EncodedFrames
    prompt: int
    weight: float


class DenoiserLearner:
    """See `learner.Learner`; which parameters learn and how they are saved is the method's.

    conditions: of prompts 0..prompts-1, of which each frame is given one at random, and of the
    prior's. caption: the prompt of sample pictures. min_snr: see `objective.min_snr_weight`.
    checkpointing: compute the UNet's activations twice to save memory.
    """

    def __init__(
        self,
        setting: LearnerSettings,
        learned: Mapping[str, torch.nn.Parameter],
        conditions: Conditions,
        *,
        prompts: int,
        caption: str,
        min_snr: float | None,
        prior: Prior | None,
        checkpointing: bool,
        save: Callable[[Path], None],
    ) -> None:
        self.learned = learned
        self.save = save
        self._setting = setting
        self._conditions = conditions
        self._prompts = prompts
        self._caption = caption
        self._min_snr = min_snr
        self._prior = prior
        self._scheduler = build(SchedulerConfig(name="ddpm"), setting.models.scheduler_config)
        if checkpointing:
            setting.models.unet.enable_gradient_checkpointing()
        self._scale = setting.models.vae.config.scaling_factor
        vae, device = setting.models.vae, setting.accelerator.device
        frames = setting.frames.train
        self._train = encode(vae, frames, device, "encoding frames", flip=setting.flip)
        self._held_out: EncodedFrames | None = None
        if len(setting.frames.held_out):
            self._held_out = encode(vae, setting.frames.held_out, device, "encoding held-out")

    @property
    def size(self) -> int:
        return len(self._setting.frames.train)

    def terms(self, numbers: torch.Tensor, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """See `learner.Learner`; `prior` stands beside `loss` where a prior is preserved."""
        count = len(numbers)
        if self._setting.flip:
            numbers = numbers + self.size * torch.randint(2, (count,), generator=generator)
        latents = self._train.draw(numbers, generator)
        prompts = torch.randint(self._prompts, (count,), generator=generator)
        if self._prior is not None:
            others = torch.randint(len(self._prior.latents), (count,), generator=generator)
            latents = torch.cat([latents, self._prior.latents.draw(others, generator)])
            prompts = torch.cat([prompts, torch.full_like(prompts, self._prior.prompt)])
        noise = torch.randn(latents.shape, generator=generator)
        times = torch.randint(len(self._scheduler.betas), (len(latents),), generator=generator)
        signal = self._scheduler.alphas_cumprod.cpu()[times]
        kind = self._scheduler.config.prediction_type
        weights = min_snr_weight(signal, kind, self._min_snr).to(self._device)
        errors = self._errors(latents, noise, times, prompts) * weights
        if self._prior is None:
            return {"loss": errors.mean()}
        kept = self._prior.weight * errors[count:].mean()
        return {"loss": errors[:count].mean(), "prior": kept}

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Return the loss on the held-out frames, each at the same noise and levels
        whenever asked.
        """
        if self._held_out is None:
            return {}
        latents = self._held_out.mean.repeat_interleave(TIMES, 0)
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
        share = (torch.arange(len(latents)) + 0.5) / len(latents)
        times = (share * len(self._scheduler.betas)).long()
        # The levels of one frame are far apart, and all frames together cover all levels.
        times = times.view(TIMES, -1).T.flatten()
        prompts = torch.arange(len(latents)) % self._prompts
        with self._setting.accelerator.autocast():
            errors = [
                self._errors(*(part[at : at + CHUNK] for part in (latents, noise, times, prompts)))
                for at in range(0, len(latents), CHUNK)
            ]
        return {"loss": float(torch.cat(errors).mean())}

    @torch.no_grad()
    def sheet(self) -> np.ndarray:
        """Target frames above, pictures of the caption below, from the same noise every time."""
        own = self._setting
        count = min(own.samples, self.size)
        seeds = [seed_of(own.seed, SAMPLES, number) for number in range(count)]
        with own.accelerator.autocast():
            made = draw(own.models, own.drawing, self._caption, own.size, seeds)
        return sheet([own.frames.train[:count], made])

    @property
    def _device(self) -> torch.device:
        return self._setting.accelerator.device

    def _errors(
        self,
        latents: torch.Tensor,
        noise: torch.Tensor,
        times: torch.Tensor,
        prompts: torch.Tensor,
    ) -> torch.Tensor:
        """Return the squared error of each item, (B,) on the device."""
        device = self._device
        latents = (latents * self._scale).to(device)
        noise, times = noise.to(device), times.to(device)
        noisy = self._scheduler.add_noise(latents, noise, times)
        states = self._conditions(prompts.to(device))
        prediction = self._setting.models.unet(noisy, times, states).sample
        return squared_error(prediction, target(self._scheduler, latents, noise, times))


@torch.no_grad()
def fixed(setting: LearnerSettings, ids: torch.Tensor) -> Conditions:
    """Return the conditions of prompts, ids (P, L), by a text encoder that does not
    learn: a table.
    """
    device = setting.accelerator.device
    states = setting.models.text_encoder(ids.to(device))[0]
    return lambda numbers: states[numbers]
