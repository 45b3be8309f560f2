"""Stable Diffusion 1.x or 2.x with ControlNets, frame by frame or with attention across frames."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import Field

from vidda.config import Config
from vidda.control.clip_flow import FlowTarget
from vidda.control.controls import ControlConfig, config_identity
from vidda.device import Precision, torch_dtype
from vidda.errors import ViddaError
from vidda.translate.stable_diffusion import cost, schedulers
from vidda.translate.stable_diffusion.fingerprint import fingerprint
from vidda.translate.stable_diffusion.keep_person import KeepLatents
from vidda.translate.stable_diffusion.loading import load
from vidda.translate.stable_diffusion.model_files import ModelFiles, find_model_files
from vidda.translate.stable_diffusion.noise import FlowWarpedNoise
from vidda.translate.stable_diffusion.sampler import StableDiffusionTranslator
from vidda.translate.stable_diffusion.sampling_config import SamplingConfig
from vidda.translate.stable_diffusion.start import schedule
from vidda.translate.stable_diffusion.text import too_long
from vidda.translate.stable_diffusion.vocabulary import load_vocabulary
from vidda.translate.stable_diffusion.weights_config import (
    EmbeddingConfig,
    LoraConfig,
    WeightsConfig,
)
from vidda.weights import Folder

CONTROLNET = "controlnet_{}"
"""Folders in a job's model that hold its ControlNets, by kind."""


class StableDiffusionConfig(Config):
    """Stable Diffusion (arXiv 2112.10752) with ControlNets (arXiv 2302.05543)."""

    takes_base: ClassVar[bool] = True

    name: Literal["stable_diffusion"] = Field(
        default="stable_diffusion", description="Stable Diffusion 1.x or 2.x, frame by frame"
    )
    weights: WeightsConfig = Field(default=WeightsConfig(), description="the model")
    sampling: SamplingConfig = Field(default=SamplingConfig(), description="how it samples")
    precision: Precision = Field(default="fp32", description="of the model")

    @property
    def flows(self) -> tuple[FlowTarget, ...]:
        """See `vidda.translate.backbone.BackboneChoice`."""
        warped = isinstance(self.sampling.noise, FlowWarpedNoise)
        return ("previous", "anchor") if warped else ("previous",)

    @property
    def keeps_person(self) -> bool:
        """See `vidda.translate.backbone.BackboneChoice`."""
        return self.sampling.keep_person is not None

    def problems(self, control: ControlConfig) -> list[str]:
        """See `vidda.translate.backbone.BackboneChoice`."""
        problems = list(self._problems(control))
        try:
            schedulers.build(self.sampling.scheduler, schedulers.SD15_NOISE)
        except ViddaError as error:
            problems += str(error).splitlines()
        return problems

    def _problems(self, control: ControlConfig) -> Iterator[str]:
        for number, net in enumerate(self.weights.controlnets):
            if (control.edges if net.kind == "edges" else control.pose) is None:
                yield (
                    f"backbone.weights.controlnets.{number} is shown {net.kind}, but"
                    f" control.{net.kind} is null; choose control.{net.kind}.name, or leave this"
                    " ControlNet out"
                )
        if isinstance(self.sampling.noise, FlowWarpedNoise) and control.flow is None:
            yield (
                "backbone.sampling.noise flow_warped needs control.flow; or take"
                " backbone.sampling.noise.name=shared"
            )

    def settings(self) -> dict[str, Any]:
        """See `vidda.translate.backbone.BackboneChoice`."""
        # These change how a result is computed, but not what it is.
        same = self.sampling.model_copy(update={"chunk": 1, "vae_chunk": 1, "compile": False})
        return {"name": self.name, "sampling": config_identity(same), "precision": self.precision}

    def describe_controls(self, control: ControlConfig) -> str:
        """See `vidda.translate.backbone.BackboneChoice`."""
        shown = []
        for net in self.weights.controlnets:
            source = control.edges if net.kind == "edges" else control.pose
            name = source.name if source else "none"
            shown.append(f"{net.kind} {name} x{net.scale:g} in {net.start:g}-{net.end:g}")
        return "; ".join(shown)

    def find(self) -> "StableDiffusion":
        """See `vidda.translate.backbone.BackboneChoice`."""
        found = StableDiffusion(self, find_model_files(self.weights))
        found.check()
        return found

    def cost(self, pixels: int) -> float | None:
        """See `vidda.translate.backbone.BackboneChoice`."""
        weights = self.weights.model_copy(update={"download": False})
        try:
            parts = find_model_files(weights)
        except ViddaError:
            parts = cost.PUBLISHED
        return StableDiffusion(self, parts).cost(pixels)

    def folder_problems(self) -> list[str]:
        """See `vidda.translate.backbone.BackboneChoice`."""
        sources = [self.weights.base, *(net.source for net in self.weights.controlnets)]
        if not all(isinstance(source, Folder) for source in sources):
            return []
        try:
            find_model_files(self.weights)
        except ViddaError as error:
            return str(error).splitlines()
        return []

    def with_base(self, folder: Path) -> Self:
        """See `vidda.translate.backbone.BackboneChoice`; in it controlnet_edges/ and the like."""
        nets = tuple(
            net.model_copy(update={"source": Folder(path=folder / CONTROLNET.format(net.kind))})
            for net in self.weights.controlnets
        )
        return self._with(base=Folder(path=folder), controlnets=nets)

    def with_personalized(self, method: str, result: Path) -> Self:
        """See `vidda.translate.backbone.BackboneChoice`."""
        source = Folder(path=result)
        match method:
            case "dreambooth":
                return self._with(dreambooth=source)
            case "vae_decoder":
                return self._with(vae=source)
            case "lora":
                return self._with(loras=(*self.weights.loras, LoraConfig(source=source)))
            case _:
                words = (*self.weights.embeddings, EmbeddingConfig(source=source))
                return self._with(embeddings=words)

    def _with(self, **weights: Any) -> Self:
        return self.model_copy(update={"weights": self.weights.model_copy(update=weights)})


