"""One pass of a top-down estimator over all people in all frames of a clip."""

from collections.abc import Callable

import numpy as np

from vidda.control.keypoints import JOINTS, Pose
from vidda.progress import Passed

Predict = Callable[[list[np.ndarray], np.ndarray], tuple[np.ndarray, np.ndarray]]
"""N frames (H, W, 3) and a box (N, 4) in each to joints (N, 17, 2) in pixels of the frames and
their scores (N, 17)."""


def over_people(
    frames: np.ndarray, boxes: np.ndarray, batch: int, predict: Predict, passed: Passed
) -> Pose:
    """Return the poses of all people, `batch` of them at once whatever frames they are in.

    frames: (T, H, W, 3). boxes: (T, P, 4), NaN where a person is not there: their scores are 0.
    passed: called with how many frames more are done.
    """
    keypoints = np.zeros((*boxes.shape[:2], len(JOINTS), 2), np.float32)
    scores = np.zeros(keypoints.shape[:3], np.float32)
    done = 0
    at, who = np.nonzero(np.isfinite(boxes).all(axis=2))
    for start in range(0, len(at), batch):
        t, p = at[start : start + batch], who[start : start + batch]
        keypoints[t, p], found = predict([frames[number] for number in t], boxes[t, p])
        # A maximum of RTMPose may lie a little outside.
        scores[t, p] = np.clip(found, 0.0, 1.0)
        passed(int(t[-1]) - done)
        done = int(t[-1])
    passed(len(frames) - done)
    return Pose(keypoints, scores)
