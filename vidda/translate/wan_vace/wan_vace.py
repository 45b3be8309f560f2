"""Wan VACE: a video diffusion transformer, conditioned by one control video and a mask."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import torch
from pydantic import Field

from vidda.config import Config
from vidda.control.cache_keys import config_identity
from vidda.control.clip_flow import FlowTarget
from vidda.control.control_config import ControlConfig
from vidda.device import Precision, torch_dtype
from vidda.errors import ViddaError
from vidda.translate.stable_diffusion.folders import JsonContent
from vidda.translate.wan_vace.t5_prompts import load_tokenizer, overlong
from vidda.translate.wan_vace.vace_config import VaceSamplingConfig, VaceWeightsConfig
from vidda.translate.wan_vace.vace_cost import (
    WAN_1_3B,
    WAN_VAE,
    transformer_teraflops,
    vae_teraflops,
)
from vidda.translate.wan_vace.vace_files import (
    VaceFiles,
    find_vace_files,
    fingerprint_of,
    frames_per_latent,
    pixels_per_latent,
)
from vidda.weights import Folder

if TYPE_CHECKING:
    from vidda.translate.wan_vace.vace_translator import WanVaceTranslator


class WanVaceConfig(Config):
    """Wan VACE (arXiv 2503.07598, 2503.20314): whole clips by a video diffusion transformer."""

    takes_base: ClassVar[bool] = False
    flows: ClassVar[tuple[FlowTarget, ...]] = ("previous",)

    name: Literal["wan_vace"] = Field(
        default="wan_vace", description="Wan 2.1 VACE of 1.3B or 14B parameters"
    )
    weights: VaceWeightsConfig = Field(
        default=VaceWeightsConfig(), description="the model's weights"
    )
    sampling: VaceSamplingConfig = Field(
        default=VaceSamplingConfig(), description="settings of the sampler"
    )
    precision: Precision = Field(
        default="bf16", description="number format of weights and compute; the autoencoder's: fp32"
    )

    @property
    def keeps_person(self) -> bool:
        """Return whether sampling needs the mask of the person."""
        return self.sampling.needs_mask

    def problems(self, control: ControlConfig) -> list[str]:
        """Return a line for each control that the sampling reads and the job does not have."""
        return [
            f"backbone.sampling.{key} reads {kind}, but control.{kind} is null; choose"
            f" control.{kind}.name, or set backbone.sampling.{key} to another control or null"
            for key, kind in self.sampling.controls.items()
            if getattr(control, kind) is None
        ]

    def settings(self) -> dict[str, Any]:
        """Return the settings that determine a clip's frames, except weights, as plain data."""
        sampling = config_identity(self.sampling)
        return {"name": self.name, "sampling": sampling, "precision": self.precision}

    def describe_controls(self, control: ControlConfig) -> str:
        """Return one line with the controls of person and scene, their sources and strength."""
        described = [
            f"{kind} {source.name if (source := getattr(control, kind)) else 'none'} for the {key}"
            for key, kind in self.sampling.controls.items()
        ]
        return f"{'; '.join(described)}; x{self.sampling.scale:g}"

    def find(self) -> "WanVace":
        """Find and check all files; raise ViddaError with a line for each mistake."""
        problems: list[str] = []
        references: tuple[Path, ...] = ()
        if self.sampling.reference is not None:
            try:
                references = self.sampling.reference.videos()
            except ViddaError as error:
                problems += str(error).splitlines()
        try:
            files = find_vace_files(self.weights)
        except ViddaError as error:
            raise ViddaError("\n".join([*problems, *str(error).splitlines()])) from None
        if problems:
            raise ViddaError("\n".join(problems))
        return WanVace(self, files, references)

    def cost(self, frames: int, height: int, width: int) -> float | None:
        """Return the TFLOP of translating a clip; before files are downloaded, that of 1.3B."""
        try:
            files = find_vace_files(self.weights.model_copy(update={"download": False}))
        except ViddaError:
            default = VaceWeightsConfig().base
            if self.weights.base != default:
                return None
            return vace_teraflops(self.sampling, WAN_1_3B, WAN_VAE, frames, height, width)
        return WanVace(self, files, ()).cost(frames, height, width)

    def folder_problems(self) -> list[str]:
        """Return a line for each mistake in a local folder; none when the base is on the hub."""
        if not isinstance(self.weights.base, Folder):
            return []
        try:
            find_vace_files(self.weights)
        except ViddaError as error:
            return str(error).splitlines()
        return []

    def with_base(self, folder: Path) -> Self:
        """Return the same config with the pipeline in a folder."""
        weights = self.weights.model_copy(update={"base": Folder(path=folder)})
        return self.model_copy(update={"weights": weights})

    def with_personalized(self, method: str, result: Path) -> Self:
        """Raise ViddaError, because `vidda personalize` trains Stable Diffusion."""
        raise ViddaError(
            f"backbone wan_vace: {result} is of Stable Diffusion ({method}); leave `personalized`"
            " out, or name a LoRA of Wan in backbone.weights.loras"
        )


