"""Protocols that a diffusion model implements for translation, and the union of those available.

The code above this file does not know any diffusion model. A model is one file or one package below
it, with its config, one line in the union, and the contract test over the union.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
import torch

from vidda.config import Config
from vidda.control.clip_flow import FlowTarget
from vidda.control.control_config import ControlConfig
from vidda.plugins import union
from vidda.translate.animatediff.animatediff import AnimateDiffConfig
from vidda.translate.clip_job import ClipJob
from vidda.translate.stable_diffusion.stable_diffusion import StableDiffusionConfig
from vidda.translate.wan_vace.wan_vace import WanVaceConfig


class Translator(Protocol):
    """A backbone's networks, loaded on a device."""

    def translate(self, clips: Sequence[ClipJob]) -> list[np.ndarray]:
        """Return the translation of each clip, (T, H, W, 3) uint8 RGB, with its own T, H and W.

        clips: one or more of the same size and length. Each comes out as it would alone, up to
        rounding, and depends only on its own seed. Raises ViddaError, with every mistake, and
        torch.OutOfMemoryError when not even the smallest pieces fit.
        """
        ...


class Backbone(Protocol):
    """A diffusion model whose files were found and checked once for a whole job; every worker gets
    it.
    """

    @property
    def multiple(self) -> int:
        """Return the number of pixels that both sides of a frame must be multiples of."""
        ...

    def frames(self, count: int) -> int:
        """Return the number of frames that the model takes for a clip of `count` frames, at least
        `count`.

        The job repeats the last frame to fill them, and cuts the translation to the clip's own
        length.
        """
        ...

    def fingerprint(self) -> str:
        """Return a hex digest of all weights, independent of where their files are."""
        ...

    def too_long(self, prompts: Sequence[str]) -> dict[str, str]:
        """Return the prompts that the model truncates, each with a text on its length."""
        ...

    def work(self) -> str:
        """Return a text on the computation per frame, for the plan of a job."""
        ...

    def cost(self, frames: int, height: int, width: int) -> float | None:
        """Return the TFLOP for a clip of so many frames of its own; None where they are not
        counted.
        """
        ...

    def load(self, device: torch.device, pixels: int) -> Translator:
        """Load the networks on a device; raises ViddaError when they cannot be loaded.

        pixels: over all frames of one size that will be translated, to decide on work that only
        pays for many of them; 0 where they are not known.
        """
        ...


class BackboneChoice(Protocol):
    """The config of a backbone, which can be checked before any model file is searched."""

    takes_base: ClassVar[bool]
    """True if `vidda run` can pass it the weights of its own key `weights`."""

    @property
    def flows(self) -> tuple[FlowTarget, ...]:
        """Return the targets of the optical flow that the model needs; quality measures use the
        first one.
        """
        ...

    @property
    def keeps_person(self) -> bool:
        """Return whether the model needs the mask of the person."""
        ...

    def problems(self, control: ControlConfig) -> list[str]:
        """Return a line for each of the job's controls that this config cannot be used with."""
        ...

    def settings(self) -> dict[str, Any]:
        """Return all settings that decide a clip's frames, except for the weights, as
        plain data.
        """
        ...

    def describe_controls(self, control: ControlConfig) -> str:
        """Return one line for the manifest: the controls that the model gets, their strength and
        steps.
        """
        ...

    def find(self) -> Backbone:
        """Find and check all model files; raises ViddaError with a line for each mistake."""
        ...

    def cost(self, frames: int, height: int, width: int) -> float | None:
        """Return `Backbone.cost`, also where the files have not been downloaded yet."""
        ...

    def folder_problems(self) -> list[str]:
        """Return a line for each mistake in folders on this machine; hub repositories are not
        checked.
        """
        ...

    def with_base(self, folder: Path) -> Self:
        """Return the same config with the model in a folder that holds all components."""
        ...

    def with_personalized(self, method: str, result: Path) -> Self:
        """Return the same config with the result of a method of `vidda personalize`.

        Raises ViddaError when it would replace other weights.
        """
        ...


if TYPE_CHECKING:
    BackboneConfig = StableDiffusionConfig | AnimateDiffConfig | WanVaceConfig
else:
    BackboneConfig = union(
        "vidda.backbones",
        Config,
        StableDiffusionConfig,
        AnimateDiffConfig,
        WanVaceConfig,
        protocol=BackboneChoice,
    )
