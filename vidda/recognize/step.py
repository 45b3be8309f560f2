"""What a batch asks of a recognizer: the contract that supervised training and adaptation share."""

from typing import NamedTuple, Protocol

import torch
from torch import nn
from torch.nn import functional as F

from vidda.recognize.mixing import mix


class Terms(NamedTuple):
    """What one batch gives. losses: scalars, trained on by their sum. shown: scalars to report."""

    losses: dict[str, torch.Tensor]
    shown: dict[str, torch.Tensor]


class Method(Protocol):
    """How one batch becomes losses."""

    def step(self, model: nn.Module, video: torch.Tensor, labels: torch.Tensor) -> Terms:
        """The terms of a batch.

        model: called as a recognizer. video: (B, C, T, H, W). labels: (B,) int64. Random draws come
        from torch's global generator, which the loop seeds for every step.
        """
        ...


class Supervised:
    """Cross-entropy on labelled clips, with smoothing, mixup and CutMix by choice."""

    def __init__(self, classes: int, smoothing: float, mixup: float, cutmix: float) -> None:
        self.classes = classes
        self.smoothing = smoothing
        self.mixup = mixup
        self.cutmix = cutmix

    def step(self, model: nn.Module, video: torch.Tensor, labels: torch.Tensor) -> Terms:
        """See `Method`; the accuracy is against the heavier of two mixed labels."""
        video, wanted = mix(video, labels, self.classes, mixup=self.mixup, cutmix=self.cutmix)
        logits = model(video).logits.float()
        loss = F.cross_entropy(logits, wanted.float(), label_smoothing=self.smoothing)
        right = logits.detach().argmax(1) == wanted.argmax(1)
        return Terms({"loss": loss}, {"accuracy": right.float().mean()})
