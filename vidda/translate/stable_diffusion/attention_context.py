"""The choice of frames that a frame attends to in the UNet's self-attention."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from vidda.config import Config


class AttendOwn(Config):
    """Each frame attends to itself: exactly what diffusers' own pipelines do."""

    name: Literal["none"] = "none"

    def anchors(self, length: int) -> tuple[int, ...]:
        """Return the frames of a clip of `length` that are computed together first: none here."""
        return ()

    def attended(self, frame: int, length: int) -> tuple[int, ...]:
        """Return the frames whose keys and values `frame` attends to, in a clip of `length`."""
        return (frame,)


class AttendFirst(Config):
    """Frame 0 instead of the frame itself (Text2Video-Zero, arXiv 2303.13439, equation 8)."""

    name: Literal["first"] = "first"

    def anchors(self, length: int) -> tuple[int, ...]:
        """Return the frames of a clip of `length` that are computed together first: none here."""
        return ()

    def attended(self, frame: int, length: int) -> tuple[int, ...]:
        """Return the frames whose keys and values `frame` attends to, in a clip of `length`."""
        return (0,)


class AttendFirstPrevious(Config):
    """The frame itself, frame 0 and the previous frame (Rerender A Video, arXiv 2306.07954)."""

    name: Literal["first_previous"] = "first_previous"

    def anchors(self, length: int) -> tuple[int, ...]:
        """Return the frames of a clip of `length` that are computed together first: none here."""
        return ()

    def attended(self, frame: int, length: int) -> tuple[int, ...]:
        """Return the frames whose keys and values `frame` attends to, in a clip of `length`."""
        return (frame, 0, max(frame - 1, 0))


class AttendAnchors(Config):
    """The frame itself and some frames spread evenly over the clip, which attend to each other."""

    name: Literal["anchors"] = "anchors"
    count: int = Field(default=3, ge=1, description="anchor frames of a clip; all fit in a chunk")

    def anchors(self, length: int) -> tuple[int, ...]:
        """Return the frames of a clip of `length` that are computed together first, ascending."""
        spread = np.linspace(0, length - 1, min(self.count, length)).round()
        return tuple(int(frame) for frame in spread)

    def attended(self, frame: int, length: int) -> tuple[int, ...]:
        """Return the frames whose keys and values `frame` attends to, in a clip of `length`."""
        anchors = self.anchors(length)
        return anchors if frame in anchors else (frame, *anchors)


ContextConfig = Annotated[
    AttendOwn | AttendFirst | AttendFirstPrevious | AttendAnchors, Field(discriminator="name")
]
