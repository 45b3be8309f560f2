"""Checks of the values in a sidecar's arrays: each returns one line on the first fault, or None.

Arrays have the shapes of `vidda.sidecar`; size is the clip's (width, height) in pixels, None where
it is not known.
"""

from collections.abc import Callable

import numpy as np

from vidda.sidecar import UNKNOWN_MM

VISIBILITIES = (0, 1, 2)

SMALLEST_CLIP = 16
"""Pixels a side of a clip, below which positions up to 1 may well be pixels."""

FEWEST_POSITIONS = 3
"""Known positions in a clip, below which all of them may lie in its first pixel."""

NEAREST_MM = 100
"""Millimeters that something in a frame has to be away; depth below is taken for meters."""

PixelSize = tuple[int, int] | None

ValueCheck = Callable[[str, np.ndarray, PixelSize], str | None]
"""A check of an array. Its arguments are the array's name, the array and the clip's size."""


def check_keypoints(name: str, rows: np.ndarray, size: PixelSize) -> str | None:
    """Return a fault of keypoints (T, 17, 3) or (T, P, 17, 3), in numbers, visibility or place."""
    fault = check_finite(name, rows, size)
    if fault is not None:
        return f"{fault}; write 0, 0, 0 for a joint that is outside the image"
    strange: np.ndarray = ~np.isin(rows[..., 2], VISIBILITIES)
    if strange.any():
        t = _first(strange)
        return (
            f"{name} has the visibility {rows[..., 2][strange][0]:g} in frame {t}; write 2 visible,"
            " 1 hidden, 0 outside, and scores as the array keypoint_scores"
        )
    known = rows[..., 2] > 0
    fault = _place(name, rows[..., :2], known, size)
    if fault is None and size is not None and known.any():
        beyond = (rows[..., :2] < -1) | (rows[..., :2] > size)
        outside = np.logical_or.reduce(beyond, axis=-1)[known]
        if outside.mean() > 0.5:
            return (
                f"{name}: {outside.sum()} of {outside.size} joints that are not 0 outside lie"
                f" outside {size[0]}x{size[1]} pixels; write positions in the clip's own pixels,"
                " from its upper left corner"
            )
    return fault


def check_boxes(name: str, rows: np.ndarray, size: PixelSize) -> str | None:
    """Return a fault of boxes (T, 4) or (T, P, 4), in numbers, order or place."""
    fault = check_finite(name, rows, size)
    if fault is not None:
        return f"{fault}; write 0, 0, 0, 0 where nobody is visible"
    low, high = rows[..., :2], rows[..., 2:]
    swapped = np.logical_or.reduce(high < low, axis=-1)
    if swapped.any():
        box = ", ".join(f"{number:g}" for number in rows[swapped][0])
        return (
            f"{name} is {box} in frame {_first(swapped)}; write x0, y0, x1, y1, not width and"
            " height"
        )
    known = np.stack([(high > low).all(axis=-1)] * 2, axis=-1)
    return _place(name, rows.reshape(*rows.shape[:-1], 2, 2), known, size)


def check_scores(name: str, rows: np.ndarray, size: PixelSize) -> str | None:
    """Return a fault of scores, which are 0 to 1."""
    fault = check_finite(name, rows, size)
    if fault is None and (rows.min() < 0 or rows.max() > 1):
        return f"{name} are {rows.min():g} to {rows.max():g}; write 0 to 1"
    return fault


def check_depth(name: str, rows: np.ndarray, size: PixelSize) -> str | None:
    """Return a fault of the first frame's depth, (1, H, W) uint16 mm, see `UNKNOWN_MM`."""
    known = rows[rows != UNKNOWN_MM]
    if known.size and known.max() < NEAREST_MM:
        return (
            f"{name} is {known.max()} at most in frame 0, not {NEAREST_MM} mm away; write"
            " millimeters, meters times 1000"
        )
    return None


def check_finite(name: str, rows: np.ndarray, size: PixelSize) -> str | None:
    """Return a fault of an array in which a number is not finite."""
    strange = ~np.isfinite(rows)
    if strange.any():
        return f"{name} has {rows[strange][0]} in frame {_first(strange)}"
    return None


def _place(name: str, at: np.ndarray, known: np.ndarray, size: PixelSize) -> str | None:
    """Return a fault of positions (..., 2) that cannot be in pixels of the clip.

    known: (...) bool, the positions that count.
    """
    if size is None or not known.any():
        return None
    positions, (width, height) = at[known], size
    if (
        len(positions) >= FEWEST_POSITIONS
        and min(size) >= SMALLEST_CLIP
        and np.abs(positions).max() <= 1
    ):
        return (
            f"{name} lies in {positions.min():g} to {positions.max():g}, which are shares of the"
            f" frame; write pixels, x times {width} and y times {height}"
        )
    margin = np.array(size) / 2
    far = known & ((at < -margin) | (at > size + margin)).any(axis=-1)
    if far.any():
        x, y = at[far][0]
        return (
            f"{name} has {x:g}, {y:g} in frame {_first(far)}, far outside {width}x{height} pixels;"
            " write positions in the clip's own pixels"
        )
    return None


def _first(flags: np.ndarray) -> int:
    """Return the first frame, axis 0, in which any flag is set."""
    return int(np.argwhere(flags)[0][0])
