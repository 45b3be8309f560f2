"""Stable Diffusion 1.x or 2.x with ControlNets, frame by frame or with cross-frame attention."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import Field

from vidda.control.cache_keys import config_identity
from vidda.device import choose_precision, torch_dtype
from vidda.errors import ViddaError
from vidda.translate.stable_diffusion import cost
from vidda.translate.stable_diffusion.fingerprint import fingerprint
from vidda.translate.stable_diffusion.latent_diffusion import (
    LatentDiffusionConfig,
    check_sampling,
)
from vidda.translate.stable_diffusion.model_files import ModelFiles, find_model_files
from vidda.translate.stable_diffusion.prompt_encoder import overlong_prompts
from vidda.translate.stable_diffusion.sampling_config import SamplingConfig
from vidda.translate.stable_diffusion.vocabulary import load_vocabulary
from vidda.weights import Folder

log = logging.getLogger("vidda")

if TYPE_CHECKING:
    from vidda.translate.stable_diffusion.sampler import StableDiffusionTranslator


class StableDiffusionConfig(LatentDiffusionConfig):
    """Stable Diffusion (arXiv 2112.10752) with ControlNets (arXiv 2302.05543)."""

    name: Literal["stable_diffusion"] = Field(
        default="stable_diffusion", description="Stable Diffusion 1.x or 2.x, frame by frame"
    )
    sampling: SamplingConfig = Field(
        default=SamplingConfig(), description="settings of the sampler"
    )

    def settings(self) -> dict[str, Any]:
        """Return the settings that determine a clip's frames, except weights, as plain data."""
        # Keys that do not change the result are set to constants.
        same = self.sampling.model_copy(update={"chunk": 1, "vae_chunk": 1, "compile": False})
        return {"name": self.name, "sampling": config_identity(same), "precision": self.precision}

    def find(self) -> "StableDiffusion":
        """Find and check all files; raise ViddaError with a line for each mistake."""
        backbone = StableDiffusion(self, find_model_files(self.weights))
        backbone.check()
        return backbone

    def cost(self, frames: int, height: int, width: int) -> float | None:
        """Return the TFLOP of translating a clip, also before files are downloaded."""
        weights = self.weights.model_copy(update={"download": False})
        try:
            files = find_model_files(weights)
        except ViddaError:
            files = cost.SD15_FILES
        return StableDiffusion(self, files).cost(frames, height, width)

    def folder_problems(self) -> list[str]:
        """Return a line for each mistake in local folders; none when a source is on the hub."""
        sources = [self.weights.base, *(net.source for net in self.weights.controlnets)]
        if not all(isinstance(source, Folder) for source in sources):
            return []
        try:
            find_model_files(self.weights)
        except ViddaError as error:
            return str(error).splitlines()
        return []


@dataclass(frozen=True, slots=True)
class StableDiffusion:
    """A Stable Diffusion backbone whose files were found on this machine."""

    config: StableDiffusionConfig
    files: ModelFiles

    def check(self) -> None:
        """Raise ViddaError when the scheduler refuses its settings or an embedding does not fit."""
        check_sampling(self.config, self.files)

    @property
    def multiple(self) -> int:
        """Return the pixels of which both sides of a frame are multiples."""
        return self.files.pixels_per_latent

    def frames(self, count: int) -> int:
        """Return `count`, because clips may have any number of frames."""
        return count

    def fingerprint(self) -> str:
        """Return the hex digest of all weights, model configs, scales and step windows."""
        return fingerprint(self.config.weights, self.files)

    def too_long(self, prompts: Sequence[str]) -> dict[str, str]:
        """Return the prompts that the text encoder would cut, each with its length in words."""
        return overlong_prompts(load_vocabulary(self.config.weights, self.files), prompts)

    def work(self) -> str:
        """Return the steps and passes of the networks for a frame, as text for the plan."""
        counted = cost.count_passes(self.config.sampling, self.config.weights, self.files.scheduler)
        return (
            f"each frame: {counted.steps} steps, {counted.unet} passes of the UNet,"
            f" {counted.controlnets} of ControlNets"
        )

    def cost(self, frames: int, height: int, width: int) -> float | None:
        """Return the TFLOP of translating a clip; None for UNets that were not counted."""
        return self._pixels_cost(frames * height * width)

    def _pixels_cost(self, pixels: int) -> float | None:
        return cost.teraflops(self.config.sampling, self.config.weights, self.files, pixels)

    def load(self, device: torch.device, pixels: int) -> "StableDiffusionTranslator":
        """Load all models onto a device; raise ViddaError when one cannot be loaded.

        pixels: see `Backbone.load`; they decide whether compiling the networks is worth its time.
        """
        # They import diffusers, which a config that is only checked does not need.
        from vidda.translate.stable_diffusion.loading import load_models
        from vidda.translate.stable_diffusion.sampler import StableDiffusionTranslator

        config, weights = self.config, self.config.weights
        compile = self._compiles(device, pixels)
        if compile:  # their gain was measured together
            weights = weights.model_copy(update={"channels_last": True})
        dtype = torch_dtype(choose_precision(config.precision, device))
        models = load_models(weights, device, dtype, self.files)
        sampling = config.sampling.model_copy(update={"compile": compile})
        return StableDiffusionTranslator(models, sampling)

    def _compiles(self, device: torch.device, pixels: int) -> bool:
        """Return whether the networks are compiled, and log why where the config leaves it open."""
        if self.config.sampling.compile is not None or device.type != "cuda":
            return bool(self.config.sampling.compile)
        work = self._pixels_cost(pixels) if pixels else None
        if work is None:
            log.info("the networks are not compiled: what that saves is not known")
            return False
        saving = cost.compile_saving(work)
        if saving > 0:
            log.info("the networks are compiled, which saves about %.0f s", saving)
        else:
            log.info("the networks are not compiled, which would take %.0f s longer", -saving)
        return saving > 0
