"""Semantic segmentation of frames, and masks of the people in them, by a model of transformers."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from vidda.control.transformers_model import TransformersModelConfig, load_transformers_model
from vidda.errors import ViddaError
from vidda.progress import ReportProgress, ignore_progress
from vidda.types import ClipRecord
from vidda.weights import Hub, SourceConfig

PERSON = "person"
"""The name of the class of people in ADE20K, Cityscapes and COCO."""

CLASSES = {
    "beit": "BeitForSemanticSegmentation",
    "dpt": "DPTForSemanticSegmentation",
    "mask2former": "Mask2FormerForUniversalSegmentation",
    "maskformer": "MaskFormerForInstanceSegmentation",
    "segformer": "SegformerForSemanticSegmentation",
    "upernet": "UperNetForSemanticSegmentation",
}
"""transformers' classes by the type of a model, of those whose input is the whole frame."""


class SegmenterConfig(TransformersModelConfig):
    """SegFormer (arXiv 2105.15203) or Mask2Former (2112.01527), both of transformers."""

    name: Literal["segmenter"] = Field(
        default="segmenter", description="a semantic segmenter of transformers"
    )
    weights: SourceConfig = Field(
        default=Hub(repo="facebook/mask2former-swin-small-ade-semantic"),
        description="folder or hub repository of the model",
    )

    def build(self, key: str = "segmentation") -> "Segmenter":
        """Return the loaded segmenter.

        key: of this config, for messages. Raises ViddaError when the model or the device is not
        available.
        """
        return Segmenter(self, key)


class Segmenter:
    """A loaded semantic segmenter, in float32.

    config, key: see `SegmenterConfig.build`. names: the classes' names; a label is the index of its
    class.
    """

    def __init__(self, config: SegmenterConfig, key: str) -> None:
        self.config = config
        self._loaded = load_transformers_model(config, key, CLASSES, "semantic segmentation")
        labels: dict[int, str] = self._loaded.model.config.id2label
        self.names = tuple(labels[number] for number in range(len(labels)))
        if getattr(self._loaded.processor, "do_center_crop", False):
            raise ViddaError(
                f"{self._loaded.name}: its image processor cuts off the frame's border"
                " (do_center_crop), which would have no labels; name another model"
            )

    @property
    def person(self) -> int:
        """Return the label of people; raises ViddaError where the model has no class of them."""
        return self._loaded.index_of(PERSON)

    def labels(
        self, frames: np.ndarray, report_progress: ReportProgress = ignore_progress
    ) -> np.ndarray:
        """Return every pixel's label, (T, H, W) uint8, or uint16 where there are over 256 classes.

        frames: (T, H, W, 3) uint8 RGB. report_progress: called with the number of frames done since
        the last call.
        """
        labels = np.empty(frames.shape[:3], np.min_scalar_type(len(self.names) - 1))
        for start in range(0, len(frames), self.config.batch):
            batch = frames[start : start + self.config.batch]
            outputs = self._loaded.run(batch)
            for number in range(len(batch)):
                labels[start + number] = self._decode(outputs, number, frames.shape[1:3])
            report_progress(len(batch))
        return labels

    def people(
        self, frames: np.ndarray, report_progress: ReportProgress = ignore_progress
    ) -> np.ndarray:
        """Return the pixels of people, (T, H, W) bool; arguments as in `labels`.

        Raises ViddaError where the model has no class of people.
        """
        person = self.person
        return self.labels(frames, report_progress) == person

    def find_masks(
        self,
        frames: Iterable[np.ndarray],
        clip: ClipRecord,
        root: Path,
        indices: Iterable[int] | None = None,
    ) -> Iterator[np.ndarray]:
        """Yield for each frame the mask of all its people together, (1, H, W) float32, 0 or 1.

        Arguments as in `vidda.control.mask_source.MaskSource.find_masks`; only the frames
        are used.
        """
        remaining = iter(frames)
        while batch := list(islice(remaining, self.config.batch)):
            yield from self.people(np.stack(batch))[:, None].astype(np.float32)

    def _decode(self, outputs: Any, number: int, size: tuple[int, ...]) -> np.ndarray:
        """Return the labels (H, W) of one frame of a batch.

        The scores of all classes at the frame's size take hundreds of megabytes, so they are made
        for one frame at a time.
        """
        alone = type(outputs)(
            **{
                name: value[number : number + 1]
                for name, value in outputs.items()
                if hasattr(value, "shape")
            }
        )
        (found,) = self._loaded.processor.post_process_semantic_segmentation(
            alone, target_sizes=[size]
        )
        return np.asarray(found.cpu().numpy())
