"""Pose estimation by ViTPose of transformers, with its own crop, normalization and decoding."""

from typing import Any, Literal

import numpy as np
from pydantic import Field

from vidda.config import Count
from vidda.control.boxes import BoxConfig, WholeFrame
from vidda.control.keypoints import JOINTS
from vidda.control.topdown import TopDownPoses
from vidda.control.transformers_model import TransformersModelConfig, load_transformers_model
from vidda.errors import ViddaError
from vidda.weights import Hub, SourceConfig

KEYPOINT_COUNTS = (17, 133)
"""Numbers of keypoints of the sets that begin with COCO's 17: COCO, COCO-WholeBody."""

COCO_EXPERT = 0
"""ViTPose+'s number of the dataset COCO, whose expert of each layer is taken."""


class VitPoseConfig(TransformersModelConfig):
    """ViTPose or ViTPose+ of transformers (arXiv 2204.12484, 2212.04246)."""

    name: Literal["vitpose"] = Field(default="vitpose", description="ViTPose of transformers")
    weights: SourceConfig = Field(
        default=Hub(repo="usyd-community/vitpose-base-simple"),
        description="folder or hub repository of the model",
    )
    boxes: BoxConfig = Field(default=WholeFrame(), description="source of the people's boxes")
    flip_test: bool = Field(
        default=False, description="average with the mirrored crop, at twice the work"
    )
    batch: Count = Field(default=64, description="people per batch")

    def build(self) -> "VitPose":
        """Return the loaded estimator; raises ViddaError when the model or the device is not
        available.
        """
        return VitPose(self)


class VitPose(TopDownPoses):
    """A loaded ViTPose, in float32."""

    def __init__(self, config: VitPoseConfig) -> None:
        self.config = config
        super().__init__(config.boxes, config.batch)
        self._loaded = load_transformers_model(
            config, "pose", {"vitpose": "VitPoseForPoseEstimation"}, "poses"
        )
        sizes = self._loaded.model.config
        if sizes.num_labels not in KEYPOINT_COUNTS:
            raise ViddaError(
                f"{self._loaded.name}: gives {sizes.num_labels} keypoints; name a ViTPose of COCO"
                " (17) or COCO-WholeBody (133)"
            )
        self._has_experts = sizes.backbone_config.num_experts > 1

    def _predict(
        self, frames: list[np.ndarray], boxes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return COCO's joints (N, 17, 2) in pixels and their scores (N, 17) of one person in each
        of N frames.
        """
        # One person a frame, as x0, y0, width, height.
        people = np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])[:, None].tolist()
        inputs = self._loaded.processor(
            images=frames, boxes=people, input_data_format="channels_last", return_tensors="pt"
        )
        outputs = self._heatmaps(inputs.pixel_values.to(self._loaded.device))
        found = self._loaded.processor.post_process_pose_estimation(outputs, boxes=people)
        keypoints = np.stack([person["keypoints"].numpy() for (person,) in found])
        scores = np.stack([person["scores"].numpy() for (person,) in found])
        # Without a peak the decoding reads the next person's heatmap.
        keypoints[scores <= 0] = 0.0
        return keypoints[:, : len(JOINTS)], scores[:, : len(JOINTS)]

    def _heatmaps(self, images: Any) -> Any:
        """Return the model's outputs for images (N, 3, H, W): the heatmaps of all keypoints."""
        import torch

        experts = {}
        if self._has_experts:
            experts["dataset_index"] = torch.full(
                (len(images),), COCO_EXPERT, device=self._loaded.device
            )
        with torch.inference_mode():
            outputs = self._loaded.model(images, **experts)
            if self.config.flip_test:
                pairs = torch.tensor(mirrored_joints(), device=self._loaded.device)
                mirrored = self._loaded.model(images.flip(-1), flip_pairs=pairs, **experts)
                outputs.heatmaps = (outputs.heatmaps + mirrored.heatmaps) / 2
        return outputs


def mirrored_joints() -> list[tuple[int, int]]:
    """Return the numbers of COCO's joints that a mirror exchanges, left and right."""
    return [
        (number, JOINTS.index(name.replace("left", "right")))
        for number, name in enumerate(JOINTS)
        if name.startswith("left")
    ]
