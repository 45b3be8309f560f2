"""Give translated clips the camera of the target: each gets that of one target clip at random.

What a game engine's lens and a translator of single frames lack: shake, the smear along it, blur,
noise, exposure and white balance and their drift. All is measured on the clip itself first and only
what is missing is added. The order is a camera's: the scene moves, is blurred, exposed, and read.
"""

import numpy as np
from pydantic import Field

from vidda.camera import light, random_walk, shake, sharpness
from vidda.camera.camera_statistics import CameraRecord, CameraStatistics
from vidda.camera.estimate import luma, measure, noise
from vidda.config import Config


class CameraMatch(Config):
    """Which of the target's capture effects translated clips get."""

    shake: bool = Field(default=True, description="movement of the whole image from frame to frame")
    motion_blur: bool = Field(default=True, description="smear along that movement")
    blur: bool = Field(default=True, description="lens blur")
    exposure: bool = Field(default=True, description="brightness, contrast and white balance")
    drift: bool = Field(default=True, description="change of brightness and color over time")
    noise: bool = Field(default=True, description="sensor noise")
    strength: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="share of what is missing that is added, of every effect",
    )
    largest_shift: float = Field(
        default=0.1, gt=0, le=0.5, description="limit of the added shift, share of the shorter side"
    )


def apply(
    frames: np.ndarray,
    statistics: CameraStatistics,
    config: CameraMatch,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the clip as a camera of the target domain would have taken it, (T, H, W, 3) uint8 RGB.

    frames: (T, H, W, 3) uint8 RGB. rng: decides the camera, its path and its noise; an effect that
    is switched off leaves the others as they were. Keypoints, masks and flow of the clip as it was
    do not hold afterwards where shake was added.
    """
    drawing, moving, fading, sensing = (
        np.random.default_rng(seed) for seed in rng.integers(2**63, size=4)
    )
    wanted = statistics.draw(drawing)
    present = measure(frames)
    side = min(frames.shape[1:3])
    path = _path(moving, len(frames), wanted, present.camera, statistics, config) * [side, side, 1]
    path = _limited(path, config.largest_shift * side)
    smear = statistics.shutter * np.gradient(path, axis=0) if len(path) > 1 else 0.0 * path
    taken = shake.camera_shaken(
        frames,
        path if config.shake else 0.0 * path,
        smear if config.motion_blur else 0.0 * smear,
    )
    if config.blur and wanted.blur is not None:
        further = config.strength * sharpness.missing_blur(luma(taken), wanted.blur * side)
        taken = sharpness.blurred(taken, further)
    if not (config.exposure or config.drift or config.noise):
        return np.rint(np.clip(taken, 0.0, 255.0)).astype(np.uint8)
    lab = light.to_lab(taken)
    del taken  # floats of a whole clip
    if config.exposure:
        lab = light.matched(lab, np.array(wanted.mean), np.array(wanted.spread), config.strength)
    if config.drift:
        lab += _drift(fading, len(frames), wanted, present.camera, statistics, config)
    if config.noise:
        steps = present.motion_steps + (np.diff(path, axis=0) if config.shake else 0.0)
        deviation, _ = noise(lab, steps)
        further_noise = config.strength * _missing(np.array(wanted.noise), deviation)
        lab = light.with_noise(sensing, lab, further_noise, wanted.grain)
    return light.to_rgb(lab)


def _path(
    rng: np.random.Generator,
    frames: int,
    wanted: CameraRecord,
    present: CameraRecord,
    statistics: CameraStatistics,
    config: CameraMatch,
) -> np.ndarray:
    """Where the content is to be moved in each frame (T, 3): shares of the side, and radians."""
    pan = np.array(wanted.pan)
    missing_pan = np.sign(pan) * _missing(np.abs(pan), np.abs(np.array(present.pan)))
    return random_walk.sample(
        rng,
        frames,
        config.strength * missing_pan,
        config.strength * _missing(np.array(wanted.shake), np.array(present.shake)),
        np.array(statistics.motion_memory),
    )


def _drift(
    rng: np.random.Generator,
    frames: int,
    wanted: CameraRecord,
    present: CameraRecord,
    statistics: CameraStatistics,
    config: CameraMatch,
) -> np.ndarray:
    """What is added to L*, a*, b* of each frame, (T, 1, 1, 3) float32."""
    fade = np.array(wanted.fade)
    missing_fade = np.sign(fade) * _missing(np.abs(fade), np.abs(np.array(present.fade)))
    added = random_walk.sample(
        rng,
        frames,
        config.strength * missing_fade,
        config.strength * _missing(np.array(wanted.flicker), np.array(present.flicker)),
        np.array(statistics.light_memory),
    )
    return added[:, None, None].astype(np.float32)


def _limited(path: np.ndarray, limit: float) -> np.ndarray:
    """Return a path (T, 3) in pixels whose shifts stay within `limit`; small ones hardly change."""
    far = np.hypot(path[:, :1], path[:, 1:2])
    shrink = np.where(far > 1e-9, limit * np.tanh(far / limit) / np.maximum(far, 1e-9), 1.0)
    return np.concatenate([path[:, :2] * shrink, path[:, 2:]], axis=1)


def _missing(wanted: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Return the deviation that, independent of what is present, makes up what is wanted."""
    return np.sqrt(np.maximum(wanted**2 - present**2, 0.0))
