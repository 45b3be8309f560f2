"""Estimate from nothing but frames how a domain's clips were taken: shake, blur, noise, light.

Frames must come at the size and frame rate of the clips that are to be matched: steps are from
frame to frame, and noise and grain are of pixels.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from vidda.camera import light, random_walk, shake, sharpness
from vidda.camera.camera_statistics import CameraRecord, CameraStatistics, Triple
from vidda.errors import ViddaError

LEAST_SPREAD = 1.0
"""In L*: below it a clip shows nothing that a camera could be told from."""

PAIRS_FOR_NOISE = 5


@dataclass(frozen=True, slots=True)
class MeasuredClip:
    """One clip's camera, and the steps (T - 1, 3) that were seen.

    motion_steps: of the image, in pixels and radians; light_steps: of L*, a*, b*.
    """

    camera: CameraRecord
    motion_steps: np.ndarray
    light_steps: np.ndarray


def estimate(clips: Iterable[np.ndarray]) -> CameraStatistics:
    """Return the cameras that took the clips.

    clips: (T, H, W, 3) uint8 RGB each, read one after the other. Those that show nothing are left
    out and counted. One frame alone tells nothing of shake and noise: these are then zero.

    Raises ViddaError when no clip shows anything.
    """
    found: list[MeasuredClip] = []
    sums = np.zeros(2)
    left_out = 0
    for frames in clips:
        if light.to_lab(frames)[..., 0].std() < LEAST_SPREAD:
            left_out += 1
            continue
        one = measure(frames)
        found.append(one)
        sums += sharpness.shutter_sums(luma(frames), one.motion_steps)
    if not found:
        raise ViddaError(
            f"camera match: none of {left_out} target clips shows anything; give other clips"
        )
    return CameraStatistics(
        cameras=tuple(one.camera for one in found),
        left_out=left_out,
        shutter=sharpness.shutter(sums),
        motion_memory=_rows(random_walk.memory([one.motion_steps for one in found])),
        light_memory=_rows(random_walk.memory([one.light_steps for one in found])),
    )


def measure(frames: np.ndarray) -> MeasuredClip:
    """Return the camera of one clip (T, H, W, 3) uint8 RGB."""
    height, width = frames.shape[1:3]
    side = min(height, width)
    small_height, small_width = shake.working_size(height, width)
    small = np.stack(
        [cv2.resize(f, (small_width, small_height), interpolation=cv2.INTER_AREA) for f in frames]
    )
    small_steps = shake.steps(luma(small))
    changes = _light_steps(light.to_lab(small), small_steps)
    scale = side / min(small_height, small_width)
    steps = small_steps * [scale, scale, 1.0]
    lab = light.to_lab(frames)
    deviation, grain = noise(lab, steps)
    blur = sharpness.edge_blur(luma(frames))
    shares = steps / [side, side, 1.0]
    camera = CameraRecord(
        pan=_triple(random_walk.trend(shares)),
        shake=_triple(random_walk.unsteadiness(shares)),
        blur=None if blur is None else blur / side,
        noise=_triple(deviation),
        grain=grain,
        mean=_triple(lab.mean((0, 1, 2))),
        spread=_triple(lab.std((0, 1, 2))),
        fade=_triple(random_walk.trend(changes)),
        flicker=_triple(random_walk.unsteadiness(changes)),
    )
    return MeasuredClip(camera, steps, changes)


def luma(frames: np.ndarray) -> np.ndarray:
    """Gray levels (T, H, W) float32 in 0..255 of RGB frames (T, H, W, 3), uint8 or float32."""
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    return np.stack([frame.astype(np.float32) @ weights for frame in frames])


def noise(lab: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, float]:
    """Deviation (3,) and grain of a clip's noise, see `light.noise`, from a few pairs of frames.

    lab: (T, H, W, 3); steps: (T - 1, 3) of the image from frame to frame, pixels and radians.
    """
    if not len(steps):
        return np.zeros(3), 0.0
    pairs = np.unique(np.linspace(0, len(steps) - 1, PAIRS_FOR_NOISE).round().astype(int))
    inner = _inner(lab.shape[1:3], steps)
    # What interpolation leaves of white noise is seen on white noise itself.
    white = np.random.default_rng(0).standard_normal(lab.shape[1:3], np.float32)
    left = [shake.moved(white, steps[t], back=True)[inner].var() for t in pairs]
    return light.noise(
        lab[pairs][:, *inner],
        np.stack([_difference(lab, steps, t)[inner] for t in pairs]),
        np.array(left) / white[inner].var(),
    )


def _light_steps(lab: np.ndarray, steps: np.ndarray) -> np.ndarray:
    if not len(steps):
        return np.zeros((0, 3))
    inner = _inner(lab.shape[1:3], steps)
    return light.light_steps(
        np.stack([_difference(lab, steps, t)[inner] for t in range(len(steps))])
    )


def _difference(lab: np.ndarray, steps: np.ndarray, t: int) -> np.ndarray:
    """Return frame t + 1 less frame t, once the image's movement is undone."""
    difference: np.ndarray = shake.moved(lab[t + 1], steps[t], back=True) - lab[t]
    return difference


def _inner(size: tuple[int, ...], steps: np.ndarray) -> tuple[slice, slice]:
    """Return the part of the image that stays in sight from frame to frame, a quarter of it at
    least.
    """
    margin = 2 + int(np.ceil(np.abs(steps[:, :2]).max()))
    rows, columns = (min(margin, side // 4) for side in size)
    return slice(rows, size[0] - rows), slice(columns, size[1] - columns)


def _triple(values: np.ndarray) -> Triple:
    first, second, third = (float(value) for value in values)
    return first, second, third


def _rows(values: np.ndarray) -> tuple[Triple, ...]:
    return tuple(_triple(row) for row in values)