def vace_teraflops(
    sampling: VaceSamplingConfig,
    transformer: JsonContent,
    vae: JsonContent,
    frames: int,
    height: int,
    width: int,
) -> float | None:
    """Return the TFLOP of translating a clip; None for an autoencoder that was not counted.

    transformer, vae: their configs. The text encoder, once for each prompt, is left out.
    """
    latents = -(-(frames - 1) // frames_per_latent(vae)) + 1
    shown = latents + (sampling.reference is not None)
    pixels = pixels_per_latent(vae)
    each = transformer_teraflops(transformer, shown, height // pixels, width // pixels)
    passes = sampling.steps * (2 if sampling.guidance > 1 else 1)
    outside = vae_teraflops(vae, latents, height, width)
    return None if outside is None else passes * each + outside


@dataclass(frozen=True, slots=True)
class WanVace:
    """A Wan VACE backbone whose files were found on this machine; references: target videos."""

    config: WanVaceConfig
    files: VaceFiles
    references: tuple[Path, ...]

    @property
    def multiple(self) -> int:
        """Return the pixels of which both sides of a frame are multiples."""
        return self.files.multiple

    def frames(self, count: int) -> int:
        """Return the next number 4k + 1 of frames; raise ViddaError where that is too many."""
        each = self.files.frames_per_latent
        padded = -(-(count - 1) // each) * each + 1
        longest = self.config.sampling.longest
        if padded > longest:
            raise ViddaError(
                f"{count} frames, and Wan takes {longest} at once; choose fewer by frames.name=even"
                " frames.count=N, or raise backbone.sampling.longest"
            )
        return padded

    def fingerprint(self) -> str:
        """Return the hex digest of all weights, model configs, scales and reference videos."""
        return fingerprint_of(self.config.weights, self.files, self.references)

    def too_long(self, prompts: Sequence[str]) -> dict[str, str]:
        """Return the prompts that the text encoder would cut, each with its length in tokens."""
        return overlong(load_tokenizer(self.files.tokenizer), prompts)

    def work(self) -> str:
        """Return the steps and passes of the transformer for a clip, as text for the plan."""
        sampling = self.config.sampling
        passes = sampling.steps * (2 if sampling.guidance > 1 else 1)
        return f"each clip: {sampling.steps} steps, {passes} passes of the transformer"

    def cost(self, frames: int, height: int, width: int) -> float | None:
        """Return the TFLOP of translating a clip; None for an autoencoder that was not counted."""
        transformer, vae = self.files.transformer.config, self.files.vae.config
        return vace_teraflops(self.config.sampling, transformer, vae, frames, height, width)

    def load(self, device: torch.device, pixels: int) -> "WanVaceTranslator":
        """Load all models onto a device; raise ViddaError when one cannot be loaded.

        pixels: not used.
        """
        # They import diffusers, which a config that is only checked does not need.
        from vidda.translate.wan_vace.vace_loading import load_vace
        from vidda.translate.wan_vace.vace_translator import WanVaceTranslator

        dtype = torch_dtype(self.config.precision)
        pipeline, prompts = load_vace(self.config.weights, self.files, device, dtype)
        return WanVaceTranslator(
            pipeline, prompts, self.files, self.config.sampling, self.references
        )
