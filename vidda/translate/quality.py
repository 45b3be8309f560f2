"""How good a translated clip is, beside its source: flicker, motion, pose, drift and plain defects.

All of it is to be measured before `vidda.camera.match`, whose shake, blur and change of
light are wanted.
"""

from dataclasses import asdict, dataclass

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from vidda.control.controls import Controls
from vidda.control.flow import Flow, occluded, warp
from vidda.control.keypoints import THRESHOLD, Pose, known, pck, people_boxes

QUANTIZATION = 2.0 / 12.0 / 255.0**2
"""Squared difference of two values in [0, 1] by rounding to 8 bits alone: no error is below it."""

BLACK = 6.0
UNIFORM = 1.0
STILL = 0.05
MOVES = 16.0

BROKEN, DARK = "with NaN or infinite values", "black"
PLAIN, FROZEN = "of one color", "frozen while the source moves"
"""What a frame can be, and is not to be."""

DIGITS = 6


@dataclass(frozen=True, slots=True)
class Quality:
    """The figures of one translated clip; None where the clip or the estimators do not give one.

    warp_error: mean squared difference, values in [0, 1], of each frame and the one before warped
    onto it by the source's flow, where not occluded; source_warp_error: the source's own;
    warp_error_ratio: the first by the second. flow_epe: mean endpoint error in pixels between the
    flow of source and translation. pck: share of the source's joints found again on the
    translation, PCK@0.2. brightness_slope, color_slope: change a frame of the mean L* (signed),
    and of the mean (a*, b*) (length), by least squares; brightness_range, color_range: farthest
    that a frame's mean L*, and mean (a*, b*), lies from the first frame's. CIELAB units.
    """

    warp_error: float | None
    source_warp_error: float | None
    warp_error_ratio: float | None
    flow_epe: float | None
    pck: float | None
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


def measure(
    source: np.ndarray,
    translated: np.ndarray,
    controls: Controls,
    flow: Flow,
    found: Pose | None = None,
    threshold: float = THRESHOLD,
) -> Quality:
    """Return all figures of one translated clip.

    source, translated: (T, H, W, 3) uint8 RGB, 16 pixels a side at least. controls: the source's;
    its flow and occlusion are used where it has them and estimated where not. flow: the estimator
    for the rest. found: the pose re-estimated on the translation, in any order of people, or None.
    threshold: the source's joints with a lower score do not count in the PCK.
    """
    motion, hidden = controls.flow_previous, controls.occluded_previous
    if motion is None or hidden is None:
        motion, hidden = flow_to_previous(source, flow)
    error = warp_error(translated, motion, hidden)
    own = warp_error(source, motion, hidden)
    agreement = None
    if found is not None and controls.pose is not None:
        agreement = pose_agreement(controls.pose, found, threshold)
    slope, farthest = brightness_drift(translated)
    color_slope, color_farthest = color_drift(translated)
    return Quality(
        warp_error=error,
        source_warp_error=own,
        warp_error_ratio=None
        if error is None or own is None
        else max(error, QUANTIZATION) / max(own, QUANTIZATION),
        flow_epe=flow_epe(translated, motion, hidden, flow),
        pck=agreement,
        brightness_slope=slope,
        brightness_range=farthest,
        color_slope=color_slope,
        color_range=color_farthest,
    )


def flow_to_previous(frames: np.ndarray, flow: Flow) -> tuple[np.ndarray, np.ndarray]:
    """Return flow from each frame to the one before, and where that is hidden, as `Controls` has
    them.

    frames: (T, H, W, 3) uint8. Returns (T, H, W, 2) float16 pixels and (T, H, W) bool; row 0 is
    zero and False.
    """
    motion = np.zeros((*frames.shape[:3], 2), np.float16)
    hidden = np.zeros(frames.shape[:3], bool)
    for t in range(1, len(frames)):
        forward = flow.flow(frames[t], frames[t - 1])
        motion[t] = forward
        hidden[t] = occluded(forward, flow.flow(frames[t - 1], frames[t]))
    return motion, hidden


def warp_error(frames: np.ndarray, motion: np.ndarray, hidden: np.ndarray) -> float | None:
    """Return mean squared difference of each frame and the one before, warped onto it; values in
    [0, 1].

    frames: (T, H, W, 3) uint8. motion: (T, H, W, 2) pixels to the frame before; hidden: (T, H, W)
    bool, pixels that do not count. The mean over frames of the mean over pixels. None for a clip of
    one frame, or where all is hidden. Source: Lai et al. 2018, arXiv 1808.00449, equations 8, 9.
    """
    errors = []
    for t in range(1, len(frames)):
        seen = ~hidden[t]
        if seen.any():
            before = warp(frames[t - 1].astype(np.float32), motion[t])
            difference = (frames[t] - before)[seen] / 255.0
            errors.append(float(np.square(difference).mean()))
    return float(np.mean(errors)) if errors else None


