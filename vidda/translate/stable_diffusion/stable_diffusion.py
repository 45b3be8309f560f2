"""Stable Diffusion 1.x or 2.x with ControlNets, frame by frame or with cross-frame attention."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import torch
from pydantic import Field

from vidda.config import Config
from vidda.control.cache_keys import config_identity
from vidda.control.clip_flow import FlowTarget
from vidda.control.control_config import ControlConfig
from vidda.device import PrecisionChoice, choose_precision, torch_dtype
from vidda.errors import ViddaError
from vidda.translate.stable_diffusion import cost, schedulers
from vidda.translate.stable_diffusion.fingerprint import fingerprint
from vidda.translate.stable_diffusion.keep_person import KeepLatents
from vidda.translate.stable_diffusion.model_files import ModelFiles, find_model_files
from vidda.translate.stable_diffusion.noise import FlowWarpedNoise
from vidda.translate.stable_diffusion.prompt_encoder import overlong_prompts
from vidda.translate.stable_diffusion.sampling_config import SamplingConfig
from vidda.translate.stable_diffusion.sampling_start import set_timesteps
from vidda.translate.stable_diffusion.vocabulary import load_vocabulary
from vidda.translate.stable_diffusion.weights_config import (
    EmbeddingConfig,
    LoraConfig,
    WeightsConfig,
)
from vidda.weights import Folder

log = logging.getLogger("vidda")

if TYPE_CHECKING:
    from vidda.translate.stable_diffusion.sampler import StableDiffusionTranslator

CONTROLNET = "controlnet_{}"
"""The folder of a ControlNet inside a base that holds all models, by kind."""


class StableDiffusionConfig(Config):
    """Stable Diffusion (arXiv 2112.10752) with ControlNets (arXiv 2302.05543)."""

    takes_base: ClassVar[bool] = True

    name: Literal["stable_diffusion"] = Field(
        default="stable_diffusion", description="Stable Diffusion 1.x or 2.x, frame by frame"
    )
    weights: WeightsConfig = Field(default=WeightsConfig(), description="the model's weights")
    sampling: SamplingConfig = Field(
        default=SamplingConfig(), description="settings of the sampler"
    )
    precision: PrecisionChoice = Field(
        default="fp32",
        description="number format of weights and compute; auto: bf16 where the device computes in"
        " it, else fp32",
    )

    @property
    def flows(self) -> tuple[FlowTarget, ...]:
        """Return the optical flow to compute; noise flow_warped needs that to frame 0 too."""
        warped = isinstance(self.sampling.noise, FlowWarpedNoise)
        return ("previous", "anchor") if warped else ("previous",)

    @property
    def keeps_person(self) -> bool:
        """Return whether sampling needs the mask of the person."""
        return self.sampling.keep_person is not None

    def problems(self, control: ControlConfig) -> list[str]:
        """Return a line for each conflict with the controls or within the scheduler's settings."""
        problems = list(self._problems(control))
        try:
            schedulers.build_scheduler(self.sampling.scheduler, schedulers.SD15_NOISE)
        except ViddaError as error:
            problems += str(error).splitlines()
        return problems

    def _problems(self, control: ControlConfig) -> Iterator[str]:
        for number, net in enumerate(self.weights.controlnets):
            if getattr(control, net.kind) is None:
                yield (
                    f"backbone.weights.controlnets.{number} reads {net.kind}, but"
                    f" control.{net.kind} is null; choose control.{net.kind}.name, or leave this"
                    " ControlNet out"
                )
        if isinstance(self.sampling.noise, FlowWarpedNoise) and control.flow is None:
            yield (
                "backbone.sampling.noise flow_warped needs control.flow; or take"
                " backbone.sampling.noise.name=shared"
            )

    def settings(self) -> dict[str, Any]:
        """Return the settings that determine a clip's frames, except weights, as plain data."""
        # Keys that do not change the result are set to constants.
        same = self.sampling.model_copy(update={"chunk": 1, "vae_chunk": 1, "compile": False})
        return {"name": self.name, "sampling": config_identity(same), "precision": self.precision}

    def describe_controls(self, control: ControlConfig) -> str:
        """Return one line with each ControlNet's source, scale and window of steps."""
        described = []
        for net in self.weights.controlnets:
            source = getattr(control, net.kind)
            name = source.name if source else "none"
            described.append(f"{net.kind} {name} x{net.scale:g} in {net.start:g}-{net.end:g}")
        return "; ".join(described)

    def find(self) -> "StableDiffusion":
        """Find and check all files; raise ViddaError with a line for each mistake."""
        backbone = StableDiffusion(self, find_model_files(self.weights))
        backbone.check()
        return backbone

    def cost(self, pixels: int) -> float | None:
        """Return the TFLOP of translating so many pixels, also before files are downloaded."""
        weights = self.weights.model_copy(update={"download": False})
        try:
            files = find_model_files(weights)
        except ViddaError:
            files = cost.SD15_FILES
        return StableDiffusion(self, files).cost(pixels)

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

    def with_base(self, folder: Path) -> Self:
        """Return the config with the pipeline in a folder and the ControlNets below it.

        folder: holds controlnet_edges/, controlnet_pose/ and so on, as the config has ControlNets.
        """
        nets = tuple(
            net.model_copy(update={"source": Folder(path=folder / CONTROLNET.format(net.kind))})
            for net in self.weights.controlnets
        )
        return self._with(base=Folder(path=folder), controlnets=nets)

    def with_personalized(self, method: str, result: Path) -> Self:
        """Return the config with the weights that `vidda personalize` wrote into `result`.

        Raises ViddaError when it has weights already that these would replace.
        """
        source = Folder(path=result)
        match method:
            case "dreambooth":
                return self._with_only("dreambooth", source)
            case "vae_decoder":
                return self._with_only("vae", source)
            case "lora":
                return self._with(loras=(*self.weights.loras, LoraConfig(source=source)))
            case _:
                words = (*self.weights.embeddings, EmbeddingConfig(source=source))
                return self._with(embeddings=words)

    def _with_only(self, key: str, source: Folder) -> Self:
        """Return the config with the weights of a key; raise ViddaError when it has some."""
        if getattr(self.weights, key) is not None:
            raise ViddaError(
                f"backbone.weights.{key}: {source.path} would replace it; leave one of them out"
            )
        return self._with(**{key: source})

    def _with(self, **weights: Any) -> Self:
        return self.model_copy(update={"weights": self.weights.model_copy(update=weights)})


