"""Quality figures of a translated clip, compared with its source: flicker, motion, pose, drift,
defects.

They are measured before `vidda.camera.match`, whose shake, blur and change of light are wanted.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from vidda.control.controls import Controls
from vidda.control.flow import FlowEstimator, occlusion_mask, warp
from vidda.control.keypoints import JOINTS, THRESHOLD, Pose, known_joints, pck, people_boxes

QUANTIZATION = 2.0 / 12.0 / 255.0**2
"""Expected squared difference of two values in [0, 1] by rounding to 8 bits, the least error."""

BLACK_LEVEL = 6.0
"""99th percentile of a frame's values, in 0..255, below which it is black."""
UNIFORM_CONTRAST = 1.0
"""Standard deviation of all channels, in 0..255, below which a frame is of one color."""
STILL_CHANGE = 0.05
"""Mean change of the values, in 0..255, below which a frame repeats the previous one."""
MOVING_CHANGE = 16.0
"""Largest change of a value, in 0..255, from which the source moves."""

BROKEN, DARK = "with NaN or infinite values", "black"
ONE_COLOR, FROZEN = "of one color", "frozen while the source moves"
"""Defects of a frame."""

WRISTS = tuple(JOINTS.index(name) for name in ("left_wrist", "right_wrist"))
WRIST_ALPHA = 0.1
"""A wrist is found within this share of the person's box: half of PCK@0.2's, within which lost arms
that hang down count as found."""

DIGITS = 6
"""Significant digits of a figure in a CSV file."""


@dataclass(frozen=True, slots=True)
class Quality:
    """The quality figures of one translated clip; None where the clip or the estimators give none.

    warp_error: mean squared difference, values in [0, 1], of each frame and the previous one warped
    onto it by the source's flow, where not occluded; source_warp_error: the same of the source;
    warp_error_ratio: the first divided by the second. flow_epe: mean endpoint error in pixels
    between the flow of source and translation. pck: share of the source's joints found again on the
    translation, PCK@0.2; wrist_pck: the same of the wrists alone, PCK@0.1. brightness_slope,
    color_slope: change per frame of the mean L* (signed), and of the mean (a*, b*) (length), by
    least squares; brightness_range, color_range: largest distance of a frame's mean L*, and mean
    (a*, b*), from the first frame's. CIELAB units.
    """

    warp_error: float | None
    source_warp_error: float | None
    warp_error_ratio: float | None
    flow_epe: float | None
    pck: float | None
    wrist_pck: float | None
    brightness_slope: float
    brightness_range: float
    color_slope: float
    color_range: float

    def named(self) -> dict[str, float | None]:
        """Return the figures by name, for JSON."""
        return asdict(self)

    def columns(self) -> dict[str, str]:
        """Return the figures by name as text for a CSV row; empty where there is none."""
        return {
            name: "" if value is None else f"{value:.{DIGITS}g}"
            for name, value in self.named().items()
        }


def measure_quality(
    source: np.ndarray,
    translated: np.ndarray,
    controls: Controls,
    flow: FlowEstimator,
    found: Pose | None = None,
    threshold: float = THRESHOLD,
) -> Quality:
    """Return all quality figures of one translated clip.

    source, translated: (T, H, W, 3) uint8 RGB, at least 16 pixels a side. controls: the source's;
    its flow and occlusion are used where it has them, and estimated elsewhere. flow: the estimator
    for the rest. found: the pose estimated on the translation, its people in any order, or None.
    threshold: lowest score of the source's joints that count in the PCK.
    """
    motion, hidden = controls.flow_previous, controls.occluded_previous
    if motion is None or hidden is None:
        motion, hidden = flow_to_previous(source, flow)
    error = warp_error(translated, motion, hidden)
    source_error = warp_error(source, motion, hidden)
    pck_value = wrist_pck = None
    if found is not None and controls.pose is not None:
        pck_value = pose_agreement(controls.pose, found, threshold)
        wrist_pck = pose_agreement(controls.pose, found, threshold, WRISTS, WRIST_ALPHA)
    brightness_slope, brightness_range = brightness_drift(translated)
    color_slope, color_range = color_drift(translated)
    return Quality(
        warp_error=error,
        source_warp_error=source_error,
        warp_error_ratio=None
        if error is None or source_error is None
        else max(error, QUANTIZATION) / max(source_error, QUANTIZATION),
        flow_epe=flow_epe(translated, motion, hidden, flow),
        pck=pck_value,
        wrist_pck=wrist_pck,
        brightness_slope=brightness_slope,
        brightness_range=brightness_range,
        color_slope=color_slope,
        color_range=color_range,
    )


