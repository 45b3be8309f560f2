"""The cameras of a domain: one record for each of its clips, and statistics over all of them."""

from pathlib import Path

import numpy as np
from pydantic import Field, ValidationError

from vidda.config import Config
from vidda.errors import ViddaError
from vidda.files import write_text

Triple = tuple[float, float, float]


class CameraRecord(Config):
    """The camera effects measured on one clip.

    Shifts are shares of the frame's shorter side, right and down; rotations are in radians.
    """

    pan: Triple = Field(description="mean movement from frame to frame: two shifts and a rotation")
    shake: Triple = Field(
        description="standard deviation of the movement from frame to frame, in the same units"
    )
    blur: float | None = Field(
        description="Gaussian blur of the sharpest edges, share of the shorter side; None: no edge"
    )
    noise: Triple = Field(description="standard deviation of the noise in L*, a*, b*")
    grain: float = Field(
        description="correlation length of the noise (Gaussian) in pixels; 0: white"
    )
    mean: Triple = Field(description="mean of L*, a*, b* over the clip")
    spread: Triple = Field(description="standard deviation of L*, a*, b* over the clip")
    chroma: float = Field(description="99th percentile of the chroma over the clip, in CIELAB")
    fade: Triple = Field(description="mean change from frame to frame of L*, a*, b*")
    flicker: Triple = Field(
        description="standard deviation of the change from frame to frame of L*, a*, b*"
    )


class CameraStatistics(Config):
    """The camera effects that `vidda.camera.estimate` measured on unlabeled clips of a domain."""

    cameras: tuple[CameraRecord, ...] = Field(
        min_length=1, description="one record for each clip measured"
    )
    left_out: int = Field(
        ge=0, description="number of clips left out because they are black or of one color"
    )
    shutter: float = Field(
        ge=0, le=1, description="share of the time between frames that the shutter is open"
    )
    motion_memory: tuple[Triple, ...] = Field(
        description="autocorrelation of the movement at distances of 0, 1, ... frames"
    )
    light_memory: tuple[Triple, ...] = Field(
        description="autocorrelation of the change of L*, a*, b* at distances of 0, 1, ... frames"
    )

    @property
    def clips(self) -> int:
        """Return the number of clips measured."""
        return len(self.cameras)

    def sample(self, rng: np.random.Generator) -> CameraRecord:
        """Return the camera of one clip, chosen at random.

        One clip's effects are taken together, so that effects that go together in the domain stay
        together.
        """
        return self.cameras[int(rng.integers(len(self.cameras)))]

    def write(self, path: Path) -> None:
        """Write the statistics to a JSON file, atomically."""
        write_text(path, self.model_dump_json(indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> "CameraStatistics":
        """Read a file that `write` wrote; raises ViddaError where it is missing or
        something else.
        """
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"), strict=True)
        except (OSError, UnicodeDecodeError, ValidationError) as error:
            reason = str(error).splitlines()[0]
            raise ViddaError(
                f"{path}: not camera statistics ({reason}); estimate them again on target clips"
            ) from None
