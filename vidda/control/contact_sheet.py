"""Contact sheets: a clip and its controls, frame by frame, in one image."""

from collections.abc import Sequence

import cv2
import numpy as np

from vidda.control.controls import Controls

PAPER, INK, FAINT = (255, 255, 255), (20, 20, 20), (110, 110, 110)
GAP = 6
LINE_HEIGHT = 26
"""Height of a line of text, in pixels."""
FONT, TEXT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.5
OUTSIDE_BRIGHTNESS = 0.25
"""Brightness outside a mask, as a share."""
SATURATION_PERCENTILE = 99.0
"""Percentile of a clip's displacements that gets a fully saturated color."""

SheetRow = tuple[str, np.ndarray]
"""A title and the images under it, (N, H, W, 3) uint8 RGB."""


def evenly_spaced(count: int, columns: int) -> np.ndarray:
    """Return at most `columns` frame numbers of `count`, evenly spaced, with the first and the
    last; (N,) int64.
    """
    return np.unique(np.linspace(0, count - 1, min(columns, count)).round().astype(int))


def sheet_rows(frames: np.ndarray, controls: Controls, shown: np.ndarray) -> list[SheetRow]:
    """Return the rows of a clip's contact sheet: the source, and the controls that there are.

    frames: (T, H, W, 3) uint8 RGB. controls: of these frames. shown: (N,) numbers of the frames
    that are on the sheet.
    """
    rows: list[SheetRow] = [("source", frames[shown])]
    if controls.edges is not None:
        rows.append(("edges", gray_images(controls.edges[shown])))
    if controls.pose_maps is not None:
        rows.append(("pose", controls.pose_maps[shown]))
    if controls.depth is not None:
        title = "depth (white: nearest in the clip; black: farthest, or unknown)"
        rows.append((title, gray_images(controls.depth[shown])))
    if controls.segmentation is not None:
        title = "segmentation (ADE20K's colors; black: no class)"
        rows.append((title, controls.segmentation[shown]))
    for name, flow, hidden in (
        ("flow to the previous frame", controls.flow_previous, controls.occluded_previous),
        ("flow to the first frame", controls.flow_anchor, controls.occluded_anchor),
    ):
        if flow is not None and hidden is not None:
            full = saturation_scale(flow[shown])
            legend = f"full color: {full:.1f} px; hue: direction; black: occluded"
            rows.append((f"{name} ({legend})", flow_images(flow[shown], hidden[shown], full)))
    if controls.mask is not None:
        bright = frames[shown]
        dim = (bright * OUTSIDE_BRIGHTNESS).astype(np.uint8)
        inside = controls.mask[shown][..., None]
        rows.append(("mask of the people", np.where(inside, bright, dim)))
    return rows


def gray_images(levels: np.ndarray) -> np.ndarray:
    """Return gray levels (T, H, W) uint8 as RGB images, (T, H, W, 3) uint8."""
    return np.repeat(levels[..., None], 3, axis=3)


def saturation_scale(flow: np.ndarray) -> float:
    """Return the displacement in pixels that gets a fully saturated color, for flow (T,
    H, W, 2).
    """
    lengths = np.stack([np.linalg.norm(one.astype(np.float32), axis=-1) for one in flow])
    return max(1.0, float(np.percentile(lengths, SATURATION_PERCENTILE, overwrite_input=True)))


def flow_images(flow: np.ndarray, hidden: np.ndarray, full: float) -> np.ndarray:
    """Return flow (T, H, W, 2) in pixels as colors, (T, H, W, 3) uint8 RGB.

    White is no motion; hue is the direction (red to the right, green-yellow down), and saturation
    the displacement, complete at `full` pixels. hidden: (T, H, W) bool, occluded pixels, which are
    black.
    """
    return np.stack([_flow_image(*one, full) for one in zip(flow, hidden, strict=True)])


def contact_sheet(
    title: str, rows: Sequence[SheetRow], numbers: Sequence[int], tile: int
) -> np.ndarray:
    """Return one image with a clip's rows, (height, width, 3) uint8 RGB.

    title: first line of text. rows: from `sheet_rows`, all with the same number of images.
    numbers: (N,) frame numbers to print above the columns. tile: width of an image on the sheet, in
    pixels.
    """
    height, width = rows[0][1].shape[1:3]
    tile_height = max(1, round(height * tile / width))
    sheet_width = len(numbers) * (tile + GAP) + GAP
    headings = [title, *(name for name, _ in rows)]
    sheet_width = max(sheet_width, 2 * GAP + max(_text_width(text) for text in headings))
    sheet_height = 2 * LINE_HEIGHT + GAP + len(rows) * (LINE_HEIGHT + tile_height)
    sheet = np.full((sheet_height, sheet_width, 3), PAPER, np.uint8)
    _put_text(sheet, title, GAP, LINE_HEIGHT)
    for column, number in enumerate(numbers):
        _put_text(sheet, f"frame {number}", GAP + column * (tile + GAP), 2 * LINE_HEIGHT, FAINT)
    top = 2 * LINE_HEIGHT
    for name, images in rows:
        _put_text(sheet, name, GAP, top + LINE_HEIGHT)
        top += LINE_HEIGHT
        for column, image in enumerate(images):
            left = GAP + column * (tile + GAP)
            sheet[top : top + tile_height, left : left + tile] = _resize(image, tile_height, tile)
        top += tile_height
    return sheet


def _flow_image(flow: np.ndarray, hidden: np.ndarray, full: float) -> np.ndarray:
    flow = flow.astype(np.float32)
    hue = np.rad2deg(np.arctan2(flow[..., 1], flow[..., 0])) % 360.0
    saturation = np.minimum(np.linalg.norm(flow, axis=-1) / full, 1.0)
    hsv = np.stack([hue, saturation, np.where(hidden, 0.0, 1.0)], axis=-1).astype(np.float32)
    rgb: np.ndarray = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return np.rint(rgb * 255.0).astype(np.uint8)


def _resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    shrinks = width <= image.shape[1]
    # Enlarged without blending, so that single pixels of a small image stay visible.
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation))


def _text_width(text: str) -> int:
    (width, _), _ = cv2.getTextSize(text, FONT, TEXT_SCALE, 1)
    return int(width)


def _put_text(
    sheet: np.ndarray, text: str, left: int, bottom: int, color: tuple[int, int, int] = INK
) -> None:
    position = (left, bottom - LINE_HEIGHT // 4)
    cv2.putText(sheet, text, position, FONT, TEXT_SCALE, color, 1, cv2.LINE_AA)
