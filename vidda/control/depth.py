"""Estimation of every pixel's depth in frames, by Depth Anything of transformers."""

from typing import Literal, Protocol

import numpy as np
from pydantic import Field

from vidda.config import Count
from vidda.control.transformers_model import TransformersModelConfig, load_transformers_model
from vidda.progress import ReportProgress, ignore_progress
from vidda.weights import Hub, SourceConfig


class DepthEstimator(Protocol):
    """An estimator of depth, as `DepthConfig.build()` returns it.

    metric: whether depth is the distance along the camera's axis in meters. Else it is relative
    inverse depth: larger is nearer, and scale and offset are unknown and differ between frames.
    """

    @property
    def metric(self) -> bool: ...

    def estimate(
        self, frames: np.ndarray, report_progress: ReportProgress = ignore_progress
    ) -> np.ndarray:
        """Return the depth of every pixel, (T, H, W) float32, in the unit that `metric` states.

        frames: (T, H, W, 3) uint8 RGB. report_progress: called with the number of frames done since
        the last call.
        """


class DepthAnythingConfig(TransformersModelConfig):
    """Depth Anything, version 1 or 2, of transformers (arXiv 2401.10891, 2406.09414)."""

    name: Literal["depth_anything"] = Field(
        default="depth_anything", description="Depth Anything of transformers"
    )
    weights: SourceConfig = Field(
        default=Hub(repo="depth-anything/Depth-Anything-V2-Small-hf"),
        description="folder or hub repository of the model; those named Metric give meters",
    )
    batch: Count = Field(default=4, description="frames per batch")

    def build(self, key: str = "depth") -> "DepthAnything":
        """Return the loaded estimator.

        key: of this config, for messages. Raises ViddaError when the model or the device is not
        available.
        """
        return DepthAnything(self, key)


DepthConfig = DepthAnythingConfig


class DepthAnything:
    """A loaded Depth Anything, in float32.

    config, key: see `DepthAnythingConfig.build`.
    """

    def __init__(self, config: DepthAnythingConfig, key: str) -> None:
        self.config = config
        classes = {"depth_anything": "DepthAnythingForDepthEstimation"}
        self._loaded = load_transformers_model(config, key, classes, "depth")

    @property
    def metric(self) -> bool:
        """Return whether depth is in meters, and not relative inverse depth."""
        return bool(self._loaded.model.config.depth_estimation_type == "metric")

    def estimate(
        self, frames: np.ndarray, report_progress: ReportProgress = ignore_progress
    ) -> np.ndarray:
        """Return the depth of every pixel, (T, H, W) float32; see `DepthEstimator.estimate`."""
        depth = np.empty(frames.shape[:3], np.float32)
        size = frames.shape[1:3]
        for start in range(0, len(frames), self.config.batch):
            batch = frames[start : start + self.config.batch]
            found = self._loaded.processor.post_process_depth_estimation(
                self._loaded.run(batch), target_sizes=[size] * len(batch)
            )
            for number, one in enumerate(found, start):
                depth[number] = one["predicted_depth"].cpu().numpy()
            report_progress(len(batch))
        return depth
