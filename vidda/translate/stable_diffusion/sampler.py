"""The sampler, which translates clips: a loop over steps around a loop over chunks of frames.

In every step all frames pass through the networks chunk by chunk, then the scheduler takes one step
for all of them. So the result does not depend on the chunk size, only the latents grow with the
clip, and a scheduler that uses earlier steps has those of each frame.
"""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from vidda.translate.clip_job import ClipJob
from vidda.translate.stable_diffusion import schedulers
from vidda.translate.stable_diffusion.batch_fitting import Fitting
from vidda.translate.stable_diffusion.conditions import Conditions, check_clips
from vidda.translate.stable_diffusion.denoiser import Denoiser
from vidda.translate.stable_diffusion.keep_person import KeepLatents, KeepPixels
from vidda.translate.stable_diffusion.latents import (
    decode_latents,
    encode_frames,
    mask_to_latents,
    pixels_per_latent_of,
)
from vidda.translate.stable_diffusion.loading import ControlNet, Models
from vidda.translate.stable_diffusion.prompt_encoder import PromptEncoder
from vidda.translate.stable_diffusion.sampling_config import (
    ClipSamplingConfig,
    SamplingConfig,
    controlnet_runs,
    has_guidance,
)
from vidda.translate.stable_diffusion.sampling_start import FromNoise, StartInputs, set_timesteps


class PredictsNoise(Protocol):
    """The networks' output for all frames of some clips at one timestep; see `Denoiser`."""

    def predict(
        self,
        latents: torch.Tensor,
        timestep: torch.Tensor,
        conditions: Conditions,
        nets: Sequence[ControlNet],
        guidance: float | None = None,
    ) -> torch.Tensor:
        """Return the output for latents (N, 4, h, w), float32, in the same shape."""
        ...


