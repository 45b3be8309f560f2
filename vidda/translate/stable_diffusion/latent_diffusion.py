"""The config that backbones with a UNet of Stable Diffusion have in common."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field

from vidda.config import Config
from vidda.control.clip_flow import FlowTarget
from vidda.control.control_config import ControlConfig
from vidda.device import PrecisionChoice
from vidda.errors import ViddaError
from vidda.translate.stable_diffusion import schedulers
from vidda.translate.stable_diffusion.keep_person import KeepLatents
from vidda.translate.stable_diffusion.model_files import ModelFiles
from vidda.translate.stable_diffusion.noise import FlowWarpedNoise
from vidda.translate.stable_diffusion.sampling_config import ClipSamplingConfig
from vidda.translate.stable_diffusion.sampling_start import set_timesteps
from vidda.translate.stable_diffusion.vocabulary import load_vocabulary
from vidda.translate.stable_diffusion.weights_config import (
    EmbeddingConfig,
    LoraConfig,
    WeightsConfig,
)
from vidda.weights import Folder

CONTROLNET = "controlnet_{}"
"""The folder of a ControlNet inside a base that holds all models, by kind."""


class LatentDiffusionConfig(Config):
    """Weights and sampling of a UNet of Stable Diffusion with ControlNets."""

    takes_base: ClassVar[bool] = True

    name: str = Field(default="", description="the backbone's name")
    weights: WeightsConfig = Field(default=WeightsConfig(), description="the model's weights")
    sampling: ClipSamplingConfig = Field(
        default=ClipSamplingConfig(), description="settings of the sampler"
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

    def describe_controls(self, control: ControlConfig) -> str:
        """Return one line with each ControlNet's source, scale and window of steps."""
        described = []
        for net in self.weights.controlnets:
            source = getattr(control, net.kind)
            name = source.name if source else "none"
            described.append(f"{net.kind} {name} x{net.scale:g} in {net.start:g}-{net.end:g}")
        return "; ".join(described)

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


def check_sampling(config: LatentDiffusionConfig, files: ModelFiles) -> None:
    """Raise ViddaError when the scheduler refuses its settings or an embedding does not fit."""
    problems: list[str] = []
    for check in (_check_steps, _check_words):
        try:
            check(config, files)
        except ViddaError as error:
            problems += str(error).splitlines()
    if problems:
        raise ViddaError("\n".join(problems))


def _check_steps(config: LatentDiffusionConfig, files: ModelFiles) -> None:
    sampling = config.sampling
    scheduler = schedulers.build_scheduler(sampling.scheduler, files.scheduler)
    timesteps = set_timesteps(scheduler, sampling.steps, sampling.start.strength)
    if isinstance(sampling.keep_person, KeepLatents):
        problems = sampling.keep_person.problems(scheduler, timesteps)
        if problems:
            raise ViddaError("\n".join(problems))


def _check_words(config: LatentDiffusionConfig, files: ModelFiles) -> None:
    load_vocabulary(config.weights, files)
