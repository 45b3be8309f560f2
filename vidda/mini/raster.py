"""Rendering of round cones in software, with anti-aliased edges.

Colors are linear light, (..., 3) float32 RGB, about 0 to 1.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vidda.mini.body import Limbs
from vidda.mini.cameras import Camera


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
class Layers:
    """A rendered person at T times: premultiplied color (T, H, W, 3), and cover in 0..1, region and
    depth in meters (infinite without a person), (T, H, W) each.
    """

    color: np.ndarray
    cover: np.ndarray
    region: np.ndarray
    depth: np.ndarray

    def at(self, moments: slice) -> "Layers":
        """Return the person at some of the times."""
        return Layers(
            self.color[moments], self.cover[moments], self.region[moments], self.depth[moments]
        )


@dataclass(frozen=True)
class _Cones:
    """Projected limbs, (T, P, ...), in the order in which they are rendered, and their light.

    start, end: (T, P, 2) pixels. radii: (T, P, 2) pixels, of both ends. depths: (T, P, 2) meters.
    turns: (T, P) texture pixels along the whole limb. scale: (T, P) texture pixels per pixel around
    it. region: (T, P). focal: (T,) pixels. sun_axis, sky_axis: (T, 3) the directions toward the sun
    and the sky in the camera's axes.
    """

    start: np.ndarray
    end: np.ndarray
    radii: np.ndarray
    depths: np.ndarray
    turns: np.ndarray
    scale: np.ndarray
    region: np.ndarray
    focal: np.ndarray
    sun_axis: np.ndarray
    sky_axis: np.ndarray


class _Wardrobe:
    """All textures in one array, so that pixels of different regions are looked up together."""

    def __init__(self, cloth: dict[int, Cloth]) -> None:
        count = max(cloth) + 1
        self._first, self._height, self._width = np.zeros((3, count), np.intp)
        self.scale = np.zeros(count)
        used = 0
        for region, one in cloth.items():
            height, width = one.texture.shape[:2]
            self._first[region], self._height[region], self._width[region] = used, height, width
            self.scale[region] = one.scale
            used += height * width
        self._colors = np.concatenate([one.texture.reshape(-1, 3) for one in cloth.values()])

    def colors(self, region: np.ndarray, v: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Return the reflectance (N, 3) at texture pixels v, u of regions, (N,) each."""
        width = self._width[region]
        row, column = v.astype(int) % self._height[region], u.astype(int) % width
        found: np.ndarray = self._colors[self._first[region] + row * width + column]
        return found


def render_person(
    limbs: Limbs, cloth: dict[int, Cloth], sun: Sun, cameras: list[Camera], size: int
) -> Layers:
    """Render the body at each of its T times by the camera of that time, size x size pixels each.

    cloth: by index of `sidecar.REGIONS`. A limb is rendered as a tapered capsule of its projected
    ends and radii, exact up to the change of perspective within one limb, which at ten meters is
    far below a pixel. Farther limbs come first.
    """
    wardrobe = _Wardrobe(cloth)
    cones = _project(limbs, wardrobe, sun, cameras)
    shape = (len(cameras), size, size)
    layers = Layers(
        np.zeros((*shape, 3), np.float32),
        np.zeros(shape, np.float32),
        np.zeros(shape, np.uint8),
        np.full(shape, np.inf, np.float32),
    )
    # Times are independent of each other: the limbs of equal rank are rendered together.
    for rank in range(cones.region.shape[1]):
        _add_limbs(layers, cones, rank, sun, wardrobe)
    return layers


def _project(limbs: Limbs, wardrobe: _Wardrobe, sun: Sun, cameras: list[Camera]) -> _Cones:
    """Return limbs as their times' cameras see them, the farthest first."""
    length_m = np.linalg.norm(limbs.end - limbs.start, axis=-1)
    starts = [camera.project(points) for camera, points in zip(cameras, limbs.start, strict=True)]
    ends = [camera.project(points) for camera, points in zip(cameras, limbs.end, strict=True)]
    start, end = (np.stack([pixels for pixels, _ in found]) for found in (starts, ends))
    depths = np.stack([[depth for _, depth in found] for found in (starts, ends)], axis=-1)
    focal = np.array([camera.focal for camera in cameras])
    own_radii = np.stack([limbs.start_radius, limbs.end_radius], axis=-1)
    radii = own_radii * focal[:, None, None] / depths
    order = np.argsort(-(depths[..., 0] + depths[..., 1]))

    def sort(values: np.ndarray) -> np.ndarray:
        return np.take_along_axis(values, order.reshape(*order.shape, *[1] * (values.ndim - 2)), 1)

    region = limbs.region[order]
    depths, scale = sort(depths), wardrobe.scale[region]
    up = np.array([0.0, 0.0, 1.0])
    return _Cones(
        start=sort(start),
        end=sort(end),
        radii=sort(radii),
        depths=depths,
        turns=sort(length_m) * scale,
        scale=depths[..., 0] / focal[:, None] * scale,
        region=region,
        focal=focal,
        sun_axis=np.array([camera.rotation @ sun.direction for camera in cameras], np.float32),
        sky_axis=np.array([camera.rotation @ up for camera in cameras], np.float32),
    )


