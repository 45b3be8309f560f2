"""Estimation of the camera effects of a domain's clips from their frames: shake, blur, noise,
light.

Frames must have the size and frame rate of the clips that are to be matched, because movement is
measured from frame to frame, and noise and grain in pixels.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from vidda.camera import light, random_walk, shake, sharpness
from vidda.camera.camera_statistics import CameraRecord, CameraStatistics, Triple
from vidda.errors import ViddaError

MIN_LIGHTNESS_SPREAD = 1.0
"""Standard deviation of L* below which a clip is too uniform to measure a camera on."""

LIGHT_SIDE = 56
"""Most pixels of the shorter side at which changes of light are measured: known ones are found as
exactly as at 112, in a third of the time.
"""

NOISE_PAIRS = 5
"""Most pairs of neighboring frames on which a clip's noise is measured."""


@dataclass(frozen=True, slots=True)
class ClipChanges:
    """One clip's changes from frame to frame, (T - 1, 3) each.

    motion_steps: movement of the image, in pixels and radians; light_steps: of L*, a*, b*. side:
    shorter side of the frames, in pixels.
    """

    motion_steps: np.ndarray
    light_steps: np.ndarray
    side: int

    @property
    def _shares(self) -> np.ndarray:
        """Movement as shares of the shorter side, and radians."""
        return self.motion_steps / [self.side, self.side, 1.0]

    @property
    def pan(self) -> np.ndarray:
        """Mean movement (3,), shares of the shorter side and radians."""
        return random_walk.mean_step(self._shares)

    @property
    def shake(self) -> np.ndarray:
        """Standard deviation (3,) of the movement."""
        return random_walk.step_deviation(self._shares)

    @property
    def fade(self) -> np.ndarray:
        """Mean change (3,) of L*, a*, b*."""
        return random_walk.mean_step(self.light_steps)

    @property
    def flicker(self) -> np.ndarray:
        """Standard deviation (3,) of that change."""
        return random_walk.step_deviation(self.light_steps)


@dataclass(frozen=True, slots=True)
class MeasuredClip:
    """One clip's camera, and its changes from frame to frame."""

    camera: CameraRecord
    changes: ClipChanges


def estimate_cameras(clips: Iterable[np.ndarray]) -> CameraStatistics:
    """Return the statistics of the cameras that took the clips.

    clips: (T, H, W, 3) uint8 RGB each, read one after the other. Those that show nothing are left
    out and counted. A clip of one frame has no measurable shake and noise: these are then zero.

    Raises ViddaError when no clip shows anything.
    """
    measured: list[MeasuredClip] = []
    sums = np.zeros(2)
    left_out = 0
    for frames in clips:
        if light.mean_and_spread(light.to_lab(frames))[1][0] < MIN_LIGHTNESS_SPREAD:
            left_out += 1
            continue
        clip = measure_clip(frames)
        measured.append(clip)
        sums += sharpness.shutter_sums(luma(frames), clip.changes.motion_steps)
    if not measured:
        raise ViddaError(
            f"camera match: none of {left_out} target clips shows anything; choose other clips"
        )
    return CameraStatistics(
        cameras=tuple(clip.camera for clip in measured),
        left_out=left_out,
        shutter=sharpness.shutter_share(sums),
        motion_memory=_triples(
            random_walk.autocorrelation([clip.changes.motion_steps for clip in measured])
        ),
        light_memory=_triples(
            random_walk.autocorrelation([clip.changes.light_steps for clip in measured])
        ),
    )


def measure_clip(frames: np.ndarray) -> MeasuredClip:
    """Return the camera effects of one clip. frames: (T, H, W, 3) uint8 RGB."""
    changes = measure_changes(frames)
    lab = light.to_lab(frames)
    deviation, grain = clip_noise(lab, changes.motion_steps)
    blur = sharpness.edge_blur(luma(frames))
    mean, spread = light.mean_and_spread(lab)
    camera = CameraRecord(
        pan=_triple(changes.pan),
        shake=_triple(changes.shake),
        blur=None if blur is None else blur / changes.side,
        noise=_triple(deviation),
        grain=grain,
        mean=_triple(mean),
        spread=_triple(spread),
        chroma=float(np.quantile(light.chroma(lab), light.VIVID_QUANTILE)),
        fade=_triple(changes.fade),
        flicker=_triple(changes.flicker),
    )
    return MeasuredClip(camera, changes)


