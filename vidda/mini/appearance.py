"""The appearance of a scene: light, clothes, ground and skyline.

Every function takes whether its factor is real. If not, the result looks like a game engine's: few
terrains, plain clothes, one sun. If it is: textures, vegetation, clutter, patterns, any weather.
Colors are linear light.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from vidda.mini.cameras import Camera
from vidda.mini.raster import Cloth, Sun
from vidda.sidecar import REGIONS

TERRAINS = {"Grassy Terrain": (0.16, 0.23, 0.08), "Desert Terrain": (0.45, 0.35, 0.22)}
"""The synthetic terrains, named as in RoCoG-v2's simulation_info, and their colors."""

SUNS_DEG = ((60.0, 40.0), (55.0, 140.0))
"""The synthetic suns: elevation and azimuth in degrees."""

PLAIN_CLOTHES = ((0.05, 0.09, 0.3), (0.35, 0.05, 0.05), (0.6, 0.6, 0.58), (0.05, 0.2, 0.09))
PLAIN_TROUSERS = ((0.05, 0.06, 0.12), (0.2, 0.16, 0.1), (0.03, 0.03, 0.03))
SKINS = ((0.55, 0.34, 0.24), (0.42, 0.24, 0.15), (0.24, 0.12, 0.07), (0.12, 0.06, 0.035))
HAIRS = ((0.02, 0.015, 0.01), (0.1, 0.05, 0.02), (0.3, 0.2, 0.08), (0.35, 0.33, 0.31))

REAL_GROUNDS = (
    ((0.1, 0.15, 0.05), (0.23, 0.24, 0.1)),  # lawn
    ((0.3, 0.25, 0.12), (0.14, 0.16, 0.06)),  # dry grass
    ((0.24, 0.17, 0.11), (0.38, 0.3, 0.22)),  # earth
    ((0.3, 0.29, 0.27), (0.17, 0.16, 0.15)),  # gravel
    ((0.1, 0.1, 0.105), (0.16, 0.16, 0.16)),  # asphalt
    ((0.4, 0.39, 0.36), (0.29, 0.28, 0.26)),  # concrete
)
TILE = 256
FINE_M, COARSE_M = 6.0, 37.0
MIN_CONTRAST = 2.2


@dataclass(frozen=True)
class Surroundings:
    """A ground and a skyline, independent of any camera; colors are reflectances in linear light.

    fine, coarse: (n, n, 3) float32 tiles of the ground's color, FINE_M and COARSE_M meters a side,
    which are averaged. clutter: (N, 6) objects on the ground: x, y and radius in meters, then the
    color. skyline_seed: decides the skyline. wild: whether it is of trees and buildings, not a
    plain hill.
    """

    fine: np.ndarray
    coarse: np.ndarray
    clutter: np.ndarray
    skyline_seed: int
    wild: bool

    @property
    def mean(self) -> np.ndarray:
        """The ground's mean color, (3,)."""
        return np.asarray(self.fine.mean((0, 1)))


def fractal(rng: np.random.Generator, n: int, slope: float) -> np.ndarray:
    """Return a tileable (n, n) float32 random field of zero mean and unit deviation.

    slope: the amplitude of its spectrum falls with the frequency f as 1 / f**slope.
    """
    frequency = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n)[None, :])
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((n, n), np.float32)) * frequency**-slope
    field = np.fft.irfft2(spectrum, s=(n, n))
    return (field / field.std()).astype(np.float32)


