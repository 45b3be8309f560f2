"""Sources of people's masks: BlazePose, Mask R-CNN of torchvision, or a segmenter."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Protocol

import numpy as np
from pydantic import Field

from vidda.control.blazepose import BlazePoseConfig
from vidda.control.mask_rcnn import MaskRcnnConfig
from vidda.control.segmenter import Segmenter, SegmenterConfig
from vidda.types import ClipRecord


class PeopleSegmenterConfig(SegmenterConfig):
    """The class `person` of SegFormer (arXiv 2105.15203) or Mask2Former (2112.01527)."""

    def build(self, key: str = "source") -> Segmenter:
        """Return the loaded segmenter; raises ViddaError where it is not there or knows no people.

        key: of this config, for messages.
        """
        segmenter = super().build(key)
        _ = segmenter.person  # reports a model without such a class before the first clip
        return segmenter


MaskSourceConfig = Annotated[
    BlazePoseConfig | MaskRcnnConfig | PeopleSegmenterConfig, Field(discriminator="name")
]


class MaskSource(Protocol):
    """A source of people's masks, as `MaskSourceConfig.build()` returns it."""

    def find_masks(
        self,
        frames: Iterable[np.ndarray],
        clip: ClipRecord,
        root: Path,
        indices: Iterable[int] | None = None,
    ) -> Iterator[np.ndarray]:
        """Yield for each frame the masks of its people, (P, H, W) float32: shares in [0, 1].

        frames: of the clip in order, (H, W, 3) uint8 RGB each; they are taken a few at a time. P
        may differ from frame to frame, and people are in no fixed order. clip, root: the clip that
        the frames are of, and its manifest's root. indices: numbers of the frames in the clip, from
        0; None: all of them.
        """
