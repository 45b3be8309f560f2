"""Poses that a dataset keeps in sidecar files of its clips."""

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from vidda.config import Config
from vidda.control.keypoints import JOINTS, Pose
from vidda.errors import ViddaError
from vidda.progress import ReportProgress, ignore_progress
from vidda.sidecar import read_rows, sidecar_arrays, sidecar_path, size_ratio
from vidda.types import ClipRecord

VISIBLE = 2
"""COCO's value of a visible joint; scores are shares of it: 1 visible, 0.5 hidden, 0 outside."""

KEYPOINT_SCORES = "keypoint_scores"
"""The array of a sidecar with the scores of estimated keypoints, (T, P, 17) in [0, 1]."""


class SidecarPosesConfig(Config):
    """Keypoints in sidecar files that the dataset itself provides, as MiniRoCoG does."""

    name: Literal["sidecar"] = Field(
        default="sidecar", description="keypoints in the clips' sidecar files"
    )

    def build(self) -> "SidecarPoses":
        """Return the source of poses."""
        return SidecarPoses()


class SidecarPoses:
    """A source that reads poses from sidecar files instead of estimating them."""

    def estimate(
        self,
        frames: np.ndarray,
        boxes: np.ndarray | None,
        clip: ClipRecord,
        root: Path,
        indices: np.ndarray | None = None,
        report_progress: ReportProgress = ignore_progress,
    ) -> Pose:
        """Return the poses in frames of a clip, scaled to the frames' size.

        Arguments as in `vidda.control.pose.PoseSource.estimate`; `boxes` is not used. Scores are
        those of estimated keypoints where the sidecar has them, else shares of the visibility.
        Raises ViddaError when the clip has no sidecar, or one that does not fit it.
        """
        keypoints = read_rows(clip, root, "keypoints", len(frames), indices)
        joints = (len(JOINTS), 3)
        if keypoints.shape[-2:] != joints or keypoints.ndim not in (3, 4):
            raise ViddaError(
                f"{sidecar_path(clip, root)}: keypoints of shape {keypoints.shape}, not (T, 17, 3)"
                " or (T, P, 17, 3); write COCO's 17 joints as x, y, visibility"
            )
        people = keypoints.reshape(len(frames), -1, *joints)
        # The center of the first pixel is 0 at both sizes.
        positions = (people[..., :2] + 0.5) * size_ratio(frames, clip, root) - 0.5
        scores = people[..., 2] / VISIBLE
        if KEYPOINT_SCORES in sidecar_arrays([clip], root):
            scores = read_rows(clip, root, KEYPOINT_SCORES, len(frames), indices)
            if scores.shape != people.shape[:-1]:
                raise ViddaError(
                    f"{sidecar_path(clip, root)}: {KEYPOINT_SCORES} of shape {scores.shape} for"
                    f" keypoints of {people.shape[:-1]}; write a score for each joint"
                )
        return Pose(positions.astype(np.float32), scores.astype(np.float32))
