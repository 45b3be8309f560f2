"""A clip's controls as files: a contact sheet, a video of each control, and an .npz of all."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vidda import video
from vidda.control.contact_sheet import (
    contact_sheet,
    flow_images,
    gray_images,
    saturation_scale,
    sheet_rows,
)
from vidda.control.controls import Controls
from vidda.files import atomic


def write_sheet(
    path: Path, title: str, frames: np.ndarray, controls: Controls, shown: np.ndarray, tile: int
) -> None:
    """Write a contact sheet as PNG.

    path: of the file. title: first line of the sheet. frames: (T, H, W, 3) uint8 RGB, the first
    ones of the clip. controls: of these frames. shown: (N,) numbers of the frames on the sheet.
    tile: width of each image on it, in pixels.
    """
    rows = sheet_rows(frames, controls, shown)
    sheet = contact_sheet(title, rows, shown.tolist(), tile)
    video.write_png(path, sheet[None])


def write_videos(folder: Path, controls: Controls, fps: float) -> None:
    """Write a video NAME.mp4 of each control into a folder, at `fps` frames per second."""
    for name, images in _videos(controls):
        video.write(folder / f"{name}.mp4", images, fps)


def write_arrays(path: Path, controls: Controls) -> None:
    """Write each control's array under its name in `Controls`, as a compressed .npz.

    Of poses the file holds `keypoints` and `scores`; see `vidda.control.keypoints.Pose`.
    """
    arrays = {
        "edges": controls.edges,
        "pose_maps": controls.pose_maps,
        "depth": controls.depth,
        "segmentation": controls.segmentation,
        "mask": controls.mask,
        "flow_previous": controls.flow_previous,
        "flow_anchor": controls.flow_anchor,
        "occluded_previous": controls.occluded_previous,
        "occluded_anchor": controls.occluded_anchor,
    }
    if controls.pose is not None:
        arrays |= {"keypoints": controls.pose.keypoints, "scores": controls.pose.scores}
    kept = {name: array for name, array in arrays.items() if array is not None}
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **kept)  # type: ignore[arg-type]


def _videos(controls: Controls) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name and the RGB frames (T, H, W, 3) of each control's video."""
    if controls.edges is not None:
        yield "edges", gray_images(controls.edges)
    if controls.pose_maps is not None:
        yield "pose", controls.pose_maps
    if controls.depth is not None:
        yield "depth", gray_images(controls.depth)
    if controls.segmentation is not None:
        yield "segmentation", controls.segmentation
    if controls.mask is not None:
        yield "mask", gray_images(controls.mask.astype(np.uint8) * 255)
    flow, hidden = controls.flow_previous, controls.occluded_previous
    if flow is not None and hidden is not None:
        yield "flow", flow_images(flow, hidden, saturation_scale(flow))
