"""Which frames of a clip are translated, and how fast they then play."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from vidda.config import Config

Count = Annotated[int, Field(ge=1)]


class AllFrames(Config):
    """Every frame."""

    name: Literal["all"] = "all"

    def pick(self, length: int) -> np.ndarray:
        """Return frame numbers, (T,) int64, ascending, of a clip of `length` frames."""
        return np.arange(length)

    def rate(self, fps: float, length: int) -> float:
        """Return frames a second of what is picked, from those of the whole clip."""
        return fps


class FirstFrames(Config):
    """The beginning of a longer clip."""

    name: Literal["first"] = "first"
    count: Count = Field(default=256, description="frames; a shorter clip is taken whole")

    def pick(self, length: int) -> np.ndarray:
        """Return frame numbers, (T,) int64, ascending, of a clip of `length` frames."""
        return np.arange(min(length, self.count))

    def rate(self, fps: float, length: int) -> float:
        """Return frames a second of what is picked, from those of the whole clip."""
        return fps


class EvenFrames(Config):
    """Frames spread evenly over the clip, the middle one of as many equal parts.

    For recognizers that see no more of a clip; it plays as long as the source did.
    """

    name: Literal["even"] = "even"
    count: Count = Field(default=16, description="frames; a shorter clip is taken whole")

    def pick(self, length: int) -> np.ndarray:
        """Return frame numbers, (T,) int64, ascending, of a clip of `length` frames."""
        count = min(length, self.count)
        return ((np.arange(count) + 0.5) * (length / count)).astype(np.int64)

    def rate(self, fps: float, length: int) -> float:
        """Return frames a second of what is picked, from those of the whole clip."""
        return fps * min(length, self.count) / length


FrameChoice = Annotated[AllFrames | FirstFrames | EvenFrames, Field(discriminator="name")]
