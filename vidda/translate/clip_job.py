"""One clip to translate."""

from dataclasses import dataclass, replace

import numpy as np

from vidda.control.controls import Controls
from vidda.control.keypoints import Pose


@dataclass(frozen=True, slots=True)
class ClipJob:
    """One clip to translate.

    frames: (T, H, W, 3) uint8 RGB. controls: computed on these frames. seed: decides all that is
    random; no other clip's matters. mask: (T, H, W) bool, the person, where it is to be kept.
    """

    frames: np.ndarray
    controls: Controls
    prompt: str
    negative: str
    seed: int
    mask: np.ndarray | None = None


def padded(job: ClipJob, count: int) -> ClipJob:
    """Return the clip with its last frame repeated until it has `count`, at least its own T.

    Between repeated frames nothing moves: the optical flow is zero there, and nothing is hidden.
    """
    further = count - len(job.frames)
    if not further:
        return job

    def held(rows: np.ndarray | None) -> np.ndarray | None:
        return rows if rows is None else np.concatenate([rows, np.repeat(rows[-1:], further, 0)])

    def still(rows: np.ndarray | None) -> np.ndarray | None:
        if rows is None:
            return None
        return np.concatenate([rows, np.zeros((further, *rows.shape[1:]), rows.dtype)])

    controls, pose = job.controls, job.controls.pose
    if pose is not None:
        numbers = np.minimum(np.arange(count), len(job.frames) - 1)
        pose = Pose(pose.keypoints[numbers], pose.scores[numbers])
    frames = held(job.frames)
    assert frames is not None
    return replace(
        job,
        frames=frames,
        mask=held(job.mask),
        controls=replace(
            controls,
            edges=held(controls.edges),
            pose=pose,
            pose_maps=held(controls.pose_maps),
            flow_previous=still(controls.flow_previous),
            flow_anchor=held(controls.flow_anchor),
            occluded_previous=still(controls.occluded_previous),
            occluded_anchor=held(controls.occluded_anchor),
        ),
    )
