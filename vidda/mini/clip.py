"""One clip of MiniRoCoG: its person, gesture, surroundings and camera, and the rendering of it."""

from dataclasses import dataclass

import numpy as np

from vidda.mini import appearance, capture, gestures, raster, rooms
from vidda.mini.body import Body, Limbs, Posture, joints, limbs
from vidda.mini.cameras import Camera, Viewpoint, aim_camera
from vidda.mini.gesture_file import Gesture
from vidda.mini.truth import find_truth
from vidda.sidecar import COCO_17

FACTORS = frozenset({"background", "clothes", "shadow", "camera", "exposure", "noise"})
"""The factors that make a clip look real; a synthetic clip has none. `camera` is shake and blur."""

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
    of `FACTORS` that look real. outfit_seed and surroundings_seed may be shared by clips, as are a
    person's clothes and a place. indoor: in a room, to which terrain and sun_preset do not apply.
    from_start: the arms are in the gesture from the first frame to the last.
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


@dataclass(frozen=True)
class RenderedClip:
    """A clip and its ground truth.

    frames: (T, H, W, 3) uint8 RGB; keypoints: (T, 17, 3) x, y in pixels and 2 where visible, 1
    where hidden, 0 outside the image; keypoints_3d: (T, 17, 3) float32 world positions in meters;
    box: (T, 4) x0, y0, x1, y1 in pixels; mask: (T, H, W) uint8
    indices of sidecar.REGIONS; depth: (T, H, W) uint16 millimeters to the person, 65535 elsewhere;
    crf: of the encoder; style: timing and extent of the gesture.
    """

    frames: np.ndarray
    keypoints: np.ndarray
    keypoints_3d: np.ndarray
    box: np.ndarray
    mask: np.ndarray
    depth: np.ndarray
    crf: int
    style: gestures.Style


def render(scene: Scene, frames: int, fps: float, size: int) -> RenderedClip:
    """Render a scene as `frames` images of size x size pixels, with their ground truth.

    fps: frames per second. The same arguments give the same clip.
    """
    rng = np.random.default_rng(scene.seed)
    style = draw_style(rng, scene, frames / fps)
    lens = capture.draw_lens(scene.seed, scene.factors, frames, size, scene.view, scene.altitude_m)
    moments = _render_times(frames, fps, lens.shutter_s)
    points = joints(
        scene.person.body,
        _posture(rng, scene, moments),
        _arms(rng, scene, moments, style),
    )
    body = limbs(scene.person.body, points)
    margin = round(MARGIN * size)
    canvas = size + 2 * margin
    cameras = _cameras(rng, scene, moments, size, margin)

    sun, surroundings = _draw_place(scene)
    cloth = appearance.draw_clothes(
        np.random.default_rng(scene.outfit_seed),
        "clothes" in scene.factors,
        scene.person.skin,
        surroundings.mean,
    )
    layers = raster.render_person(body, cloth, sun, cameras, canvas)

    # The times of one open shutter are averaged; the first of them gives the ground truth.
    per_frame = len(moments) // frames
    opening = slice(None, None, per_frame)
    cover, color = (
        np.stack([getattr(layer, name) for layer in layers])
        .reshape(frames, per_frame, canvas, canvas, -1)
        .mean(1)
        for name in ("cover", "color")
    )
    ground = _render_ground(
        surroundings,
        sun,
        cameras[opening],
        raster.shadow_maps(_limbs_at(body, opening), sun),
        canvas,
    )
    images = capture.capture_frames(rng, ground * (1.0 - cover) + color, lens, margin)
    world = np.stack([points[name][opening] for name in COCO_17], axis=1)
    keypoints, box, mask, depth = find_truth(
        layers[opening], world, cameras[opening], lens, margin, size
    )
    return RenderedClip(
        images, keypoints, world.astype(np.float32), box, mask, depth, lens.crf, style
    )


def _draw_place(scene: Scene) -> tuple[raster.Sun, appearance.Surroundings | rooms.Room]:
    """Return the random light and surroundings of a scene."""
    sun_rng = np.random.default_rng((*scene.seed, 3))
    place_rng = np.random.default_rng(scene.surroundings_seed)
    if scene.indoor:
        room = rooms.draw_room(place_rng, scene.viewpoint.azimuth)
        return rooms.draw_lamp(sun_rng), room
    sun = appearance.draw_sun(sun_rng, "shadow" in scene.factors, scene.sun_preset)
    real = "background" in scene.factors
    return sun, appearance.draw_surroundings(place_rng, real, scene.terrain)


def _render_ground(
    surroundings: appearance.Surroundings | rooms.Room,
    sun: raster.Sun,
    cameras: list[Camera],
    shades: np.ndarray,
    canvas: int,
) -> np.ndarray:
    """Return the scene without its person but with the shadow, (T, canvas, canvas, 3)."""
    lit: list[np.ndarray] = []
    last_camera = None
    for camera, shade in zip(cameras, shades, strict=True):
        if camera is not last_camera:
            if isinstance(surroundings, rooms.Room):
                behind, ground_at = rooms.render_room(surroundings, sun, camera, canvas)
            else:
                behind, ground_at = appearance.render_backdrop(surroundings, sun, camera, canvas)
            last_camera = camera
        lit.append(raster.apply_shadow(behind, ground_at, shade, sun))
    return np.stack(lit)


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


def _limbs_at(body: Limbs, moments: slice) -> Limbs:
    return Limbs(
        body.start[moments],
        body.end[moments],
        body.start_radius,
        body.end_radius,
        body.region,
    )
