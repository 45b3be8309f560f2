"""People's boxes in a manifest's columns, scaled to the size of a clip's translation."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vidda.control.blazepose import BlazePoseConfig
from vidda.control.boxes import ManifestBox
from vidda.control.sidecar_poses import SidecarPosesConfig
from vidda.data.manifest import BOX_COLUMNS
from vidda.sidecar import size_ratio
from vidda.translate.translate_config import TranslateConfig
from vidda.types import ClipRecord

Columns = tuple[str, str, str, str]
"""Names of the manifest columns of a box: left, upper, right and lower edge."""


def box_columns(
    config: TranslateConfig, clip: ClipRecord, root: Path, frames: np.ndarray, *, shaken: bool
) -> dict[str, str]:
    """Return the cells of the box columns of a translated clip's manifest row, by column.

    clip, root: the source clip, and its manifest's root. frames: (T, H, W, 3) the translation. The
    columns are the default ones and those that the config names. The uncropped frame is resized, so
    boxes are only scaled. Cells without a number are left out, and so stay as they are. shaken:
    camera shake was added, so no box holds; all are empty.
    """
    scale = size_ratio(frames, clip, root)
    cells: dict[str, str] = {}
    for columns in _column_sets(config):
        cells |= dict.fromkeys(columns, "") if shaken else _scale_boxes(clip.meta, columns, scale)
    return cells


def _column_sets(config: TranslateConfig) -> set[Columns]:
    """Return the default box columns and those that the config's poses and masks name."""
    poses = [config.control.pose, config.check_pose]
    sources = [
        pose.boxes
        for pose in poses
        if pose is not None and not isinstance(pose, SidecarPosesConfig)
    ]
    if isinstance(config.control.mask, BlazePoseConfig):
        sources.append(config.control.mask.boxes)
    return {BOX_COLUMNS, *(boxes.columns for boxes in sources if isinstance(boxes, ManifestBox))}


def _scale_boxes(meta: Mapping[str, str], columns: Columns, scale: np.ndarray) -> dict[str, str]:
    """Return the box columns that hold numbers, scaled by x, y factors `scale` (2,)."""
    cells = {}
    for name, factor in zip(columns, np.tile(scale, 2), strict=True):
        try:
            cells[name] = f"{float(meta.get(name, '')) * factor:.6g}"
        except ValueError:
            continue
    return cells