def draw_surroundings(rng: np.random.Generator, real: bool, terrain: str) -> Surroundings:
    """Return random surroundings of a person.

    real: whether they look real. terrain: a name of TERRAINS; not used if they are real.
    """
    if not real:
        base = np.array(TERRAINS[terrain], np.float32)
        fine = base * (1.0 + 0.05 * fractal(rng, 64, 0.6)[..., None])
        coarse = base * (1.0 + 0.04 * fractal(rng, 64, 1.5)[..., None])
        return Surroundings(fine, coarse, np.zeros((0, 6)), int(rng.integers(2**31)), wild=False)
    first, second = (np.array(c, np.float32) for c in REAL_GROUNDS[rng.integers(len(REAL_GROUNDS))])
    tint = rng.uniform(0.9, 1.1, 3).astype(np.float32)
    patches = fractal(rng, TILE, rng.uniform(1.1, 1.7))[..., None]
    grain = fractal(rng, TILE, rng.uniform(0.3, 0.9))[..., None]
    mix = 1.0 / (1.0 + np.exp(-rng.uniform(1.0, 2.5) * patches))
    color = tint * (first * mix + second * (1.0 - mix))
    fine = color * np.clip(1.0 + rng.uniform(0.08, 0.22) * grain, 0.3, 2.0)
    coarse = color * np.clip(1.0 + 0.15 * fractal(rng, TILE, 1.2)[..., None], 0.4, 2.0)
    return Surroundings(fine, coarse, _draw_clutter(rng), int(rng.integers(2**31)), wild=True)


def _draw_clutter(rng: np.random.Generator) -> np.ndarray:
    """Return bushes, stones and litter around the person, none underfoot; see `Surroundings`."""
    count = int(rng.integers(8, 26))
    far = rng.uniform(0.9, 6.0, count)
    angle = rng.uniform(0.0, 2.0 * np.pi, count)
    radius = rng.uniform(0.06, 0.4, count) * np.minimum(far / 2.0, 1.0)
    green = rng.random(count) < 0.6
    color = np.where(
        green[:, None],
        np.array([0.06, 0.11, 0.03]) * rng.uniform(0.5, 1.8, (count, 1)),
        rng.uniform(0.04, 0.5, (count, 1)) * rng.uniform(0.8, 1.2, (count, 3)),
    )
    return np.column_stack([far * np.cos(angle), far * np.sin(angle), radius, color])


