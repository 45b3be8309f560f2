"""The cameras of a domain: one record for each of its clips, and what they have in common."""

from pathlib import Path

import numpy as np
from pydantic import Field, ValidationError

from vidda.config import Config
from vidda.errors import ViddaError
from vidda.files import write_text

Triple = tuple[float, float, float]


class CameraRecord(Config):
    """How one clip was taken. A shift is a share of the frame's shorter side, right and down."""

    pan: Triple = Field(description="mean step from frame to frame: two shifts, radians")
    shake: Triple = Field(description="root mean square of the steps about it, likewise")
    blur: float | None = Field(
        description="Gaussian blur of the sharpest edges, share of the shorter side; None: no edge"
    )
    noise: Triple = Field(description="standard deviation in L*, a*, b*")
    grain: float = Field(description="Gaussian correlation of that noise in pixels; 0 for white")
    mean: Triple = Field(description="of L*, a*, b* over the clip")
    spread: Triple = Field(description="standard deviation of L*, a*, b* over the clip")
    fade: Triple = Field(description="mean step from frame to frame of L*, a*, b*")
    flicker: Triple = Field(description="root mean square of the steps about it")


class CameraStatistics(Config):
    """What `vidda.camera.estimate.estimate` found on unlabeled clips of a domain."""

    cameras: tuple[CameraRecord, ...] = Field(
        min_length=1, description="one for each clip measured"
    )
    left_out: int = Field(ge=0, description="clips that show nothing: black or of one color")
    shutter: float = Field(ge=0, le=1, description="share of the time that the shutter is open")
    motion_memory: tuple[Triple, ...] = Field(
        description="autocorrelation of the camera's steps at distances of 0, 1, ... frames"
    )
    light_memory: tuple[Triple, ...] = Field(description="the same of the steps of L*, a*, b*")

    @property
    def clips(self) -> int:
        """Return how many clips were measured."""
        return len(self.cameras)

    def draw(self, rng: np.random.Generator) -> CameraRecord:
        """Return one clip's camera at random: effects that go together in the domain
        stay together.
        """
        return self.cameras[int(rng.integers(len(self.cameras)))]

    def write(self, path: Path) -> None:
        """Write as JSON, atomically."""
        write_text(path, self.model_dump_json(indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> "CameraStatistics":
        """What `write` wrote. Raises ViddaError where the file is missing or something else."""
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"), strict=True)
        except (OSError, UnicodeDecodeError, ValidationError) as error:
            reason = str(error).splitlines()[0]
            raise ViddaError(
                f"{path}: not camera statistics ({reason}); estimate them anew on target clips"
            ) from None
