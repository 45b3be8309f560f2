"""The interface of training methods, shared by supervised training and adaptation."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from vidda.recognize.infer import Outputs
from vidda.recognize.mixing import mix


class Terms(NamedTuple):
    """The result of a batch. losses: scalars by name, trained on by their sum. metrics: scalars by
    name, for logging only.
    """

    losses: dict[str, torch.Tensor]
    metrics: dict[str, torch.Tensor]


class SourceBatch(NamedTuple):
    """A batch of labeled clips of the source.

    inputs: what the model takes: clips (B, C, T, H, W), float, normalized, or states of clips, (B,
    ...), for a `FrozenHead`. labels: (B,) int64. number: (B,) int64, the clips' numbers in the
    manifest. B is 0 for a method that does not use the source.
    """

    inputs: torch.Tensor
    labels: torch.Tensor
    number: torch.Tensor


class TargetBatch(NamedTuple):
    """A batch of target clips, which have no labels.

    inputs: as in `SourceBatch`. number: (B,) int64, the clips' numbers in the target's manifest. B
    is 0 where training has no target.
    """

    inputs: torch.Tensor
    number: torch.Tensor


class Method(nn.Module):
    """A training method: it computes losses from batches.

    It is a module for its own parameters and buffers: the parameters join the optimizer, and all of
    them are saved in every checkpoint. progress: the share of all steps that is done, in [0, 1);
    the loop sets it before each step.
    """

    progress: float = 0.0

    def step(self, model: nn.Module, source: SourceBatch, target: TargetBatch) -> Terms:
        """Return the losses and metrics of a batch.

        model: called like a `Recognizer`. Random draws come from torch's global generator, which
        the loop seeds for every step.
        """
        raise NotImplementedError

    def before_epoch(self, epoch: int, infer_target: Callable[[], Outputs]) -> None:
        """Prepare for an epoch, for instance compute pseudo-labels; by default do nothing.

        infer_target: returns the model's outputs for every target clip that can be read. What is
        kept until the end of the epoch must be in buffers, so that a run resumed within it has it.
        """

    def after_step(self, model: nn.Module) -> None:
        """Act on a step of the optimizer, for instance update a teacher; by default do nothing.

        model: the bare model, with the updated weights.
        """


class Supervised(Method):
    """Cross-entropy on labeled clips, with optional label smoothing, mixup and CutMix.

    classes: K. smoothing: share of a label spread over all classes, in [0, 1). mixup, cutmix: see
    `mix`.
    """

    def __init__(self, classes: int, smoothing: float, mixup: float, cutmix: float) -> None:
        super().__init__()
        self.classes = classes
        self.smoothing = smoothing
        self.mixup = mixup
        self.cutmix = cutmix

    def step(self, model: nn.Module, source: SourceBatch, target: TargetBatch) -> Terms:
        """Return the loss on the source's labels; the target is not used."""
        video, wanted = self.mixed(source)
        return self.terms(model(video).logits, wanted)

    def mixed(self, source: SourceBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the batch after mixup or CutMix: clips (B, C, T, H, W) and class probabilities (B,
        K).
        """
        return mix(source.inputs, source.labels, self.classes, mixup=self.mixup, cutmix=self.cutmix)

    def terms(self, logits: torch.Tensor, wanted: torch.Tensor) -> Terms:
        """Return the cross-entropy `loss` and the `accuracy` of logits (B, K).

        wanted: (B, K) class probabilities. The accuracy is against the class of the highest
        probability.
        """
        logits = logits.float()
        loss = F.cross_entropy(logits, wanted.float(), label_smoothing=self.smoothing)
        right = logits.detach().argmax(1) == wanted.argmax(1)
        return Terms({"loss": loss}, {"accuracy": right.float().mean()})
