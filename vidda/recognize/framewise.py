"""Recognizers with features of each time step of a clip before its pooled features."""

from typing import ClassVar, NamedTuple

import torch

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
    the names of all parameters that `states` needs, and no others. state_dims: number of dimensions
    of the states of one clip.
    """

    frame_dim: int
    lower_prefixes: ClassVar[tuple[str, ...]]
    state_dims: ClassVar[int]

    def states(self, video: torch.Tensor) -> torch.Tensor:
        """Return the outputs of the last layer before time is pooled, in a layout of the model's
        own.

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
        states = self.states(video)
        features = self.pooled(states)
        return FrameFeatures(Output(self.classifier(features), features), self.frames(states))
