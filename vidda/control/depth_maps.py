"""Depth as a control image: near is white and far is black, on one scale for the whole clip."""

from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
from pydantic import Field

from vidda.config import Config
from vidda.control.depth import DepthAnythingConfig, DepthEstimator
from vidda.errors import ViddaError
from vidda.progress import ReportProgress, ignore_progress
from vidda.sidecar import DEPTH_ARRAYS, UNKNOWN_MM, read_rows, require_one_of, sidecar_path
from vidda.types import ClipRecord


class SidecarDepthConfig(Config):
    """Depth in sidecar files that the dataset itself provides, as MiniRoCoG does."""

    name: Literal["sidecar"] = Field(
        default="sidecar", description="depth in the clips' sidecar files"
    )


DepthControlConfig = Annotated[
    SidecarDepthConfig | DepthAnythingConfig, Field(discriminator="name")
]


def build_depth_maps(config: SidecarDepthConfig | DepthAnythingConfig) -> "DepthMaps":
    """Return the source of depth images; raises ViddaError where a model is not available."""
    return DepthMaps(None if isinstance(config, SidecarDepthConfig) else config.build())


class DepthMaps:
    """A source of depth images for ControlNets. estimator: of depth; None: the clips' sidecars."""

    def __init__(self, estimator: DepthEstimator | None) -> None:
        self._estimator = estimator

    def read(
        self,
        frames: np.ndarray,
        clip: ClipRecord,
        root: Path,
        indices: np.ndarray | None = None,
        report_progress: ReportProgress = ignore_progress,
    ) -> np.ndarray:
        """Return the depth images of frames, (T, H, W) uint8; see `depth_image`.

        frames: (T, H, W, 3) uint8 RGB. clip, root, indices, report_progress: as of
        `vidda.control.controls.ControlReader.read`. Raises ViddaError where a sidecar lacks depth.
        """
        if self._estimator is None:
            return depth_image(_sidecar_nearness(frames, clip, root, indices))
        depth = self._estimator.estimate(frames, report_progress)
        return depth_image(invert(depth) if self._estimator.metric else depth)


def depth_image(nearness: np.ndarray) -> np.ndarray:
    """Return the depth images of a clip as ControlNets read them, (T, H, W) uint8.

    nearness: (T, H, W) float32 inverse depth in any unit, larger is nearer; NaN where not known.
    255 is the clip's nearest pixel and 0 its farthest, as MiDaS scales an image (arXiv 1907.01341),
    on which lllyasviel/control_v11f1p_sd15_depth was trained; one scale for all frames, so that
    nothing flickers. Where pixels are not known, these are 0 and count as infinitely far.
    """
    near, far, known = -np.inf, np.inf, True
    for one in nearness:  # a frame at a time, because a mask of the whole clip is large
        here = np.isfinite(one)
        if here.any():
            near, far = max(near, float(one[here].max())), min(far, float(one[here].min()))
        known = known and bool(here.all())
    far = far if known else 0.0
    levels = np.zeros(nearness.shape, np.uint8)
    for level, one in zip(levels, nearness, strict=True):
        scaled = (np.nan_to_num(one, nan=far) - far) / ((near - far) or 1.0)
        level[:] = np.rint(scaled * 255)
    return levels


def invert(meters: np.ndarray) -> np.ndarray:
    """Return 1 / depth as float32; NaN where depth is not finite, or not above 0."""
    nearness = np.full(meters.shape, np.nan, np.float32)
    np.divide(1.0, meters, out=nearness, where=np.isfinite(meters) & (meters > 0))
    return nearness


def _sidecar_nearness(
    frames: np.ndarray, clip: ClipRecord, root: Path, indices: np.ndarray | None
) -> np.ndarray:
    """Return inverse depth from a clip's sidecar at the size of frames, (T, H, W) float32 or NaN.

    It is of the array `depth`, or of `inverse_depth` where there is no other.
    """
    name = require_one_of(clip, root, DEPTH_ARRAYS)
    rows = read_rows(clip, root, name, len(frames), indices)
    metric = name == "depth"
    if rows.ndim != 3 or (rows.dtype != np.uint16 if metric else rows.dtype.kind != "f"):
        wanted = f"uint16 in millimeters, {UNKNOWN_MM} where unknown" if metric else "floats"
        raise ViddaError(
            f"{sidecar_path(clip, root)}: {name} of {rows.dtype}{rows.shape}; write (T, H, W) as"
            f" {wanted}"
        )
    nearness = np.empty(frames.shape[:3], np.float32)
    for out, row in zip(nearness, rows, strict=True):
        if metric:
            row = invert(np.where(row == UNKNOWN_MM, np.nan, row / np.float32(1000)))
        out[:] = _resize(row.astype(np.float32), *frames.shape[1:3])
    return nearness


def _resize(nearness: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return nearness (H, W) at another size, NaN where under half of a pixel is known."""
    if nearness.shape == (height, width):
        return nearness
    shrinks = height <= nearness.shape[0] and width <= nearness.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    known = np.isfinite(nearness)
    share, total = (
        cv2.resize(part.astype(np.float32), (width, height), interpolation=interpolation)
        for part in (known, np.where(known, nearness, 0))
    )
    return np.where(share >= 0.5, total / np.maximum(share, 0.5), np.nan)
