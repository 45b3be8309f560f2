"""Person detection by a detector of transformers: RT-DETR, D-FINE, DETR and similar ones."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from vidda.config import Count
from vidda.control.detected_people import stack_boxes
from vidda.control.transformers_model import TransformersModelConfig, load_transformers_model
from vidda.types import ClipRecord
from vidda.weights import Hub, SourceConfig


class DetrConfig(TransformersModelConfig):
    """RT-DETR v2 (arXiv 2407.17140), D-FINE (2410.13842) or another detector of transformers."""

    name: Literal["detr"] = Field(default="detr", description="a detector of transformers")
    weights: SourceConfig = Field(
        default=Hub(repo="PekingU/rtdetr_v2_r50vd"),
        description="folder or hub repository of the model, which has a class person",
    )
    threshold: float = Field(
        default=0.5, ge=0, lt=1, description="lowest score of a detected person"
    )
    people: Count = Field(
        default=1, description="most people per frame; those with the highest scores are kept"
    )

    def build(self) -> "Detr":
        """Return the loaded detector; raises ViddaError when the model or the device is not
        available.
        """
        return Detr(self)


class Detr:
    """A loaded detector of transformers, in float32."""

    def __init__(self, config: DetrConfig) -> None:
        from transformers.models.auto.modeling_auto import MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES

        self.config = config
        self._loaded = load_transformers_model(
            config, "pose.boxes", MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES, "object detection"
        )
        self._person = self._loaded.index_of("person")

    def find(
        self, frames: np.ndarray, clip: ClipRecord, root: Path, indices: np.ndarray | None
    ) -> np.ndarray:
        """Return the boxes (T, P, 4) of the people found, in each frame the highest score first.

        Arguments as in `vidda.control.boxes.BoxSource.find`. P is the largest number of people in a
        frame, at most the config's `people`. Raises NobodyError when no frame has any.
        """
        per_frame: list[np.ndarray] = []
        size = frames.shape[1:3]
        for start in range(0, len(frames), self.config.batch):
            batch = frames[start : start + self.config.batch]
            found = self._loaded.processor.post_process_object_detection(
                self._loaded.run(batch),
                threshold=self.config.threshold,
                target_sizes=[size] * len(batch),
            )
            per_frame += [self._people(one) for one in found]
        return stack_boxes(per_frame, clip, self._loaded.name, self.config.threshold)

    def _people(self, found: dict[str, Any]) -> np.ndarray:
        """Return boxes (N, 4) of the people in one frame with the highest scores."""
        boxes, scores = found["boxes"].cpu().numpy(), found["scores"].cpu().numpy()
        people = (found["labels"] == self._person).cpu().numpy()
        people &= (boxes[:, 2:] > boxes[:, :2]).all(axis=1)  # D-FINE's sides may be below 0
        best = np.argsort(-scores[people], kind="stable")[: self.config.people]
        return np.asarray(boxes[people][best])
