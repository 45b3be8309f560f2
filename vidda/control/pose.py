"""Where the poses of a clip come from: its sidecar, a model of mmpose, or RTMPose in ONNX."""

from pathlib import Path
from typing import Annotated, Protocol

import numpy as np
from pydantic import Field

from vidda.control.keypoints import JOINTS as JOINTS
from vidda.control.keypoints import Pose as Pose
from vidda.control.keypoints import pck as pck
from vidda.control.keypoints import people_boxes as people_boxes
from vidda.control.mmpose_estimator import MMPoseConfig
from vidda.control.onnx_estimator import RtmposeOnnxConfig
from vidda.control.sidecar_poses import SidecarPosesConfig
from vidda.progress import Passed, unseen
from vidda.types import ClipRecord

PoseConfig = Annotated[
    SidecarPosesConfig | MMPoseConfig | RtmposeOnnxConfig, Field(discriminator="name")
]


class PoseSource(Protocol):
    """What `PoseConfig.build()` gives."""

    def estimate(
        self,
        frames: np.ndarray,
        boxes: np.ndarray | None,
        clip: ClipRecord,
        root: Path,
        indices: np.ndarray | None = None,
        passed: Passed = unseen,
    ) -> Pose:
        """Return the poses in frames of a clip.

        frames: (T, H, W, 3) uint8 RGB, of any size; the whole picture, not a part of it.
        boxes: (T, P, 4) float32 x0, y0, x1, y1 in pixels of the frames, NaN where a person is not
        there; None leaves it to the config's `boxes`. A sidecar needs none.
        clip, root: which clip of which manifest's root the frames are of.
        indices: (T,) which of the clip's frames they are, from 0; None: all of them, in order.
        passed: called with how many frames more are done, where that takes long.
        Raises ViddaError.
        """
