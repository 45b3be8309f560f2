"""Rooms: a floor, walls with windows, boards and doors, and box-shaped furniture along the walls.

A room has axes of its own, turned about the person, who stands at the origin; its back wall is at
the lowest y, behind the person as the camera sees it. The wall between camera and person is left
out. Colors are linear light.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from vidda.mini.appearance import fractal
from vidda.mini.cameras import Camera
from vidda.mini.raster import Sun

SUPERSAMPLE = 2
TILE = 128
TILE_M = 2.0
TURN = 0.45
"""The most, in radians, that a room is turned against the camera."""

PAINTS = (
    *((0.75, 0.73, 0.68), (0.62, 0.66, 0.6), (0.5, 0.6, 0.65), (0.7, 0.62, 0.45)),
    *((0.35, 0.42, 0.5), (0.55, 0.32, 0.25), (0.3, 0.3, 0.3), (0.8, 0.8, 0.8)),
)
FLOORS = (
    *((0.35, 0.22, 0.12), (0.2, 0.12, 0.07), (0.45, 0.42, 0.38), (0.25, 0.26, 0.28)),
    *((0.6, 0.55, 0.48), (0.15, 0.2, 0.3)),
)
WOODS = (
    (0.4, 0.25, 0.13),
    (0.22, 0.12, 0.07),
    (0.75, 0.73, 0.7),
    (0.1, 0.1, 0.11),
    (0.5, 0.4, 0.3),
)


@dataclass(frozen=True)
class Room:
    """A room around a person at the origin, independent of any camera.

    turn: of its axes against the world's, in radians. low, high: (3,) its corners in meters. floor,
    wall: (n, n, 3) float32 tiles of their colors, TILE_M meters a side. shades: (6,) light on the
    low and high face of each axis. panels: (N, 9) rectangles on walls: index of the face, the
    limits of the horizontal coordinate and of z in meters, the color, and the glow of a window.
    boxes: (M, 9) furniture: the lowest and the highest corner in meters, and the color.
    """

    turn: float
    low: np.ndarray
    high: np.ndarray
    floor: np.ndarray
    wall: np.ndarray
    shades: np.ndarray
    panels: np.ndarray
    boxes: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """The walls' mean color, (3,)."""
        return np.asarray(self.wall.mean((0, 1)))


def draw_room(rng: np.random.Generator, azimuth: float) -> Room:
    """Return a random room whose back wall is behind the person as a camera at `azimuth` sees it.

    azimuth: radians around the person, 0 in front of them.
    """
    low = np.array([-rng.uniform(1.6, 4.5), -rng.uniform(0.7, 4.0), 0.0])
    high = np.array([rng.uniform(1.6, 4.5), 8.0, rng.uniform(2.3, 3.4)])
    turn = azimuth + rng.uniform(-TURN, TURN)
    paint = np.array(PAINTS[rng.integers(len(PAINTS))]) * rng.uniform(0.75, 1.1, 3)
    ground = np.array(FLOORS[rng.integers(len(FLOORS))]) * rng.uniform(0.8, 1.2, 3)
    return Room(
        turn=float(turn),
        low=low,
        high=high,
        floor=_surface(rng, ground, ("noise", "tiles", "planks")[rng.integers(3)]),
        wall=_surface(
            rng, paint, ("noise", "noise", "noise", "bricks", "stripes")[rng.integers(5)]
        ),
        shades=rng.uniform(0.7, 1.05, 6),
        panels=_draw_panels(rng, low, high),
        boxes=_draw_furniture(rng, low, high),
    )


def _surface(rng: np.random.Generator, color: np.ndarray, kind: str) -> np.ndarray:
    """Return a tile (n, n, 3) of a floor or wall: noise, tiles, planks, bricks or stripes."""
    row, column = np.mgrid[:TILE, :TILE] / TILE
    tone = 1.0 + rng.uniform(0.01, 0.06) * fractal(rng, TILE, rng.uniform(0.4, 1.4))
    count = int(rng.integers(3, 9))
    if kind == "tiles":
        joint = np.minimum(row * count % 1, column * count % 1) < 0.06
        tone = tone * np.where(joint, rng.uniform(0.5, 0.8), 1.0)
    elif kind == "planks":
        tone = tone * rng.uniform(0.8, 1.15, count * 2)[(row * count * 2).astype(int)]
    elif kind == "bricks":
        course = (row * count * 3).astype(int)
        joint = ((row * count * 3) % 1 < 0.15) | ((column * count + course % 2 / 2) % 1 < 0.06)
        tone = tone * np.where(joint, rng.uniform(1.1, 1.4), 1.0)
    elif kind == "stripes":
        tone = tone * np.where(column * count % 1 < 0.5, 1.0, rng.uniform(0.7, 0.9))
    return np.clip(color * tone[..., None], 0.01, 0.95).astype(np.float32)


