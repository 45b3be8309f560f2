"""Masks, poses and depth of a clip by models that share one decode of its frames."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, tee
from pathlib import Path
from typing import Annotated, Protocol

import numpy as np
from pydantic import Field

from vidda.control.blazepose import BlazePose, BlazePoseConfig
from vidda.control.depth import DepthConfig, DepthEstimator
from vidda.control.mask_source import MaskSource, MaskSourceConfig
from vidda.control.mmpose_estimator import MMPoseConfig
from vidda.control.onnx_estimator import RtmposeOnnxConfig
from vidda.control.vitpose import VitPoseConfig
from vidda.types import ClipRecord

PoseEstimatorConfig = Annotated[
    BlazePoseConfig | VitPoseConfig | MMPoseConfig | RtmposeOnnxConfig, Field(discriminator="name")
]
"""The sources of poses that are models: all but the sidecars themselves."""

DEPTH_WINDOW = 8
"""Frames whose depth is estimated together, and that are in memory at a time."""


class JointSource(Protocol):
    """A model of poses that takes the frames of a clip one after another."""

    def stream_joints(
        self, frames: Iterable[np.ndarray], clip: ClipRecord, root: Path
    ) -> Iterator[np.ndarray]:
        """Yield the joints of the people in each frame, (P, 17, 3) float32 x, y, score.

        frames: all frames of the clip in order, (H, W, 3) uint8 RGB each; they are taken a few at a
        time. P may differ from frame to frame, and people are in no fixed order. clip, root: the
        clip that the frames are of, and its manifest's root.
        """


@dataclass(frozen=True, slots=True)
class FrameEstimates:
    """The estimates of one frame; None for what was not asked for.

    masks: (P, H, W) float32, people's shares of the pixels. joints: (Q, 17, 3) float32 x, y, score,
    people in no fixed order. depth: (H, W) float32, see `vidda.control.depth.DepthEstimator`.
    """

    masks: np.ndarray
    joints: np.ndarray | None
    depth: np.ndarray | None


class ClipEstimators:
    """Loaded models of masks, and of poses and depth where they are asked for.

    source, pose, depth: configs of the models. Where `pose` equals `source`, one run of BlazePose
    gives both. Raises ViddaError where a model is not available.
    """

    def __init__(
        self,
        source: MaskSourceConfig,
        pose: PoseEstimatorConfig | None = None,
        depth: DepthConfig | None = None,
    ) -> None:
        self._masks: MaskSource = source.build()
        self.shares_blazepose = isinstance(self._masks, BlazePose) and pose == source
        self._joints: JointSource | None = (
            None if pose is None or self.shares_blazepose else pose.build()
        )
        self.depth: DepthEstimator | None = None if depth is None else depth.build()

    def estimate(
        self, frames: Iterable[np.ndarray], clip: ClipRecord, root: Path
    ) -> Iterator[FrameEstimates]:
        """Yield the estimates of each frame; arguments as in `JointSource.stream_joints`."""
        if self.depth is None:
            for masks, joints in self._people(frames, clip, root):
                yield FrameEstimates(masks, joints, None)
            return
        first, second = tee(frames)
        people, depth = self._people(first, clip, root), _stream_depth(self.depth, second)
        for (masks, joints), distances in zip(people, depth, strict=True):
            yield FrameEstimates(masks, joints, distances)

    def _people(
        self, frames: Iterable[np.ndarray], clip: ClipRecord, root: Path
    ) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Yield the masks and the joints of the people in each frame."""
        if self.shares_blazepose:
            assert isinstance(self._masks, BlazePose)
            yield from self._masks.find_people(frames, clip, root)
        elif self._joints is None:
            for masks in self._masks.find_masks(frames, clip, root):
                yield masks, None
        else:
            first, second = tee(frames)
            masks_of_frames = self._masks.find_masks(first, clip, root)
            joints = self._joints.stream_joints(second, clip, root)
            yield from zip(masks_of_frames, joints, strict=True)


def _stream_depth(estimator: DepthEstimator, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the depth (H, W) of each frame."""
    remaining = iter(frames)
    while window := list(islice(remaining, DEPTH_WINDOW)):
        yield from estimator.estimate(np.stack(window))
