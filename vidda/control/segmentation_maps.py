"""Semantic segmentation as a control image, in the colors that ControlNets were trained on."""

import logging
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from vidda.config import Config
from vidda.control.class_colors import UNKNOWN, ade20k_palette, class_colors
from vidda.control.mask import sidecar_mask
from vidda.control.segmenter import PERSON, SegmenterConfig
from vidda.progress import ReportProgress, ignore_progress
from vidda.types import ClipRecord

log = logging.getLogger("vidda")


class SidecarSegmentationConfig(Config):
    """People in the masks of the dataset's own sidecar files; all else has no class."""

    name: Literal["sidecar"] = Field(
        default="sidecar", description="people in the masks of the clips' sidecar files"
    )


SegmentationConfig = Annotated[
    SidecarSegmentationConfig | SegmenterConfig, Field(discriminator="name")
]


def build_segmentation_maps(
    config: SidecarSegmentationConfig | SegmenterConfig,
) -> "SidecarSegmentation | EstimatedSegmentation":
    """Return the source of segmentation images; raises ViddaError where a model is not
    available.
    """
    if isinstance(config, SidecarSegmentationConfig):
        return SidecarSegmentation()
    return EstimatedSegmentation(config)


class SidecarSegmentation:
    """Segmentation images of the masks in sidecars, which know people alone."""

    def read(
        self,
        frames: np.ndarray,
        clip: ClipRecord,
        root: Path,
        indices: np.ndarray | None = None,
        report_progress: ReportProgress = ignore_progress,
    ) -> np.ndarray:
        """Return the segmentation images of frames, (T, H, W, 3) uint8 RGB.

        Every region of a person gets ADE20K's color of a person; the background, whose classes a
        mask does not tell, is black, which no class has. Arguments as of
        `vidda.control.controls.ControlReader.read`, which raises the same.
        """
        count, height, width = frames.shape[:3]
        people = sidecar_mask(clip, root, count, height, width, indices)
        colors = np.array([UNKNOWN, ade20k_palette()[PERSON]], np.uint8)
        return colors[people.astype(np.uint8)]


class EstimatedSegmentation:
    """Segmentation images by a segmenter, in ADE20K's colors.

    lllyasviel/control_v11p_sd15_seg was trained on these colors. A model's classes that ADE20K does
    not have get other ones, and a warning says so, once. Raises ViddaError where the model or its
    device is not available.
    """

    def __init__(self, config: SegmenterConfig) -> None:
        self._segmenter = config.build()
        self._colors, foreign = class_colors(self._segmenter.names)
        if foreign:
            listed = ", ".join(foreign[:5]) + (", ..." if len(foreign) > 5 else "")
            log.warning(
                "segmentation: %d of the model's %d classes are not ADE20K's (%s); they get colors"
                " that models for ADE20K do not know",
                len(foreign),
                len(self._segmenter.names),
                listed,
            )

    def read(
        self,
        frames: np.ndarray,
        clip: ClipRecord,
        root: Path,
        indices: np.ndarray | None = None,
        report_progress: ReportProgress = ignore_progress,
    ) -> np.ndarray:
        """Return the segmentation images of frames, (T, H, W, 3) uint8 RGB.

        Arguments as of `vidda.control.controls.ControlReader.read`; the clip is not used.
        """
        colors: np.ndarray = self._colors[self._segmenter.labels(frames, report_progress)]
        return colors