@dataclass(frozen=True, slots=True)
class StableDiffusion:
    """A Stable Diffusion backbone whose files were found on this machine."""

    config: StableDiffusionConfig
    files: ModelFiles

    def check(self) -> None:
        """Raise ViddaError when the scheduler refuses its settings or an embedding does not fit."""
        problems: list[str] = []
        for check in (self._check_steps, lambda: load_vocabulary(self.config.weights, self.files)):
            try:
                check()
            except ViddaError as error:
                problems += str(error).splitlines()
        if problems:
            raise ViddaError("\n".join(problems))

    def _check_steps(self) -> None:
        sampling = self.config.sampling
        scheduler = schedulers.build_scheduler(sampling.scheduler, self.files.scheduler)
        timesteps = set_timesteps(scheduler, sampling.steps, sampling.start.strength)
        if isinstance(sampling.keep_person, KeepLatents):
            problems = sampling.keep_person.problems(scheduler, timesteps)
            if problems:
                raise ViddaError("\n".join(problems))

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

    def cost(self, pixels: int) -> float | None:
        """Return the TFLOP of translating so many pixels; None for UNets that were not counted."""
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
        work = self.cost(pixels) if pixels else None
        if work is None:
            log.info("the networks are not compiled: what that saves is not known")
            return False
        saving = cost.compile_saving(work)
        if saving > 0:
            log.info("the networks are compiled, which saves about %.0f s", saving)
        else:
            log.info("the networks are not compiled, which would take %.0f s longer", -saving)
        return saving > 0
