"""The rendering of one clip: its frames and their ground truth."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from vidda.mini import appearance, capture, gestures, raster, rooms, shadows
from vidda.mini.body import Limbs, limbs
from vidda.mini.cameras import Camera
from vidda.mini.staging import Scene, stage
from vidda.mini.truth import find_truth

FACTORS = frozenset({"background", "clothes", "shadow", "camera", "exposure", "noise"})
"""The factors that make a clip look real; a synthetic clip has none. `camera` is shake and blur."""


@dataclass(frozen=True)
class RenderedClip:
    """A clip and its ground truth.

    frames: (T, H, W, 3) uint8 RGB; keypoints: (T, 17, 3) x, y in pixels and 2 where visible, 1
    where hidden, 0 outside the image; keypoints_3d: (T, 17, 3) float32 world positions in meters;
    box: (T, 4) x0, y0, x1, y1 in pixels; mask: (T, H, W) uint8 indices of sidecar.REGIONS; depth:
    (T, H, W) uint16 millimeters to the person, 65535 elsewhere; crf: of the encoder; style: timing
    and extent of the gesture.
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
    staged = stage(rng, scene, frames, fps, size)
    lens, cameras, margin, opening = staged.lens, staged.cameras, staged.margin, staged.opening
    body = limbs(scene.person.body, staged.points)
    canvas = size + 2 * margin
    sun, surroundings = _draw_place(scene)
    cloth = appearance.draw_clothes(
        np.random.default_rng(scene.outfit_seed),
        "clothes" in scene.factors,
        scene.person.skin,
        surroundings.mean,
    )
    layers = raster.render_person(body, cloth, sun, cameras, canvas)

    # The times of one open shutter are averaged; the first of them gives the ground truth.
    cover, color = (
        values.reshape(frames, -1, canvas, canvas, channels).mean(1)
        for values, channels in ((layers.cover, 1), (layers.color, 3))
    )
    ground = _render_ground(
        surroundings,
        sun,
        cameras[opening],
        shadows.shadow_maps(_limbs_at(body, opening), sun),
        canvas,
    )
    ground *= 1.0 - cover
    ground += color
    images = capture.capture_frames(rng, ground, lens, margin)
    world = staged.world
    keypoints, box, mask, depth = find_truth(
        layers.at(opening), world, cameras[opening], lens, margin, size
    )
    return RenderedClip(
        images, keypoints, world.astype(np.float32), box, mask, depth, lens.crf, staged.style
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
    # A camera that stands still sees the same ground at all its times.
    changes = [t for t in range(1, len(cameras)) if cameras[t] is not cameras[t - 1]]
    for start, end in pairwise([0, *changes, len(cameras)]):
        camera = cameras[start]
        if isinstance(surroundings, rooms.Room):
            behind, ground_at = rooms.render_room(surroundings, sun, camera, canvas)
        else:
            behind, ground_at = appearance.render_backdrop(surroundings, sun, camera, canvas)
        lit.append(shadows.shade_ground(behind, ground_at, shades[start:end], sun))
    return np.concatenate(lit)


def _limbs_at(body: Limbs, moments: slice) -> Limbs:
    return Limbs(
        body.start[moments],
        body.end[moments],
        body.start_radius,
        body.end_radius,
        body.region,
    )
