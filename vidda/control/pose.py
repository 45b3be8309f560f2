"""Sources of a clip's poses: its sidecar, mmpose, RTMPose in ONNX, BlazePose, or ViTPose."""

from pathlib import Path
from typing import Annotated, Protocol

import numpy as np
from pydantic import Field

from vidda.control.blazepose import BlazePoseConfig
from vidda.control.keypoints import JOINTS as JOINTS
from vidda.control.keypoints import Pose as Pose
from vidda.control.keypoints import pck as pck
from vidda.control.keypoints import people_boxes as people_boxes
from vidda.control.mmpose_estimator import MMPoseConfig
from vidda.control.onnx_estimator import RtmposeOnnxConfig
from vidda.control.sidecar_poses import SidecarPosesConfig
from vidda.control.vitpose import VitPoseConfig
from vidda.progress import ReportProgress, ignore_progress
from vidda.types import ClipRecord

PoseConfig = Annotated[
    SidecarPosesConfig | MMPoseConfig | RtmposeOnnxConfig | BlazePoseConfig | VitPoseConfig,
    Field(discriminator="name"),
]


class PoseSource(Protocol):
    """A source of people's poses, as `PoseConfig.build()` returns it."""

    def estimate(
        self,
        frames: np.ndarray,
        boxes: np.ndarray | None,
        clip: ClipRecord,
        root: Path,
        indices: np.ndarray | None = None,
        report_progress: ReportProgress = ignore_progress,
    ) -> Pose:
        """Return the poses in frames of a clip.

        frames: (T, H, W, 3) uint8 RGB, of any size, uncropped. boxes: (T, P, 4) float32 x0, y0, x1,
        y1 in pixels of the frames, NaN where a person is absent; None: from the config's `boxes`. A
        sidecar needs none. clip, root: the clip that the frames are of, and its manifest's root.
        indices: (T,) numbers of the frames in the clip, from 0; None: all of them, in order.
        report_progress: called with the number of frames done since the last call, where estimation
        takes long.

        Raises ViddaError when there are no poses to return.
        """
