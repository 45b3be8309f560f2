"""Boxes around the people of a clip: the whole frame, the dataset's own boxes, or a detector's.

Boxes are (T, P, 4) float32 x0, y0, x1, y1 in pixels of the frames, NaN where a person is absent.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

import numpy as np
from pydantic import Field

from vidda.config import Config
from vidda.control.blazepose_people import BlazePoseBoxes
from vidda.control.detected_people import stack_boxes
from vidda.control.detr import DetrConfig
from vidda.control.keypoints import NobodyError
from vidda.control.network_weights import load_network_weights
from vidda.data.manifest import BOX_COLUMNS
from vidda.device import torch_device
from vidda.errors import ViddaError
from vidda.sidecar import read_rows, sidecar_path, size_ratio
from vidda.types import ClipRecord

if TYPE_CHECKING:
    import torch

COCO_PERSON = 1
"""COCO's class number of a person in torchvision's detectors."""


class BoxSource(Protocol):
    """A source of people's boxes, as `BoxConfig.build()` returns it."""

    def find(
        self, frames: np.ndarray, clip: ClipRecord, root: Path, indices: np.ndarray | None
    ) -> np.ndarray:
        """Return the boxes (T, P, 4) of P people in T frames, in pixels of `frames`.

        frames: (T, H, W, 3) uint8 RGB. clip, root: the clip that the frames are of, and its
        manifest's root. indices: (T,) numbers of the frames in the clip, from 0; None: all of them,
        in order. Raises ViddaError when there are no boxes to return.
        """


class WholeFrame(Config):
    """One person who fills the frame, for clips that are cropped around a person."""

    name: Literal["whole"] = Field(default="whole", description="one person who fills the frame")

    def build(self) -> "WholeFrame":
        """Return the source of boxes, which is this config itself."""
        return self

    def find(
        self, frames: np.ndarray, clip: ClipRecord, root: Path, indices: np.ndarray | None
    ) -> np.ndarray:
        """Return the frame itself as one person's box in every frame, (T, 1, 4) float32.

        frames: (T, H, W, 3). The other arguments, as in `BoxSource.find`, are not used.
        """
        count, height, width = frames.shape[:3]
        return np.tile(np.array([0, 0, width, height], np.float32), (count, 1, 1))


class SidecarBox(Config):
    """The dataset's own boxes: the array `box` of the clip's sidecar file (see `vidda.sidecar`)."""

    name: Literal["sidecar"] = Field(
        default="sidecar", description="boxes in the clips' sidecar files"
    )

    def build(self) -> "SidecarBox":
        """Return the source of boxes, which is this config itself."""
        return self

    def find(
        self, frames: np.ndarray, clip: ClipRecord, root: Path, indices: np.ndarray | None
    ) -> np.ndarray:
        """Return the sidecar's boxes (T, P, 4), scaled to the frames' size.

        Arguments as in `BoxSource.find`. Raises ViddaError when the sidecar has no boxes of the
        right shape, or none with an area in these frames.
        """
        rows = read_rows(clip, root, "box", len(frames), indices).astype(np.float32)
        if rows.shape[-1] != 4 or rows.ndim not in (2, 3):
            raise ViddaError(
                f"{sidecar_path(clip, root)}: box of shape {rows.shape}, not (T, 4) or (T, P, 4);"
                " write x0, y0, x1, y1"
            )
        boxes = rows.reshape(len(frames), -1, 4) * np.tile(size_ratio(frames, clip, root), 2)
        boxes[(boxes[..., 2:] <= boxes[..., :2]).any(axis=-1)] = np.nan
        if np.isnan(boxes).all():
            raise NobodyError(
                f"clip {clip.id!r}: its sidecar has no person in these frames; leave the clip out,"
                " or choose another pose.boxes.name"
            )
        return boxes.astype(np.float32)


