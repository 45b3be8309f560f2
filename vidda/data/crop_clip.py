"""Squares around the people of a clip, and its frames and sidecar cut to one."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import cv2
import numpy as np

Whereabouts = Literal["box", "keypoints", "mask"]
"""Arrays of a sidecar that tell where people are."""

IMAGES = ("mask", "depth", "inverse_depth")
"""Arrays of a sidecar that are images, maybe of another size than the frames."""


class CropSquare(NamedTuple):
    """A square of a frame: its upper and left edge, and its side, in pixels."""

    top: int
    left: int
    side: int


def people_bounds(name: Whereabouts, rows: np.ndarray) -> np.ndarray | None:
    """Return what holds everyone in all frames, (4,) float x0, y0, x1, y1; None where nobody is.

    name: of the array. rows: its rows, as `vidda.sidecar` describes them. In pixels of the frames;
    those of a mask are of its own size.
    """
    if name == "keypoints":
        joints = rows[..., :2][rows[..., 2] > 0]
        # The center of the first pixel is 0, and its left edge -0.5.
        return _hull(joints + 0.5, joints + 0.5)
    if name == "box":
        boxes = rows.reshape(-1, 4)
        boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(1)]
        return _hull(boxes[:, :2], boxes[:, 2:])
    _, y, x = np.nonzero(rows)
    pixels = np.stack([x, y], axis=1)
    return _hull(pixels, pixels + 1)


def _hull(low: np.ndarray, high: np.ndarray) -> np.ndarray | None:
    """Return the bounds (4,) of boxes with the corners low and high, (N, 2) each; None for none."""
    return np.concatenate([low.min(0), high.max(0)]).astype(float) if len(low) else None


def square_around(bounds: np.ndarray, margin: float, height: int, width: int) -> CropSquare:
    """Return the square around people, moved into the frame, and at most as large as it.

    bounds: (4,) x0, y0, x1, y1 in pixels. margin: the square's side divided by the longer side of
    the bounds. height, width: of the frame, in pixels.
    """
    x0, y0, x1, y1 = bounds.tolist()
    side = min(max(2, round(max(x1 - x0, y1 - y0) * margin)), height, width)
    top = min(max(round((y0 + y1 - side) / 2), 0), height - side)
    left = min(max(round((x0 + x1 - side) / 2), 0), width - side)
    return CropSquare(top, left, side)


def crop_frames(frames: np.ndarray, square: CropSquare, size: int) -> np.ndarray:
    """Return a square of frames, (T, size, size, 3) uint8. frames: (T, H, W, 3) uint8 RGB."""
    top, left, side = square
    inner = frames[:, top : top + side, left : left + side]
    if side == size:
        return inner
    how = cv2.INTER_AREA if size < side else cv2.INTER_CUBIC
    return np.stack([cv2.resize(frame, (size, size), interpolation=how) for frame in inner])


def crop_sidecar(
    arrays: Mapping[str, np.ndarray], square: CropSquare, size: int, height: int, width: int
) -> dict[str, np.ndarray]:
    """Return a sidecar's arrays for the frames of `crop_frames`.

    arrays: of the whole frames, see `vidda.sidecar`. height, width: of these, in pixels. Images
    keep the scale of their own; all that has no place in the frame stays as it is.
    """
    scale = size / square.side
    cropped = dict(arrays)
    if "keypoints" in arrays:
        cropped["keypoints"] = _crop_joints(arrays["keypoints"], square, scale)
    if "box" in arrays:
        corner = np.array([square.left, square.top] * 2)
        boxes = np.clip((arrays["box"] - corner) * scale, 0, size)
        empty = (boxes[..., 2:] <= boxes[..., :2]).any(-1, keepdims=True)
        cropped["box"] = np.where(empty, 0, boxes).astype(arrays["box"].dtype)
    for name in IMAGES:
        if name in arrays:
            cropped[name] = _crop_images(arrays[name], square, height, width)
    return cropped


def _crop_joints(keypoints: np.ndarray, square: CropSquare, scale: float) -> np.ndarray:
    """Return joints (..., 3) x, y, visibility in a square; one that is outside is not visible."""
    corner = np.array([square.left, square.top])
    at = (keypoints[..., :2] + 0.5 - corner) * scale - 0.5
    outside = ((at < -0.5) | (at > square.side * scale - 0.5)).any(-1)
    visible = np.where(outside, 0, keypoints[..., 2])
    return np.concatenate([at, visible[..., None]], axis=-1).astype(keypoints.dtype)


def _crop_images(images: np.ndarray, square: CropSquare, height: int, width: int) -> np.ndarray:
    """Return the part of images (T, H, W) in a square of frames of `height` x `width` pixels."""
    down, right = images.shape[1] / height, images.shape[2] / width
    rows = slice(round(square.top * down), max(1, round((square.top + square.side) * down)))
    columns = slice(round(square.left * right), max(1, round((square.left + square.side) * right)))
    return images[:, rows, columns]
