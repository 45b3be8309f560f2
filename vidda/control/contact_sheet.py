"""A contact sheet: what controls a clip, frame by frame, for a person to look at."""

from collections.abc import Sequence

import cv2
import numpy as np

from vidda.control.controls import Controls

PAPER, INK, FAINT = (255, 255, 255), (20, 20, 20), (110, 110, 110)
GAP = 6
LINE = 26
"""Height of a line of text, in pixels."""
FONT, TEXT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.5
DIMMED = 0.25
"""Brightness of what is outside a mask."""
LARGE_FLOW = 99.0
"""Percentile of a clip's displacements that gets the full color."""

Row = tuple[str, np.ndarray]
"""A title and the pictures under it, (T, H, W, 3) uint8 RGB."""


def evenly(count: int, columns: int) -> np.ndarray:
    """Which of so many frames are shown in so many columns: the first, the last, and between."""
    return np.unique(np.linspace(0, count - 1, min(columns, count)).round().astype(int))


def rows(
    frames: np.ndarray, controls: Controls, mask: np.ndarray | None, shown: np.ndarray
) -> list[Row]:
    """Return the rows of a clip's sheet: source, edges, pose, flow and mask, those that there are.

    frames: (T, H, W, 3) uint8 RGB. mask: (T, H, W) bool. shown: which of the frames.
    """
    found: list[Row] = [("source", frames[shown])]
    if controls.edges is not None:
        found.append(("edges", np.repeat(controls.edges[shown][..., None], 3, axis=3)))
    if controls.pose_maps is not None:
        found.append(("pose", controls.pose_maps[shown]))
    for name, flow, hidden in (
        ("flow to the previous frame", controls.flow_previous, controls.occluded_previous),
        ("flow to the first frame", controls.flow_anchor, controls.occluded_anchor),
    ):
        if flow is not None and hidden is not None:
            full = full_color(flow[shown])
            legend = f"full color: {full:.1f} px; hue: direction; black: occluded"
            found.append((f"{name} ({legend})", flow_pictures(flow[shown], hidden[shown], full)))
    if mask is not None:
        bright = frames[shown]
        dim = (bright * DIMMED).astype(np.uint8)
        found.append(("mask of the people", np.where(mask[shown][..., None], bright, dim)))
    return found


def full_color(flow: np.ndarray) -> float:
    """Return the displacement in pixels that is drawn in full color, for a clip's flow (T, H, W,
    2).
    """
    lengths = np.stack([np.linalg.norm(one.astype(np.float32), axis=-1) for one in flow])
    return max(1.0, float(np.percentile(lengths, LARGE_FLOW, overwrite_input=True)))


def flow_pictures(flow: np.ndarray, hidden: np.ndarray, full: float) -> np.ndarray:
    """Return flow (T, H, W, 2) as colors, (T, H, W, 3) uint8 RGB.

    White is no motion; the hue is the direction (red to the right, green-yellow down), and the
    saturation the displacement, complete at `full` pixels. hidden: (T, H, W) bool, drawn black.
    """
    return np.stack([_flow_picture(*one, full) for one in zip(flow, hidden, strict=True)])


def contact_sheet(
    title: str, found: Sequence[Row], numbers: Sequence[int], tile: int
) -> np.ndarray:
    """Return one picture of a clip's rows, (height, width, 3) uint8 RGB.

    numbers: (T,) what to call the frames. tile: width of a picture on the sheet, in pixels.
    """
    height, width = found[0][1].shape[1:3]
    tall = max(1, round(height * tile / width))
    across = len(numbers) * (tile + GAP) + GAP
    heads = [title, *(name for name, _ in found)]
    across = max(across, 2 * GAP + max(_width(text) for text in heads))
    down = 2 * LINE + GAP + len(found) * (LINE + tall)
    sheet = np.full((down, across, 3), PAPER, np.uint8)
    _write(sheet, title, GAP, LINE)
    for column, number in enumerate(numbers):
        _write(sheet, f"frame {number}", GAP + column * (tile + GAP), 2 * LINE, FAINT)
    top = 2 * LINE
    for name, pictures in found:
        _write(sheet, name, GAP, top + LINE)
        top += LINE
        for column, picture in enumerate(pictures):
            left = GAP + column * (tile + GAP)
            sheet[top : top + tall, left : left + tile] = _fitted(picture, tall, tile)
        top += tall
    return sheet


def _flow_picture(flow: np.ndarray, hidden: np.ndarray, full: float) -> np.ndarray:
    flow = flow.astype(np.float32)
    hue = np.rad2deg(np.arctan2(flow[..., 1], flow[..., 0])) % 360.0
    saturation = np.minimum(np.linalg.norm(flow, axis=-1) / full, 1.0)
    hsv = np.stack([hue, saturation, np.where(hidden, 0.0, 1.0)], axis=-1).astype(np.float32)
    rgb: np.ndarray = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return np.rint(rgb * 255.0).astype(np.uint8)


def _fitted(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    shrinks = width <= picture.shape[1]
    # Single pixels of a small picture are to be seen as such.
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(picture, (width, height), interpolation=interpolation))


def _width(text: str) -> int:
    (width, _), _ = cv2.getTextSize(text, FONT, TEXT_SCALE, 1)
    return int(width)


def _write(
    sheet: np.ndarray, text: str, left: int, bottom: int, color: tuple[int, int, int] = INK
) -> None:
    place = (left, bottom - LINE // 4)
    cv2.putText(sheet, text, place, FONT, TEXT_SCALE, color, 1, cv2.LINE_AA)
