"""The image classifier of Sinha 2023: a frozen Swin and a small head; over clips, averaged."""

from typing import Literal, Self

import torch
from pydantic import Field
from torch import nn
from torchvision.models import get_model, get_model_weights

from vidda.recognize.clip_requirements import Needs
from vidda.recognize.pretrained_weights import (
    LibraryWeights,
    WeightsConfig,
    load_state,
    read_weights,
)
from vidda.recognize.recognizer import Recognizer, RecognizerConfig


class SwinImageConfig(RecognizerConfig):
    """Swin on single frames: ImageNet trunk, Linear, ReLU, Dropout, Linear; averaged over a clip.

    The trunk is frozen by default, as in Sinha 2023.
    """

    name: Literal["swin_image"] = "swin_image"
    arch: Literal["swin_t", "swin_s", "swin_b"] = Field(
        default="swin_b", description="which model, by torchvision's name"
    )
    weights: WeightsConfig | None = Field(
        default=LibraryWeights(), description="ImageNet weights, or null for random ones"
    )
    frozen: bool = Field(default=True, description="train the head only")
    hidden: int = Field(default=512, ge=1, description="width of the head's hidden layer")
    dropout: float = Field(default=0.3, ge=0, lt=1, description="rate before the last layer")

    def check_input(self, frames: int, height: int, width: int) -> None:
        """Raise ViddaError when clips of this length and size do not fit."""
        Needs(1, 32).check(self.arch, frames, height, width)

    def without_weights(self) -> "SwinImageConfig":
        """Return the same architecture, to be filled from a checkpoint of vidda."""
        return self.model_copy(update={"weights": None})

    def build(self, classes: int) -> "SwinImage":
        """Return a recognizer of so many classes; raises ViddaError when its weights cannot be
        loaded.
        """
        trunk = get_model(self.arch, weights=None)
        width = trunk.head.in_features
        trunk.head = nn.Identity()
        if self.weights is not None:
            source, state = read_weights(self.weights, get_model_weights(self.arch).DEFAULT.url)
            load_state(trunk, state, source, ignore=("head.",))
        return SwinImage(self, trunk, width, classes)


class SwinImage(Recognizer):
    """Features are the hidden layer's, averaged over the frames; so the logits are averaged too."""

    stages = tuple(f"trunk.features.{i}." for i in range(8))

    def __init__(self, config: SwinImageConfig, trunk: nn.Module, width: int, classes: int) -> None:
        super().__init__()
        self.frozen = config.frozen
        self.trunk = trunk
        self.hidden = nn.Sequential(
            nn.Linear(width, config.hidden), nn.ReLU(), nn.Dropout(config.dropout)
        )
        self.classifier = nn.Linear(config.hidden, classes)
        self.trunk.requires_grad_(not self.frozen)
        self.train()

    def features(self, video: torch.Tensor) -> torch.Tensor:
        frames = video.transpose(1, 2).flatten(0, 1)
        return self.hidden(self.trunk(frames)).unflatten(0, (video.shape[0], -1)).mean(1)

    def train(self, mode: bool = True) -> Self:
        """As nn.Module's; a frozen trunk stays in eval mode, without stochastic depth."""
        super().train(mode)
        self.trunk.train(mode and not self.frozen)
        return self
