"""Rendering of the clips for pre-training: random motions, people and places.

People, clothes, places, light and cameras are those of the miniature diffusion model's scenes,
which differ from MiniRoCoG's `real` domain; see `tools.mini_diffusion`.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from tools.mini_diffusion.capture import draw_lens, draw_sun
from tools.mini_diffusion.people import draw_body, draw_outfit
from tools.mini_diffusion.places import backdrop, draw_setting
from vidda.mini import raster, shadows
from vidda.mini.body import Posture, joints, limbs
from vidda.mini.cameras import Viewpoint, aim_camera
from vidda.mini.capture import capture_frames
from vidda.mini.gesture_file import Gesture, unit
from vidda.mini.gestures import Style, arms

FPS = 8.0
"""Frames per second, as MiniRoCoG's."""

POINTS = (
    "nose",
    "left_hip",
    "right_hip",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
)
"""Joints whose places in the image are learned."""

SHORT_OF_RAISED = 0.5
"""The share of clips in which the motion begins or ends within the clip."""


@dataclass(frozen=True)
class MotionClip:
    """A clip and what its renderer knows.

    frames: (T, S, S) uint8, the mean of RGB, which is all that motion needs; arms: (T, 2, 2, 3)
    float32 directions, see `gestures.arms`; points: (T, POINTS, 2) float32 pixels.
    """

    frames: np.ndarray
    arms: np.ndarray
    points: np.ndarray


def render_clip(
    seed: tuple[int, ...], motion: Gesture, frames: int, rendered: int, size: int
) -> MotionClip:
    """Render a random person in a random place, who makes a motion.

    seed: decides all but the motion. frames: T. rendered, size: pixels a side at which it is
    rendered, and to which it is reduced.
    """
    rng = np.random.default_rng(seed)
    moments = np.arange(frames) / FPS
    body = draw_body(rng)
    directions = draw_arms(rng, motion, moments)
    points = joints(body, _posture(rng, moments), directions)
    side = body.height_m * rng.uniform(1.3, 1.6)
    offset = (rng.uniform(-0.05, 0.05), rng.uniform(-0.04, 0.05))
    camera = aim_camera(_viewpoint(rng), 0.6 * body.height_m, side, rendered, offset)
    setting = draw_setting(rng)
    sun, _ = draw_sun(rng)
    cloth = draw_outfit(rng, setting.place.mean).cloth
    surface = limbs(body, points)
    layers = raster.render_person(surface, cloth, sun, [camera] * frames, rendered)
    behind, ground_at = backdrop(setting, sun, camera, rendered)
    ground = shadows.shade_ground(behind, ground_at, shadows.shadow_maps(surface, sun), sun)
    light = (ground * (1.0 - layers.cover[..., None]) + layers.color).astype(np.float32)
    lens = draw_lens(rng, frames, rendered).lens
    gray = np.rint(capture_frames(rng, light, lens, 0).mean(-1)).astype(np.uint8)
    pixels = np.stack([camera.project(points[name])[0] for name in POINTS], axis=1)
    return MotionClip(
        frames=reduce_frames(gray, size),
        arms=directions.astype(np.float32),
        points=reduce_points(pixels.astype(np.float32), rendered, size),
    )


def reduce_frames(frames: np.ndarray, size: int) -> np.ndarray:
    """Return frames (T, S, S) uint8 as (T, size, size), by the mean of the pixels' areas."""
    return np.stack([cv2.resize(one, (size, size), interpolation=cv2.INTER_AREA) for one in frames])


def reduce_points(points: np.ndarray, before: int, size: int) -> np.ndarray:
    """Return points (..., 2) in frames of `before` pixels a side as in frames of `size`."""
    return ((points + 0.5) * np.float32(size / before) - 0.5).astype(np.float32)


def draw_arms(rng: np.random.Generator, motion: Gesture, moments: np.ndarray) -> np.ndarray:
    """Return the arms (T, 2, 2, 3) of a random performance of a motion; moments: (T,) seconds."""
    seconds = float(moments[-1]) + 1.0 / FPS
    raise_s = float(rng.uniform(0.2, 0.5))
    start, end = -raise_s - rng.uniform(0.0, 2.0), 99.0
    if rng.random() < SHORT_OF_RAISED:
        start = rng.uniform(0.0, 0.15) * seconds
        end = seconds * (rng.uniform(0.75, 1.0) if rng.random() < 0.5 else 2.0)
    style = Style(
        start_s=float(start),
        end_s=float(end),
        raise_s=raise_s,
        period_s=float(rng.uniform(0.6, 1.5)),
        amplitude=float(rng.uniform(0.9, 1.1)),
        left_handed=bool(rng.random() < 0.5),
    )
    directions = arms(motion, moments, style)
    strength = rng.uniform(0.02, 0.12)
    directions = directions + rng.normal(0.0, strength, directions.shape[1:])
    wobble = [_sway(rng, moments, strength, 1.4) for _ in range(directions[0].size)]
    return unit(directions + np.stack(wobble, axis=-1).reshape(directions.shape))


def _posture(rng: np.random.Generator, moments: np.ndarray) -> Posture:
    return Posture(
        yaw=rng.normal(0.0, 0.15) + _sway(rng, moments, 0.04, 0.5),
        lean_side=rng.normal(0.0, 0.03) + _sway(rng, moments, 0.015, 0.6),
        lean_front=rng.uniform(-0.03, 0.08) + _sway(rng, moments, 0.015, 0.6),
        head_turn=rng.normal(0.0, 0.15) + _sway(rng, moments, 0.06, 0.5),
        stance_m=np.full(len(moments), rng.uniform(0.14, 0.5)),
    )


def _sway(rng: np.random.Generator, moments: np.ndarray, size: float, hertz: float) -> np.ndarray:
    """Return a smooth random movement (T,) of about this size, at about this many hertz."""
    omega = 2.0 * np.pi * hertz * rng.uniform(0.5, 1.5)
    return rng.normal(0.0, 1.4 * size) * np.sin(omega * moments + rng.uniform(0.0, 2.0 * np.pi))


def _viewpoint(rng: np.random.Generator) -> Viewpoint:
    """Return a random camera on the ground or in the air, mostly nearly in front."""
    azimuth = rng.normal(0.0, np.radians(20.0))
    if rng.random() < 0.5:
        return Viewpoint(azimuth, rng.uniform(1.2, 2.4), rng.uniform(6.0, 14.0))
    altitude = rng.uniform(9.0, 40.0)
    return Viewpoint(azimuth, altitude, altitude / np.sin(np.radians(rng.uniform(27.0, 60.0))))
