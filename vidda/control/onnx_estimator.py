"""Pose estimation by RTMPose in an ONNX file, with onnxruntime: without PyTorch or OpenMMLab.

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
from vidda.control.keypoints import JOINTS
from vidda.control.topdown import TopDownPoses
from vidda.errors import ViddaError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

KEYPOINT_COUNTS = (17, 26, 133, 136)
"""Numbers of keypoints of the sets that begin with COCO's 17: COCO, Halpe's body and whole body,
COCO-WholeBody."""

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
"""onnxruntime's names of its execution providers."""

Color = tuple[float, float, float]


class RtmposeOnnxConfig(Config):
    """RTMPose in an ONNX file (arXiv 2303.07399, and 2107.03332 for SimCC)."""

    name: Literal["onnx"] = Field(default="onnx", description="RTMPose in ONNX")
    model: Path = Field(description="the .onnx file of the model")
    boxes: BoxConfig = Field(default=WholeFrame(), description="source of the people's boxes")
    padding: float = Field(default=1.25, ge=1, description="size of the crop, relative to the box")
    mean: Color = Field(default=(123.675, 116.28, 103.53), description="mean of R, G, B in 0..255")
    std: Color = Field(
        default=(58.395, 57.12, 57.375), description="standard deviation of R, G, B in 0..255"
    )
    batch: int = Field(default=64, ge=1, description="people per batch")
    device: str = Field(
        default="auto",
        description="cpu, cuda, cuda:1, ...; auto: a GPU where onnxruntime can use one",
    )

    @field_validator("device")
    @classmethod
    def _is_device(cls, device: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
            raise ValueError(f"{device!r} is not a device; use auto, cpu, cuda or cuda:NUMBER")
        return device

    def build(self) -> "RtmposeOnnx":
        """Return the loaded estimator; raises ViddaError when onnxruntime, the file or the device
        is missing.
        """
        return RtmposeOnnx(self)


class RtmposeOnnx(TopDownPoses):
    """RTMPose in an ONNX file, opened for inference."""

    def __init__(self, config: RtmposeOnnxConfig) -> None:
        self.config = config
        super().__init__(config.boxes, config.batch)
        self._session = _open_session(config)
        entry = self._session.get_inputs()[0]
        shape = entry.shape
        if len(shape) != 4 or shape[1] != 3 or not all(isinstance(n, int) for n in shape[2:]):
            raise ViddaError(
                f"{config.model}: takes input of shape {shape}, not (N, 3, height, width)"
                " of a fixed size; export RTMPose with a fixed height and width"
            )
        self._input: str = entry.name
        self.height, self.width = shape[2:]
        self._fixed_batch: int | None = shape[0] if isinstance(shape[0], int) else None
        self._batch = self._fixed_batch or config.batch
        names = {output.name for output in self._session.get_outputs()}
        if not {"simcc_x", "simcc_y"} <= names:
            raise ViddaError(
                f"{config.model}: returns {', '.join(sorted(names))}, not simcc_x and simcc_y; name"
                " an RTMPose as mmpose deploys it"
            )

    def _predict(
        self, frames: list[np.ndarray], boxes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return COCO's joints (N, 17, 2) in pixels and their scores (N, 17) of one person in each
        of N frames.
        """
        size = np.array([self.width, self.height])
        center, scale = crop_regions(boxes, self.width / self.height, self.config.padding)
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
        if x.shape[1] not in KEYPOINT_COUNTS:
            raise ViddaError(
                f"{self.config.model}: gives {x.shape[1]} keypoints; name an RTMPose of COCO (17),"
                " Halpe (26) or COCO-WholeBody (133)"
            )
        count = len(frames)
        positions, scores = decode_simcc(x[:count, : len(JOINTS)], y[:count, : len(JOINTS)], size)
        return positions / factor[:, None] + (center - scale / 2)[:, None], scores


def crop_regions(boxes: np.ndarray, aspect: float, padding: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the centers and the sizes, (N, 2) each, of the regions that the model gets for boxes.

    boxes: (N, 4) x0, y0, x1, y1 in pixels. Centers are x, y and sizes width, height in pixels. A
    box grows to `aspect`, its width over its height, and by the factor `padding`; none of it is cut
    off.
    """
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    width, height = (padding * (boxes[:, 2:] - boxes[:, :2])).T
    width = np.maximum(width, height * aspect)
    return center, np.stack([width, width / aspect], axis=1)


def decode_simcc(x: np.ndarray, y: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions where the two distributions of each joint are highest, and their scores.

    x: (N, K, r W), y: (N, K, r H), with any ratio r. size: W, H. Returns positions (N, K, 2) in
    pixels of the W x H crop, and scores (N, K), the lower of the two maxima.

    Source: Li et al., SimCC, ECCV 2022 (arXiv 2107.03332).
    """
    positions = np.stack([x.argmax(axis=2), y.argmax(axis=2)], axis=2)
    bins = np.array([x.shape[2], y.shape[2]])
    return positions * (size / bins), np.minimum(x.max(axis=2), y.max(axis=2))


def _open_session(config: RtmposeOnnxConfig) -> "InferenceSession":
    """Open the ONNX file; raises ViddaError when onnxruntime, the file or the device is missing."""
    try:
        import onnxruntime
    except ImportError:
        raise ViddaError(
            "onnxruntime is not installed; pip install onnxruntime (onnxruntime-gpu for a GPU), or"
            " take pose.name=mmpose"
        ) from None
    if not config.model.is_file():
        raise ViddaError(f"{config.model}: no such file; correct pose.model")
    available = onnxruntime.get_available_providers()
    wants_cuda = config.device.startswith("cuda")
    if wants_cuda and CUDA not in available:
        raise ViddaError(
            f"pose.device {config.device!r}: this onnxruntime cannot use a GPU; pip install"
            " onnxruntime-gpu, or take pose.device=cpu"
        )
    try:
        session = onnxruntime.InferenceSession(
            str(config.model), providers=execution_providers(config.device, available)
        )
    except Exception as error:  # onnxruntime's errors have no base of their own
        reason = " ".join(str(error).split())[:160]
        raise ViddaError(
            f"{config.model}: cannot be read as ONNX ({reason}); copy or export it again"
        ) from None
    # Where CUDA's libraries do not load, onnxruntime silently uses the CPU.
    if wants_cuda and CUDA not in session.get_providers():
        raise ViddaError(
            f"pose.device {config.device!r}: onnxruntime could not start CUDA there; name a GPU of"
            " this machine, install the CUDA and cuDNN that it was built for, or take"
            " pose.device=cpu"
        )
    return session


def execution_providers(device: str, available: Sequence[str]) -> list[Any]:
    """Return onnxruntime's execution providers for a device, the first choice first.

    device: auto, cpu, cuda or cuda:NUMBER. available: names of this onnxruntime's providers. An
    item is a name, or a name with its options: the GPU's index. A GPU without an index is PyTorch's
    current one, where PyTorch has any, so that several workers do not all use the first.
    """
    if device == "cpu" or CUDA not in available:
        return [CPU]
    index = device.partition(":")[2]
    return [(CUDA, {"device_id": int(index) if index else _current_gpu()}), CPU]


def _current_gpu() -> int:
    """Return PyTorch's current GPU, 0 where it has none."""
    import torch

    return torch.cuda.current_device() if torch.cuda.is_available() else 0
