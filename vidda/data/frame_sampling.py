"""Which frames of a clip are looked at; the same for the same seed, epoch and clip id.

A clip shorter than what is asked of it is looped by the samplers with a stride (frame N is frame 0
again, as a gesture repeats), and its frames are repeated in order by `UniformSampling`.
"""

import hashlib
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from vidda.config import Config

Frames = Annotated[int, Field(ge=1, description="frames T of one clip that the model sees")]
Stride = Annotated[int, Field(ge=1, description="distance of neighboring frames, in frames")]


def clip_rng(seed: int, epoch: int, clip_id: str, purpose: str) -> np.random.Generator:
    """Return a generator that depends on these four alone, not on workers, order or machine.

    purpose: a word that keeps the draws of one job (frames, transform) apart from another's.
    """
    digest = hashlib.sha256(f"{seed}\0{epoch}\0{purpose}\0{clip_id}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "big")))


class UniformSampling(Config):
    """T equal segments of the clip, one frame of each (TSN, arXiv 1608.00859, section 3.1)."""

    name: Literal["uniform"] = "uniform"
    frames: Frames = 16
    jitter: bool = Field(
        default=True, description="draw the frame of each segment at random; else its middle one"
    )

    @property
    def random(self) -> bool:
        return self.jitter

    def pick(self, length: int, rng: np.random.Generator) -> np.ndarray:
        """Return frame numbers, (1, T) int64 in 0..length-1, for a clip of `length` frames."""
        place = rng.random(self.frames) if self.jitter else np.full(self.frames, 0.5)
        picked = ((np.arange(self.frames) + place) * (length / self.frames)).astype(np.int64)
        return np.minimum(picked, length - 1)[None]


class DenseSampling(Config):
    """T frames a stride apart, beginning at random (SlowFast, arXiv 1812.03982, section 4)."""

    name: Literal["dense"] = "dense"
    frames: Frames = 16
    stride: Stride = 2

    @property
    def random(self) -> bool:
        return True

    def pick(self, length: int, rng: np.random.Generator) -> np.ndarray:
        """Return frame numbers, (1, T) int64 in 0..length-1, for a clip of `length` frames."""
        latest = length - _span(self.frames, self.stride)
        start = int(rng.integers(latest + 1)) if latest > 0 else 0
        return _window(start, self.frames, self.stride, length)[None]


class CenterSampling(Config):
    """T frames a stride apart from the middle of the clip."""

    name: Literal["center"] = "center"
    frames: Frames = 16
    stride: Stride = 2

    @property
    def random(self) -> bool:
        return False

    def pick(self, length: int, rng: np.random.Generator) -> np.ndarray:
        """Return frame numbers, (1, T) int64 in 0..length-1, for a clip of `length` frames."""
        start = max(0, (length - _span(self.frames, self.stride)) // 2)
        return _window(start, self.frames, self.stride, length)[None]


class ViewsSampling(Config):
    """K windows of T frames spread evenly over the clip, for testing (arXiv 1812.03982, section 4).

    With the transform `three_crops` each window is seen three times: K x 3 views.
    """

    name: Literal["views"] = "views"
    frames: Frames = 16
    stride: Stride = 2
    clips: int = Field(default=10, ge=1, description="windows K over the clip")

    @property
    def random(self) -> bool:
        return False

    def pick(self, length: int, rng: np.random.Generator) -> np.ndarray:
        """Return frame numbers, (K, T) int64 in 0..length-1, for a clip of `length` frames."""
        latest = max(0, length - _span(self.frames, self.stride))
        middle = [latest / 2] if self.clips == 1 else np.linspace(0, latest, self.clips)
        starts = np.rint(middle).astype(int)
        return np.stack([_window(s, self.frames, self.stride, length) for s in starts])


SamplingConfig = Annotated[
    UniformSampling | DenseSampling | CenterSampling | ViewsSampling, Field(discriminator="name")
]


def _span(frames: int, stride: int) -> int:
    return (frames - 1) * stride + 1


def _window(start: int, frames: int, stride: int, length: int) -> np.ndarray:
    return (start + stride * np.arange(frames, dtype=np.int64)) % length
