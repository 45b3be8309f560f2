"""Recognizers that know features of each moment of a clip on the way to those of the whole."""

from typing import ClassVar, NamedTuple

import torch

from vidda.recognize.recognizer import Output, Recognizer


class FrameFeatures(NamedTuple):
    """What a recognizer says of a batch. clip: as ever. frames: (B, T', D') of each moment."""

    clip: Output
    frames: torch.Tensor


class Framewise(Recognizer):
    """A recognizer in which time is pooled once: `features(video) == pooled(states(video))`.

    frame_dim: width D' of what it knows of a moment. A moment is a frame, the difference of two, or
    a tubelet, so T' may be less than the frames of the clip.
    lower: prefixes of the names of all parameters that `states` needs, and no others.
    state_dims: how many dimensions the states of a clip have.
    """

    frame_dim: int
    lower: ClassVar[tuple[str, ...]]
    state_dims: ClassVar[int]

    def states(self, video: torch.Tensor) -> torch.Tensor:
        """Return the last layer that still has time, in whatever layout. video: (B, C, T, H, W)."""
        raise NotImplementedError

    def pooled(self, states: torch.Tensor) -> torch.Tensor:
        """Return features of the clips, (B, D)."""
        raise NotImplementedError

    def frames(self, states: torch.Tensor) -> torch.Tensor:
        """Return the same, averaged over space alone, (B, T', D')."""
        raise NotImplementedError

    def features(self, video: torch.Tensor) -> torch.Tensor:
        return self.pooled(self.states(video))

    def framewise(self, video: torch.Tensor) -> FrameFeatures:
        """Return all of it from one pass over a batch (B, C, T, H, W)."""
        states = self.states(video)
        features = self.pooled(states)
        return FrameFeatures(Output(self.classifier(features), features), self.frames(states))
