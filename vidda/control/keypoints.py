"""Poses of people in a clip: the 17 joints of COCO, their extent, and how right they are."""

from dataclasses import dataclass

import numpy as np

from vidda.sidecar import COCO_17

JOINTS: tuple[str, ...] = COCO_17
"""Names of the joints in COCO's order."""

THRESHOLD = 0.3
"""A joint of a lower score is unknown where nothing else is asked for, as where mmpose draws."""


@dataclass(frozen=True, slots=True)
class Pose:
    """Poses of all people in all frames of one clip.

    keypoints: (T, P, 17, 2) float32 x, y in pixels of the frames, whole numbers at the centers of
    pixels; of no meaning, but finite, where the score is 0.
    scores: (T, P, 17) float32 in [0, 1]: how sure a joint's place is, 0 where it is unknown.
    """

    keypoints: np.ndarray
    scores: np.ndarray


def nobody(frames: int) -> Pose:
    """Return the poses of so many frames in which nobody is seen."""
    shape = (frames, 0, len(JOINTS))
    return Pose(np.zeros((*shape, 2), np.float32), np.zeros(shape, np.float32))


def known(scores: np.ndarray, threshold: float) -> np.ndarray:
    """Which joints have a score of at least `threshold` and are not unknown, bool like `scores`."""
    joints: np.ndarray = (scores >= threshold) & (scores > 0)
    return joints


def people_boxes(pose: Pose, threshold: float = 0.0) -> np.ndarray:
    """Return the box around the joints of each person in each frame.

    threshold: see `known`. Gives (T, P, 4) float32 x0, y0, x1, y1 in pixels, NaN where a person has
    no known joint.
    """
    counted = known(pose.scores, threshold)[..., None]
    low = np.where(counted, pose.keypoints, np.inf).min(axis=2)
    high = np.where(counted, pose.keypoints, -np.inf).max(axis=2)
    boxes = np.concatenate([low, high], axis=2).astype(np.float32)
    boxes[~counted.any(axis=(2, 3))] = np.nan
    return boxes


def pck(
    predicted: np.ndarray,
    truth: np.ndarray,
    visible: np.ndarray,
    size: np.ndarray | float,
    alpha: float = 0.2,
) -> np.ndarray:
    """Return the percentage of correct keypoints of each joint, as a share.

    predicted, truth: (..., 17, 2) x, y in pixels; a predicted joint that is NaN was not found and
    is wrong. visible: (..., 17) bool, the joints that count. size: (...) or one number, the longer
    side of the person's box in pixels. alpha: a joint is correct within this share of `size`, 0.2
    being PCK@0.2. Gives (17,) float64 in [0, 1], NaN for a joint that is nowhere visible.

    Source: Yang and Ramanan, Articulated Human Detection with Flexible Mixtures of Parts, TPAMI
    2013, which takes the box for a reference as here.
    """
    distance = np.linalg.norm(predicted - truth, axis=-1)
    right = visible & (distance <= alpha * np.asarray(size)[..., None])
    over = tuple(range(visible.ndim - 1))
    counted = visible.sum(axis=over)
    share: np.ndarray = np.where(counted > 0, right.sum(axis=over) / np.maximum(counted, 1), np.nan)
    return share
