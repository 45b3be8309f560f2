"""Rendering of round cones and a textured ground, in software, with anti-aliased edges.

Colors are linear light, (..., 3) float32 RGB, about 0 to 1.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from vidda.mini.body import Limbs
from vidda.mini.cameras import Camera

SHADOW_SIDE_M = 7.0
SHADOW_PIXELS = 168


@dataclass(frozen=True)
class Sun:
    """The light of a scene, from one direction and from the sky.

    direction: (3,) unit vector toward the sun; color and sky: (3,) linear light;
    softness_m: blur of the shadow's edge on the ground; depth: 1 is a fully dark shadow, 0 none.
    """

    direction: np.ndarray
    color: np.ndarray
    sky: np.ndarray
    softness_m: float
    depth: float

    @property
    def on_ground(self) -> np.ndarray:
        """The light (3,) on level ground without shadow."""
        return self.sky + self.color * self.direction[2]


@dataclass(frozen=True)
class Cloth:
    """The surface of one region of the body: a texture wrapped around each limb.

    texture: (h, w, 3) reflectance, repeated; scale: texture pixels per meter.
    """

    texture: np.ndarray
    scale: float


@dataclass
class Layer:
    """A rendered person: premultiplied color (H, W, 3), and cover in 0..1, region and depth in
    meters (infinite without a person), (H, W) each.
    """

    color: np.ndarray
    cover: np.ndarray
    region: np.ndarray
    depth: np.ndarray


def render_person(
    limbs: Limbs, cloth: dict[int, Cloth], sun: Sun, cameras: list[Camera], size: int
) -> list[Layer]:
    """Render the body at each of its T times by the camera of that time, size x size pixels each.

    cloth: by index of `sidecar.REGIONS`. A limb is rendered as a tapered capsule of its projected
    ends and radii, exact up to the change of perspective within one limb, which at ten meters is
    far below a pixel. Farther limbs come first.
    """
    length_m = np.linalg.norm(limbs.end - limbs.start, axis=-1)
    layers = []
    for t, camera in enumerate(cameras):
        start, start_depth = camera.project(limbs.start[t])
        end, end_depth = camera.project(limbs.end[t])
        start_radius = limbs.start_radius * camera.focal / start_depth
        end_radius = limbs.end_radius * camera.focal / end_depth
        sun_axis = (camera.rotation @ sun.direction).astype(np.float32)
        sky_axis = (camera.rotation @ np.array([0.0, 0.0, 1.0])).astype(np.float32)
        layer = Layer(
            np.zeros((size, size, 3), np.float32),
            np.zeros((size, size), np.float32),
            np.zeros((size, size), np.uint8),
            np.full((size, size), np.inf, np.float32),
        )
        for p in np.argsort(-(start_depth + end_depth)):
            _capsule(
                layer,
                (start[p], end[p]),
                (start_radius[p], end_radius[p]),
                (start_depth[p], end_depth[p]),
                length_m[t, p],
                camera.focal,
                (sun, sun_axis, sky_axis),
                cloth[int(limbs.region[p])],
                int(limbs.region[p]),
            )
        layers.append(layer)
    return layers


def _capsule(
    layer: Layer,
    ends: tuple[np.ndarray, np.ndarray],
    radii: tuple[float, float],
    depths: tuple[float, float],
    length_m: float,
    focal: float,
    light: tuple[Sun, np.ndarray, np.ndarray],
    cloth: Cloth,
    region: int,
) -> None:
    size = len(layer.cover)
    reach = max(radii) + 1.0
    low = np.floor(np.minimum(*ends) - reach).astype(int).clip(0, size)
    high = np.ceil(np.maximum(*ends) + reach).astype(int).clip(-1, size - 1) + 1
    if (high <= low).any():
        return
    box = np.s_[low[1] : high[1], low[0] : high[0]]
    x = np.arange(low[0], high[0], dtype=np.float32)[None, :] - np.float32(ends[0][0])
    y = np.arange(low[1], high[1], dtype=np.float32)[:, None] - np.float32(ends[0][1])
    axis = (ends[1] - ends[0]).astype(np.float32)
    squared = max(float(axis @ axis), 1e-6)
    along = np.clip((x * axis[0] + y * axis[1]) / squared, 0.0, 1.0)
    away_x, away_y = x - along * axis[0], y - along * axis[1]
    distance = np.sqrt(away_x * away_x + away_y * away_y)
    radius = radii[0] + along * (radii[1] - radii[0])
    cover = np.clip(radius - distance + 0.5, 0.0, 1.0)
    inverse = 1.0 / np.maximum(radius, 0.5)
    normal_x, normal_y = away_x * inverse, away_y * inverse
    bulge = np.sqrt(np.maximum(1.0 - normal_x * normal_x - normal_y * normal_y, 0.0))
    depth = depths[0] + along * (depths[1] - depths[0]) - bulge * radius * (depths[0] / focal)
    cover *= depth < layer.depth[box] + 0.02

    sun, sun_axis, sky_axis = light  # in the camera's axes
    lit = np.maximum(normal_x * sun_axis[0] + normal_y * sun_axis[1] - bulge * sun_axis[2], 0.0)
    open_sky = 0.65 + 0.35 * (normal_x * sky_axis[0] + normal_y * sky_axis[1] - bulge * sky_axis[2])
    light_here = lit[..., None] * sun.color + open_sky[..., None] * sun.sky
    height, width = cloth.texture.shape[:2]
    side = (normal_x * axis[1] - normal_y * axis[0]) / np.sqrt(squared)
    meters_per_pixel = depths[0] / focal
    v = (along * (length_m * cloth.scale)).astype(int) % height
    u = (side * radius * (meters_per_pixel * cloth.scale)).astype(int) % width
    shaded = cloth.texture[v, u] * light_here

    keep = 1.0 - cover
    layer.color[box] = layer.color[box] * keep[..., None] + shaded * cover[..., None]
    layer.cover[box] = layer.cover[box] * keep + cover
    solid = cover > 0.5
    layer.region[box][solid] = region
    layer.depth[box][solid] = depth[solid]


def shadow_maps(limbs: Limbs, sun: Sun) -> np.ndarray:
    """Return the share of the sun that the ground around the person loses, (T, n, n) in 0..1.

    The map is a square of SHADOW_SIDE_M meters with the origin in its middle; x grows with columns
    and y with rows.
    """
    scale = SHADOW_PIXELS / SHADOW_SIDE_M
    slide = sun.direction[:2] / sun.direction[2]

    def fall(points: np.ndarray) -> np.ndarray:
        flat = points[..., :2] - points[..., 2:] * slide
        return np.rint((flat * scale + SHADOW_PIXELS / 2) * 16).astype(np.int32)

    start, end = fall(limbs.start), fall(limbs.end)
    width = np.maximum(np.rint((limbs.start_radius + limbs.end_radius) * scale), 1).astype(int)
    maps = np.zeros((len(start), SHADOW_PIXELS, SHADOW_PIXELS), np.float32)
    for t, shade in enumerate(maps):
        lines = np.zeros((SHADOW_PIXELS, SHADOW_PIXELS), np.uint8)
        for p in range(len(width)):
            first, second = start[t, p], end[t, p]
            cv2.line(lines, first.tolist(), second.tolist(), 255, int(width[p]), cv2.LINE_AA, 4)
        sigma = max(sun.softness_m * scale, 0.3)
        shade[:] = cv2.GaussianBlur(lines, (0, 0), sigma).astype(np.float32) / 255.0
    return maps


def apply_shadow(ground: np.ndarray, where: np.ndarray, shade: np.ndarray, sun: Sun) -> np.ndarray:
    """Return the lit ground (H, W, 3), darkened by a shadow map.

    where: (H, W, 2) ground coordinates of each pixel in meters. shade: (n, n), one of
    `shadow_maps`.
    """
    scale = SHADOW_PIXELS / SHADOW_SIDE_M
    at = (where * scale + SHADOW_PIXELS / 2).astype(np.float32)
    lost = (sun.depth * sun.color * sun.direction[2] / sun.on_ground).astype(np.float32)
    dark = cv2.remap(shade, at[..., 0], at[..., 1], cv2.INTER_LINEAR)
    return ground * (1.0 - dark[..., None] * lost)