def flow_to_previous(frames: np.ndarray, flow: FlowEstimator) -> tuple[np.ndarray, np.ndarray]:
    """Return the flow from each frame to the previous one, and where it is occluded.

    frames: (T, H, W, 3) uint8 RGB. flow: the estimator. Returns (T, H, W, 2) float16 pixels, and
    (T, H, W) bool, True where a pixel has no counterpart; row 0 is zero and False.
    """
    motion = np.zeros((*frames.shape[:3], 2), np.float16)
    hidden = np.zeros(frames.shape[:3], bool)
    for t in range(1, len(frames)):
        forward = flow.flow(frames[t], frames[t - 1])
        motion[t] = forward
        hidden[t] = occlusion_mask(forward, flow.flow(frames[t - 1], frames[t]))
    return motion, hidden


def warp_error(frames: np.ndarray, motion: np.ndarray, hidden: np.ndarray) -> float | None:
    """Return the mean squared difference of each frame and the previous one, warped onto it.

    frames: (T, H, W, 3) uint8; differences are of values in [0, 1]. motion: (T, H, W, 2) pixels to
    the previous frame. hidden: (T, H, W) bool, pixels that do not count. The mean over frames of
    the mean over pixels. None for a clip of one frame, or where all is hidden. Source: Lai et al.
    2018, arXiv 1808.00449, equations 8, 9.
    """
    errors = []
    for t in range(1, len(frames)):
        visible = ~hidden[t]
        if visible.any():
            previous = warp(frames[t - 1].astype(np.float32), motion[t])
            difference = (frames[t] - previous)[visible] / 255.0
            errors.append(float(np.square(difference).mean()))
    return float(np.mean(errors)) if errors else None


def flow_epe(
    translated: np.ndarray, motion: np.ndarray, hidden: np.ndarray, flow: FlowEstimator
) -> float | None:
    """Return the mean endpoint error in pixels between the flow of source and translation.

    translated: (T, H, W, 3) uint8 RGB. motion: (T, H, W, 2) the source's flow in pixels, from each
    frame to the previous one. hidden: (T, H, W) bool, pixels that do not count. flow: estimates the
    translation's. None for a clip of one frame, or where all is hidden.
    """
    errors = []
    for t in range(1, len(translated)):
        visible = ~hidden[t]
        if visible.any():
            difference = flow.flow(translated[t], translated[t - 1]) - motion[t]
            errors.append(float(np.linalg.norm(difference[visible], axis=-1).mean()))
    return float(np.mean(errors)) if errors else None


def pose_agreement(
    source: Pose,
    found: Pose,
    threshold: float = THRESHOLD,
    joints: Sequence[int] = range(len(JOINTS)),
    alpha: float = 0.2,
) -> float | None:
    """Return the PCK of a translation's poses against the source's, mean over joints, 0 to 1.

    source, found: poses of the source and on the translation. The people of each frame are paired
    so that their joints are nearest (Hungarian method); a joint of score 0, and an additional
    person in the source, count as not found. joints: those that count. alpha: of PCK, see
    `keypoints.pck`. None where the source has none of them with a score of `threshold` or more.
    """
    visible = known_joints(source.scores, threshold)
    chosen = list(joints)
    if not visible[..., chosen].any():
        return None
    predicted = np.full(source.keypoints.shape, np.nan)
    for t in range(len(visible)):
        points = np.where(found.scores[t] > 0.0, 1.0, np.nan)[..., None] * found.keypoints[t]
        distances = np.linalg.norm(source.keypoints[t][:, None] - points[None], axis=-1)
        distances = np.minimum(np.nan_to_num(distances, nan=1e6), 1e6)
        own, other = linear_sum_assignment((distances * visible[t][:, None]).sum(-1))
        predicted[t, own] = points[other]
    boxes = people_boxes(source, threshold)
    size = (boxes[..., 2:] - boxes[..., :2]).max(-1)
    return float(np.nanmean(pck(predicted, source.keypoints, visible, size, alpha)[chosen]))


