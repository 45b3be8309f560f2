"""The clips that a model accepts, checked before training starts."""

from dataclasses import dataclass

from vidda.errors import ViddaError


@dataclass(frozen=True, slots=True)
class ClipRequirements:
    """The number of frames and the size of the clips that a model accepts.

    frames: smallest number of frames. size: smallest height and width, in pixels. exact: accept
    only these values. multiple: the number of frames must be a multiple of it.
    """

    frames: int
    size: int
    exact: bool = False
    multiple: int = 1

    def check(self, model: str, frames: int, height: int, width: int) -> None:
        """Raise ViddaError when a clip of this many frames and pixels does not fit.

        model: its name in the message.
        """
        least = "" if self.exact else "at least "
        problems = []
        if (frames != self.frames) if self.exact else (frames < self.frames):
            problems.append(f"{frames} frames, but it takes {least}{self.frames}")
        if frames % self.multiple:
            problems.append(f"{frames} frames, but it takes a multiple of {self.multiple}")
        for side in (height, width):
            if (side != self.size) if self.exact else (side < self.size):
                problems.append(
                    f"{height}x{width} pixels, but it takes {least}{self.size}x{self.size}"
                )
                break
        if problems:
            raise ViddaError(
                f"{model} does not fit clips of {'; and of '.join(problems)}:"
                " change the number of sampled frames, the transform's size, or the model"
            )
