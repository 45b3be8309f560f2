"""What clips a model can take, checked before training starts."""

from dataclasses import dataclass

from vidda.errors import ViddaError


@dataclass(frozen=True, slots=True)
class Needs:
    """The clips that a model takes.

    frames: fewest frames. size: smallest height and width, in pixels. exact: only these. multiple:
    the number of frames is a multiple of it.
    """

    frames: int
    size: int
    exact: bool = False
    multiple: int = 1

    def check(self, model: str, frames: int, height: int, width: int) -> None:
        """Raise ViddaError when a clip of this many frames and this size does not fit `model`."""
        least = "" if self.exact else "at least "
        problems = []
        if (frames != self.frames) if self.exact else (frames < self.frames):
            problems.append(f"{frames} frames, it takes {least}{self.frames}")
        if frames % self.multiple:
            problems.append(f"{frames} frames, it takes a multiple of {self.multiple}")
        for side in (height, width):
            if (side != self.size) if self.exact else (side < self.size):
                problems.append(f"{height}x{width} pixels, it takes {least}{self.size}x{self.size}")
                break
        if problems:
            raise ViddaError(
                f"{model} is given {'; and '.join(problems)}:"
                " change the number of sampled frames, the transform's size, or the model"
            )
