"""Random backgrounds and clothes for a clip whose masks name the region of each pixel."""

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np

Background = Literal["colors", "textures", "clips"]

CLOTHES = ("upper", "lower", "shoes")
"""The regions of a mask that get new colors; skin and hair stay."""

EDGE = 0.7
"""Deviation in pixels of the soft edge between a person and the new background."""

BRIGHTEST = 1.4
"""Most that light and shade brighten a cloth, relative to its median."""


def composite(frames: np.ndarray, person: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Return the people of each frame in front of a background, (T, H, W, 3) uint8 RGB.

    frames: (T, H, W, 3) uint8 RGB. person: (T, H, W) bool, true where a person is visible.
    background: (H, W, 3) uint8 RGB, the same for all frames. Edges are blended softly.
    """
    out = np.empty_like(frames)
    behind = background.astype(np.float32)
    for frame, mask, result in zip(frames, person, out, strict=True):
        share = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), EDGE)[..., None]
        result[:] = np.rint(share * frame + (1.0 - share) * behind)
    return out


def recolor_clothes(
    frames: np.ndarray, mask: np.ndarray, regions: Sequence[str], rng: np.random.Generator
) -> np.ndarray:
    """Return the frames with clothes of random patterns, (T, H, W, 3) uint8 RGB.

    Light and shade are kept, and a pattern moves with the person. frames: (T, H, W, 3) uint8 RGB.
    mask: (T, H, W) indices of `regions`, names of which `CLOTHES` are recolored. rng: decides the
    clothes.
    """
    out = frames.copy()
    top, left = _corner(mask)
    side = max(mask.shape[1:])
    for name in CLOTHES:
        if name not in regions:
            continue
        pattern = _cloth(rng, side)
        inside = mask == regions.index(name)
        if not inside.any():
            continue
        luma = frames[inside].astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
        # At an edge the old background shines through, which must not light the new cloth up.
        shade = np.minimum(luma / max(1.0, float(np.median(luma))), BRIGHTEST)
        number, row, column = np.nonzero(inside)
        # The pattern moves with the person, not with the image.
        at = (row - top[number]) % side, (column - left[number]) % side
        out[inside] = np.clip(np.rint(pattern[at] * shade[:, None]), 0, 255)
    return out


def empty_scene(frames: np.ndarray, person: np.ndarray) -> np.ndarray:
    """Return the scene behind the people of a clip, (H, W, 3) uint8 RGB.

    frames: (T, H, W, 3) uint8 RGB. person: (T, H, W) bool. A pixel is the median over the frames in
    which no person covers it (CoMix, arXiv 2110.15128, takes all frames); one that is always
    covered is inpainted.
    """
    near = np.stack([cv2.dilate(mask.astype(np.uint8), np.ones((3, 3))) for mask in person]) > 0
    free = np.ma.masked_array(frames, np.repeat(near[..., None], 3, axis=-1))
    scene = np.asarray(np.ma.median(free, axis=0).filled(0), np.uint8)
    hidden = np.asarray(near.all(0), np.uint8)
    return cv2.inpaint(scene, hidden, 3, cv2.INPAINT_TELEA) if hidden.any() else scene


def draw_gradient(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return a gradient of two random colors in a random direction, (H, W, 3) uint8.

    height, width: in pixels. rng: decides colors and direction.
    """
    first, second = _color(rng), _color(rng)
    angle = rng.uniform(0.0, 2.0 * np.pi)
    row, column = np.mgrid[:height, :width]
    along = np.cos(angle) * column / width + np.sin(angle) * row / height
    share = (along - along.min()) / max(1e-6, float(np.ptp(along)))
    return _mixed(first, second, rng.uniform(0.0, 1.0) * share)


def draw_texture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return a background of clouds, grain and boxes in random colors, (H, W, 3) uint8.

    height, width: in pixels. rng: decides everything.
    """
    image = _mixed(_color(rng), _color(rng), _clouds(rng, height, width, rng.uniform(0.4, 1.0)))
    for _ in range(int(rng.integers(0, 7))):
        high, wide = (rng.uniform(0.08, 0.6, 2) * (height, width)).astype(int) + 1
        top, left = rng.integers(-high // 2, height), rng.integers(-wide // 2, width)
        box = np.s_[max(0, top) : max(0, top + high), max(0, left) : max(0, left + wide)]
        grain = _clouds(rng, height, width, 1.0)[box]
        image[box] = _mixed(_color(rng), _color(rng), rng.uniform(0.0, 0.6) * grain)
    return image


def _color(rng: np.random.Generator) -> np.ndarray:
    """Return a random color (3,), mostly dull as of real things: gray with some hue."""
    return np.clip(rng.uniform(15, 240) * (1.0 + rng.normal(0.0, 0.22, 3)), 0, 255)


def _mixed(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    mixed = first + share[..., None] * (second - first)
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


def _clouds(rng: np.random.Generator, height: int, width: int, fall: float) -> np.ndarray:
    """Return noise of several scales, (H, W) in [0, 1]; fall: how much weaker finer scales are."""
    total = np.zeros((height, width), np.float32)
    cells, strength = 2, 1.0
    while cells <= max(height, width):
        grid = rng.normal(0.0, strength, (cells, cells)).astype(np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        cells, strength = cells * 2, strength * 0.5**fall
    return (total - total.min()) / max(1e-6, float(np.ptp(total)))


def _cloth(rng: np.random.Generator, side: int) -> np.ndarray:
    """Return a plain, striped, checked or blotched pattern, (side, side, 3) float32 in 0..255."""
    first, second = _color(rng), _color(rng)
    row, column = np.mgrid[:side, :side] / side
    bands = 2.0 * np.pi * rng.integers(8, 24)
    kind = rng.integers(4)
    share = np.zeros((side, side))
    if kind == 1:
        share = (np.sin(bands * (row if rng.random() < 0.5 else column)) > 0).astype(float)
    elif kind == 2:
        share = 0.5 * (np.sin(bands * row) > 0) + 0.5 * (np.sin(bands * column) > 0)
    elif kind == 3:
        share = (_clouds(rng, side, side, 0.6) > 0.5).astype(float)
    return (first + share[..., None] * (second - first)).astype(np.float32)


def _corner(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first row and column of the person in each frame, (T,) each; 0 without one."""
    person = mask > 0
    return person.any(2).argmax(1), person.any(1).argmax(1)
