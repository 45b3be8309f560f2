"""The image classifier of Sinha 2023, averaged over the frames of a clip: a frozen Swin, a small
head.
"""

from typing import Literal, Self

import torch
from einops import rearrange
from pydantic import Field
from torch import nn
from torchvision.models import get_model, get_model_weights

from vidda.recognize.clip_requirements import ClipRequirements
from vidda.recognize.pretrained_weights import (
    LibraryWeights,
    PretrainedWeightsConfig,
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
        default="swin_b", description="architecture, by torchvision's name"
    )
    weights: PretrainedWeightsConfig | None = Field(
        default=LibraryWeights(), description="ImageNet weights; null: random weights"
    )
    frozen: bool = Field(default=True, description="freeze the trunk and train only the head")
    hidden: int = Field(default=512, ge=1, description="width of the head's hidden layer")
    dropout: float = Field(
        default=0.3, ge=0, lt=1, description="dropout rate before the last layer"
    )

    def check_input(self, frames: int, height: int, width: int) -> None:
        """Raise ViddaError when clips of this many frames and pixels do not fit."""
        ClipRequirements(1, 32).check(self.arch, frames, height, width)

    def without_weights(self) -> "SwinImageConfig":
        """Return the same architecture without initial weights, for loading a checkpoint of
        vidda.
        """
        return self.model_copy(update={"weights": None})

    def build(self, classes: int) -> "SwinImage":
        """Return a recognizer of `classes` classes; raises ViddaError when its weights cannot be
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
    """A recognizer whose features are its hidden layer's, averaged over frames, and so are its
    logits.
    """

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
        images = rearrange(video, "b c t h w -> (b t) c h w")
        hidden = self.hidden(self.trunk(images))
        return rearrange(hidden, "(b t) d -> b t d", t=video.shape[2]).mean(1)

    def train(self, mode: bool = True) -> Self:
        """Set the training mode as nn.Module does, but keep a frozen trunk in evaluation mode.

        So it has no stochastic depth.
        """
        super().train(mode)
        self.trunk.train(mode and not self.frozen)
        return self
