"""Training of a denoiser on the target's frames, which three of the methods share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vidda.translate.stable_diffusion.cpu_attention import use_cpu_attention
from vidda.translate.stable_diffusion.personalize.encoded_frames import EncodedFrames, encode_images
from vidda.translate.stable_diffusion.personalize.learner import LearnerSettings
from vidda.translate.stable_diffusion.personalize.objective import (
    min_snr_weight,
    prediction_target,
    squared_error,
)
from vidda.translate.stable_diffusion.personalize.render_images import (
    image_grid,
    render,
    seed_of,
)
from vidda.translate.stable_diffusion.schedulers import SchedulerConfig, build_scheduler

LEVELS_PER_FRAME = 4
"""Noise levels at which each held-out frame is measured."""
CHUNK = 8
SAMPLE_IMAGES = 2
"""The purpose of the seeds of sample images, for `render_images.seed_of`."""

PromptStates = Callable[[torch.Tensor], torch.Tensor]
"""From prompt numbers (B,) to the text encoder's states (B, L, D)."""


@dataclass(frozen=True)
class Prior:
    """Images of the class rendered by the base, which keep it from forgetting the class.

    latents: of the images. prompt: the number of their prompt, for `PromptStates`. weight: of their
    loss.
    """

    latents: EncodedFrames
    prompt: int
    weight: float


class DenoiserLearner:
    """A `Learner` that trains a denoiser on the target's frames; the method chooses the parameters.

    learned: the parameters to train, by name. prompt_states: encodes prompts by number: the frames'
    are 0..prompts-1, one of them at random for each frame, and the prior's is `prior.prompt`.
    caption: the prompt of sample images. min_snr: gamma of `objective.min_snr_weight`.
    checkpointing: compute the UNet's activations twice to save memory. save: writes the result.
    """

    def __init__(
        self,
        settings: LearnerSettings,
        learned: Mapping[str, torch.nn.Parameter],
        prompt_states: PromptStates,
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
        self._settings = settings
        self._prompt_states = prompt_states
        self._prompts = prompts
        self._caption = caption
        self._min_snr = min_snr
        self._prior = prior
        self._scheduler = build_scheduler(
            SchedulerConfig(name="ddpm"), settings.models.scheduler_config
        )
        if checkpointing:
            settings.models.unet.enable_gradient_checkpointing()
        if settings.accelerator.device.type == "cpu":
            use_cpu_attention(settings.models.unet)
        self._scale = settings.models.vae.config.scaling_factor
        vae, device = settings.models.vae, settings.accelerator.device
        frames = settings.frames.train
        self._train = encode_images(vae, frames, device, "encoding frames", flip=settings.flip)
        self._held_out: EncodedFrames | None = None
        if len(settings.frames.held_out):
            self._held_out = encode_images(
                vae, settings.frames.held_out, device, "encoding held-out"
            )

    @property
    def size(self) -> int:
        """Return the number of training frames."""
        return len(self._settings.frames.train)

    def loss_terms(
        self, numbers: torch.Tensor, generator: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Return the terms whose sum is the loss: `loss`, and `prior` with prior preservation.

        numbers: (B,) of training frames. generator: of all random numbers, on the CPU.
        """
        count = len(numbers)
        if self._settings.flip:
            numbers = numbers + self.size * torch.randint(2, (count,), generator=generator)
        latents = self._train.sample(numbers, generator)
        prompts = torch.randint(self._prompts, (count,), generator=generator)
        if self._prior is not None:
            others = torch.randint(len(self._prior.latents), (count,), generator=generator)
            latents = torch.cat([latents, self._prior.latents.sample(others, generator)])
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
        """Return the loss on the held-out frames, at the same noise and noise levels every time."""
        if self._held_out is None:
            return {}
        latents = self._held_out.mean.repeat_interleave(LEVELS_PER_FRAME, 0)
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
        share = (torch.arange(len(latents)) + 0.5) / len(latents)
        times = (share * len(self._scheduler.betas)).long()
        # Each frame gets levels that are far apart, and all frames together cover all levels.
        times = times.view(LEVELS_PER_FRAME, -1).T.flatten()
        prompts = torch.arange(len(latents)) % self._prompts
        with self._settings.accelerator.autocast():
            errors = [
                self._errors(*(part[at : at + CHUNK] for part in (latents, noise, times, prompts)))
                for at in range(0, len(latents), CHUNK)
            ]
        return {"loss": float(torch.cat(errors).mean())}

    @torch.no_grad()
    def contact_sheet(self) -> np.ndarray:
        """Return target frames above images of the caption, from the same noise every time.

        One image, (height, width, 3) uint8 RGB.
        """
        own = self._settings
        count = min(own.samples, self.size)
        seeds = [seed_of(own.seed, SAMPLE_IMAGES, number) for number in range(count)]
        with own.accelerator.autocast():
            made = render(own.models, own.drawing, self._caption, own.size, seeds)
        return image_grid([own.frames.train[:count], made])

    @property
    def _device(self) -> torch.device:
        return self._settings.accelerator.device

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
        states = self._prompt_states(prompts.to(device))
        prediction = self._settings.models.unet(noisy, times, states).sample
        return squared_error(prediction, prediction_target(self._scheduler, latents, noise, times))


@torch.no_grad()
def encode_once(settings: LearnerSettings, ids: torch.Tensor) -> PromptStates:
    """Return the states of prompts as a table, computed once, for a text encoder that is frozen.

    ids: (P, L) token ids.
    """
    device = settings.accelerator.device
    states = settings.models.text_encoder(ids.to(device))[0]
    return lambda numbers: states[numbers]
