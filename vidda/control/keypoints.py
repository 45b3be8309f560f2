"""Poses of people in a clip: the 17 joints of COCO, boxes around them, and their accuracy (PCK)."""

from dataclasses import dataclass

import numpy as np

from vidda.errors import ViddaError
from vidda.sidecar import COCO_17

JOINTS: tuple[str, ...] = COCO_17
"""Names of the joints in COCO's order."""

THRESHOLD = 0.3
"""Default lowest score of a known joint, the same as mmpose's for drawing."""


class NobodyError(ViddaError):
    """A detector finds no people in a clip."""


@dataclass(frozen=True, slots=True)
class Pose:
    """The poses of all P people in all T frames of one clip.

    keypoints: (T, P, 17, 2) float32 x, y in pixels of the frames, whole numbers at the centers of
    pixels; finite, but meaningless, where the score is 0. scores: (T, P, 17) float32 in [0, 1], the
    confidence of each joint's position, 0 where it is unknown.
    """

    keypoints: np.ndarray
    scores: np.ndarray


def empty_pose(frames: int) -> Pose:
    """Return the poses of `frames` frames without any people: P is 0."""
    shape = (frames, 0, len(JOINTS))
    return Pose(np.zeros((*shape, 2), np.float32), np.zeros(shape, np.float32))


def known_joints(scores: np.ndarray, threshold: float) -> np.ndarray:
    """Return which joints are known, bool of the shape of `scores`.

    scores: confidence of each joint, of any shape; 0 where it was not found. threshold: lowest
    score of a known joint; a score of 0 never is.
    """
    joints: np.ndarray = (scores >= threshold) & (scores > 0)
    return joints


def people_boxes(pose: Pose, threshold: float = 0.0) -> np.ndarray:
    """Return the box around the known joints of each person in each frame.

    threshold: lowest score of a known joint. Returns (T, P, 4) float32 x0, y0, x1, y1 in pixels,
    NaN where a person has no known joint.
    """
    counted = known_joints(pose.scores, threshold)[..., None]
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
    """Return the share of correct keypoints (PCK) of each joint, (17,) float64 in [0, 1].

    predicted, truth: (..., 17, 2) x, y in pixels; a predicted joint that is NaN was not found and
    is wrong. visible: (..., 17) bool, the joints that count. size: (...) or one number, the longer
    side of the person's box in pixels. alpha: a joint is correct within this share of `size`, 0.2
    being PCK@0.2. A joint that is nowhere visible gets NaN.

    Source: Yang and Ramanan, Articulated Human Detection with Flexible Mixtures of Parts, TPAMI
    2013, which also takes the box as reference.
    """
    distance = np.linalg.norm(predicted - truth, axis=-1)
    correct = visible & (distance <= alpha * np.asarray(size)[..., None])
    axes = tuple(range(visible.ndim - 1))
    counted = visible.sum(axis=axes)
    share: np.ndarray = np.where(
        counted > 0, correct.sum(axis=axes) / np.maximum(counted, 1), np.nan
    )
    return share