def brightness_drift(frames: np.ndarray) -> tuple[float, float]:
    """Return the slope and the range of the frames' mean L*, in CIELAB units.

    frames: (T, H, W, 3) uint8 RGB. The slope is the signed change per frame by least squares, the
    range the largest distance of a frame's mean from the first frame's.
    """
    means = _mean_lab(frames)[:, :1]
    return float(_slope(means)[0]), _range(means)


def color_drift(frames: np.ndarray) -> tuple[float, float]:
    """Return the slope and the range of the frames' mean (a*, b*), in CIELAB units.

    frames: (T, H, W, 3) uint8 RGB. The slope is the length of the change per frame by least
    squares, the range the largest distance of a frame's mean from the first frame's.
    """
    means = _mean_lab(frames)[:, 1:]
    return float(np.linalg.norm(_slope(means))), _range(means)


def defects(translated: np.ndarray, source: np.ndarray) -> tuple[str, ...]:
    """Return the reasons why a translation is unusable whatever its figures are; empty if none.

    translated: (T, H, W, 3) RGB, uint8 or float in 0..255. source: (T, H, W, 3) uint8; a frame that
    is black or still in the source too is no defect.
    """
    found: list[str | None] = []
    previous = None
    # Two frames at a time: as floats, a whole clip would be four times its size.
    for frame, original in zip(translated, source, strict=True):
        current = _levels(frame), original.astype(np.float32)
        found.append(
            _defect(*(previous or current), *current) if np.isfinite(frame).all() else BROKEN
        )
        previous = current
    return tuple(
        f"{found.count(defect)} of {len(found)} frames {defect}, first frame {found.index(defect)}"
        for defect in (BROKEN, DARK, ONE_COLOR, FROZEN)
        if defect in found
    )


def _levels(frame: np.ndarray) -> np.ndarray:
    """Return a frame as float32, values that are not finite replaced by an end of the scale."""
    return np.nan_to_num(frame.astype(np.float32), nan=0.0, posinf=255.0, neginf=0.0)


def _defect(
    values_before: np.ndarray, source_before: np.ndarray, values: np.ndarray, source: np.ndarray
) -> str | None:
    """Return the defect of a frame, compared with the source's and both previous ones, float32, or
    None.
    """
    if _brightest(values) < BLACK_LEVEL <= _brightest(source):
        return DARK
    if _contrast(values) < UNIFORM_CONTRAST <= _contrast(source):
        return ONE_COLOR
    still = float(np.abs(values - values_before).mean()) < STILL_CHANGE
    moves = float(np.abs(source - source_before).max()) >= MOVING_CHANGE
    return FROZEN if still and moves else None


def _mean_lab(frames: np.ndarray) -> np.ndarray:
    """Return the mean L*, a*, b* of each frame, (T, 3)."""
    return np.array(
        [
            cv2.cvtColor(frame.astype(np.float32) / 255.0, cv2.COLOR_RGB2Lab).mean((0, 1))
            for frame in frames
        ]
    )


def _slope(means: np.ndarray) -> np.ndarray:
    """Return the least-squares change per frame of values (T, C), (C,); zero for one frame."""
    time = np.arange(len(means)) - (len(means) - 1) / 2.0
    slope: np.ndarray = time @ means / max(float(time @ time), 1.0)
    return slope


def _range(means: np.ndarray) -> float:
    """Return the largest distance of values (T, C) from the first."""
    return float(np.linalg.norm(means - means[0], axis=1).max())


def _brightest(frame: np.ndarray) -> float:
    """Return the 99th percentile of a frame's values."""
    return float(np.quantile(frame, 0.99))


def _contrast(frame: np.ndarray) -> float:
    """Return the largest standard deviation of a channel over a frame."""
    return float(frame.std(axis=(0, 1)).max())
