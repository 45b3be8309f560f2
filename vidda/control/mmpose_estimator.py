"""Pose estimation by a top-down model of mmpose: RTMPose, SimCC, HRNet, ResNet and similar ones.

All people in all frames of a clip pass through the model in batches, with the crop, the
normalization and the decoding of the model's own config.
"""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from vidda.config import Config
from vidda.control.boxes import BoxConfig, WholeFrame
from vidda.control.keypoints import JOINTS
from vidda.control.mmpose_import import import_mmpose_apis, shipped_config
from vidda.control.network_weights import load_network_weights
from vidda.control.topdown import TopDownPoses
from vidda.device import torch_device
from vidda.errors import ViddaError
from vidda.files import resolve_builtin


class MMPoseConfig(Config):
    """A top-down pose model of mmpose (arXiv 2303.07399 for RTMPose).

    Joints are found by name, so models with the 26 joints of Halpe or the 133 of COCO-WholeBody
    work too; a model that lacks any of COCO's 17 is refused.
    """

    name: Literal["mmpose"] = Field(default="mmpose", description="a model of mmpose")
    model: Path = Field(
        description="config that mmpose ships, such as body_2d_keypoint/rtmpose/coco/NAME.py, or"
        " your own file (.json, .yaml; a .py is a program, which mmpose runs);"
        " builtin:mini_pose/model.json is the small one that vidda ships"
    )
    weights: Path = Field(
        description="file of weights: .safetensors or a torch state_dict, or"
        " builtin:mini_pose/weights.safetensors"
    )
    boxes: BoxConfig = Field(default=WholeFrame(), description="source of the people's boxes")
    flip_test: bool | None = Field(
        default=None,
        description="average with the mirrored crop, at twice the work; null: model's setting",
    )
    batch: int = Field(default=64, ge=1, description="people per batch")
    device: str = Field(
        default="auto", description="cpu, cuda, cuda:1, ...; auto: a GPU if there is one"
    )

    def build(self) -> "MMPose":
        """Return the loaded estimator; raises ViddaError when mmpose, the model or the device is
        not available.
        """
        return MMPose(self)


class MMPose(TopDownPoses):
    """A loaded model of mmpose in evaluation mode, with the preprocessing that its config names."""

    def __init__(self, config: MMPoseConfig) -> None:
        apis = import_mmpose_apis()
        from mmengine.dataset import Compose
        from mmpose.models.pose_estimators import TopdownPoseEstimator

        self.config = config
        super().__init__(config.boxes, config.batch)
        content = _read_config(resolve_builtin(config.model))
        device = torch_device(config.device, "pose.device")
        try:
            if config.flip_test is not None:
                content.model.test_cfg = {
                    **content.model.get("test_cfg", {}),
                    "flip_test": config.flip_test,
                }
            with _quiet():
                self._model: Any = apis.init_model(content, None, device="cpu")
                self._pipeline = Compose(content.test_dataloader.dataset.pipeline)
        except ViddaError:
            raise
        except Exception as error:  # a config is a program, which may fail in any way
            raise ViddaError(
                f"{config.model}: mmpose cannot build it ({_first_line(error)}); choose a top-down"
                " model (RTMPose, HRNet, ResNet, SimCC)"
            ) from error
        if not isinstance(self._model, TopdownPoseEstimator):
            raise ViddaError(
                f"{config.model}: a {type(self._model).__name__}, which is not top-down; choose"
                " RTMPose, HRNet, ResNet or SimCC"
            )
        self._names, self._joints = _coco_joints(config.model, self._model)
        load_network_weights(self._model, resolve_builtin(config.weights), "pose.weights")
        self._model.requires_grad_(False).to(device)

    def _predict(
        self, frames: list[np.ndarray], boxes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return COCO's joints (N, 17, 2) in pixels and their scores (N, 17) of one person in each
        of N frames.
        """
        import torch
        from mmengine.dataset import pseudo_collate

        people = [
            self._pipeline(
                {
                    # mmpose's images are BGR; the model converts them where it needs RGB.
                    "img": np.ascontiguousarray(frame[..., ::-1]),
                    "bbox": box[None],
                    "bbox_score": np.ones(1, np.float32),
                    **self._model.dataset_meta,
                }
            )
            for frame, box in zip(frames, boxes, strict=True)
        ]
        try:
            with _quiet(), torch.inference_mode():
                samples = self._model.test_step(pseudo_collate(people))
        except np.linalg.LinAlgError:  # UDP refines a peak that is not one
            raise ViddaError(
                f"{self.config.weights}: its heatmaps have no peak to refine; are they the weights"
                " of a trained model?"
            ) from None
        keypoints = np.concatenate([sample.pred_instances.keypoints for sample in samples])
        scores = np.concatenate([sample.pred_instances.keypoint_scores for sample in samples])
        if scores.shape[1] != len(self._names):
            raise ViddaError(
                f"{self.config.model}: the model gives {scores.shape[1]} keypoints, its dataset"
                f" names {len(self._names)}; correct metainfo in the config"
            )
        return keypoints[:, self._joints], scores[:, self._joints]


def _read_config(file: Path) -> Any:
    """Return the mmengine config of a file, or of a model that mmpose ships."""
    from mmengine import Config as Content

    try:
        content = Content.fromfile(str(file)) if file.is_file() else shipped_config(str(file))
    except Exception as error:  # a config is a program, which may fail in any way
        if isinstance(error, FileNotFoundError) and not file.is_file():
            raise ViddaError(
                f"{file}: no such file, and mmpose ships no such config; correct pose.model"
            ) from None
        raise ViddaError(
            f"{file}: cannot be read as a config of mmpose ({_first_line(error)}); correct the file"
        ) from error
    if "model" not in content or "test_dataloader" not in content:
        raise ViddaError(
            f"{file}: no config of a pose model, lacks model or test_dataloader; take one of mmpose"
        )
    return content


def _coco_joints(name: Path, model: Any) -> tuple[list[str], list[int]]:
    """Return the names of a model's keypoints, and the indices of COCO's joints among them."""
    by_number: Mapping[int, str] = model.dataset_meta["keypoint_id2name"]
    numbers = model.test_cfg.get("output_keypoint_indices") or sorted(by_number)
    names = [by_number[number] for number in numbers]
    lacking = [joint for joint in JOINTS if joint not in names]
    if lacking:
        raise ViddaError(
            f"{name}: its {len(names)} keypoints lack {', '.join(lacking)}; choose a model of"
            " COCO, Halpe or COCO-WholeBody"
        )
    return names, [names.index(joint) for joint in JOINTS]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence mmpose's warnings on mmdet, old names in torch, and files that it found anyway."""
    from mmengine.logging import MMLogger

    log = MMLogger.get_current_instance()
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
