"""What every recognizer is: features of a clip, and one linear layer that classifies them."""

from typing import NamedTuple

import torch
from torch import nn


class Output(NamedTuple):
    """What a recognizer says about a batch of clips.

    logits: (B, K), before the softmax. features: (B, D), what the last linear layer saw.
    """

    logits: torch.Tensor
    features: torch.Tensor


class Recognizer(nn.Module):
    """A model of video whose last layer is linear: `logits == classifier(features)`, always.

    classifier: that last layer; its weight is (K, D).
    stages: prefixes of the names of the parameters, from the input to the head, one per depth.
        What no prefix names belongs to the head.
    """

    classifier: nn.Linear
    stages: tuple[str, ...]

    def features(self, video: torch.Tensor) -> torch.Tensor:
        """What the classifier sees of each clip, (B, D); dropout has been applied in training.

        video: (B, C, T, H, W) float, normalized as the model's weights expect.
        """
        raise NotImplementedError

    def forward(self, video: torch.Tensor) -> Output:
        """Return logits and features of a batch (B, C, T, H, W)."""
        features = self.features(video)
        return Output(self.classifier(features), features)

    @property
    def classes(self) -> int:
        """Return how many classes it tells apart, K."""
        return self.classifier.out_features

    @property
    def feature_dim(self) -> int:
        """How wide its features are, D."""
        return self.classifier.in_features

    @property
    def depth(self) -> int:
        """Return the depth of the head; the first layers are at 0."""
        return len(self.stages)

    def depth_of(self, parameter: str) -> int:
        """How deep a parameter lies, 0 (first layers) to `depth` (head), by its name.

        With layer decay its learning rate is multiplied by `decay ** (depth - depth_of(name))`.
        """
        named = (depth for depth, stage in enumerate(self.stages) if parameter.startswith(stage))
        return next(named, self.depth)
