"""Recognizers with features of each time step before those of the clip, whole or above them."""

from typing import ClassVar, NamedTuple

import torch
from torch import nn

from vidda.recognize.recognizer import Output, Recognizer


class FrameFeatures(NamedTuple):
    """The outputs for a batch. clip: logits and features of the clips. frames: (B, T', D') features
    of each time step.
    """

    clip: Output
    frames: torch.Tensor


class Framewise(Recognizer):
    """A recognizer in which time is pooled once: `features(video) == pooled(states(video))`.

    frame_dim: width D' of the features of a time step. A time step is a frame, the difference of
    two, or a tubelet, so T' may be less than the frames of the clip. lower_prefixes: prefixes of
    the names of all parameters that `states` needs, and no others.
    """

    frame_dim: int
    lower_prefixes: ClassVar[tuple[str, ...]]

    def states(self, video: torch.Tensor) -> torch.Tensor:
        """Return the outputs of the last layer before time is pooled, (B, ...) in a layout of the
        model's own with at most five dimensions.

        video: (B, C, T, H, W), normalized.
        """
        raise NotImplementedError

    def pooled(self, states: torch.Tensor) -> torch.Tensor:
        """Return features of the clips, (B, D), from their states."""
        raise NotImplementedError

    def frames(self, states: torch.Tensor) -> torch.Tensor:
        """Return features of each time step, (B, T', D'): the states averaged over space."""
        raise NotImplementedError

    def features(self, video: torch.Tensor) -> torch.Tensor:
        return self.pooled(self.states(video))

    def framewise(self, video: torch.Tensor) -> FrameFeatures:
        """Return logits, features and frame features from one pass over a batch (B, C, T, H, W)."""
        return self.above(self.states(video))

    def above(self, states: torch.Tensor) -> FrameFeatures:
        """Return logits, features and frame features from the states (B, ...) of a batch."""
        features = self.pooled(states)
        return FrameFeatures(Output(self.classifier(features), features), self.frames(states))


class FrozenHead(nn.Module):
    """The part of a recognizer above its states, called like a recognizer but with these states.

    model: the whole recognizer; what is trained, averaged and saved is this, so that its
    checkpoints take clips.
    """

    def __init__(self, model: Framewise) -> None:
        super().__init__()
        self.model = model

    def forward(self, states: torch.Tensor) -> Output:
        """Return logits and features of a batch from its states, see `Framewise.states`."""
        features = self.model.pooled(states)
        return Output(self.model.classifier(features), features)

    def framewise(self, states: torch.Tensor) -> FrameFeatures:
        """Return logits, features and frame features of a batch from its states."""
        return self.model.above(states)
