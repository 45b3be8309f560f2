"""Clips in, translated clips out: steps outside, chunks of frames inside.

In every step all frames pass through the networks chunk by chunk, then the scheduler takes one step
for all of them. So the result does not depend on the chunk size, memory does not grow with the
clip but for its latents, and a scheduler that remembers earlier steps remembers each frame's own.
"""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from vidda.translate.clip_job import ClipJob
from vidda.translate.stable_diffusion import schedulers
from vidda.translate.stable_diffusion.conditions import Conditions, check
from vidda.translate.stable_diffusion.denoiser import Denoiser
from vidda.translate.stable_diffusion.fitting import Fitting
from vidda.translate.stable_diffusion.keep_person import KeepLatents, KeepPixels
from vidda.translate.stable_diffusion.latents import decode, encode, factor, on_latents
from vidda.translate.stable_diffusion.loading import ControlNet, Models
from vidda.translate.stable_diffusion.sampling_config import SamplingConfig, guided, runs
from vidda.translate.stable_diffusion.start import FromNoise, StartInputs, schedule
from vidda.translate.stable_diffusion.text import PromptEncoder


class StableDiffusionTranslator:
    """Translates clips with one set of models and one config.

    The UNet of the models is given the attention that the config asks for; a Translator made later
    with the same models takes it over. Raises ViddaError when the UNet has no layers to wrap.
    """

    def __init__(self, models: Models, config: SamplingConfig) -> None:
        self._models, self._config = models, config
        self._prompts = PromptEncoder(models.tokenizer, models.text_encoder)
        self.denoiser = Denoiser(models, config.context, config.chunk, compile=config.compile)
        self._slices = Fitting(config.vae_chunk, "vae_chunk")

    def translate(self, clips: Sequence[ClipJob]) -> list[np.ndarray]:
        """Return the translation of each clip, (T, H, W, 3) uint8 RGB.

        clips: pass through the networks together, so frames of one size; each comes out as it would
        alone, but for rounding. Raises ViddaError, naming every mistake, before anything is
        computed, and when the result is not finite.
        """
        for latents in self.denoise(clips):
            last = latents
        decoded = decode(self._models.vae, last, self._slices)
        ends = np.cumsum([len(clip.frames) for clip in clips])
        translated = np.split(decoded, ends[:-1])
        for clip, frames in zip(clips, translated, strict=True):
            if self._config.match_color:
                match_to_first(frames)
            if isinstance(self._config.keep_person, KeepPixels):
                assert clip.mask is not None  # checked before sampling
                self._config.keep_person.paste(frames, clip.frames, clip.mask)
        return translated

    @torch.inference_mode()
    def denoise(self, clips: Sequence[ClipJob]) -> Iterator[torch.Tensor]:
        """Yield the latents of all frames of the clips after each step, (N, 4, h, w) float32."""
        config = self._config
        check(clips, self._models, config)
        conditions = Conditions(clips, self._models, self._prompts)
        scheduler = schedulers.build(config.scheduler, self._models.scheduler_config)
        timesteps = schedule(scheduler, config.steps, config.start.strength)

        def predict(latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
            nets = self._models.controlnets
            return self.denoiser.predict(latents, timestep, conditions, nets)

        source, mask = self._source(clips), self._mask(clips)
        given = StartInputs(scheduler, timesteps, self._noise(clips), source, predict)
        latents = self._blend(config.start.begin(given), mask, given, 0)
        for step, timestep in enumerate(timesteps):
            latents = scheduler.step(
                self.denoiser.predict(
                    scheduler.scale_model_input(latents, timestep),
                    timestep,
                    conditions,
                    self._active(step, len(timesteps)),
                    self._guidance(step, len(timesteps)),
                ),
                timestep,
                latents,
                **self._arguments(scheduler, clips, step),
                return_dict=False,
            )[0]
            latents = self._blend(latents, mask, given, step + 1)
            yield latents

    def _active(self, step: int, steps: int) -> list[ControlNet]:
        """Return the ControlNets that run in a step."""
        nets = self._models.controlnets
        return [net for net in nets if runs(step, steps, net.start, net.end)]

    def _guidance(self, step: int, steps: int) -> float | None:
        """Return the weight of guidance in a step; None where it is not computed."""
        weight = self._config.guidance
        return weight if weight > 1 and guided(step, steps, self._config.guidance_stop) else None

    def _noise(self, clips: Sequence[ClipJob]) -> torch.Tensor:
        """Return the unit normal noise of all frames, (N, 4, h, w) float32."""
        draw = self._config.noise.draw
        shape = (self._models.unet.config.in_channels, *self._grid(clips))
        parts = [draw(clip.seed, len(clip.frames), shape, clip.controls) for clip in clips]
        return torch.cat(parts).to(self._models.unet.device)

    def _source(self, clips: Sequence[ClipJob]) -> torch.Tensor | None:
        """Return the latents of the source's frames, (N, 4, h, w) float32, where they
        are needed.
        """
        keeps = isinstance(self._config.keep_person, KeepLatents)
        if isinstance(self._config.start, FromNoise) and not keeps:
            return None
        return torch.cat([encode(self._models.vae, clip.frames, self._slices) for clip in clips])

    def _mask(self, clips: Sequence[ClipJob]) -> torch.Tensor | None:
        """Return how much each latent is the person's, (N, 1, h, w) float32, where latents are
        kept.
        """
        keep = self._config.keep_person
        if not isinstance(keep, KeepLatents):
            return None
        masks = [clip.mask for clip in clips if clip.mask is not None]
        parts = [on_latents(mask, self._grid(clips), keep.feather) for mask in masks]
        return torch.cat(parts).to(self._models.unet.device)

    def _grid(self, clips: Sequence[ClipJob]) -> tuple[int, int]:
        """Return height and width of the latents."""
        height, width = clips[0].frames.shape[1:3]
        pixels = factor(self._models.vae)
        return height // pixels, width // pixels

    def _blend(
        self, latents: torch.Tensor, mask: torch.Tensor | None, given: StartInputs, step: int
    ) -> torch.Tensor:
        """Return latents about to enter a step, with the person's own where they are kept."""
        keep = self._config.keep_person
        if not isinstance(keep, KeepLatents) or mask is None or step == len(given.timesteps):
            return latents
        return keep.blend(latents, mask, given, given.timesteps[step])

    def _arguments(self, scheduler: Any, clips: Sequence[ClipJob], step: int) -> dict[str, Any]:
        """What a step of a scheduler is given beside latents: its noise, and LMS's order."""
        eta = schedulers.step_eta(self._config.scheduler, scheduler)
        given: dict[str, Any] = {} if eta is None else {"eta": eta}
        accepted = inspect.signature(scheduler.step).parameters
        if "generator" in accepted:
            draw = self._config.noise.step_generators
            each = [draw(clip.seed, step, len(clip.frames)) for clip in clips]
            given["generator"] = [generator for clip in each for generator in clip]
        if "order" in accepted:
            # LMS knows the levels before its start, but not what the network said there.
            given["order"] = min(accepted["order"].default, step + 1)
        return given


def match_to_first(frames: np.ndarray) -> None:
    """Give every frame, in place, each channel's mean and deviation in frame 0.

    frames: (T, H, W, 3) uint8. Reinhard et al., Color Transfer between Images, 2001, in RGB; it
    takes away slow drift of brightness and color, and also what of it is the source's own.
    """
    mean, deviation = _statistics(frames[0])
    for frame in frames[1:]:
        own_mean, own_deviation = _statistics(frame)
        gain = deviation / np.maximum(own_deviation, 1e-3)
        matched = (frame - own_mean) * gain + mean
        frame[:] = np.rint(matched.clip(0, 255)).astype(np.uint8)


def _statistics(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pixels = frame.reshape(-1, 3).astype(np.float32)
    return pixels.mean(axis=0), pixels.std(axis=0)