def render_backdrop(
    where: Surroundings, sun: Sun, camera: Camera, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the scene without its person, (size, size, 3), and the ground point of each pixel.

    The ground points are x and y in meters, (size, size, 2); beyond the horizon 1e4. size: pixels a
    side.
    """
    ground_at, depth = camera.ground(size, size)
    image = _ground(where, ground_at, depth, camera) * sun.on_ground.astype(np.float32)
    above = np.isinf(depth)
    if above.any():
        rng = np.random.default_rng(where.skyline_seed)
        behind = (_wild_skyline if where.wild else _plain_skyline)(rng, above, sun)
        image = np.where(above[..., None], behind, image)
        haze = np.clip(depth / 400.0, 0.0, 0.6)[..., None]
        image = np.where(above[..., None], image, image * (1 - haze) + 0.7 * sun.sky * haze)
        ground_at = np.where(above[..., None], 1e4, ground_at)
    return image.astype(np.float32), ground_at


def _ground(
    where: Surroundings, ground_at: np.ndarray, depth: np.ndarray, camera: Camera
) -> np.ndarray:
    pixel_m = np.where(np.isinf(depth), 1e3, depth**2 / (camera.position[2] * camera.focal))
    clear = np.clip(1.5 - pixel_m / (6.0 * FINE_M / TILE), 0.0, 1.0)[..., None]
    fine = _tiled(where.fine, ground_at, FINE_M)
    coarse = _tiled(where.coarse, ground_at, COARSE_M)
    blend = 0.5 * coarse + 0.5 * (fine * clear + where.fine.mean((0, 1)) * (1.0 - clear))
    image: np.ndarray = blend.astype(np.float32)
    for x, y, radius, *color in where.clutter:
        right, far = ground_at[..., 0] - x, ground_at[..., 1] - y
        near = right * right + far * far < (1.6 * radius) ** 2
        if not near.any():
            continue
        image, box = image.astype(np.float64, copy=False), _bounds(near)
        at = ground_at[box]
        away = np.hypot(right[box], far[box]) / radius
        rough = 0.25 * np.sin(9.0 * at[..., 0] + x) * np.cos(8.0 * at[..., 1] + y)
        cover = (np.clip(4.0 * (1.0 - away + rough), 0.0, 1.0) * near[box])[..., None]
        image[box] = image[box] * (1.0 - cover) + cover * (
            np.array(color, np.float32) * (1.3 - 0.5 * away[..., None])
        )
    return np.maximum(image, 0.01)


def _bounds(mask: np.ndarray) -> tuple[slice, slice]:
    """Return the smallest box that holds every True of a mask (H, W), of which there is one."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _tiled(tile: np.ndarray, at: np.ndarray, side_m: float) -> np.ndarray:
    n = len(tile)
    pixels = ((at / side_m) % 1.0 * n).astype(np.float32)
    padded = np.pad(tile, ((0, 1), (0, 1), (0, 0)), mode="wrap").astype(np.float32)
    return cv2.remap(padded, pixels[..., 0], pixels[..., 1], cv2.INTER_LINEAR)


def _plain_skyline(rng: np.random.Generator, above: np.ndarray, sun: Sun) -> np.ndarray:
    """Return a clean sky over one smooth hill."""
    size = len(above)
    up, column = _above_horizon(above)
    sky = np.array([0.45, 0.62, 0.9]) * (1.0 - 0.35 * up[..., None])
    ridge = 0.12 + 0.05 * np.sin(
        2.0 * np.pi * (column / size * rng.uniform(0.5, 1.2) + rng.random())
    )
    hill = np.array([0.14, 0.2, 0.1]) * (sun.sky + 0.5 * sun.color)
    return np.where((up < ridge)[..., None], hill, sky)


def _wild_skyline(rng: np.random.Generator, above: np.ndarray, sun: Sun) -> np.ndarray:
    """Return trees, perhaps a building and some trunks or poles, under any sky."""
    size = len(above)
    up, across = _above_horizon(above)
    column = across[0].astype(int)
    cloud = cv2.resize(fractal(rng, 64, 1.4), (size, size))[..., None]
    blue = np.array([0.35, 0.5, 0.8]) * rng.uniform(0.7, 1.2)
    gray = np.full(3, rng.uniform(0.45, 0.95))
    image = blue + (gray - blue) * np.clip(rng.uniform(0.0, 1.0) + 0.4 * cloud, 0.0, 1.0)
    full = sun.sky + 0.6 * sun.color
    if rng.random() < 0.4:
        left, wide, tall = rng.uniform(-0.2, 0.8), rng.uniform(0.2, 0.6), rng.uniform(0.2, 0.6)
        inside = (up < tall) & (across / size > left) & (across / size < left + wide)
        wall = rng.uniform(0.15, 0.6) * rng.uniform(0.85, 1.15, 3)
        period = rng.uniform(0.08, 0.15)
        window = ((across / size / period) % 1 < 0.5) & ((up / period / 1.2) % 1 < 0.55)
        wall_here = np.where(window[..., None], 0.3 * wall, wall) * full
        image = np.where(inside[..., None], wall_here, image)
    outline = np.interp(
        np.linspace(0, 8, size), np.arange(9), rng.uniform(0.0, rng.uniform(0.2, 0.8), 9)
    )
    outline += 0.05 * fractal(rng, size if size % 2 == 0 else size + 1, 0.9)[0, :size]
    leaf = cv2.resize(fractal(rng, 128, rng.uniform(0.6, 1.1)), (size, size))[..., None]
    green = np.array([0.07, 0.11, 0.035]) * rng.uniform(0.5, 2.2) * rng.uniform(0.8, 1.25, 3)
    trees = green * np.clip(1.0 + 0.45 * leaf, 0.15, 3.0) * full
    image = np.where((up < outline[column][None, :])[..., None], trees, image)
    for _ in range(int(rng.integers(0, 4))):
        at, half = rng.uniform(0, size), rng.uniform(0.4, 2.2) * size / 112
        pole = (
            np.clip(half + 0.5 - np.abs(across - at), 0.0, 1.0)[..., None]
            * (up < rng.uniform(0.4, 1.2))[..., None]
        )
        image = image * (1 - pole) + pole * rng.uniform(0.03, 0.5) * full
    return image


def _above_horizon(above: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each pixel's height over the horizon, in units of 0.6 of the image, and its column."""
    size = len(above)
    row, column = np.mgrid[:size, :size].astype(np.float32)
    return (above.sum(0) - row) / (0.6 * size), column


def draw_sun(rng: np.random.Generator, real: bool, preset: int) -> Sun:
    """Return a synthetic sun, or a real one of random height, direction, strength and softness.

    real: which of them. preset: index of SUNS_DEG for the synthetic sun.
    """
    if not real:
        return _sun(*SUNS_DEG[preset], strength=0.7, softness_m=0.02, depth=0.55)
    strength = rng.uniform(0.15, 0.9)
    return _sun(
        rng.uniform(28.0, 75.0),
        rng.uniform(0.0, 360.0),
        strength=strength,
        softness_m=0.03 + 0.2 * (0.9 - strength) ** 2,
        depth=rng.uniform(0.75, 1.0),
    )


def _sun(
    elevation_deg: float, azimuth_deg: float, strength: float, softness_m: float, depth: float
) -> Sun:
    high, round_ = np.radians(elevation_deg), np.radians(azimuth_deg)
    flat = np.cos(high)
    direction = np.array([flat * np.sin(round_), flat * np.cos(round_), np.sin(high)])
    warm = np.array([1.05, 1.0, 0.92])
    cool = np.array([0.92, 1.0, 1.1])
    return Sun(direction, strength * warm, (1.0 - 0.75 * strength) * cool, softness_m, depth)


def draw_clothes(
    rng: np.random.Generator, real: bool, skin: int, ground: np.ndarray
) -> dict[int, Cloth]:
    """Return random textures of a person's regions, by index of `sidecar.REGIONS`.

    real: whether they are patterned. skin: index of SKINS. ground: (3,) mean reflectance, from
    which the upper clothes differ in brightness.
    """
    skin_color = np.array(SKINS[skin])
    hair = np.array(HAIRS[rng.integers(len(HAIRS))])
    if real:
        upper, lower = _pattern(rng, rng.choice(4)), _pattern(rng, rng.choice([0, 0, 3]))
        shoes = rng.uniform(0.02, 0.4) * np.ones(3)
        skin_color = skin_color * rng.uniform(0.85, 1.15)
    else:
        upper = _plain(PLAIN_CLOTHES[rng.integers(len(PLAIN_CLOTHES))])
        lower = _plain(PLAIN_TROUSERS[rng.integers(len(PLAIN_TROUSERS))])
        shoes = np.array([0.04, 0.03, 0.03])
    upper = _stand_out(upper, ground)
    textures = {"skin": _plain(skin_color), "upper": upper, "lower": lower}
    textures |= {"shoes": _plain(shoes), "hair": _plain(hair)}
    return {
        REGIONS.index(name): Cloth(texture.astype(np.float32), 90.0)
        for name, texture in textures.items()
    }


def _plain(color: object) -> np.ndarray:
    return np.asarray(color, np.float32).reshape(1, 1, 3)


def _pattern(rng: np.random.Generator, kind: int) -> np.ndarray:
    """Return a texture, (64, 64, 3), about 0.7 m: worn plain, stripes, checks or camouflage."""
    first = rng.uniform(0.02, 0.7) * rng.uniform(0.5, 1.3, 3)
    second = rng.uniform(0.02, 0.7) * rng.uniform(0.5, 1.3, 3)
    row, column = np.mgrid[:64, :64] / 64.0
    bands = 2.0 * np.pi * rng.integers(4, 11)
    if kind == 0:
        share = 0.15 * fractal(rng, 64, 1.0)
    elif kind == 1:
        share = (np.sin(bands * row) > rng.uniform(-0.6, 0.6)).astype(float)
    elif kind == 2:
        share = 0.5 * (np.sin(bands * row) > 0.0) + 0.5 * (np.sin(bands * column) > 0.0)
    else:
        share = (fractal(rng, 64, 1.5) > rng.uniform(-0.5, 0.5)).astype(float)
    return np.clip(first + (second - first) * share[..., None], 0.015, 0.85)


def _stand_out(texture: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """Brighten or darken clothes until they differ from the ground by MIN_CONTRAST at least."""
    own, behind = float(texture.mean()), float(ground.mean())
    ratio = own / behind
    if ratio >= MIN_CONTRAST or ratio <= 1.0 / MIN_CONTRAST:
        return texture
    wanted = (
        behind * MIN_CONTRAST
        if ratio > 1.0 and behind * MIN_CONTRAST < 0.75
        else behind / MIN_CONTRAST
    )
    return texture * (wanted / own)