def measure_changes(frames: np.ndarray) -> ClipChanges:
    """Return the changes of one clip from frame to frame. frames: (T, H, W, 3) uint8 RGB."""
    side = min(frames.shape[1:3])
    small, shrunk = _shrink(frames, shake.WORKING_SIDE)
    motion = shake.motion_steps(luma(small)) / [shrunk, shrunk, 1.0]
    tiny, shrunk = _shrink(frames, LIGHT_SIDE)
    return ClipChanges(
        motion, _light_steps(light.to_lab(tiny), motion * [shrunk, shrunk, 1.0]), side
    )


def _shrink(frames: np.ndarray, side: int) -> tuple[np.ndarray, float]:
    """Return frames (T, H, W, 3) uint8 with a shorter side of at most `side`, and their scale."""
    height, width = frames.shape[1:3]
    scale = min(1.0, side / min(height, width))
    size = (round(width * scale), round(height * scale))
    small = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames]
    return np.stack(small), scale


def luma(frames: np.ndarray) -> np.ndarray:
    """Return gray levels (T, H, W) float32 in 0..255 of RGB frames (T, H, W, 3), uint8 or
    float32.
    """
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    return np.stack([frame.astype(np.float32) @ weights for frame in frames])


def clip_noise(lab: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the standard deviation (3,) of a clip's noise and its grain, in CIELAB units and
    pixels.

    lab: (T, H, W, 3) CIELAB. steps: (T - 1, 3) movement of the image from frame to frame, pixels
    and radians. Measured on a few pairs of frames; both are 0 for a clip of one frame.
    """
    if not len(steps):
        return np.zeros(3), 0.0
    pairs = np.unique(np.linspace(0, len(steps) - 1, NOISE_PAIRS).round().astype(int))
    region = _visible_region(lab.shape[1:3], steps)
    # Interpolation weakens noise; by how much is measured on white noise.
    white = np.random.default_rng(0).standard_normal(lab.shape[1:3], np.float32)
    movable = shake.Movable(white)
    remaining = [movable.moved(steps[t], back=True)[region].var() for t in pairs]
    return light.estimate_noise(
        lab[pairs][:, *region],
        np.stack([_difference(lab, steps, t)[region] for t in pairs]),
        np.array(remaining) / white[region].var(),
    )


def _light_steps(lab: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return the change of L*, a*, b* from frame to frame, (T - 1, 3), the movement undone."""
    if not len(steps):
        return np.zeros((0, 3))
    region = _visible_region(lab.shape[1:3], steps)
    return light.light_steps(
        np.stack([_difference(lab, steps, t)[region] for t in range(len(steps))])
    )


def _difference(lab: np.ndarray, steps: np.ndarray, t: int) -> np.ndarray:
    """Return frame t + 1 minus frame t, (H, W, 3), the image's movement undone."""
    difference: np.ndarray = shake.Movable(lab[t + 1]).moved(steps[t], back=True) - lab[t]
    return difference


def _visible_region(size: tuple[int, ...], steps: np.ndarray) -> tuple[slice, slice]:
    """Return the part of the image that stays visible from frame to frame, at least a quarter of
    it.
    """
    margin = 2 + int(np.ceil(np.abs(steps[:, :2]).max()))
    rows, columns = (min(margin, side // 4) for side in size)
    return slice(rows, size[0] - rows), slice(columns, size[1] - columns)


def _triple(values: np.ndarray) -> Triple:
    first, second, third = (float(value) for value in values)
    return first, second, third


def _triples(values: np.ndarray) -> tuple[Triple, ...]:
    return tuple(_triple(row) for row in values)