def flow_epe(
    translated: np.ndarray, motion: np.ndarray, hidden: np.ndarray, flow: Flow
) -> float | None:
    """Return mean distance in pixels between the flow of source and translation, where the source's
    holds.

    translated: (T, H, W, 3) uint8; motion, hidden: of the source, see `warp_error`. None for a clip
    of one frame, or where all is hidden.
    """
    errors = []
    for t in range(1, len(translated)):
        seen = ~hidden[t]
        if seen.any():
            difference = flow.flow(translated[t], translated[t - 1]) - motion[t]
            errors.append(float(np.linalg.norm(difference[seen], axis=-1).mean()))
    return float(np.mean(errors)) if errors else None


def pose_agreement(source: Pose, found: Pose, threshold: float = THRESHOLD) -> float | None:
    """PCK@0.2 of the poses found on a translation against the source's, mean over joints, 0 to 1.

    The people of each frame are paired so that their joints lie nearest (Hungarian method); a
    joint of score 0, and a person too many in the source, were not found. None where the source has
    no joint of a score of `threshold` or more.
    """
    visible = known(source.scores, threshold)
    if not visible.any():
        return None
    predicted = np.full(source.keypoints.shape, np.nan)
    for t in range(len(visible)):
        joints = np.where(found.scores[t] > 0.0, 1.0, np.nan)[..., None] * found.keypoints[t]
        away = np.linalg.norm(source.keypoints[t][:, None] - joints[None], axis=-1)
        away = np.minimum(np.nan_to_num(away, nan=1e6), 1e6)
        own, other = linear_sum_assignment((away * visible[t][:, None]).sum(-1))
        predicted[t, own] = joints[other]
    boxes = people_boxes(source, threshold)
    size = (boxes[..., 2:] - boxes[..., :2]).max(-1)
    return float(np.nanmean(pck(predicted, source.keypoints, visible, size)))


def brightness_drift(frames: np.ndarray) -> tuple[float, float]:
    """Slope a frame and range of the mean L*, see `Quality`. frames: (T, H, W, 3) uint8."""
    means = _mean_lab(frames)[:, :1]
    return float(_slope(means)[0]), _range(means)


def color_drift(frames: np.ndarray) -> tuple[float, float]:
    """Slope a frame and range of the mean (a*, b*), see `Quality`. frames: (T, H, W, 3) uint8."""
    means = _mean_lab(frames)[:, 1:]
    return float(np.linalg.norm(_slope(means))), _range(means)


def defects(translated: np.ndarray, source: np.ndarray) -> tuple[str, ...]:
    """Why a translation cannot be used whatever its figures are; empty where nothing is wrong.

    translated: (T, H, W, 3) RGB, uint8 or float in 0..255. source: (T, H, W, 3) uint8; what it
    shows itself, as a black or still frame, is no defect.
    """
    found: list[str | None] = []
    before = None
    # Two frames at a time: as floats, a whole clip would be four times its size.
    for frame, original in zip(translated, source, strict=True):
        now = _levels(frame), original.astype(np.float32)
        found.append(_defect(*(before or now), *now) if np.isfinite(frame).all() else BROKEN)
        before = now
    return tuple(
        f"{found.count(what)} of {len(found)} frames {what}, first frame {found.index(what)}"
        for what in (BROKEN, DARK, PLAIN, FROZEN)
        if what in found
    )


def _levels(frame: np.ndarray) -> np.ndarray:
    """Return a frame as float32, what is not finite at an end of the scale."""
    return np.nan_to_num(frame.astype(np.float32), nan=0.0, posinf=255.0, neginf=0.0)


def _defect(
    values_before: np.ndarray, source_before: np.ndarray, values: np.ndarray, source: np.ndarray
) -> str | None:
    """What is wrong with a frame, beside the source's and the ones before, all float32."""
    if _brightest(values) < BLACK <= _brightest(source):
        return DARK
    if _contrast(values) < UNIFORM <= _contrast(source):
        return PLAIN
    still = float(np.abs(values - values_before).mean()) < STILL
    moves = float(np.abs(source - source_before).max()) >= MOVES
    return FROZEN if still and moves else None


def _mean_lab(frames: np.ndarray) -> np.ndarray:
    """(T, 3) mean L*, a*, b* of each frame."""
    return np.array(
        [
            cv2.cvtColor(frame.astype(np.float32) / 255.0, cv2.COLOR_RGB2Lab).mean((0, 1))
            for frame in frames
        ]
    )


def _slope(means: np.ndarray) -> np.ndarray:
    """Least-squares change a frame of (T, C) values, (C,); zero for one frame."""
    time = np.arange(len(means)) - (len(means) - 1) / 2.0
    slope: np.ndarray = time @ means / max(float(time @ time), 1.0)
    return slope


def _range(means: np.ndarray) -> float:
    return float(np.linalg.norm(means - means[0], axis=1).max())


def _brightest(frame: np.ndarray) -> float:
    """Return the level that all but the brightest hundredth of a frame's values stay below."""
    return float(np.quantile(frame, 0.99))


def _contrast(frame: np.ndarray) -> float:
    """Return the greatest standard deviation of a channel over a frame."""
    return float(frame.std(axis=(0, 1)).max())
