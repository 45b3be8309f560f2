"""Grounds and backgrounds of the miniature's training images.

The real domain's grounds are soft mixtures of two colors, with bushes and stones, before trees and
houses with windows; none of these occur here. `palette` has the colors.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import cKDTree

from tools.mini_diffusion.palette import FARTHEST_ALIKE, GROUNDS, HUES, distance_to_real
from vidda.mini import appearance
from vidda.mini.cameras import Camera
from vidda.mini.raster import Sun

TILE = 256
SHADE = (0.75, 1.2)
CLUTTERED = 0.35


@dataclass(frozen=True)
class Setting:
    """A place, and the caption's words for it: ground, texture and horizon."""

    place: appearance.Surroundings
    ground: str
    texture: str
    horizon: str


def draw_setting(rng: np.random.Generator) -> Setting:
    """Return a random place, whose ground differs in color from all of the real domain's."""
    ground, texture = str(rng.choice(list(GROUNDS))), str(rng.choice(list(TEXTURES)))
    first, second = (np.array(color, np.float32) for color in GROUNDS[ground])
    share = TEXTURES[texture](rng)[..., None]
    while True:
        tint = rng.uniform(*SHADE) * rng.uniform(0.93, 1.07, 3).astype(np.float32)
        tile = np.clip(tint * (first * share + second * (1.0 - share)), 0.01, 0.9)
        if distance_to_real(tile.mean((0, 1))) > FARTHEST_ALIKE:
            break
    even = np.broadcast_to(tile.mean((0, 1)), (64, 64, 3)).astype(np.float32)
    coarse = even * (1.0 + rng.uniform(0.0, 0.08) * appearance.fractal(rng, 64, 1.5)[..., None])
    things = _things(rng) if rng.random() < CLUTTERED else np.zeros((0, 6))
    place = appearance.Surroundings(tile, coarse, things, int(rng.integers(2**31)), wild=False)
    return Setting(place, ground, texture, str(rng.choice(list(HORIZONS))))


