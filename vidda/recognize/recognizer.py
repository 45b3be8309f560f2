"""The interface of recognizers: features of a clip, and one linear layer that classifies them."""

from abc import abstractmethod
from typing import ClassVar, NamedTuple, Self

import torch
from torch import nn

from vidda.config import Config
from vidda.recognize.clip_input import ClipInput, FrameInput


class Output(NamedTuple):
    """The outputs for a batch of clips.

    logits: (B, K), before the softmax. features: (B, D), the input of the last linear layer.
    """

    logits: torch.Tensor
    features: torch.Tensor


class Recognizer(nn.Module):
    """A video model whose last layer is linear: `logits == classifier(features)`, always.

    classifier: that last layer; its weight is (K, D). stages: prefixes of the names of the
    parameters, from the input to the head, one per depth. Parameters without one of these prefixes
    belong to the head. clip_dims: dimensions of a clip's input; a batch has one more, and a batch
    of several views of each clip two.
    """

    classifier: nn.Linear
    stages: tuple[str, ...]
    clip_dims: ClassVar[int] = 4

    def features(self, video: torch.Tensor) -> torch.Tensor:
        """Return the input of the classifier for each clip, (B, D); in training, dropout has been
        applied.

        video: (B, C, T, H, W) float, normalized as the model's weights expect.
        """
        raise NotImplementedError

    def forward(self, video: torch.Tensor) -> Output:
        """Return logits and features of a batch (B, C, T, H, W)."""
        features = self.features(video)
        return Output(self.classifier(features), features)

    @property
    def classes(self) -> int:
        """The number of classes, K."""
        return self.classifier.out_features

    @property
    def feature_dim(self) -> int:
        """The width of the features, D."""
        return self.classifier.in_features

    @property
    def depth(self) -> int:
        """The depth of the head; the first layers have depth 0."""
        return len(self.stages)

    def depth_of(self, parameter: str) -> int:
        """Return the depth of a parameter by its name, from 0 (first layers) to `depth` (head).

        With layer decay its learning rate is multiplied by `decay ** (depth - depth_of(name))`.
        """
        named = (depth for depth, stage in enumerate(self.stages) if parameter.startswith(stage))
        return next(named, self.depth)


class RecognizerConfig(Config):
    """Base of the config of every recognizer, those of installed packages (`vidda.plugins`) too.

    A recognizer is a config class, whose `build` gives a `Recognizer`: a module that turns clips
    into features, with a linear `classifier` over them and the names of its `stages`. The config is
    kept in every checkpoint (`model.yaml`), and builds the module again to be filled with weights.
    `vidda.recognize.swin_image` is a short example.

    name: by which it is chosen; a Literal of one value in each class.
    """

    name: str

    def check_input(self, frames: int, height: int, width: int) -> None:
        """Raise ViddaError when clips of this length and size, in pixels, do not fit.

        By default all fit; `vidda.recognize.clip_requirements.ClipRequirements` checks the usual
        limits.
        """

    def clip_input(self) -> ClipInput:
        """Return how videos become the recognizer's inputs; by default as frames."""
        return FrameInput()

    def without_weights(self) -> Self:
        """Return the same architecture without what it begins with: a checkpoint has its weights.

        By default it is the same, for one that always begins with random weights.
        """
        return self

    @abstractmethod
    def build(self, classes: int) -> Recognizer:
        """Return a recognizer of so many classes; raise ViddaError when it cannot be made."""
        ...
