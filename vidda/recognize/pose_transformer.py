"""A recognizer of poses: a small transformer over a person's joints in time.

It is the first thing that is tried for gestures; skeleton networks such as ST-GCN (Yan et al., AAAI
2018) and PoseC3D (Duan et al., CVPR 2022) add the body's graph, or heatmaps and 3-D convolutions.
"""

import math
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import nn

from vidda.config import Count
from vidda.control.control_config import Smoothing
from vidda.control.keypoints import JOINTS, THRESHOLD
from vidda.control.pose import PoseConfig
from vidda.control.sidecar_poses import SidecarPosesConfig
from vidda.recognize.framewise import Framewise
from vidda.recognize.pose_augmentation import PoseAugmentation
from vidda.recognize.pose_input import PoseInput
from vidda.recognize.recognizer import RecognizerConfig


class PoseTransformerConfig(RecognizerConfig):
    """A transformer over the joints of the main person in each frame (COCO-17)."""

    name: Literal["pose"] = "pose"
    poses: PoseConfig = Field(
        default=SidecarPosesConfig(),
        description="source of the poses, estimated once per clip; kept for vidda predict",
    )
    source_poses: PoseConfig | None = Field(
        default=None,
        description="source of the poses of labeled training clips; null: the same as poses",
    )
    smoothing: Smoothing | None = Field(
        default=Smoothing(), description="smoothing of the joints over time; null: none"
    )
    threshold: float = Field(
        default=THRESHOLD, ge=0, le=1, description="lowest score of a known joint"
    )
    scores: bool = Field(
        default=False,
        description="input the joints' scores; false: 1 for each known joint, which all sources"
        " have in common",
    )
    augment: PoseAugmentation | None = Field(
        default=PoseAugmentation(),
        description="random changes of the joints in training; null: none",
    )
    width: Count = Field(default=64, description="width of a frame's token; a multiple of heads")
    layers: Count = Field(default=2, description="transformer layers")
    heads: Count = Field(default=4, description="attention heads of a layer")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="dropout rate of all layers")

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.width % self.heads or self.width % 2:
            raise ValueError(
                f"width {self.width} is not a multiple of 2 and of heads {self.heads}; change one"
            )
        return self

    def clip_input(self) -> PoseInput:
        """Return how videos become poses."""
        return PoseInput(
            poses=self.poses,
            source_poses=self.source_poses or self.poses,
            smoothing=self.smoothing,
            threshold=self.threshold,
            scores=self.scores,
            augment=self.augment,
        )

    def build(self, classes: int) -> "PoseTransformer":
        """Return a recognizer of `classes` classes, with random weights."""
        return PoseTransformer(self, classes)


class PoseTransformer(Framewise):
    """A token for each frame's joints and their motion, a transformer over time, and the mean.

    The states are (B, T, width). Unknown joints have no effect but being unknown.
    """

    clip_dims = 3
    lower_prefixes = ("embed.", "encoder.")

    def __init__(self, config: PoseTransformerConfig, classes: int) -> None:
        super().__init__()
        width = config.width
        self.frame_dim = width
        self.embed = nn.Sequential(
            nn.Linear(5 * len(JOINTS), 2 * width),
            nn.GELU(),
            nn.Linear(2 * width, width),
        )
        layer = nn.TransformerEncoderLayer(
            width,
            config.heads,
            2 * width,
            config.dropout,
            "gelu",
            batch_first=True,
            norm_first=True,
        )
        self.encoder = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(width, classes)
        self.stages = ("embed.", *(f"encoder.layers.{n}." for n in range(config.layers)))

    def states(self, video: torch.Tensor) -> torch.Tensor:
        """Return the encoded frames, (B, T, width).

        video: poses (B, T, 17, 3), x, y and score of each joint, see `PoseView`.
        """
        known = video[..., 2:] > 0
        position = video[..., :2] * known
        # The motion since the previous frame, of joints that are known in both.
        motion = position.diff(dim=1) * (known[:, 1:] & known[:, :-1])
        motion = nn.functional.pad(motion, (0, 0, 0, 0, 1, 0))
        joints = torch.cat([position, motion, video[..., 2:] * known], dim=3)
        tokens = self.embed(joints.flatten(2))
        states: torch.Tensor = self.encoder(tokens + _positions(tokens))
        return states

    def frames(self, states: torch.Tensor) -> torch.Tensor:
        return states

    def pooled(self, states: torch.Tensor) -> torch.Tensor:
        pooled: torch.Tensor = self.dropout(self.norm(states.mean(1)))
        return pooled


def _positions(tokens: torch.Tensor) -> torch.Tensor:
    """Return sines and cosines of each frame's number, (T, D), for tokens (B, T, D).

    Source: Vaswani et al., Attention Is All You Need, NeurIPS 2017, section 3.5.
    """
    frames, width = tokens.shape[1:]
    time = torch.arange(frames, device=tokens.device, dtype=tokens.dtype)[:, None]
    half = torch.arange(0, width, 2, device=tokens.device, dtype=tokens.dtype)
    angle = time * torch.exp(-math.log(10000.0) / width * half)
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)