def backdrop(
    setting: Setting, sun: Sun, camera: Camera, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the scene without its person, (size, size, 3), and its ground positions.

    The positions are (size, size, 2), x and y on the ground in meters.
    """
    image, ground_at = appearance.render_backdrop(setting.place, sun, camera, size)
    _, depth = camera.ground(size, size)
    if (above := np.isinf(depth)).any():
        rng = np.random.default_rng(setting.place.skyline_seed)
        row, column = np.mgrid[:size, :size] / size
        up = (above.sum(0).max() / size - row) / 0.6
        behind = HORIZONS[setting.horizon](rng, up, column) * (sun.sky + 0.5 * sun.color)
        image = np.where(above[..., None], behind, image).astype(np.float32)
    return image, ground_at


def _things(rng: np.random.Generator) -> np.ndarray:
    """Return vivid markers on the ground, (M, 6): x, y, radius in meters and a color."""
    count = int(rng.integers(3, 16))
    far, angle = rng.uniform(0.9, 5.0, count), rng.uniform(0.0, 2.0 * np.pi, count)
    hue = np.array(list(HUES.values()))[rng.integers(len(HUES), size=count)]
    color = hue * rng.uniform(0.1, 0.8, (count, 1))
    radius = rng.uniform(0.05, 0.3, count)
    return np.column_stack([far * np.cos(angle), far * np.sin(angle), radius, color])


def _grid(period: int) -> tuple[np.ndarray, np.ndarray]:
    row, column = np.mgrid[:TILE, :TILE]
    return row // period, column // period


def _plain(rng: np.random.Generator) -> np.ndarray:
    return np.clip(0.5 + 0.05 * appearance.fractal(rng, TILE, 0.3), 0.0, 1.0)


def _tiles(rng: np.random.Generator) -> np.ndarray:
    row, column = _grid(int(rng.choice([16, 32, 64])))
    return ((row + column) % 2).astype(np.float32)


def _bricks(rng: np.random.Generator) -> np.ndarray:
    tall = int(rng.choice([8, 16, 32]))
    row, column = np.mgrid[:TILE, :TILE]
    column = column + tall * ((row // tall) % 2)
    joint = (row % tall < 2) | (column % (2 * tall) < 2)
    tone = rng.random((TILE // tall, TILE // tall))[row // tall, (column // (2 * tall)) % 4]
    return np.where(joint, 0.0, 0.6 + 0.4 * tone).astype(np.float32)


def _planks(rng: np.random.Generator) -> np.ndarray:
    wide = int(rng.choice([8, 16, 32]))
    column = np.mgrid[:TILE, :TILE][1]
    tone = rng.random(TILE // wide)[column // wide]
    grain = gaussian_filter1d(rng.standard_normal((TILE, TILE)), 12, axis=0, mode="wrap")
    return np.clip(np.where(column % wide < 1, 0.0, 0.3 + 0.5 * tone + 0.6 * grain), 0.0, 1.0)


def _waves(rng: np.random.Generator) -> np.ndarray:
    row, column = 2.0 * np.pi * np.mgrid[:TILE, :TILE] / TILE
    many, bend = rng.integers(6, 30), rng.uniform(0.2, 2.0)
    return 0.5 + 0.5 * np.sin(many * row + bend * np.sin(rng.integers(1, 4) * column))


def _stones(rng: np.random.Generator) -> np.ndarray:
    """Return Voronoi cells around random points, each of one tone, with dark joints."""
    points = rng.uniform(0, TILE, (int(rng.integers(60, 240)), 2))
    pixels = np.mgrid[:TILE, :TILE].reshape(2, -1).T
    away, nearest = cKDTree(points, boxsize=TILE).query(pixels, k=2)  # a box, so the tile repeats
    joint = away[:, 1] - away[:, 0] < 2.0
    cells = np.where(joint, 0.0, 0.3 + 0.7 * rng.random(len(points))[nearest[:, 0]])
    return cells.reshape(TILE, TILE)


def _lines(rng: np.random.Generator) -> np.ndarray:
    row, column = np.mgrid[:TILE, :TILE]
    apart, wide = int(rng.choice([64, 128])), int(rng.integers(3, 8))
    line = (column % apart < wide) | ((row % TILE < wide) & (rng.random() < 0.5))
    return line.astype(np.float32)


Pattern = Callable[[np.random.Generator], np.ndarray]
TEXTURES: dict[str, Pattern] = {
    "plain": _plain,
    "tiled": _tiles,
    "bricked": _bricks,
    "planked": _planks,
    "wavy": _waves,
    "stony": _stones,
    "lined": _lines,
}
"""Ground textures by name: the first color's share over one tile, (TILE, TILE) in [0, 1]."""


def _sea(rng: np.random.Generator, up: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Return water up to the horizon under a deep blue sky."""
    sky = np.array([0.1, 0.3, 0.85]) + (1.0 - np.clip(up, 0, 1))[..., None] * [0.3, 0.3, 0.1]
    water = np.array([0.02, 0.16, 0.26]) * rng.uniform(0.6, 1.5)
    return np.where((up < rng.uniform(0.05, 0.3))[..., None], water, sky)


def _sunset(rng: np.random.Generator, up: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Return a sky from orange to violet."""
    low, high = np.array([1.0, 0.42, 0.12]), np.array([0.3, 0.12, 0.5])
    share = np.clip(up / rng.uniform(0.6, 1.3), 0.0, 1.0)[..., None]
    return low + (high - low) * share


def _mountains(rng: np.random.Generator, up: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Return snowy peaks, as straight lines between random points."""
    peaks = np.interp(across[0], np.linspace(0, 1, 7), rng.uniform(0.1, 0.9, 7))
    share = np.clip(up / np.maximum(peaks, 1e-3), 0.0, 1.0)[..., None]
    rock, snow = np.array([0.12, 0.13, 0.2]), np.array([0.8, 0.85, 0.95])
    mountain = np.where(share > rng.uniform(0.5, 0.8), snow, rock)
    return np.where((up < peaks)[..., None], mountain, np.array([0.25, 0.55, 0.95]))


def _wall(rng: np.random.Generator, up: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Return a painted wall with upright stripes, higher than the image."""
    hue = np.array(list(HUES.values())[rng.integers(len(HUES))]) * rng.uniform(0.2, 0.9)
    stripe = (across * rng.integers(4, 16)) % 1.0 < rng.uniform(0.1, 0.5)
    return np.where(stripe[..., None], hue, hue * rng.uniform(0.5, 0.9))


def _studio(rng: np.random.Generator, up: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Return an even backdrop of one pale color."""
    pale = 1.0 - rng.uniform(0.0, 0.6) * (1.0 - np.array(list(HUES.values()))[rng.integers(9)])
    return np.broadcast_to(0.9 * pale, (*up.shape, 3))


def _night(rng: np.random.Generator, up: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Return lit towers before a black sky."""
    towers = rng.uniform(0.1, 1.0, 10)[np.minimum((across * 10).astype(int), 9)]
    lit = ((across * 60).astype(int) % 3 == 1) & ((up * 30).astype(int) % 3 == 1)
    tower = np.where(lit[..., None], [0.9, 0.7, 0.2], [0.03, 0.03, 0.06])
    return np.where((up < towers)[..., None], tower, np.array([0.01, 0.015, 0.05]))


Horizon = Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]
HORIZONS: dict[str, Horizon] = {
    "sea": _sea,
    "sunset": _sunset,
    "mountains": _mountains,
    "wall": _wall,
    "studio": _studio,
    "night": _night,
}
"""Backgrounds by name, from the height over the horizon and the column, both as shares."""
