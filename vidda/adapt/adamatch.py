"""AdaMatch: pseudo-labels of weakly augmented target clips for strongly augmented ones."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from vidda.adapt.joint import MethodConfig, MethodSettings
from vidda.adapt.losses.pseudo_labels import (
    aligned,
    interpolated,
    pseudo_label_loss,
    relative_threshold,
    warm_up,
)
from vidda.adapt.norm_statistics import untracked
from vidda.adapt.strong_augmentation import strong
from vidda.recognize.method import Method, SourceBatch, Supervised, TargetBatch, Terms
from vidda.recognize.recognizer import Recognizer


class AdaMatchConfig(MethodConfig):
    """AdaMatch (Berthelot et al., ICLR 2022); it takes target_batch_size three times batch_size.

    Differences from the released code: the strong augmentation is `augment.strong`, not CTAugment
    (and there the weak one is a flip and a shift, here the training transform); both domains' mean
    predictions are moving averages of one decay (there 0.999 for the source and the mean of the
    last 128 batches for the target); it tests averaged weights always, here `ema` says.
    """

    name: Literal["adamatch"] = "adamatch"
    weight: float = Field(1.0, gt=0, description="of the target's loss once it is warmed up")
    ratio: float = Field(
        0.9, gt=0, le=1, description="confidence that is wanted, relative to that on the source"
    )
    decay: float = Field(0.99, ge=0, lt=1, description="of the domains' mean predictions")
    pixels: ClassVar[bool] = True

    def build(self, model: Recognizer, supervised: Supervised, setting: MethodSettings) -> Method:
        return AdaMatch(self, model.classes, supervised)


class AdaMatch(Method):
    """See `AdaMatchConfig`."""

    source_mean: torch.Tensor
    target_mean: torch.Tensor

    def __init__(self, config: AdaMatchConfig, classes: int, supervised: Supervised) -> None:
        super().__init__()
        self.config = config
        self.supervised = supervised
        self.register_buffer("source_mean", torch.full((classes,), 1 / classes))
        self.register_buffer("target_mean", torch.full((classes,), 1 / classes))

    def step(self, model: nn.Module, source: SourceBatch, target: TargetBatch) -> Terms:
        video, wanted = self.supervised.mixed(source)
        clips = len(video)
        here = torch.cat([video, strong(video)])
        with untracked(model):
            alone = model(here).logits.float()
        logits = model(torch.cat([here, target.video, strong(target.video)])).logits.float()
        shares = torch.rand(alone.shape).to(alone.device)
        known = interpolated(logits[: 2 * clips], alone, shares)
        weak, hard = (self.supervised.terms(part, wanted) for part in known.chunk(2))
        guessed, wild = logits[2 * clips :].chunk(2)
        loss, share = self._target(known[:clips], guessed, wild)
        losses = {
            "loss": (weak.losses["loss"] + hard.losses["loss"]) / 2,
            "target": self.config.weight * warm_up(self.progress) * loss,
        }
        return Terms(losses, weak.shown | {"pseudo_labels": share})

    def _target(
        self, source: torch.Tensor, weak: torch.Tensor, wild: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the loss on the target, and the share of its clips that have a pseudo-label."""
        sure, guess = source.detach().softmax(1), weak.detach().softmax(1)
        self._remember(self.source_mean, sure.mean(0))
        self._remember(self.target_mean, guess.mean(0))
        guess = aligned(guess, self.source_mean, self.target_mean)
        threshold = relative_threshold(sure, self.config.ratio)
        share = (guess.max(1).values >= threshold).float().mean()
        return pseudo_label_loss(wild, guess, threshold), share

    def _remember(self, mean: torch.Tensor, new: torch.Tensor) -> None:
        mean.lerp_(new, 1 - self.config.decay)
