"""Boxes of the people that a detector finds, of all frames of a clip in one array."""

from collections.abc import Sequence

import numpy as np

from vidda.control.keypoints import NobodyError
from vidda.types import ClipRecord


def stack_boxes(
    per_frame: Sequence[np.ndarray], clip: ClipRecord, detector: str, threshold: float
) -> np.ndarray:
    """Return boxes (T, P, 4) float32, NaN where a frame has fewer than P people.

    per_frame: T arrays (N, 4). clip, detector, threshold: the clip, the detector's name and its
    lowest score, for messages. Raises NobodyError when no frame has any.
    """
    padded = pad_boxes(per_frame)
    if padded.shape[1] == 0:
        raise NobodyError(
            f"clip {clip.id!r}: {detector} finds no person with a score of {threshold} in"
            f" {len(per_frame)} frames; lower pose.boxes.threshold, or choose another"
            " pose.boxes.name"
        )
    return padded


def pad_boxes(per_frame: Sequence[np.ndarray]) -> np.ndarray:
    """Return boxes (T, P, 4) float32, NaN where a frame has fewer than P people.

    per_frame: T arrays (N, 4); P is the largest N.
    """
    people = max((len(boxes) for boxes in per_frame), default=0)
    padded = np.full((len(per_frame), people, 4), np.nan, np.float32)
    for row, boxes in zip(padded, per_frame, strict=True):
        row[: len(boxes)] = boxes
    return padded
