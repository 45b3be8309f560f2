"""The interface between the training loop and the methods, and the inputs of all methods."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from accelerate import Accelerator

from vidda.translate.stable_diffusion.loading import Models
from vidda.translate.stable_diffusion.personalize.frames import Frames
from vidda.translate.stable_diffusion.personalize.render_images import DrawingConfig


@dataclass(frozen=True)
class LearnerSettings:
    """The inputs from which a method builds its learner.

    models: in float32 on the accelerator's device. frames: of `size` x `size` pixels. flip: whether
    frames may be mirrored. drawing: how class images and samples are rendered. samples: images in a
    row of a contact sheet. seed: of the run. folder: the run's, for class images.
    """

    models: Models
    frames: Frames
    flip: bool
    size: int
    accelerator: Accelerator
    drawing: DrawingConfig
    samples: int
    seed: int
    folder: Path


class Learner(Protocol):
    """A method applied to its models, as the training loop uses it.

    learned: the parameters to train, by their names in checkpoints. size: the number of training
    frames, N.
    """

    @property
    def learned(self) -> Mapping[str, torch.nn.Parameter]:
        """Return the parameters to train, by name."""

    @property
    def size(self) -> int:
        """Return the number of training frames."""

    def loss_terms(
        self, numbers: torch.Tensor, generator: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Return the scalar terms, by name, whose sum is the loss.

        numbers: (B,) of the training frames. generator: of all random numbers, on the CPU.
        """

    def measure(self) -> dict[str, float]:
        """Return metrics on the held-out frames, without randomness; empty without any."""

    def contact_sheet(self) -> np.ndarray:
        """Return a contact sheet of the model's current outputs, (H, W, 3) uint8."""

    def save(self, folder: Path) -> None:
        """Write the result in diffusers' own format into an existing folder."""
