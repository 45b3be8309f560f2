"""Masks of people as a control: the dataset's own, drawn from skeletons, or estimated."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from vidda.config import Config
from vidda.control.blazepose import BlazePoseConfig
from vidda.control.keypoints import NobodyError
from vidda.control.mask import sidecar_mask
from vidda.control.mask_rcnn import MaskRcnnConfig
from vidda.control.mask_source import MaskSource, PeopleSegmenterConfig
from vidda.control.mask_tracks import MaskTracker
from vidda.progress import ReportProgress, ignore_progress
from vidda.types import ClipRecord

LONGEST_GAP, THRESHOLD, NEIGHBORS = 15, 0.5, 0.4
"""As the defaults of `vidda mask`: see `longest_gap`, `threshold` and `smooth` there."""


class SidecarMasksConfig(Config):
    """Masks in sidecar files that the dataset itself provides, or `vidda mask` has made."""

    name: Literal["sidecar"] = Field(
        default="sidecar", description="masks in the clips' sidecar files"
    )


class SkeletonMasksConfig(Config):
    """Masks drawn from the poses, with the thickness of an average build."""

    name: Literal["skeleton"] = Field(
        default="skeleton", description="drawn from the poses of the key pose"
    )


EstimatedMasksConfig = BlazePoseConfig | MaskRcnnConfig | PeopleSegmenterConfig

PeopleMaskConfig = Annotated[
    SidecarMasksConfig | SkeletonMasksConfig | EstimatedMasksConfig, Field(discriminator="name")
]


def build_people_masks(
    config: SidecarMasksConfig | EstimatedMasksConfig,
) -> "SidecarMasks | EstimatedMasks":
    """Return the source of masks; raises ViddaError where a model is not available."""
    match config:
        case SidecarMasksConfig():
            return SidecarMasks()
        case BlazePoseConfig():
            remedy = "small people need a detector first: mask.boxes.name=detector"
            return EstimatedMasks(config.build(), config.name, remedy)
        case MaskRcnnConfig() | PeopleSegmenterConfig():
            remedy = "take another mask.name, or leave the clip out"
            return EstimatedMasks(config.build("mask"), config.name, remedy)


class SidecarMasks:
    """Masks of the clips' sidecars."""

    def read(
        self,
        frames: np.ndarray,
        clip: ClipRecord,
        root: Path,
        indices: np.ndarray | None = None,
        report_progress: ReportProgress = ignore_progress,
    ) -> np.ndarray:
        """Return the pixels of people in frames, (T, H, W) bool.

        Arguments as of `vidda.control.controls.ControlReader.read`, which raises the same.
        """
        count, height, width = frames.shape[:3]
        return sidecar_mask(clip, root, count, height, width, indices)


class EstimatedMasks:
    """Masks by a model, of people who are followed over the clip, smoothed as by `vidda mask`.

    source: the loaded model. name, remedy: of it, and for clips in which it finds nobody.
    """

    def __init__(self, source: MaskSource, name: str, remedy: str) -> None:
        self._source, self._name, self._remedy = source, name, remedy

    def read(
        self,
        frames: np.ndarray,
        clip: ClipRecord,
        root: Path,
        indices: np.ndarray | None = None,
        report_progress: ReportProgress = ignore_progress,
    ) -> np.ndarray:
        """Return the pixels of people in frames, (T, H, W) bool.

        Arguments as of `vidda.control.controls.ControlReader.read`. Raises ViddaError where nobody
        is found, or only in one of several frames.
        """
        height, width = frames.shape[1:3]
        tracker = MaskTracker(height, width, LONGEST_GAP)
        for masks in self._source.find_masks(frames, clip, root, indices):
            tracker.add(masks)
            report_progress(1)
        if not tracker.found(main=False).any():
            raise NobodyError(
                f"clip {clip.id!r}: {self._name} finds nobody in {len(frames)} frames for the mask;"
                f" {self._remedy}"
            )
        return np.stack(list(tracker.masks(THRESHOLD, NEIGHBORS, main=False)))