@dataclass(frozen=True, slots=True)
class StableDiffusion:
    """A pipeline, its ControlNets and what is added to them, found on this machine."""

    config: StableDiffusionConfig
    parts: ModelFiles

    def check(self) -> None:
        """Raise ViddaError where the scheduler refuses its settings, or words do not fit."""
        problems: list[str] = []
        for look in (self._check_steps, lambda: load_vocabulary(self.config.weights, self.parts)):
            try:
                look()
            except ViddaError as error:
                problems += str(error).splitlines()
        if problems:
            raise ViddaError("\n".join(problems))

    def _check_steps(self) -> None:
        sampling = self.config.sampling
        scheduler = schedulers.build(sampling.scheduler, self.parts.scheduler)
        timesteps = schedule(scheduler, sampling.steps, sampling.start.strength)
        if isinstance(sampling.keep_person, KeepLatents):
            problems = sampling.keep_person.problems(scheduler, timesteps)
            if problems:
                raise ViddaError("\n".join(problems))

    @property
    def multiple(self) -> int:
        """Return pixels of a latent along a side."""
        return self.parts.pixels_per_latent

    def frames(self, count: int) -> int:
        """Return `count`: any number of frames will do."""
        return count

    def fingerprint(self) -> str:
        """Return a hex digest over weights, configs, scales and windows; see `fingerprint`."""
        return fingerprint(self.config.weights, self.parts)

    def too_long(self, prompts: Sequence[str]) -> dict[str, str]:
        """Return the prompts that the text encoder would cut, and how long they are."""
        return too_long(load_vocabulary(self.config.weights, self.parts), prompts)

    def work(self) -> str:
        """Return the passes of the networks for a frame, in words."""
        counted = cost.passes(self.config.sampling, self.config.weights, self.parts.scheduler)
        return (
            f"each frame: {counted.steps} steps, {counted.unet} passes of the UNet,"
            f" {counted.controlnets} of ControlNets"
        )

    def cost(self, pixels: int) -> float | None:
        """Return the TFLOP of so many pixels; None for a UNet of other widths than 1.5's."""
        return cost.teraflops(self.config.sampling, self.config.weights, self.parts, pixels)

    def load(self, device: torch.device) -> StableDiffusionTranslator:
        """Load all models; raises ViddaError when one cannot be."""
        config = self.config
        models = load(config.weights, device, torch_dtype(config.precision), self.parts)
        return StableDiffusionTranslator(models, config.sampling)