class ClipSampler:
    """Translates clips with one set of models, one config, and a way to run the networks.

    denoiser: runs the networks of `models`.
    """

    def __init__(self, models: Models, config: ClipSamplingConfig, denoiser: PredictsNoise) -> None:
        self._models, self._config = models, config
        self._prompts = PromptEncoder(models.tokenizer, models.text_encoder)
        self._denoiser = denoiser
        self._slices = Fitting(config.vae_chunk, "vae_chunk")

    def translate(self, clips: Sequence[ClipJob]) -> list[np.ndarray]:
        """Return the translation of each clip, (T, H, W, 3) uint8 RGB.

        clips: with frames of one size; they share the networks' batches, and each result is the
        same as alone but for rounding. Raises ViddaError, naming every mistake, before anything is
        computed, and when the result is not finite.
        """
        for latents in self.denoise(clips):
            last = latents
        decoded = decode_latents(self._models.vae, last, self._slices)
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
        """Yield the latents (N, 4, h, w) float32 of all frames of the clips, after each step."""
        config = self._config
        check_clips(clips, self._models, config)
        conditions = Conditions(clips, self._models, self._prompts)
        scheduler = schedulers.build_scheduler(config.scheduler, self._models.scheduler_config)
        timesteps = set_timesteps(scheduler, config.steps, config.start.strength)

        def predict(latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
            nets = self._models.controlnets
            return self._denoiser.predict(latents, timestep, conditions, nets)

        source, mask = self._source(clips), self._mask(clips)
        inputs = StartInputs(scheduler, timesteps, self._noise(clips), source, predict)
        latents = self._blend(config.start.begin(inputs), mask, inputs, 0)
        for step, timestep in enumerate(timesteps):
            latents = scheduler.step(
                self._denoiser.predict(
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
            latents = self._blend(latents, mask, inputs, step + 1)
            yield latents

    def _active(self, step: int, steps: int) -> list[ControlNet]:
        """Return the ControlNets that run in a step."""
        nets = self._models.controlnets
        return [net for net in nets if controlnet_runs(step, steps, net.start, net.end)]

    def _guidance(self, step: int, steps: int) -> float | None:
        """Return the weight of classifier-free guidance in a step; None where it is off."""
        weight = self._config.guidance
        return (
            weight if weight > 1 and has_guidance(step, steps, self._config.guidance_stop) else None
        )

    def _noise(self, clips: Sequence[ClipJob]) -> torch.Tensor:
        """Return the unit normal noise of all frames, (N, 4, h, w) float32."""
        draw = self._config.noise.draw
        shape = (self._models.unet.config.in_channels, *self._grid(clips))
        parts = [draw(clip.seed, len(clip.frames), shape, clip.controls) for clip in clips]
        return torch.cat(parts).to(self._models.unet.device)

    def _source(self, clips: Sequence[ClipJob]) -> torch.Tensor | None:
        """Return the latents of the source's frames, (N, 4, h, w); None where not needed."""
        keeps = isinstance(self._config.keep_person, KeepLatents)
        if isinstance(self._config.start, FromNoise) and not keeps:
            return None
        return torch.cat(
            [encode_frames(self._models.vae, clip.frames, self._slices) for clip in clips]
        )

    def _mask(self, clips: Sequence[ClipJob]) -> torch.Tensor | None:
        """Return the person's share of each latent, (N, 1, h, w); None where not needed."""
        keep = self._config.keep_person
        if not isinstance(keep, KeepLatents):
            return None
        masks = [clip.mask for clip in clips if clip.mask is not None]
        parts = [mask_to_latents(mask, self._grid(clips), keep.feather) for mask in masks]
        return torch.cat(parts).to(self._models.unet.device)

    def _grid(self, clips: Sequence[ClipJob]) -> tuple[int, int]:
        """Return height and width of the latents."""
        height, width = clips[0].frames.shape[1:3]
        pixels = pixels_per_latent_of(self._models.vae)
        return height // pixels, width // pixels

    def _blend(
        self, latents: torch.Tensor, mask: torch.Tensor | None, inputs: StartInputs, step: int
    ) -> torch.Tensor:
        """Return the latents that enter a step, with the source's where the person is kept."""
        keep = self._config.keep_person
        if not isinstance(keep, KeepLatents) or mask is None or step == len(inputs.timesteps):
            return latents
        return keep.blend(latents, mask, inputs, inputs.timesteps[step])

    def _arguments(self, scheduler: Any, clips: Sequence[ClipJob], step: int) -> dict[str, Any]:
        """Return a scheduler step's further arguments: eta, generators of noise, LMS's order."""
        eta = schedulers.step_eta(self._config.scheduler, scheduler)
        arguments: dict[str, Any] = {} if eta is None else {"eta": eta}
        accepted = inspect.signature(scheduler.step).parameters
        if "generator" in accepted:
            draw = self._config.noise.step_generators
            each = [draw(clip.seed, step, len(clip.frames)) for clip in clips]
            arguments["generator"] = [generator for clip in each for generator in clip]
        if "order" in accepted:
            # Without this limit LMS would use network outputs from before its first step.
            arguments["order"] = min(accepted["order"].default, step + 1)
        return arguments


class StableDiffusionTranslator(ClipSampler):
    """Translates clips with one set of models and one config.

    The attention layers of the models' UNet are changed as config.context asks; a translator made
    later with the same models changes them again. Raises ViddaError when the UNet has no layers for
    cross-frame attention.
    """

    def __init__(self, models: Models, config: SamplingConfig) -> None:
        self.denoiser = Denoiser(models, config.context, config.chunk, compile=bool(config.compile))
        super().__init__(models, config, self.denoiser)


def match_to_first(frames: np.ndarray) -> None:
    """Set each channel's mean and standard deviation to those of frame 0, in place.

    frames: (T, H, W, 3) uint8. Reinhard et al., Color Transfer between Images, 2001, in RGB. It
    removes slow drift of brightness and color, including that of the source.
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
