"""Where the people of a clip are: the whole frame, what its dataset says, or a detector.

Boxes are (T, P, 4) float32 x0, y0, x1, y1 in pixels of the frames, NaN where a person is not there.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

import numpy as np
from pydantic import Field

from vidda.config import Config
from vidda.control.networks import fill
from vidda.device import torch_device
from vidda.errors import ViddaError
from vidda.sidecar import path_of, rows_of, scale_to
from vidda.types import ClipRecord

if TYPE_CHECKING:
    import torch

COLUMNS = ("box_x0", "box_y0", "box_x1", "box_y1")
"""Of a manifest, where a config names no others: left, upper, right and lower edge."""

PERSON = 1
"""COCO's class for a person, in the detectors of torchvision."""


class NobodyError(ViddaError):
    """A detector finds no people in a clip."""


class BoxSource(Protocol):
    """What `BoxConfig.build()` gives."""

    def find(
        self, frames: np.ndarray, clip: ClipRecord, root: Path, indices: np.ndarray | None
    ) -> np.ndarray:
        """Return boxes (T, P, 4) of the people; arguments as in `vidda.control.pose.PoseSource`."""


class WholeFrame(Config):
    """One person, who fills the frame: for clips that are cropped around them."""

    name: Literal["whole"] = Field(default="whole", description="the whole frame")

    def build(self) -> "WholeFrame":
        return self

    def find(
        self, frames: np.ndarray, clip: ClipRecord, root: Path, indices: np.ndarray | None
    ) -> np.ndarray:
        """Return the frame itself, in every frame."""
        count, height, width = frames.shape[:3]
        return np.tile(np.array([0, 0, width, height], np.float32), (count, 1, 1))


class SidecarBox(Config):
    """The `box` of the clip's sidecar; see `vidda.sidecar`."""

    name: Literal["sidecar"] = Field(default="sidecar", description="boxes of the dataset")

    def build(self) -> "SidecarBox":
        return self

    def find(
        self, frames: np.ndarray, clip: ClipRecord, root: Path, indices: np.ndarray | None
    ) -> np.ndarray:
        """Return the sidecar's boxes; raises ViddaError when it has none, or none with an area."""
        rows = rows_of(clip, root, "box", len(frames), indices).astype(np.float32)
        if rows.shape[-1] != 4 or rows.ndim not in (2, 3):
            raise ViddaError(
                f"{path_of(clip, root)}: box of shape {rows.shape}, not (T, 4) or (T, P, 4);"
                " write x0, y0, x1, y1"
            )
        boxes = rows.reshape(len(frames), -1, 4) * np.tile(scale_to(frames, clip, root), 2)
        boxes[(boxes[..., 2:] <= boxes[..., :2]).any(axis=-1)] = np.nan
        if np.isnan(boxes).all():
            raise ViddaError(
                f"clip {clip.id!r}: its sidecar has nobody in these frames; leave the clip out, or"
                " take another pose.boxes.name"
            )
        return boxes.astype(np.float32)


class ManifestBox(Config):
    """One box for the whole clip, in pixels of its own size, from columns of its manifest."""

    name: Literal["manifest"] = Field(default="manifest", description="columns of the manifest")
    columns: tuple[str, str, str, str] = Field(
        default=COLUMNS, description="of the left, upper, right and lower edge"
    )

    def build(self) -> "ManifestBox":
        return self

    def find(
        self, frames: np.ndarray, clip: ClipRecord, root: Path, indices: np.ndarray | None
    ) -> np.ndarray:
        """Return the box in every frame; raises ViddaError when the columns hold none."""
        texts = [clip.meta.get(name, "") for name in self.columns]
        try:
            box = np.array([float(text) for text in texts])
        except ValueError:
            box = np.full(4, math.nan)
        if not (np.isfinite(box).all() and (box[2:] > box[:2]).all()):
            shown = ", ".join(f"{n}={t}" for n, t in zip(self.columns, texts, strict=True))
            raise ViddaError(
                f"clip {clip.id!r}: no box in its manifest columns ({shown}); write four numbers,"
                " or take another pose.boxes.name"
            )
        scaled = box * np.tile(scale_to(frames, clip, root), 2)
        return np.tile(scaled.astype(np.float32), (len(frames), 1, 1))


class DetectorConfig(Config):
    """People found by a detector of torchvision that was trained on COCO's 91 classes."""

    name: Literal["detector"] = Field(default="detector", description="a detector of torchvision")
    model: Literal[
        "fasterrcnn_resnet50_fpn",
        "fasterrcnn_resnet50_fpn_v2",
        "fasterrcnn_mobilenet_v3_large_fpn",
        "fasterrcnn_mobilenet_v3_large_320_fpn",
        "fcos_resnet50_fpn",
        "retinanet_resnet50_fpn_v2",
        "ssdlite320_mobilenet_v3_large",
    ] = Field(default="fasterrcnn_resnet50_fpn_v2", description="which, by torchvision's name")
    weights: Path = Field(description="its weights: .safetensors or a torch state_dict")
    threshold: float = Field(default=0.5, ge=0, lt=1, description="least score of a person")
    people: int = Field(default=1, ge=1, description="at most so many a frame, the surest ones")
    batch: int = Field(default=8, ge=1, description="frames at once")
    device: str = Field(default="auto", description="cpu, cuda, cuda:1, ...; auto: a GPU if any")

    def build(self) -> "Detector":
        """Return the detector; raises ViddaError when its weights or device are not there."""
        return Detector(self)


BoxConfig = Annotated[
    WholeFrame | SidecarBox | ManifestBox | DetectorConfig, Field(discriminator="name")
]


class Detector:
    """A detector of torchvision in float32."""

    def __init__(self, config: DetectorConfig) -> None:
        from torchvision.models import get_model

        self.config = config
        self.device = torch_device(config.device, "pose.boxes.device")
        self._model = get_model(config.model, weights=None, weights_backbone=None)
        fill(self._model, config.weights, "pose.boxes.weights")
        self._model.eval().requires_grad_(False).to(self.device)

    def find(
        self, frames: np.ndarray, clip: ClipRecord, root: Path, indices: np.ndarray | None
    ) -> np.ndarray:
        """Return the surest people of each frame first; raises NobodyError when there are none at
        all.
        """
        import torch

        found: list[np.ndarray] = []
        for start in range(0, len(frames), self.config.batch):
            part = torch.from_numpy(frames[start : start + self.config.batch]).to(self.device)
            with torch.inference_mode():
                outputs = self._model(list(part.permute(0, 3, 1, 2).float() / 255.0))
            found += [self._people(output) for output in outputs]
        most = max((len(boxes) for boxes in found), default=0)
        if most == 0:
            raise NobodyError(
                f"clip {clip.id!r}: {self.config.model} finds nobody with a score of"
                f" {self.config.threshold} in {len(frames)} frames; lower pose.boxes.threshold, or"
                " take another pose.boxes.name"
            )
        padded = np.full((len(frames), most, 4), np.nan, np.float32)
        for row, boxes in zip(padded, found, strict=True):
            row[: len(boxes)] = boxes
        return padded

    def _people(self, output: "dict[str, torch.Tensor]") -> np.ndarray:
        """Return boxes (N, 4) of the surest people in one frame; torchvision gives the surest
        first.
        """
        boxes = output["boxes"]
        sides = boxes[:, 2:] - boxes[:, :2]
        sure = (output["labels"] == PERSON) & (output["scores"] >= self.config.threshold)
        kept: np.ndarray = boxes[sure & (sides > 0).all(dim=1)][: self.config.people].cpu().numpy()
        return kept