class _Pixels(NamedTuple):
    """The N pixels that one limb at each of T times may cover, (N,) each, in order of time.

    at: indices into T x size x size. along: position of the limb's nearest point, 0..1 from start
    to end. away_x, away_y: distance from that point, to the right and downward. counts: (T,) number
    of pixels at each time.
    """

    at: np.ndarray
    along: np.ndarray
    away_x: np.ndarray
    away_y: np.ndarray
    counts: np.ndarray

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Return values of the times, (T, ...), for each pixel, (..., N)."""
        return np.repeat(values.T, self.counts, axis=-1)


def _add_limbs(layers: Layers, cones: _Cones, rank: int, sun: Sun, wardrobe: _Wardrobe) -> None:
    """Render the limb of a rank at each time over what is there."""
    start, end, radii = cones.start[:, rank], cones.end[:, rank], cones.radii[:, rank]
    axis = (end - start).astype(np.float32)
    squared = np.maximum((axis * axis).sum(1), np.float32(1e-6))
    pixels = _pixels_near(len(layers.cover[0]), start, end, radii, axis, squared)
    if pixels is None:
        return
    at, along, away_x, away_y, _ = pixels
    radius_0, radius_1 = pixels.spread(radii)
    radius = radius_0 + along * (radius_1 - radius_0)
    cover = np.clip(radius - np.sqrt(away_x * away_x + away_y * away_y) + 0.5, 0.0, 1.0)
    inverse = 1.0 / np.maximum(radius, 0.5)
    normal_x, normal_y = away_x * inverse, away_y * inverse
    bulge = np.sqrt(np.maximum(1.0 - normal_x * normal_x - normal_y * normal_y, 0.0))
    depth_0, depth_1 = pixels.spread(cones.depths[:, rank])
    thick = bulge * radius * (depth_0 / pixels.spread(cones.focal))
    depth = depth_0 + along * (depth_1 - depth_0) - thick
    depth_before = layers.depth.reshape(-1)
    cover *= depth < depth_before[at] + 0.02

    axis_x, axis_y = pixels.spread(axis)
    side = (normal_x * axis_y - normal_y * axis_x) / np.sqrt(pixels.spread(squared).astype(float))
    region = pixels.spread(cones.region[:, rank])
    v = along * pixels.spread(cones.turns[:, rank])
    u = side * radius * pixels.spread(cones.scale[:, rank])
    light = _light(pixels, cones, sun, normal_x, normal_y, bulge)
    shaded = wardrobe.colors(region, v, u) * light
    keep = 1.0 - cover
    color_before, cover_before = layers.color.reshape(-1, 3), layers.cover.reshape(-1)
    color_before[at] = color_before[at] * keep[:, None] + shaded * cover[:, None]
    cover_before[at] = cover_before[at] * keep + cover
    solid = np.flatnonzero(cover > 0.5)
    layers.region.reshape(-1)[at[solid]] = region[solid]
    depth_before[at[solid]] = depth[solid]


def _light(
    pixels: _Pixels,
    cones: _Cones,
    sun: Sun,
    normal_x: np.ndarray,
    normal_y: np.ndarray,
    bulge: np.ndarray,
) -> np.ndarray:
    """Return the light (N, 3) that falls on pixels of the body.

    normal_x, normal_y, bulge: (N,) the surface's normal, to the right, downward and to the camera.
    """
    sun_x, sun_y, sun_z = pixels.spread(cones.sun_axis)
    sky_x, sky_y, sky_z = pixels.spread(cones.sky_axis)
    lit = np.maximum(normal_x * sun_x + normal_y * sun_y - bulge * sun_z, 0.0)
    open_sky = 0.65 + 0.35 * (normal_x * sky_x + normal_y * sky_y - bulge * sky_z)
    return lit[:, None] * sun.color + open_sky[:, None] * sun.sky


def _pixels_near(
    size: int,
    start: np.ndarray,
    end: np.ndarray,
    radii: np.ndarray,
    axis: np.ndarray,
    squared: np.ndarray,
) -> _Pixels | None:
    """Return the pixels that one limb at each of T times may cover, None where it covers none.

    size: pixels a side of the images. start, end, radii: (T, 2) each, in pixels. axis: (T, 2) from
    start to end, float32; squared: (T,) its squared length.
    """
    reach = radii.max(1, keepdims=True) + 1.0
    low = np.floor(np.minimum(start, end) - reach).astype(int).clip(0, size)
    high = np.ceil(np.maximum(start, end) + reach).astype(int).clip(-1, size - 1) + 1
    wide, tall = (high - low).max(0)
    if wide <= 0 or tall <= 0:
        return None
    # Windows of one size, which all lie in the image.
    low = np.minimum(low, size - np.array([wide, tall]))
    column, row = low[:, 0, None] + np.arange(wide), low[:, 1, None] + np.arange(tall)
    x = (column.astype(np.float32) - start[:, :1].astype(np.float32))[:, None, :]
    y = (row.astype(np.float32) - start[:, 1:].astype(np.float32))[:, :, None]
    axis_x, axis_y = axis[:, 0, None, None], axis[:, 1, None, None]
    along = np.clip((x * axis_x + y * axis_y) / squared[:, None, None], 0.0, 1.0)
    away_x, away_y = x - along * axis_x, y - along * axis_y
    # Half a pixel beyond the edge a limb still covers something; the rest is for rounding.
    edges = (radii + 0.51).astype(np.float32)[..., None, None]
    edge = along * (edges[:, 1] - edges[:, 0]) + edges[:, 0]
    near = away_x * away_x + away_y * away_y < edge * edge
    times = np.arange(len(start))[:, None, None]
    at = (times * size + row[:, :, None]) * size + column[:, None, :]
    counts = np.count_nonzero(near, axis=(1, 2))
    return _Pixels(at[near], along[near], away_x[near], away_y[near], counts)
