"""Optical flow of a whole clip, to the previous frame or to the first frame, packed for a cache."""

from collections.abc import Iterable
from typing import Literal

import numpy as np

from vidda.control.flow import FlowEstimator, occlusion_mask
from vidda.progress import ReportProgress, ignore_progress

FlowTarget = Literal["previous", "anchor"]
"""The frame that the flow of each frame points to: the previous one, or frame 0 as anchor."""

STEPS_PER_PIXEL = 32
"""Resolution of packed flow; half a step is far below the error of any estimator."""


def clip_flow(
    estimator: FlowEstimator,
    frames: np.ndarray,
    target: FlowTarget,
    wanted: Iterable[int] | None = None,
    report_progress: ReportProgress = ignore_progress,
) -> dict[str, np.ndarray]:
    """Return the flow from each frame to its target, packed, and the pixels that are occluded
    there.

    estimator: computes flow between two frames. frames: (T, H, W, 3) uint8 RGB. target: the frame
    that flow points to. wanted: rows to compute, the others being zero; None: all. report_progress:
    called with the number of frames done since the last call.

    Returns `steps`, (T, H, W, 2) int16 as `unpack_flow` takes them, and `occluded`, (T, H, W) bool;
    row 0 is zero.
    """
    steps = np.zeros((*frames.shape[:3], 2), np.int16)
    hidden = np.zeros(frames.shape[:3], bool)
    for t in range(len(frames)) if wanted is None else wanted:
        report_progress(1)
        if t == 0:
            continue
        other = frames[t - 1 if target == "previous" else 0]
        forward = estimator.flow(frames[t], other)
        steps[t] = pack_flow(forward)
        hidden[t] = occlusion_mask(forward, estimator.flow(other, frames[t]))
    return {"steps": steps, "occluded": hidden}


def pack_flow(flow: np.ndarray) -> np.ndarray:
    """Return flow (H, W, 2) in pixels as int16 differences between neighboring pixels.

    The unit is 1/32 pixel; displacements of up to 1023 pixels fit. Flow is smooth, so differences
    compress to less than half the size; they may wrap around, and their sum wraps back.
    """
    limit = np.iinfo(np.int16).max
    steps = np.clip(np.rint(flow * STEPS_PER_PIXEL), -limit, limit).astype(np.int16)
    for axis in (0, 1):
        steps = np.diff(steps, axis=axis, prepend=np.int16(0))
    return steps


def unpack_flow(steps: np.ndarray) -> np.ndarray:
    """Return the flow of a clip in pixels, (T, H, W, 2) float16, from its packed frames.

    steps: (T, H, W, 2) int16, frame by frame as `pack_flow` returns them. Displacements up to 64
    pixels are exact multiples of 1/32 pixel; larger ones are right to a thousandth.
    """
    flow = np.empty(steps.shape, np.float16)
    for frame_flow, values in zip(flow, steps, strict=True):
        for axis in (0, 1):
            values = np.cumsum(values, axis=axis, dtype=np.int16)
        frame_flow[:] = values.astype(np.float32) / STEPS_PER_PIXEL
    return flow
