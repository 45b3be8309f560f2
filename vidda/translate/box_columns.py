"""Boxes of people in a manifest's columns, at the size of a clip's translation."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vidda.control.boxes import COLUMNS, ManifestBox
from vidda.control.sidecar_poses import SidecarPosesConfig
from vidda.sidecar import scale_to
from vidda.translate.translate_config import TranslateConfig
from vidda.types import ClipRecord

Columns = tuple[str, str, str, str]


def box_columns(
    config: TranslateConfig, clip: ClipRecord, root: Path, frames: np.ndarray, *, moved: bool
) -> dict[str, str]:
    """Return a clip's box columns for its translation (T, H, W, 3).

    They are the usual ones and those that the config names. The whole picture is fitted, so a box
    is only stretched. Cells without a number stay as they are. moved: the picture was shaken, and
    no box holds: all of them are empty.
    """
    scale = scale_to(frames, clip, root)
    found: dict[str, str] = {}
    for columns in _named(config):
        found |= dict.fromkeys(columns, "") if moved else _scaled(clip.meta, columns, scale)
    return found


def _named(config: TranslateConfig) -> set[Columns]:
    poses = [config.control.pose, config.check_pose]
    sources = [
        pose.boxes
        for pose in poses
        if pose is not None and not isinstance(pose, SidecarPosesConfig)
    ]
    return {COLUMNS, *(boxes.columns for boxes in sources if isinstance(boxes, ManifestBox))}


def _scaled(meta: Mapping[str, str], columns: Columns, scale: np.ndarray) -> dict[str, str]:
    found = {}
    for name, factor in zip(columns, np.tile(scale, 2), strict=True):
        try:
            found[name] = f"{float(meta.get(name, '')) * factor:.6g}"
        except ValueError:
            continue
    return found
