"""What the training loop asks of a method, and what a method is given to build it from."""

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
    """What all methods are built from.

    models: in float32 on the accelerator's device. frames: of `size` x `size` pixels. flip: whether
    frames may be mirrored. samples: pictures on a sheet. folder: the run's, for class images.
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
    """A method at work on its models.

    learned: the parameters that learn, by their names in checkpoints. size: training frames there
    are, N.
    """

    @property
    def learned(self) -> Mapping[str, torch.nn.Parameter]: ...

    @property
    def size(self) -> int: ...

    def terms(self, numbers: torch.Tensor, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Terms whose sum is the loss on the frames of these numbers (B,), drawn by `generator`."""

    def measure(self) -> dict[str, float]:
        """Figures on the held-out frames, without chance; none where nothing is held out."""

    def sheet(self) -> np.ndarray:
        """Return a picture of what the model makes now, (H, W, 3) uint8."""

    def save(self, folder: Path) -> None:
        """Write the result in diffusers' own format into an existing folder."""
