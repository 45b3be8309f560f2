"""Choices of the frames of a clip that are translated, and the frame rate of the result."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from vidda.config import Config, Count


class AllFrames(Config):
    """Every frame of the clip."""

    name: Literal["all"] = "all"

    def pick(self, length: int) -> np.ndarray:
        """Return the chosen frame numbers of a clip of `length` frames, (T,) int64."""
        return np.arange(length)

    def rate(self, fps: float, length: int) -> float:
        """Return the result's frame rate, for a source of `fps` frames/s and `length` frames."""
        return fps


class FirstFrames(Config):
    """The first frames of a longer clip."""

    name: Literal["first"] = "first"
    count: Count = Field(default=256, description="number of frames; a shorter clip is used whole")

    def pick(self, length: int) -> np.ndarray:
        """Return the chosen frame numbers of a clip of `length` frames, (T,) int64."""
        return np.arange(min(length, self.count))

    def rate(self, fps: float, length: int) -> float:
        """Return the result's frame rate, for a source of `fps` frames/s and `length` frames."""
        return fps


class EvenFrames(Config):
    """Evenly spaced frames, each from the middle of one of `count` equal intervals of the clip.

    They suit recognizers that use no more frames of a clip; the result plays as long as the source.
    """

    name: Literal["even"] = "even"
    count: Count = Field(default=16, description="number of frames; a shorter clip is used whole")

    def pick(self, length: int) -> np.ndarray:
        """Return the chosen frame numbers of a clip of `length` frames, (T,) int64."""
        count = min(length, self.count)
        return ((np.arange(count) + 0.5) * (length / count)).astype(np.int64)

    def rate(self, fps: float, length: int) -> float:
        """Return the result's frame rate, for a source of `fps` frames/s and `length` frames."""
        return fps * min(length, self.count) / length


FrameChoice = Annotated[AllFrames | FirstFrames | EvenFrames, Field(discriminator="name")]
