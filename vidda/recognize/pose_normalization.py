"""Poses without position and size: centered on the hips and scaled by the torso."""

import warnings

import numpy as np

from vidda.control.keypoints import JOINTS

SHOULDERS = [JOINTS.index("left_shoulder"), JOINTS.index("right_shoulder")]
HIPS = [JOINTS.index("left_hip"), JOINTS.index("right_hip")]

TORSO_PER_SHOULDERS = 1.3
"""Length of a torso, from the middle of the hips to that of the shoulders, in widths of the
shoulders: 1.32 of MiniRoCoG's average body."""
TORSO_PER_BOX = 1 / 3
"""Length of a torso, as a share of the longer side of the box around a person."""


def normalize_pose(keypoints: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return a clip's joints relative to the body, (T, 17, 2) float32, 0 where unknown.

    keypoints: (T, 17, 2) x, y in pixels, y downward, of one person. known: (T, 17) bool, the joints
    that count; positions of others have no effect.

    Each frame has its own center, so that neither a moving camera nor walking matters: the middle
    of the hips; where both are unknown, the shoulders' middle moved by the clip's median step from
    there to the hips, or one torso down where no frame has both; else the middle of the box of the
    known joints. The clip has one scale, see `body_size`: a size for each frame would turn a lean
    into growth.
    """
    points = np.where(known[..., None], keypoints, np.nan).astype(np.float64)
    size = body_size(keypoints, known)
    hips, shoulders = _middle(points[:, HIPS]), _middle(points[:, SHOULDERS])
    down = _nanmedian(hips - shoulders, axis=0)
    down = np.where(np.isfinite(down), down, [0.0, size])
    low, high = _extent(points)
    center = np.where(np.isfinite(hips), hips, shoulders + down)
    center = np.where(np.isfinite(center), center, (low + high) / 2)
    return np.nan_to_num((points - center[:, None]) / size).astype(np.float32)


def body_size(keypoints: np.ndarray, known: np.ndarray) -> float:
    """Return the size of a person in a clip, about the length of the torso, in pixels.

    keypoints, known: as for `normalize_pose`. It is the median over the frames of the torso's
    length or, if that is larger, the shoulders' width times `TORSO_PER_SHOULDERS`: from above the
    torso is foreshortened, from the side the shoulders are. Without hips or shoulders it comes from
    the box of the known joints, and is 1 where that is a point.
    """
    points = np.where(known[..., None], keypoints, np.nan).astype(np.float64)
    torso = np.linalg.norm(_middle(points[:, HIPS]) - _middle(points[:, SHOULDERS]), axis=-1)
    left, right = points[:, SHOULDERS].swapaxes(0, 1)
    across = TORSO_PER_SHOULDERS * np.linalg.norm(left - right, axis=-1)
    low, high = _extent(points)
    box = TORSO_PER_BOX * (high - low).max(axis=-1)
    sizes = (float(_nanmedian(one, axis=0)) for one in (np.fmax(torso, across), box))
    return next((size for size in sizes if size > 1e-6), 1.0)


def _middle(points: np.ndarray) -> np.ndarray:
    """Return the mean over axis 1 of the known points of (T, N, 2), NaN where none is."""
    with _all_nan():
        middle: np.ndarray = np.nanmean(points, axis=1)
    return middle


def _extent(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and highest coordinates of each frame's known points, (T, 2) each."""
    with _all_nan():
        return np.nanmin(points, axis=1), np.nanmax(points, axis=1)


def _nanmedian(values: np.ndarray, axis: int) -> np.ndarray:
    with _all_nan():
        median: np.ndarray = np.nanmedian(values, axis=axis)
    return median


def _all_nan() -> warnings.catch_warnings:
    """Return a context in which means of unknown values alone give NaN without a warning."""
    return warnings.catch_warnings(action="ignore", category=RuntimeWarning)
