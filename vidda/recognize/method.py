"""What a batch asks of a recognizer: the contract that supervised training and adaptation share."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from vidda.recognize.mixing import mix


class Terms(NamedTuple):
    """What one batch gives. losses: scalars, trained on by their sum. shown: scalars to report."""

    losses: dict[str, torch.Tensor]
    shown: dict[str, torch.Tensor]


class SourceBatch(NamedTuple):
    """Labeled clips. video: (B, C, T, H, W). labels: (B,) int64. number: (B,) int64, which clips.

    A method that does without the source is given none: B is 0.
    """

    video: torch.Tensor
    labels: torch.Tensor
    number: torch.Tensor


class TargetBatch(NamedTuple):
    """Clips without labels: there is no place for one. B is 0 where training has no target.

    video: (B, C, T, H, W). number: (B,) int64, which clips of the target's manifest.
    """

    video: torch.Tensor
    number: torch.Tensor


class Outputs(NamedTuple):
    """Every target clip as in testing, in order. features: (N, D). logits: (N, K).

    Both are float32 on the CPU.
    """

    features: torch.Tensor
    logits: torch.Tensor


class Method(nn.Module):
    """How batches become losses.

    It is a module for what it learns and remembers besides the model: its parameters join the
    optimizer, and they and its buffers are in every checkpoint. progress: the share of all steps
    that is done, in [0, 1); the loop sets it before each step.
    """

    progress: float = 0.0

    def step(self, model: nn.Module, source: SourceBatch, target: TargetBatch) -> Terms:
        """Return the terms of a batch.

        model: called as a recognizer. Random draws come from torch's global generator, which the
        loop seeds for every step.
        """
        raise NotImplementedError

    def before_epoch(self, epoch: int, look: Callable[[], Outputs]) -> None:
        """What has to be known before an epoch, such as pseudo-labels; by default nothing.

        look: shows the model every target clip; only called when there is a target. What is kept
        until the epoch's end belongs into buffers: a run that is resumed within it reads them.
        """

    def after_step(self, model: nn.Module) -> None:
        """What follows a step of the optimizer, such as a teacher's update; by default nothing.

        model: the bare one.
        """


class Supervised(Method):
    """Cross-entropy on labeled clips, with smoothing, mixup and CutMix by choice."""

    def __init__(self, classes: int, smoothing: float, mixup: float, cutmix: float) -> None:
        super().__init__()
        self.classes = classes
        self.smoothing = smoothing
        self.mixup = mixup
        self.cutmix = cutmix

    def step(self, model: nn.Module, source: SourceBatch, target: TargetBatch) -> Terms:
        """See `Method`; the target is not looked at."""
        video, wanted = self.mixed(source)
        return self.terms(model(video).logits, wanted)

    def mixed(self, source: SourceBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the clips that are shown, (B, C, T, H, W), and the probabilities
        wanted, (B, K).
        """
        return mix(source.video, source.labels, self.classes, mixup=self.mixup, cutmix=self.cutmix)

    def terms(self, logits: torch.Tensor, wanted: torch.Tensor) -> Terms:
        """Of logits (B, K); the accuracy is against the heavier of two mixed labels."""
        logits = logits.float()
        loss = F.cross_entropy(logits, wanted.float(), label_smoothing=self.smoothing)
        right = logits.detach().argmax(1) == wanted.argmax(1)
        return Terms({"loss": loss}, {"accuracy": right.float().mean()})
