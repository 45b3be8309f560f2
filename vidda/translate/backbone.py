"""The seam between a translation and a diffusion model: what a model has to be able to do.

Above this file nothing knows any diffusion model; a model is one file or one folder below it, with
its config, one line in the union, and the contract test over the union.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
import torch

from vidda.config import Config
from vidda.control.clip_flow import Target
from vidda.control.controls import ControlConfig
from vidda.plugins import union
from vidda.translate.clip_job import ClipJob
from vidda.translate.stable_diffusion.stable_diffusion import StableDiffusionConfig


class Translator(Protocol):
    """A backbone's networks, loaded on a device."""

    def translate(self, clips: Sequence[ClipJob]) -> list[np.ndarray]:
        """Return the translation of each clip, (T, H, W, 3) uint8 RGB, of its own T, H and W.

        clips: of one size and length, one or more. Each comes out as it would alone, but for
        rounding, and depends on its own seed only. Raises ViddaError, naming every mistake, and
        torch.OutOfMemoryError when not even its smallest pieces fit.
        """
        ...


class Backbone(Protocol):
    """A model whose files were found and checked, once for a whole job; sent to every worker."""

    @property
    def multiple(self) -> int:
        """Return pixels of which both sides of a frame are multiples."""
        ...

    def frames(self, count: int) -> int:
        """Return the frames that the model is shown for a clip of `count`, at least as many.

        The job repeats the last frame to get there, and cuts the translation back.
        """
        ...

    def fingerprint(self) -> str:
        """Return a hex digest over all weights, wherever they lie."""
        ...

    def too_long(self, prompts: Sequence[str]) -> dict[str, str]:
        """Return the prompts that the model does not read to their end, and how long they are."""
        ...

    def work(self) -> str:
        """Return what is computed for a frame, in words, for the plan of a job."""
        ...

    def cost(self, pixels: int) -> float | None:
        """Return the TFLOP of so many pixels of all frames; None where they are not counted."""
        ...

    def load(self, device: torch.device) -> Translator:
        """Load the networks; raises ViddaError when they cannot be."""
        ...


class BackboneChoice(Protocol):
    """The config of a backbone: what is known before any file is looked for."""

    takes_base: ClassVar[bool]
    """Whether `vidda run` can give it the weights of its own key `weights`."""

    @property
    def flows(self) -> tuple[Target, ...]:
        """Return the optical flow that it reads; quality's figures read the first one."""
        ...

    @property
    def keeps_person(self) -> bool:
        """Return whether it needs the mask of the person."""
        ...

    def problems(self, control: ControlConfig) -> list[str]:
        """Return what of the job's controls it does not go with, a line each."""
        ...

    def settings(self) -> dict[str, Any]:
        """Return what of the config decides a clip's frames, but for the weights, as plain data."""
        ...

    def describe_controls(self, control: ControlConfig) -> str:
        """Return in one line, for the manifest, what the model is shown, how strongly, and when."""
        ...

    def find(self) -> Backbone:
        """Find and check all files; raises ViddaError with a line for each mistake."""
        ...

    def cost(self, pixels: int) -> float | None:
        """Return the TFLOP of so many pixels, also where the files have not been fetched yet."""
        ...

    def folder_problems(self) -> list[str]:
        """Return what is wrong with folders on this machine, a line each; hubs are left aside."""
        ...

    def with_base(self, folder: Path) -> Self:
        """Return the same with the model in a folder that holds all parts."""
        ...

    def with_personalized(self, method: str, result: Path) -> Self:
        """Return the same with what a method of `vidda personalize` has learned."""
        ...


if TYPE_CHECKING:
    BackboneConfig = StableDiffusionConfig
else:
    BackboneConfig = union(
        "vidda.backbones", Config, StableDiffusionConfig, protocol=BackboneChoice
    )
