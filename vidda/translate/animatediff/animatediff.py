"""AnimateDiff: motion modules between the layers of Stable Diffusion 1.x, with its ControlNets."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import torch
from pydantic import Field, field_validator, model_validator

from vidda.control.cache_keys import config_identity
from vidda.device import choose_precision, torch_dtype
from vidda.errors import ViddaError
from vidda.translate.animatediff.motion_windows import motion_windows, padded_length
from vidda.translate.stable_diffusion import cost
from vidda.translate.stable_diffusion.fingerprint import fingerprint, model_content
from vidda.translate.stable_diffusion.folders import ModelFolder
from vidda.translate.stable_diffusion.latent_diffusion import (
    LatentDiffusionConfig,
    check_sampling,
)
from vidda.translate.stable_diffusion.model_files import ModelFiles, find_model_files
from vidda.translate.stable_diffusion.model_finder import ModelFinder
from vidda.translate.stable_diffusion.noise import IndependentNoise, NoiseConfig
from vidda.translate.stable_diffusion.prompt_encoder import overlong_prompts
from vidda.translate.stable_diffusion.sampling_config import ClipSamplingConfig
from vidda.translate.stable_diffusion.sampling_start import FromImage, SamplingStartConfig
from vidda.translate.stable_diffusion.schedulers import SchedulerConfig
from vidda.translate.stable_diffusion.vocabulary import load_vocabulary
from vidda.translate.stable_diffusion.weights_config import WeightsConfig
from vidda.weights import Folder, Hub, SourceConfig

if TYPE_CHECKING:
    from vidda.translate.stable_diffusion.sampler import ClipSampler

MOTION = 0.306
"""TFLOP that motion modules add to a pass of the UNet for a frame of 512x512, in windows of 16."""


class MotionSchedulerConfig(SchedulerConfig):
    """A scheduler of diffusers with the noise schedule that motion modules were trained with."""

    name: str = Field(default="ddim", description=SchedulerConfig.model_fields["name"].description)
    overrides: dict[str, bool | int | float | str] = Field(
        default={"beta_schedule": "linear", "timestep_spacing": "linspace"},
        description="settings of the diffusers class; beta_schedule is linear if not set otherwise",
    )

    @field_validator("overrides")
    @classmethod
    def _with_schedule(cls, overrides: dict[str, Any]) -> dict[str, Any]:
        """Return the overrides with the modules' noise schedule, not that of the base's folder."""
        return {"beta_schedule": "linear", **overrides}


class MotionWeightsConfig(WeightsConfig):
    """The weights of Stable Diffusion 1.5, its ControlNets, and the motion modules."""

    backbone: ClassVar[str] = "animatediff"

    motion_adapter: SourceConfig = Field(
        default=Hub(repo="guoyww/animatediff-motion-adapter-v1-5-2"),
        description="the motion modules (MotionAdapter); those of SD 1.x fit all its finetunes",
    )


class MotionSamplingConfig(ClipSamplingConfig):
    """The settings of the sampler with motion modules."""

    scheduler: MotionSchedulerConfig = Field(
        default=MotionSchedulerConfig(), description="the sampling scheduler"
    )
    steps: int = Field(default=25, ge=1, description="steps of the scheduler from pure noise")
    guidance: float = Field(
        default=7.5,
        ge=0.0,
        description="weight of classifier-free guidance; 1 or less: off, no negative prompt",
    )
    noise: NoiseConfig = Field(
        default=IndependentNoise(), description="how the noise of a clip's frames is related"
    )
    start: SamplingStartConfig = Field(
        default=FromImage(strength=0.8), description="the latents that sampling starts from"
    )
    window: int = Field(
        default=16, ge=2, description="frames in the motion modules at once; 16 in their training"
    )
    overlap: int = Field(
        default=4, ge=0, description="frames that neighboring windows of a long clip share"
    )

    @model_validator(mode="after")
    def _windows_move(self) -> Self:
        if self.overlap >= self.window:
            raise ValueError(f"overlap {self.overlap} is not under window {self.window}; lower it")
        return self


class AnimateDiffConfig(LatentDiffusionConfig):
    """AnimateDiff (arXiv 2307.04725): Stable Diffusion 1.x with motion modules and ControlNets."""

    name: Literal["animatediff"] = Field(
        default="animatediff", description="Stable Diffusion 1.x with motion modules"
    )
    weights: MotionWeightsConfig = Field(
        default=MotionWeightsConfig(), description="the model's weights"
    )
    sampling: MotionSamplingConfig = Field(
        default=MotionSamplingConfig(), description="settings of the sampler"
    )

    def settings(self) -> dict[str, Any]:
        """Return the settings that determine a clip's frames, except weights, as plain data."""
        same = self.sampling.model_copy(update={"vae_chunk": 1})
        return {"name": self.name, "sampling": config_identity(same), "precision": self.precision}

    def find(self) -> "AnimateDiff":
        """Find and check all files; raise ViddaError with a line for each mistake."""
        files, motion = self._find_files()
        backbone = AnimateDiff(self, files, motion)
        backbone.check()
        return backbone

    def _find_files(self) -> tuple[ModelFiles, ModelFolder]:
        """Return the files of the base and of the motion modules; raise as `find` does."""
        finder = ModelFinder(self.weights)
        motion = finder.source_model(
            f"{finder.key}motion_adapter", self.weights.motion_adapter, ("MotionAdapter",)
        )
        try:
            files = find_model_files(self.weights)
        except ViddaError as error:
            raise ViddaError("\n".join([str(error), *finder.problems])) from None
        if motion is None:
            raise ViddaError("\n".join(finder.problems))
        return files, motion

    def cost(self, frames: int, height: int, width: int) -> float | None:
        """Return the TFLOP of translating a clip, also before files are downloaded."""
        offline = self.weights.model_copy(update={"download": False})
        try:
            files = find_model_files(offline)
        except ViddaError:
            files = cost.SD15_FILES
        return motion_teraflops(self, files, frames, height, width)

    def folder_problems(self) -> list[str]:
        """Return a line for each mistake in local folders; none when a source is on the hub."""
        weights = self.weights
        sources = [weights.base, weights.motion_adapter, *(n.source for n in weights.controlnets)]
        if not all(isinstance(source, Folder) for source in sources):
            return []
        try:
            self._find_files()
        except ViddaError as error:
            return str(error).splitlines()
        return []