class ManifestBox(Config):
    """One box for the whole clip, in pixels of the clip's own size, from columns of the
    manifest.
    """

    name: Literal["manifest"] = Field(
        default="manifest", description="one box per clip, from columns of the manifest"
    )
    columns: tuple[str, str, str, str] = Field(
        default=BOX_COLUMNS,
        description="columns of the left, upper, right and lower edge, in pixels",
    )

    def build(self) -> "ManifestBox":
        """Return the source of boxes, which is this config itself."""
        return self

    def find(
        self, frames: np.ndarray, clip: ClipRecord, root: Path, indices: np.ndarray | None
    ) -> np.ndarray:
        """Return the clip's box in every frame, (T, 1, 4), scaled to the frames' size.

        Arguments as in `BoxSource.find`. Raises ViddaError when the columns hold no four numbers or
        no area.
        """
        texts = [clip.meta.get(name, "") for name in self.columns]
        try:
            box = np.array([float(text) for text in texts])
        except ValueError:
            box = np.full(4, math.nan)
        if not (np.isfinite(box).all() and (box[2:] > box[:2]).all()):
            shown = ", ".join(f"{n}={t}" for n, t in zip(self.columns, texts, strict=True))
            raise ViddaError(
                f"clip {clip.id!r}: no box in its manifest columns ({shown}); write four numbers,"
                " or choose another pose.boxes.name"
            )
        scaled = box * np.tile(size_ratio(frames, clip, root), 2)
        return np.tile(scaled.astype(np.float32), (len(frames), 1, 1))


class DetectorConfig(Config):
    """A person detector of torchvision, trained on COCO's 91 classes."""

    name: Literal["detector"] = Field(default="detector", description="a detector of torchvision")
    model: Literal[
        "fasterrcnn_resnet50_fpn",
        "fasterrcnn_resnet50_fpn_v2",
        "fasterrcnn_mobilenet_v3_large_fpn",
        "fasterrcnn_mobilenet_v3_large_320_fpn",
        "fcos_resnet50_fpn",
        "retinanet_resnet50_fpn_v2",
        "ssdlite320_mobilenet_v3_large",
    ] = Field(
        default="fasterrcnn_resnet50_fpn_v2", description="torchvision's name of the detector"
    )
    weights: Path = Field(description="file of weights: .safetensors or a torch state_dict")
    threshold: float = Field(
        default=0.5, ge=0, lt=1, description="lowest score of a detected person"
    )
    people: int = Field(
        default=1, ge=1, description="most people per frame; those with the highest scores are kept"
    )
    batch: int = Field(default=8, ge=1, description="frames per batch")
    device: str = Field(
        default="auto", description="cpu, cuda, cuda:1, ...; auto: a GPU if there is one"
    )

    def build(self) -> "Detector":
        """Return the loaded detector; raises ViddaError when its weights or device are not
        available.
        """
        return Detector(self)


BoxConfig = Annotated[
    WholeFrame | SidecarBox | ManifestBox | DetectorConfig | DetrConfig | BlazePoseBoxes,
    Field(discriminator="name"),
]


class Detector:
    """A person detector of torchvision, in float32."""

    def __init__(self, config: DetectorConfig) -> None:
        from torchvision.models import get_model

        self.config = config
        self.device = torch_device(config.device, "pose.boxes.device")
        self._model = get_model(config.model, weights=None, weights_backbone=None)
        load_network_weights(self._model, config.weights, "pose.boxes.weights")
        self._model.eval().requires_grad_(False).to(self.device)

    def find(
        self, frames: np.ndarray, clip: ClipRecord, root: Path, indices: np.ndarray | None
    ) -> np.ndarray:
        """Return the boxes (T, P, 4) of the people found, in each frame the highest score first.

        Arguments as in `BoxSource.find`. P is the largest number of people in a frame, at most the
        config's `people`. Raises NobodyError when no frame has any.
        """
        import torch

        per_frame: list[np.ndarray] = []
        for start in range(0, len(frames), self.config.batch):
            batch = torch.from_numpy(frames[start : start + self.config.batch]).to(self.device)
            with torch.inference_mode():
                outputs = self._model(list(batch.permute(0, 3, 1, 2).float() / 255.0))
            per_frame += [self._people(output) for output in outputs]
        return stack_boxes(per_frame, clip, self.config.model, self.config.threshold)

    def _people(self, output: "dict[str, torch.Tensor]") -> np.ndarray:
        """Return boxes (N, 4) of the people in one frame with the highest scores.

        torchvision's detectors return the highest scores first.
        """
        all_boxes = output["boxes"]
        sides = all_boxes[:, 2:] - all_boxes[:, :2]
        people = (output["labels"] == COCO_PERSON) & (output["scores"] >= self.config.threshold)
        boxes: np.ndarray = (
            all_boxes[people & (sides > 0).all(dim=1)][: self.config.people].cpu().numpy()
        )
        return boxes
