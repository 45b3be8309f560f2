"""The person and the cameras of a clip at each time: all of a scene but its pixels."""

from dataclasses import dataclass

import numpy as np

from vidda.mini import capture, gestures
from vidda.mini.body import Body, Posture, joints
from vidda.mini.cameras import Camera, Viewpoint, aim_camera
from vidda.mini.gesture_file import Gesture
from vidda.mini.truth import project_joints
from vidda.sidecar import COCO_17

MARGIN = 9 / 112
SUBFRAMES = 2


@dataclass(frozen=True)
class Performer:
    """A subject: body, skin (an index of appearance.SKINS) and manner of moving.

    tempo, amplitude, unsteadiness: relative to the average person.
    """

    body: Body
    skin: int
    left_handed: bool
    tempo: float
    amplitude: float
    unsteadiness: float


@dataclass(frozen=True)
class Framing:
    """The limits of a random crop around the person.

    side: of its side, in body heights. right, down: of the shift of its center, as shares of it.
    """

    side: tuple[float, float]
    right: tuple[float, float]
    down: tuple[float, float]


ROCOG_FRAMING = Framing((1.36, 1.5), (-0.03, 0.03), (-0.02, 0.03))
"""As in RoCoG-v2's real videos."""


@dataclass(frozen=True)
class Scene:
    """The parameters of one clip; `seed` decides all else.

    gesture: the arms' movement. view: ground or air. altitude_m: the camera's, in meters; None on
    the ground. terrain, sun_preset: name in `appearance.TERRAINS` and index into
    `appearance.SUNS_DEG`, used where the surroundings and the light are synthetic. factors: those
    of `clip.FACTORS` that look real. outfit_seed and surroundings_seed may be shared by clips, as
    are a person's clothes and a place. indoor: in a room, to which terrain and sun_preset do not
    apply. from_start: the arms are in the gesture from the first frame to the last.
    """

    gesture: Gesture
    person: Performer
    view: str
    viewpoint: Viewpoint
    altitude_m: float | None
    terrain: str
    sun_preset: int
    mocap: bool
    factors: frozenset[str]
    seed: tuple[int, ...]
    outfit_seed: tuple[int, ...]
    surroundings_seed: tuple[int, ...]
    framing: Framing = ROCOG_FRAMING
    indoor: bool = False
    from_start: bool = False


