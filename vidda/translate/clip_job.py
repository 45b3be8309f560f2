"""One clip to translate, with its controls and prompt."""

from dataclasses import dataclass, replace

import numpy as np

from vidda.control.controls import Controls
from vidda.control.keypoints import Pose


@dataclass(frozen=True, slots=True)
class ClipJob:
    """One clip to translate.

    frames: (T, H, W, 3) uint8 RGB. controls: computed on these frames. prompt, negative: texts for
    the model. seed: decides everything random, independently of other clips. mask: (T, H, W) bool,
    the person to keep, or None.
    """

    frames: np.ndarray
    controls: Controls
    prompt: str
    negative: str
    seed: int
    mask: np.ndarray | None = None


def pad_clip(job: ClipJob, count: int) -> ClipJob:
    """Return the clip with its last frame repeated up to `count` frames, at least its own T.

    Nothing moves between repeated frames: the optical flow is zero there, and nothing is occluded.
    """
    added = count - len(job.frames)
    if not added:
        return job

    def repeat_last(rows: np.ndarray | None) -> np.ndarray | None:
        return rows if rows is None else np.concatenate([rows, np.repeat(rows[-1:], added, 0)])

    def append_zeros(rows: np.ndarray | None) -> np.ndarray | None:
        if rows is None:
            return None
        return np.concatenate([rows, np.zeros((added, *rows.shape[1:]), rows.dtype)])

    controls, pose = job.controls, job.controls.pose
    if pose is not None:
        numbers = np.minimum(np.arange(count), len(job.frames) - 1)
        pose = Pose(pose.keypoints[numbers], pose.scores[numbers])
    frames = repeat_last(job.frames)
    assert frames is not None
    return replace(
        job,
        frames=frames,
        mask=repeat_last(job.mask),
        controls=replace(
            controls,
            edges=repeat_last(controls.edges),
            pose=pose,
            pose_maps=repeat_last(controls.pose_maps),
            depth=repeat_last(controls.depth),
            segmentation=repeat_last(controls.segmentation),
            mask=repeat_last(controls.mask),
            flow_previous=append_zeros(controls.flow_previous),
            flow_anchor=repeat_last(controls.flow_anchor),
            occluded_previous=append_zeros(controls.occluded_previous),
            occluded_anchor=repeat_last(controls.occluded_anchor),
        ),
    )
