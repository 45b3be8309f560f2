"""Optical flow of a whole clip: to the frame before, or to the first frame."""

from collections.abc import Iterable
from typing import Literal

import numpy as np

from vidda.control.flow import Flow, occluded
from vidda.progress import Passed, unseen

Target = Literal["previous", "anchor"]
"""The frame that the flow of each frame points to: the one before, or frame 0."""

STEPS_PER_PIXEL = 32
"""Flow is kept in these steps, half of one being far below what it is wrong by."""


def clip_flow(
    estimator: Flow,
    frames: np.ndarray,
    target: Target,
    wanted: Iterable[int] | None = None,
    passed: Passed = unseen,
) -> dict[str, np.ndarray]:
    """Return flow from each frame to its target, `steps` as `unpacked` takes them, and what is
    `occluded`.

    frames: (T, H, W, 3) uint8 RGB. Gives (T, H, W, 2) int16 and (T, H, W) bool; row 0 is zero.
    wanted: rows that are computed, the others being zero; None: all. passed: called with each.
    """
    steps = np.zeros((*frames.shape[:3], 2), np.int16)
    hidden = np.zeros(frames.shape[:3], bool)
    for f in range(len(frames)) if wanted is None else wanted:
        passed(1)
        if f == 0:
            continue
        other = frames[f - 1 if target == "previous" else 0]
        forward = estimator.flow(frames[f], other)
        steps[f] = packed(forward)
        hidden[f] = occluded(forward, estimator.flow(other, frames[f]))
    return {"steps": steps, "occluded": hidden}


def packed(flow: np.ndarray) -> np.ndarray:
    """Return flow (H, W, 2) in pixels as the differences of neighbors in int16 steps.

    Steps hold up to 1023 pixels. Flow is smooth, so their differences compress to less than half;
    they may wrap around, for their sum wraps back.
    """
    most = np.iinfo(np.int16).max
    steps = np.clip(np.rint(flow * STEPS_PER_PIXEL), -most, most).astype(np.int16)
    for axis in (0, 1):
        steps = np.diff(steps, axis=axis, prepend=np.int16(0))
    return steps


def unpacked(steps: np.ndarray) -> np.ndarray:
    """Return the flow of a clip in pixels, (T, H, W, 2) float16, from what `packed` gave for its
    frames.

    Every step up to 64 pixels is a number of float16; above, it is right to a thousandth.
    """
    flow = np.empty(steps.shape, np.float16)
    for one, kept in zip(flow, steps, strict=True):
        for axis in (0, 1):
            kept = np.cumsum(kept, axis=axis, dtype=np.int16)
        one[:] = kept.astype(np.float32) / STEPS_PER_PIXEL
    return flow
