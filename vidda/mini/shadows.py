"""The person's shadow on the ground."""

import cv2
import numpy as np

from vidda.mini.body import Limbs
from vidda.mini.raster import Sun

SHADOW_SIDE_M = 7.0
SHADOW_PIXELS = 168


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


def shade_ground(ground: np.ndarray, where: np.ndarray, shades: np.ndarray, sun: Sun) -> np.ndarray:
    """Return the lit ground, darkened by each of T shadow maps, (T, H, W, 3) float32.

    ground: (H, W, 3) float32. where: (H, W, 2) ground coordinates of each pixel in meters. shades:
    (T, n, n), of `shadow_maps`.
    """
    scale = SHADOW_PIXELS / SHADOW_SIDE_M
    at = (where * scale + SHADOW_PIXELS / 2).astype(np.float32)
    x, y = np.ascontiguousarray(at[..., 0]), np.ascontiguousarray(at[..., 1])
    lost = (sun.depth * sun.color * sun.direction[2] / sun.on_ground).astype(np.float32)
    shaded = np.empty((len(shades), *ground.shape), np.float32)
    for lit, shade in zip(shaded, shades, strict=True):
        dark = cv2.remap(shade, x, y, cv2.INTER_LINEAR)
        np.multiply(ground, 1.0 - dark[..., None] * lost, out=lit)
    return shaded