def motion_teraflops(
    config: AnimateDiffConfig, files: ModelFiles, frames: int, height: int, width: int
) -> float | None:
    """Return the TFLOP of translating a clip; None for a UNet of other widths than 1.5's.

    frames: of the clip, before it is filled to whole windows.
    """
    if list(files.unet.config.get("block_out_channels", ())) != cost.SD15:
        return None
    sampling = config.sampling
    length = padded_length(frames, sampling.window, sampling.overlap)
    windows = len(motion_windows(length, sampling.window, sampling.overlap))
    counted = cost.count_passes(sampling, config.weights, files.scheduler)
    frame = counted.unet * (cost.UNET + MOTION) + counted.controlnets * cost.CONTROLNET
    outside = cost.DECODE + cost.ENCODE * cost.encodes_source(sampling)
    pixels = height * width / cost.SD15_PIXELS
    return (windows * sampling.window * frame + length * outside) * pixels


@dataclass(frozen=True, slots=True)
class AnimateDiff:
    """An AnimateDiff backbone whose files were found on this machine; motion: the adapter's."""

    config: AnimateDiffConfig
    files: ModelFiles
    motion: ModelFolder

    def check(self) -> None:
        """Raise ViddaError for settings that are refused and for modules of another UNet."""
        problems = list(self._motion_problems())
        try:
            check_sampling(self.config, self.files)
        except ViddaError as error:
            problems += str(error).splitlines()
        if problems:
            raise ViddaError("\n".join(problems))

    def _motion_problems(self) -> Iterator[str]:
        unet, motion = self.files.unet, self.motion
        widths = [list(part.config.get("block_out_channels", ())) for part in (unet, motion)]
        layers = [
            part.config.get(key, 2)
            for part, key in ((unet, "layers_per_block"), (motion, "motion_layers_per_block"))
        ]
        if widths[0] != widths[1] or layers[0] != layers[1]:
            yield (
                f"{motion.path}: motion modules for a UNet of widths {widths[1]} and"
                f" {layers[1]} layers a block, but {unet.path} has {widths[0]} and {layers[0]};"
                " name those of its kind"
            )
        if motion.config.get("conv_in_channels"):
            yield f"{motion.path}: a PIA adapter, which needs a first image; name a MotionAdapter"
        longest = motion.config.get("motion_max_seq_length", 32)
        if self.config.sampling.window > longest:
            yield (
                f"backbone.sampling.window: {self.config.sampling.window} frames, but {motion.path}"
                f" takes {longest} at once; lower it"
            )

    @property
    def multiple(self) -> int:
        """Return the pixels of which both sides of a frame are multiples."""
        return self.files.pixels_per_latent

    def frames(self, count: int) -> int:
        """Return the number of frames that whole windows cover, at least `count`.

        Windows of one length make a clip's frames independent of how many follow its last window.
        """
        return padded_length(count, self.config.sampling.window, self.config.sampling.overlap)

    def fingerprint(self) -> str:
        """Return the hex digest of all weights, model configs, scales and step windows."""
        base = fingerprint(self.config.weights, self.files)
        return hashlib.sha256(f"{base}/{model_content(self.motion)}".encode()).hexdigest()

    def too_long(self, prompts: Sequence[str]) -> dict[str, str]:
        """Return the prompts that the text encoder would cut, each with its length in words."""
        return overlong_prompts(load_vocabulary(self.config.weights, self.files), prompts)

    def work(self) -> str:
        """Return the steps and passes of the networks for a window, as text for the plan."""
        sampling = self.config.sampling
        counted = cost.count_passes(sampling, self.config.weights, self.files.scheduler)
        return (
            f"each window of {sampling.window} frames: {counted.steps} steps, {counted.unet} passes"
            f" of the UNet, {counted.controlnets} of ControlNets"
        )

    def cost(self, frames: int, height: int, width: int) -> float | None:
        """Return the TFLOP of translating a clip; None for UNets that were not counted."""
        return motion_teraflops(self.config, self.files, frames, height, width)

    def load(self, device: torch.device, pixels: int) -> "ClipSampler":
        """Load all models onto a device; raise ViddaError when one cannot be loaded.

        pixels: not used.
        """
        # They import diffusers, which a config that is only checked does not need.
        from vidda.translate.animatediff.motion_denoiser import MotionDenoiser
        from vidda.translate.animatediff.motion_unet import with_motion
        from vidda.translate.stable_diffusion.loading import load_models
        from vidda.translate.stable_diffusion.sampler import ClipSampler

        sampling = self.config.sampling
        dtype = torch_dtype(choose_precision(self.config.precision, device))
        models = load_models(self.config.weights, device, dtype, self.files)
        models = replace(models, unet=with_motion(models.unet, self.motion))
        denoiser = MotionDenoiser(models, sampling.window, sampling.overlap)
        return ClipSampler(models, sampling, denoiser)
