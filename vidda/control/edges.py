"""Edge maps of frames: Canny's thin binary ones, or soft ones from the gradient's magnitude."""

from typing import Annotated, Literal, Self

import cv2
import numpy as np
from pydantic import Field, model_validator

from vidda.config import Config


class FixedThresholds(Config):
    """The same two thresholds for every frame."""

    name: Literal["fixed"] = "fixed"
    low: float = Field(
        default=100.0, ge=0, description="lowest gradient that continues an edge, in gray levels"
    )
    high: float = Field(
        default=200.0, ge=0, description="lowest gradient that starts an edge, in gray levels"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} is above high {self.high:g}; swap them")
        return self

    def thresholds(self, frame: np.ndarray) -> tuple[float, float]:
        """Return the low and the high threshold for a frame (H, W, 3) uint8."""
        return self.low, self.high


class MedianThresholds(Config):
    """Thresholds around the median gray value m of each frame: (1 - spread) m, (1 + spread) m."""

    name: Literal["median"] = "median"
    spread: float = Field(
        default=0.33,
        gt=0,
        le=1,
        description="distance of both thresholds from the median, as a share of it",
    )

    def thresholds(self, frame: np.ndarray) -> tuple[float, float]:
        """Return the low and the high threshold for a frame (H, W, 3) uint8, in 0..255."""
        median = float(np.median(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)))
        return (1 - self.spread) * median, min(255.0, (1 + self.spread) * median)


class CannyEdges(Config):
    """Canny's binary edges (IEEE PAMI 8(6), 1986), as the Canny ControlNets were trained."""

    name: Literal["canny"] = "canny"
    thresholds: Annotated[FixedThresholds | MedianThresholds, Field(discriminator="name")] = Field(
        default=FixedThresholds(), description="gradient thresholds of an edge"
    )

    def edges(self, frames: np.ndarray) -> np.ndarray:
        """Return edge maps (T, H, W) uint8, 255 on edges and 0 elsewhere, of RGB frames (T, H, W,
        3) uint8.

        At each pixel the color channel with the strongest gradient decides.
        """
        return np.stack([cv2.Canny(frame, *self.thresholds.thresholds(frame)) for frame in frames])


class SoftEdges(Config):
    """Soft edges without a network: the gradient's magnitude at one scale, over all channels.

    They resemble HED's maps, which the soft-edge ControlNets take, but know nothing of objects.
    """

    name: Literal["soft"] = "soft"
    sigma: float = Field(default=1.0, gt=0, description="blur before the gradient, in pixels")
    full: float = Field(
        default=99.0,
        gt=0,
        le=100,
        description="percentile of a clip's gradients that becomes white",
    )

    def edges(self, frames: np.ndarray) -> np.ndarray:
        """Return edge maps (T, H, W) uint8, 0 where nothing changes, of RGB frames (T, H, W, 3)
        uint8.

        One scale serves the whole clip: one for each frame would make the maps flicker.
        """
        strength = np.stack([_gradient(frame, self.sigma) for frame in frames])
        white = max(float(np.percentile(strength, self.full)), 1.0)
        levels = [np.rint(np.minimum(one / white, 1.0) * 255.0) for one in strength]
        return np.stack([one.astype(np.uint8) for one in levels])


EdgeConfig = Annotated[CannyEdges | SoftEdges, Field(discriminator="name")]


def _gradient(frame: np.ndarray, sigma: float) -> np.ndarray:
    """Return the strongest channel's gradient magnitude, (H, W) float32, in gray levels
    per pixel.
    """
    smooth = cv2.GaussianBlur(frame.astype(np.float32), (0, 0), sigma)
    across = cv2.Scharr(smooth, cv2.CV_32F, 1, 0, scale=1 / 32)
    down = cv2.Scharr(smooth, cv2.CV_32F, 0, 1, scale=1 / 32)
    strongest: np.ndarray = np.hypot(across, down).max(axis=2)
    return strongest