def find_joints(scene: Scene, frames: int, fps: float, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a clip's joints in pixels (T, 17, 2) and in meters (T, 17, 3), without rendering it.

    Arguments as for `clip.render`, whose keypoints they are.
    """
    staged = stage(np.random.default_rng(scene.seed), scene, frames, fps, size)
    steps = zip(staged.world, staged.cameras[staged.opening], staged.lens.path, strict=True)
    pixels = [
        project_joints(world, camera, capture.to_image(step, staged.margin, size))[0]
        for world, camera, step in steps
    ]
    return np.stack(pixels), staged.world


@dataclass(frozen=True)
class Staging:
    """A scene's person and cameras at the times of rendering.

    points: positions of joints by name, (T', 3) in meters. cameras: T', of canvases, which have
    `margin` pixels around the image. opening: of those times, the frames' own T.
    """

    style: gestures.Style
    lens: capture.Lens
    points: dict[str, np.ndarray]
    cameras: list[Camera]
    margin: int
    opening: slice

    @property
    def world(self) -> np.ndarray:
        """COCO's joints in each frame, (T, 17, 3) in meters."""
        return np.stack([self.points[name][self.opening] for name in COCO_17], axis=1)


def stage(rng: np.random.Generator, scene: Scene, frames: int, fps: float, size: int) -> Staging:
    """Return a scene's random person and cameras; other arguments as for `clip.render`."""
    style = draw_style(rng, scene, frames / fps)
    lens = capture.draw_lens(scene.seed, scene.factors, frames, size, scene.view, scene.altitude_m)
    moments = _render_times(frames, fps, lens.shutter_s)
    posture = _posture(rng, scene, moments)
    points = joints(scene.person.body, posture, _arms(rng, scene, moments, style))
    margin = round(MARGIN * size)
    cameras = _cameras(rng, scene, moments, size, margin)
    return Staging(style, lens, points, cameras, margin, slice(None, None, len(moments) // frames))


def draw_style(rng: np.random.Generator, scene: Scene, seconds: float) -> gestures.Style:
    """Return random timing and extent of the gesture in a clip of a length in seconds."""
    person = scene.person
    start = rng.uniform(0.0, 0.12) * seconds
    # One clip in three ends with the arms on their way down, as trimmed videos do.
    end = seconds * (rng.uniform(0.8, 1.0) if rng.random() < 0.33 else 2.0)
    swapped = rng.random() < 0.1
    raise_s = float(rng.uniform(0.25, 0.45))
    if scene.from_start:
        start, end = -raise_s, 2.0 * seconds
    return gestures.Style(
        start_s=float(start),
        end_s=float(end),
        raise_s=raise_s,
        period_s=float(rng.uniform(0.75, 1.15) / person.tempo),
        amplitude=float(np.clip(person.amplitude * rng.uniform(0.9, 1.1), 0.7, 1.15)),
        left_handed=person.left_handed != swapped,
    )


def _render_times(frames: int, fps: float, shutter_s: float) -> np.ndarray:
    """Return the times of rendering in seconds: one a frame, or SUBFRAMES of an open shutter."""
    start = np.arange(frames)[:, None] / fps
    open_ = np.linspace(0.0, shutter_s, SUBFRAMES) if shutter_s else np.zeros(1)
    return (start + open_[None, :]).ravel()


def _arms(
    rng: np.random.Generator, scene: Scene, moments: np.ndarray, style: gestures.Style
) -> np.ndarray:
    """Return the gesture's arms with a person's unsteadiness, smaller in animation than in mocap.

    moments: (T,) seconds. The result is as of `gestures.arms`.
    """
    performed = gestures.draw_performance(np.random.default_rng((*scene.seed, 4)), scene.gesture)
    arms = gestures.arms(performed, moments, style)
    strength = scene.person.unsteadiness * (0.09 if scene.mocap else 0.04)
    wobble = np.stack(
        [_sway(rng, moments, strength, 1.4) for _ in range(arms[0].size)], axis=-1
    ).reshape(arms.shape)
    constant = rng.normal(0.0, strength, arms.shape[1:])
    arms = arms + wobble + constant
    unit: np.ndarray = arms / np.linalg.norm(arms, axis=-1, keepdims=True)
    return unit


def _posture(rng: np.random.Generator, scene: Scene, moments: np.ndarray) -> Posture:
    yaw = rng.normal(0.0, 0.12) + _sway(rng, moments, 0.03, 0.5)
    return Posture(
        yaw=yaw,
        lean_side=rng.normal(0.0, 0.02) + _sway(rng, moments, 0.015, 0.6),
        lean_front=rng.uniform(-0.02, 0.06) + _sway(rng, moments, 0.015, 0.6),
        head_turn=rng.normal(0.0, 0.1) + _sway(rng, moments, 0.06, 0.5),
        stance_m=np.full(len(moments), rng.uniform(0.16, 0.42)),
    )


def _sway(rng: np.random.Generator, moments: np.ndarray, size: float, hertz: float) -> np.ndarray:
    """Return a smooth random movement (T,) of about the given size and frequency in hertz."""
    total = np.zeros(len(moments))
    for _ in range(2):
        omega = 2.0 * np.pi * hertz * rng.uniform(0.5, 1.5)
        total += rng.normal(0.0, size) * np.sin(omega * moments + rng.uniform(0.0, 2.0 * np.pi))
    return total


def _cameras(
    rng: np.random.Generator, scene: Scene, moments: np.ndarray, size: int, margin: int
) -> list[Camera]:
    """Return the camera at each time, with a crop around the person.

    Its size does not depend on the gesture: one fitted to raised arms would give the class away.
    """
    height = scene.person.body.height_m
    framing = scene.framing
    side = height * rng.uniform(*framing.side)
    offset = (rng.uniform(*framing.right), rng.uniform(*framing.down))

    def at(time_s: float) -> Camera:
        inner = aim_camera(scene.viewpoint, 0.6 * height, side, size, offset, time_s)
        return Camera(inner.rotation, inner.position, inner.focal, inner.center + margin)

    if scene.viewpoint.orbit:
        return [at(float(moment)) for moment in moments]
    return [at(0.0)] * len(moments)
