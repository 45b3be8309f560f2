"""AdaMatch: pseudo-labels from weakly augmented target clips train strongly augmented ones."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from vidda.adapt.joint import MethodConfig, MethodSettings
from vidda.adapt.losses.pseudo_labels import (
    align_distribution,
    interpolate_logits,
    pseudo_label_loss,
    relative_threshold,
    warm_up,
)
from vidda.adapt.norm_statistics import without_running_updates
from vidda.adapt.strong_augmentation import augment_strongly
from vidda.recognize.method import Method, SourceBatch, Supervised, TargetBatch, Terms
from vidda.recognize.recognizer import Recognizer


class AdaMatchConfig(MethodConfig):
    """AdaMatch (Berthelot et al., ICLR 2022); the paper's target_batch_size is three times
    batch_size.

    Differences from the released code: the strong augmentation is `augment_strongly`, not CTAugment
    (and there the weak one is a flip and a shift, here the training transform); both domains' mean
    predictions are moving averages of one decay (there 0.999 for the source and the mean of the
    last 128 batches for the target); it always tests averaged weights, here that is up to `ema`.
    """

    name: Literal["adamatch"] = "adamatch"
    weight: float = Field(1.0, gt=0, description="weight of the target's loss after its warm-up")
    ratio: float = Field(
        0.9,
        gt=0,
        le=1,
        description="confidence threshold of pseudo-labels, relative to the mean on the source",
    )
    decay: float = Field(
        0.99, ge=0, lt=1, description="decay of the averages of both domains' mean predictions"
    )
    needs_pixels: ClassVar[bool] = True

    def build(self, model: Recognizer, supervised: Supervised, settings: MethodSettings) -> Method:
        return AdaMatch(self, model.classes, supervised)


class AdaMatch(Method):
    """The training method of `AdaMatchConfig`: relative confidence threshold and distribution
    alignment.

    source_mean, target_mean: (K,) moving averages of the two domains' mean probabilities.
    """

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
        source_views = torch.cat([video, augment_strongly(video)])
        with without_running_updates(model):
            alone = model(source_views).logits.float()
        target_views = torch.cat([target.inputs, augment_strongly(target.inputs)])
        logits = model(torch.cat([source_views, target_views])).logits.float()
        shares = torch.rand(alone.shape).to(alone.device)
        source_logits = interpolate_logits(logits[: 2 * clips], alone, shares)
        weak, strong = (self.supervised.terms(part, wanted) for part in source_logits.chunk(2))
        target_weak, target_strong = logits[2 * clips :].chunk(2)
        loss, share = self._target_loss(source_logits[:clips], target_weak, target_strong)
        losses = {
            "loss": (weak.losses["loss"] + strong.losses["loss"]) / 2,
            "target": self.config.weight * warm_up(self.progress) * loss,
        }
        return Terms(losses, weak.metrics | {"pseudo_labels": share})

    def _target_loss(
        self, source: torch.Tensor, weak: torch.Tensor, strong: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the loss on the target, and the share of its clips that have a pseudo-label.

        source, weak, strong: (B, K) logits of weakly augmented source clips, and of weakly and
        strongly augmented target clips.
        """
        on_source, guess = source.detach().softmax(1), weak.detach().softmax(1)
        self._update_average(self.source_mean, on_source.mean(0))
        self._update_average(self.target_mean, guess.mean(0))
        guess = align_distribution(guess, self.source_mean, self.target_mean)
        threshold = relative_threshold(on_source, self.config.ratio)
        share = (guess.max(1).values >= threshold).float().mean()
        return pseudo_label_loss(strong, guess, threshold), share

    def _update_average(self, mean: torch.Tensor, new: torch.Tensor) -> None:
        mean.lerp_(new, 1 - self.config.decay)
