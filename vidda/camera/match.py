"""Give clips the camera effects of the target: each gets those of one target clip at random.

Rendered or frame-by-frame translated clips lack shake, the smear along it, blur, noise, and
drifting exposure and white balance. The clip's own effects are measured first, and only the
difference is added. The order is a camera's: the scene moves, is blurred, exposed, and read out.
"""

import numpy as np
from pydantic import Field

from vidda.camera import light, random_walk, shake, sharpness
from vidda.camera.camera_statistics import CameraRecord, CameraStatistics
from vidda.camera.estimate import ClipChanges, clip_noise, luma, measure_changes
from vidda.config import Config


class CameraMatch(Config):
    """The target's camera effects that clips get, and their strength."""

    shake: bool = Field(
        default=True, description="camera shake: movement of the whole image from frame to frame"
    )
    motion_blur: bool = Field(default=True, description="smear along that movement")
    blur: bool = Field(default=True, description="lens blur")
    exposure: bool = Field(
        default=True, description="brightness, contrast, white balance and largest saturation"
    )
    drift: bool = Field(default=True, description="change of brightness and color over time")
    noise: bool = Field(default=True, description="sensor noise")
    strength: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="share of the difference to the target that is added, for every effect",
    )
    largest_shift: float = Field(
        default=0.1,
        gt=0,
        le=0.5,
        description="largest shift that is added, share of the shorter side",
    )


def match_camera(
    frames: np.ndarray,
    statistics: CameraStatistics,
    config: CameraMatch,
    rng: np.random.Generator,
    present: ClipChanges | None = None,
) -> np.ndarray:
    """Return the clip with the effects of a camera of the target domain, (T, H, W, 3) uint8 RGB.

    frames: (T, H, W, 3) uint8 RGB. statistics: the target's cameras. rng: decides the camera, its
    path and its noise; switching an effect off leaves the others as they were. present: the clip's
    own changes, where they were measured already. Where shake was added, keypoints, masks and flow
    of `frames` no longer hold.
    """
    camera_rng, path_rng, drift_rng, noise_rng = (
        np.random.default_rng(seed) for seed in rng.integers(2**63, size=4)
    )
    wanted = statistics.sample(camera_rng)
    present = measure_changes(frames) if present is None else present
    side = min(frames.shape[1:3])
    shares = _added_path(path_rng, len(frames), wanted, present, statistics, config)
    path = _limit_shift(shares * [side, side, 1], config.largest_shift * side)
    smear = statistics.shutter * np.gradient(path, axis=0) if len(path) > 1 else 0.0 * path
    moved = shake.shake_frames(
        frames,
        path if config.shake else 0.0 * path,
        smear if config.motion_blur else 0.0 * smear,
    )
    if config.blur and wanted.blur is not None:
        added_blur = config.strength * sharpness.missing_blur(luma(moved), wanted.blur * side)
        moved = sharpness.blur_frames(moved, added_blur)
    if not (config.exposure or config.drift or config.noise):
        return np.rint(np.clip(moved, 0.0, 255.0)).astype(np.uint8)
    lab = light.to_lab(moved)
    del moved  # floats of a whole clip
    if config.exposure:
        lab = light.match_color(
            lab, np.array(wanted.mean), np.array(wanted.spread), config.strength
        )
    if config.drift:
        lab += _added_drift(drift_rng, len(frames), wanted, present, statistics, config)
    if config.exposure:
        # Scaled to the target's spread, a small person in vivid clothes would glow.
        lab = light.limit_chroma(lab, wanted.chroma, config.strength)
    if config.noise:
        steps = present.motion_steps + (np.diff(path, axis=0) if config.shake else 0.0)
        deviation, _ = clip_noise(lab, steps)
        added_noise = config.strength * _missing_deviation(np.array(wanted.noise), deviation)
        lab = light.add_noise(noise_rng, lab, added_noise, wanted.grain)
    return light.to_rgb(lab)


def _added_path(
    rng: np.random.Generator,
    frames: int,
    wanted: CameraRecord,
    present: ClipChanges,
    statistics: CameraStatistics,
    config: CameraMatch,
) -> np.ndarray:
    """Return the shift and rotation to add to each frame, (T, 3): shares of the shorter side, and
    radians.
    """
    pan = np.array(wanted.pan)
    missing_pan = np.sign(pan) * _missing_deviation(np.abs(pan), np.abs(present.pan))
    return random_walk.sample_walk(
        rng,
        frames,
        config.strength * missing_pan,
        config.strength * _missing_deviation(np.array(wanted.shake), present.shake),
        np.array(statistics.motion_memory),
    )


def _added_drift(
    rng: np.random.Generator,
    frames: int,
    wanted: CameraRecord,
    present: ClipChanges,
    statistics: CameraStatistics,
    config: CameraMatch,
) -> np.ndarray:
    """Return the change to add to L*, a*, b* of each frame, (T, 1, 1, 3) float32."""
    fade = np.array(wanted.fade)
    missing_fade = np.sign(fade) * _missing_deviation(np.abs(fade), np.abs(present.fade))
    added = random_walk.sample_walk(
        rng,
        frames,
        config.strength * missing_fade,
        config.strength * _missing_deviation(np.array(wanted.flicker), present.flicker),
        np.array(statistics.light_memory),
    )
    return added[:, None, None].astype(np.float32)


def _limit_shift(path: np.ndarray, limit: float) -> np.ndarray:
    """Return a path (T, 3) in pixels with its shifts kept within `limit`; small ones
    hardly change.
    """
    far = np.hypot(path[:, :1], path[:, 1:2])
    shrink = np.where(far > 1e-9, limit * np.tanh(far / limit) / np.maximum(far, 1e-9), 1.0)
    return np.concatenate([path[:, :2] * shrink, path[:, 2:]], axis=1)


def _missing_deviation(wanted: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Return the deviation that, independent of the one present, adds up to the wanted one."""
    return np.sqrt(np.maximum(wanted**2 - present**2, 0.0))