def _draw_panels(rng: np.random.Generator, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return windows, boards, pictures and doors, framed, on the back and side walls."""
    found = []
    for _ in range(int(rng.integers(2, 8))):
        face = int(rng.choice([0, 1, 2, 2, 2]))
        across = 1 if face < 2 else 0
        kind = ("window", "board", "picture", "door")[rng.integers(4)]
        wide, bottom, tall = {
            "window": (rng.uniform(0.8, 2.2), rng.uniform(0.7, 1.1), rng.uniform(0.9, 1.5)),
            "board": (rng.uniform(1.0, 2.4), rng.uniform(0.8, 1.1), rng.uniform(0.7, 1.2)),
            "picture": (rng.uniform(0.3, 0.8), rng.uniform(1.1, 1.6), rng.uniform(0.3, 0.7)),
            "door": (rng.uniform(0.8, 1.0), 0.0, rng.uniform(1.95, 2.1)),
        }[kind]
        limit = 2.5 if across else high[0] - wide
        start = rng.uniform(low[across], max(limit, low[across] + 0.1))
        top = min(bottom + tall, high[2] - 0.1)
        color = rng.uniform(0.05, 0.8) * rng.uniform(0.7, 1.2, 3)
        glow = 0.0
        if kind == "window":
            color, glow = np.array([0.55, 0.68, 0.85]) * rng.uniform(0.6, 1.3), 1.0
        frame = rng.uniform(0.1, 0.9) * np.ones(3)
        found.append((face, start, start + wide, bottom, top, *frame, 0.0))
        inner = (start + 0.05, start + wide - 0.05, bottom + 0.05, top - 0.05)
        found.append((face, *inner, *color, glow))
    return np.array(found)


def _draw_furniture(rng: np.random.Generator, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return cupboards, tables and seats along the back and side walls, none before the person."""
    found: list[tuple[float, ...]] = []
    for _ in range(int(rng.integers(2, 9))):
        wide, deep = rng.uniform(0.4, 1.6), rng.uniform(0.35, 0.8)
        tall = rng.choice([0.45, 0.75, 1.1, 1.9]) * rng.uniform(0.9, 1.1)
        color = np.array(WOODS[rng.integers(len(WOODS))]) * rng.uniform(0.7, 1.2, 3)
        if rng.random() < 0.6:
            x, y = rng.uniform(low[0], high[0] - wide), low[1] + rng.uniform(0.0, 0.1)
            deep = min(deep, -low[1] - 0.45)
        else:
            left = rng.random() < 0.5
            wide, deep = min(deep, 0.6), min(wide, 0.2 - low[1])
            x = low[0] if left else high[0] - wide
            y = rng.uniform(low[1], 0.3 - deep)
        if tall < 0.9 and rng.random() < 0.7:  # a table: its top, and two ends
            ends = ((x, x + 0.06), (x + wide - 0.06, x + wide))
            found += [(a, y, 0.0, b, y + deep, tall, *(0.8 * color)) for a, b in ends]
            found.append((x, y, tall - 0.05, x + wide, y + deep, tall, *color))
        else:
            found.append((x, y, 0.0, x + wide, y + deep, tall, *color))
        if rng.random() < 0.6:  # something on it
            a, b = x + rng.uniform(0.0, 0.6) * wide, y + 0.2 * deep
            thing = rng.uniform(0.03, 0.7) * rng.uniform(0.6, 1.3, 3)
            top = tall + rng.uniform(0.1, 0.45)
            found.append((a, b, tall, a + 0.4 * wide, b + 0.5 * deep, top, *thing))
    return np.array(found)


def draw_lamp(rng: np.random.Generator) -> Sun:
    """Return the random light of a room: soft, from above, of any tint."""
    around, high = rng.uniform(0.0, 2.0 * np.pi), np.radians(rng.uniform(45.0, 85.0))
    direction = np.array(
        [np.cos(high) * np.sin(around), np.cos(high) * np.cos(around), np.sin(high)]
    )
    tint = np.array([1.0 + rng.uniform(-0.05, 0.15), 1.0, 1.0 - rng.uniform(-0.1, 0.25)])
    strength, fill = rng.uniform(0.1, 0.5), rng.uniform(0.45, 0.95)
    return Sun(
        direction, strength * tint, fill * tint, rng.uniform(0.08, 0.25), rng.uniform(0.4, 0.9)
    )


def render_room(room: Room, light: Sun, camera: Camera, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the room without its person, (size, size, 3), and the floor point of each pixel.

    The floor points are x and y in meters of the world, (size, size, 2), elsewhere 1e4. size:
    pixels a side.
    """
    fine = size * SUPERSAMPLE
    step = (np.arange(fine) + 0.5) / SUPERSAMPLE - 0.5
    right = np.broadcast_to((step - camera.center[0])[None, :] / camera.focal, (fine, fine))
    down = np.broadcast_to((step - camera.center[1])[:, None] / camera.focal, (fine, fine))
    cosine, sine = np.cos(room.turn), np.sin(room.turn)
    to_room = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    ray = np.stack([right, down, np.ones_like(right)], axis=-1) @ camera.rotation @ to_room.T
    ray = np.where(np.abs(ray) < 1e-9, 1e-9, ray).astype(np.float32)
    eye = (to_room @ camera.position).astype(np.float32)
    image, far, on_floor = _walls(room, eye, ray)
    image = _furniture(room, eye, ray, image, far)
    lit = image * light.on_ground.astype(np.float32)
    small = cv2.resize(lit.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    floor_at = (eye + far[..., None] * ray) @ to_room
    inner = np.s_[SUPERSAMPLE // 2 :: SUPERSAMPLE, SUPERSAMPLE // 2 :: SUPERSAMPLE]
    return small, np.where(on_floor[inner][..., None], floor_at[inner][..., :2], 1e4)


def _walls(
    room: Room, eye: np.ndarray, ray: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the colors (n, n, 3) where rays leave the room, how far, and whether on the floor."""
    distance = (np.where(ray > 0.0, room.high, room.low) - eye) / ray
    # A camera beside the room sees the same walls, extended.
    distance = np.where(distance > 0.0, distance, np.inf)
    axis = distance.argmin(-1)
    far = np.take_along_axis(distance, axis[..., None], -1)[..., 0]
    at = eye + far[..., None] * ray
    face = 2 * axis + (np.take_along_axis(ray, axis[..., None], -1)[..., 0] > 0.0)
    across = np.where(axis == 0, at[..., 1], at[..., 0])
    level = axis == 2
    image = np.where(
        (face == 4)[..., None],
        _tile_colors(room.floor, at[..., 0], at[..., 1]),
        _tile_colors(room.wall, across, at[..., 2]),
    )
    image = np.where((face == 5)[..., None], np.float32(0.7), image)
    for where, start, end, bottom, top, red, green, blue, glow in room.panels:
        on = (face == where) & (across > start) & (across < end)
        on &= (at[..., 2] > bottom) & (at[..., 2] < top)
        image[on] = np.array([red, green, blue]) * (1.0 + glow)
    # Corners are darker, as less light reaches them.
    edges = np.abs(np.minimum(at - room.low, room.high - at))
    edges = np.where(np.arange(3) == axis[..., None], np.inf, edges)
    corner = 1.0 - 0.3 * np.exp(-edges.min(-1) / 0.3)
    image = image * (room.shades[face] * corner)[..., None]
    return image, far, level & (face == 4)


def _tile_colors(tile: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    n = len(tile)
    colors: np.ndarray = tile[(-v / TILE_M * n).astype(int) % n, (u / TILE_M * n).astype(int) % n]
    return colors


def _furniture(
    room: Room, eye: np.ndarray, ray: np.ndarray, image: np.ndarray, far: np.ndarray
) -> np.ndarray:
    """Return the image with the boxes that rays meet before they leave the room.

    image, far: colors and distances without boxes. Where a box is met, `far` stays the wall's: the
    person's shadow falls on the floor alone, which boxes near the walls hide little of.
    """
    nearest = far.copy()
    for box in room.boxes:
        one, two = (box[:3] - eye) / ray, (box[3:6] - eye) / ray
        entry = np.minimum(one, two)
        near, away = entry.max(-1), np.maximum(one, two).min(-1)
        met = (near < away) & (near > 0.0) & (near < nearest)
        side = entry.argmax(-1)
        tone = np.array([0.7, 0.85, 1.1])[side]
        at = eye + near[..., None] * ray
        # Doors and drawers: two lines on each upright side.
        share = (at[..., 2] - box[2]) / (box[5] - box[2])
        tone = tone * np.where((side != 2) & (share * 3.0 % 1.0 < 0.05), 0.6, 1.0)
        image = np.where(met[..., None], box[6:] * tone[..., None], image)
        nearest = np.where(met, near, nearest)
    return image
