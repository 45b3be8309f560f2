"""Poses by RTMPose in an ONNX file, through onnxruntime: neither PyTorch nor OpenMMLab is needed.

The file is as mmpose deploys it: an `input` (N, 3, H, W) of normalized RGB, and SimCC outputs
`simcc_x` (N, K, r W) and `simcc_y` (N, K, r H), r being the split ratio, 2 for RTMPose.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
from pydantic import Field, field_validator

from vidda.config import Config
from vidda.control.boxes import BoxConfig, WholeFrame
from vidda.control.keypoints import JOINTS, Pose
from vidda.control.topdown import over_people
from vidda.errors import ViddaError
from vidda.progress import Passed, unseen
from vidda.types import ClipRecord

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

COCO_FIRST = (17, 26, 133, 136)
"""Sizes of the sets of key points that begin with COCO's: itself, Halpe's body and whole body,
COCO-WholeBody."""

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
"""onnxruntime's names."""

Color = tuple[float, float, float]


class RtmposeOnnxConfig(Config):
    """RTMPose as an ONNX file (arXiv 2303.07399, and 2107.03332 for SimCC)."""

    name: Literal["onnx"] = Field(default="onnx", description="RTMPose in ONNX")
    model: Path = Field(description="the .onnx file")
    boxes: BoxConfig = Field(default=WholeFrame(), description="where the people are")
    padding: float = Field(default=1.25, ge=1, description="the crop's size over the box's")
    mean: Color = Field(default=(123.675, 116.28, 103.53), description="of R, G, B in 0..255")
    std: Color = Field(default=(58.395, 57.12, 57.375), description="of R, G, B in 0..255")
    batch: int = Field(default=64, ge=1, description="people at once")
    device: str = Field(
        default="auto",
        description="cpu, cuda, cuda:1, ...; auto: a GPU where onnxruntime can use one",
    )

    @field_validator("device")
    @classmethod
    def _is_one(cls, device: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
            raise ValueError(f"{device!r} is not a device; take auto, cpu, cuda or cuda:NUMBER")
        return device

    def build(self) -> "RtmposeOnnx":
        """Return the estimator; raises ViddaError when onnxruntime, the file or the device is
        missing.
        """
        return RtmposeOnnx(self)


class RtmposeOnnx:
    """An open ONNX file."""

    def __init__(self, config: RtmposeOnnxConfig) -> None:
        self.config = config
        self._boxes = config.boxes.build()
        self._session = _open(config)
        entry = self._session.get_inputs()[0]
        shape = entry.shape
        if len(shape) != 4 or shape[1] != 3 or not all(isinstance(n, int) for n in shape[2:]):
            raise ViddaError(
                f"{config.model}: takes {shape}, not (N, 3, height, width) of a fixed size; export"
                " RTMPose with a fixed height and width"
            )
        self._input: str = entry.name
        self.height, self.width = shape[2:]
        self._fixed_batch: int | None = shape[0] if isinstance(shape[0], int) else None
        names = {output.name for output in self._session.get_outputs()}
        if not {"simcc_x", "simcc_y"} <= names:
            raise ViddaError(
                f"{config.model}: gives {', '.join(sorted(names))}, not simcc_x and simcc_y; name"
                " an RTMPose as mmpose deploys it"
            )

    def estimate(
        self,
        frames: np.ndarray,
        boxes: np.ndarray | None,
        clip: ClipRecord,
        root: Path,
        indices: np.ndarray | None = None,
        passed: Passed = unseen,
    ) -> Pose:
        """Return the poses in frames of a clip; see `vidda.control.pose.PoseSource`."""
        if boxes is None:
            boxes = self._boxes.find(frames, clip, root, indices)
        batch = self._fixed_batch or self.config.batch
        return over_people(frames, boxes, batch, self._predict, passed)

    def _predict(
        self, frames: list[np.ndarray], boxes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """COCO's joints (N, 17, 2) and their scores (N, 17) of a person in each frame."""
        size = np.array([self.width, self.height])
        center, scale = crops(boxes, self.width / self.height, self.config.padding)
        factor = size / scale
        mean, std = np.array(self.config.mean), np.array(self.config.std)
        images = np.zeros(
            (self._fixed_batch or len(frames), 3, self.height, self.width), np.float32
        )
        for image, frame, middle, zoom in zip(images, frames, center, factor, strict=False):
            matrix = np.column_stack([np.diag(zoom), size / 2 - zoom * middle])
            crop = cv2.warpAffine(frame, matrix, (self.width, self.height), flags=cv2.INTER_LINEAR)
            image[...] = ((crop - mean) / std).transpose(2, 0, 1)
        x, y = self._session.run(["simcc_x", "simcc_y"], {self._input: images})
        if x.shape[1] not in COCO_FIRST:
            raise ViddaError(
                f"{self.config.model}: gives {x.shape[1]} key points; name an RTMPose of COCO (17),"
                " Halpe (26) or COCO-WholeBody (133)"
            )
        n = len(frames)
        at, scores = decode_simcc(x[:n, : len(JOINTS)], y[:n, : len(JOINTS)], size)
        return at / factor[:, None] + (center - scale / 2)[:, None], scores


def crops(boxes: np.ndarray, aspect: float, padding: float) -> tuple[np.ndarray, np.ndarray]:
    """Centers and sizes (N, 2), width before height, of what a model is shown of each box (N, 4).

    A box grows to `aspect`, its width over its height, and by `padding`; none of it is cut off.
    """
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    width, height = (padding * (boxes[:, 2:] - boxes[:, :2])).T
    width = np.maximum(width, height * aspect)
    return center, np.stack([width, width / aspect], axis=1)


def decode_simcc(x: np.ndarray, y: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the two distributions of each joint are highest: SimCC's decoding.

    x: (N, K, r W), y: (N, K, r H), with any ratio r. size: W, H. Gives (N, K, 2) in pixels of
    the W x H crop, and scores (N, K), the lower of the two maxima.

    Source: Li et al., SimCC, ECCV 2022 (arXiv 2107.03332).
    """
    at = np.stack([x.argmax(axis=2), y.argmax(axis=2)], axis=2)
    bins = np.array([x.shape[2], y.shape[2]])
    return at * (size / bins), np.minimum(x.max(axis=2), y.max(axis=2))


def _open(config: RtmposeOnnxConfig) -> "InferenceSession":
    try:
        import onnxruntime
    except ImportError:
        raise ViddaError(
            "onnxruntime is not installed; pip install onnxruntime (onnxruntime-gpu for a GPU), or"
            " take pose.name=mmpose"
        ) from None
    if not config.model.is_file():
        raise ViddaError(f"{config.model}: no such file; correct pose.model")
    there = onnxruntime.get_available_providers()
    asked = config.device.startswith("cuda")
    if asked and CUDA not in there:
        raise ViddaError(
            f"pose.device {config.device!r}: this onnxruntime cannot use a GPU; pip install"
            " onnxruntime-gpu, or take pose.device=cpu"
        )
    try:
        session = onnxruntime.InferenceSession(
            str(config.model), providers=providers(config.device, there)
        )
    except Exception as error:  # onnxruntime's errors have no base of their own
        reason = " ".join(str(error).split())[:160]
        raise ViddaError(
            f"{config.model}: cannot be read as ONNX ({reason}); copy or export it again"
        ) from None
    # Where CUDA's libraries do not load, onnxruntime goes on without them.
    if asked and CUDA not in session.get_providers():
        raise ViddaError(
            f"pose.device {config.device!r}: onnxruntime could not start CUDA there; name a GPU of"
            " this machine, install the CUDA and cuDNN that it was built for, or take"
            " pose.device=cpu"
        )
    return session


def providers(device: str, there: Sequence[str]) -> list[Any]:
    """What onnxruntime is to run on, the first choice first, with the GPU's number.

    device: see `RtmposeOnnxConfig`. there: what this onnxruntime has. A GPU without a number is
    PyTorch's current one, where PyTorch sees any: so several workers do not all sit on the first.
    """
    if device == "cpu" or CUDA not in there:
        return [CPU]
    number = device.partition(":")[2]
    return [(CUDA, {"device_id": int(number) if number else _current()}), CPU]


def _current() -> int:
    import torch

    return torch.cuda.current_device() if torch.cuda.is_available() else 0
