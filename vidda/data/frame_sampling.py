"""Samplers of a clip's frames; the same for the same seed, epoch and clip id.

A clip shorter than the sample is looped by the samplers with a stride (frame N is frame 0 again, as
a gesture repeats), and its frames are repeated in order by `UniformSampling`.
"""

import hashlib
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from vidda.config import Config

FrameCount = Annotated[int, Field(ge=1, description="frames T that are sampled of one clip")]
Stride = Annotated[int, Field(ge=1, description="distance of neighboring sampled frames")]


def clip_rng(seed: int, epoch: int, clip_id: str, purpose: str) -> np.random.Generator:
    """Return a random generator that depends on its arguments alone, not on workers or machine.

    seed: of the run. epoch: from 0. clip_id: the clip's. purpose: a word that separates the draws
    of one job (frames, transform) from another's.
    """
    digest = hashlib.sha256(f"{seed}\0{epoch}\0{purpose}\0{clip_id}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "big")))


class UniformSampling(Config):
    """One frame of each of T equal segments of the clip (TSN, arXiv 1608.00859, section 3.1)."""

    name: Literal["uniform"] = "uniform"
    frames: FrameCount = 16
    jitter: bool = Field(
        default=True, description="sample the frame of each segment at random; else its middle one"
    )

    @property
    def random(self) -> bool:
        """Return whether `pick` depends on its random generator."""
        return self.jitter

    def pick(self, length: int, rng: np.random.Generator) -> np.ndarray:
        """Return frame numbers, (1, T) int64 in 0..length-1, for a clip of `length` frames.

        rng: decides what is random, see `clip_rng`.
        """
        within = rng.random(self.frames) if self.jitter else np.full(self.frames, 0.5)
        picked = ((np.arange(self.frames) + within) * (length / self.frames)).astype(np.int64)
        return np.minimum(picked, length - 1)[None]


class DenseSampling(Config):
    """T frames a stride apart, from a random start (SlowFast, arXiv 1812.03982, section 4)."""

    name: Literal["dense"] = "dense"
    frames: FrameCount = 16
    stride: Stride = 2

    @property
    def random(self) -> bool:
        """Return whether `pick` depends on its random generator."""
        return True

    def pick(self, length: int, rng: np.random.Generator) -> np.ndarray:
        """Return frame numbers, (1, T) int64 in 0..length-1, for a clip of `length` frames.

        rng: decides what is random, see `clip_rng`.
        """
        latest = length - _span(self.frames, self.stride)
        start = int(rng.integers(latest + 1)) if latest > 0 else 0
        return _window(start, self.frames, self.stride, length)[None]


class CenterSampling(Config):
    """T frames a stride apart from the middle of the clip."""

    name: Literal["center"] = "center"
    frames: FrameCount = 16
    stride: Stride = 2

    @property
    def random(self) -> bool:
        """Return whether `pick` depends on its random generator."""
        return False

    def pick(self, length: int, rng: np.random.Generator) -> np.ndarray:
        """Return frame numbers, (1, T) int64 in 0..length-1, for a clip of `length` frames.

        rng: decides what is random, see `clip_rng`.
        """
        start = max(0, (length - _span(self.frames, self.stride)) // 2)
        return _window(start, self.frames, self.stride, length)[None]


class ViewsSampling(Config):
    """K windows of T frames spread evenly over the clip, for testing (arXiv 1812.03982, section 4).

    With the transform `three_crops` each window gives three views: K x 3 in all.
    """

    name: Literal["views"] = "views"
    frames: FrameCount = 16
    stride: Stride = 2
    clips: int = Field(default=10, ge=1, description="number K of windows over the clip")

    @property
    def random(self) -> bool:
        """Return whether `pick` depends on its random generator."""
        return False

    def pick(self, length: int, rng: np.random.Generator) -> np.ndarray:
        """Return frame numbers, (K, T) int64 in 0..length-1, for a clip of `length` frames.

        rng: decides what is random, see `clip_rng`.
        """
        latest = max(0, length - _span(self.frames, self.stride))
        middle = [latest / 2] if self.clips == 1 else np.linspace(0, latest, self.clips)
        starts = np.rint(middle).astype(int)
        return np.stack([_window(s, self.frames, self.stride, length) for s in starts])


FrameSamplingConfig = Annotated[
    UniformSampling | DenseSampling | CenterSampling | ViewsSampling, Field(discriminator="name")
]


def _span(frames: int, stride: int) -> int:
    return (frames - 1) * stride + 1


def _window(start: int, frames: int, stride: int, length: int) -> np.ndarray:
    return (start + stride * np.arange(frames, dtype=np.int64)) % length
