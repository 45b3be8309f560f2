"""The interface of adaptation methods, and a base for those with one joint forward pass."""

from abc import abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import nn

from vidda.config import Config
from vidda.recognize.method import Method, SourceBatch, Supervised, TargetBatch, Terms
from vidda.recognize.recognizer import Output, Recognizer


class MethodSettings(NamedTuple):
    """The facts about a run that a method may use.

    size: height and width of the clips, in pixels. target_clips: number of clips of the target.
    parents: (N,) int64, for each training clip the number of the clip that it was translated from,
    or -1. mixed: whether mixup or CutMix is applied to the source's clips. compiled: whether the
    model is compiled by torch.compile.
    """

    size: int
    target_clips: int
    parents: np.ndarray
    mixed: bool
    compiled: bool


class MethodConfig(Config):
    """The base of every method's config, those of installed packages (`vidda.plugins`) too.

    A method is a config class, whose `build` gives a `vidda.recognize.method.Method`; where it adds
    a term to the source's labels, that is a `Joint`. `vidda.adapt.coral` is a short example.

    name: by which it is chosen; a Literal of one value in each class. source_free: whether the
    source is not used, but a trained recognizer is. paired: whether a clip and its translation must
    be in one batch. target_views: how many random views of a target clip are in a batch, one after
    another. min_clips: clips of each domain that a part of a batch needs, or a term is left out of
    that step. needs_pixels: whether the method needs the clips themselves, to augment them or to
    read the model's layers, so that frozen features do not suffice. aligns_features: whether all
    that the method adds is a loss of the features, which does nothing where they are all frozen.
    """

    name: str

    source_free: ClassVar[bool] = False
    paired: ClassVar[bool] = False
    target_views: ClassVar[int] = 1
    min_clips: ClassVar[int] = 1
    needs_pixels: ClassVar[bool] = False
    aligns_features: ClassVar[bool] = False

    def problems(self, settings: MethodSettings) -> list[str]:
        """Return what does not fit the run, a line each; by default nothing."""
        return []

    @abstractmethod
    def build(self, model: Recognizer, supervised: Supervised, settings: MethodSettings) -> Method:
        """Return the method.

        model: the recognizer that will be trained, for its sizes or a copy of it. supervised: the
        loss on the source's labels.
        """
        ...


def joint_forward(
    model: nn.Module, source: torch.Tensor, target: torch.Tensor
) -> tuple[Output, Output]:
    """Return a recognizer's outputs for two sets of clips, in float32, from one pass over both.

    source: (B, C, T, H, W), target: (B', C, T, H, W). Batch norm uses the mixture of both, as in
    TLlib.
    """
    out = model(torch.cat([source, target]))
    split = len(source)
    logits, features = out.logits.float(), out.features.float()
    return Output(logits[:split], features[:split]), Output(logits[split:], features[split:])


class Joint(Method):
    """A method with cross-entropy on the source and terms on both domains' outputs of the same
    pass.
    """

    def __init__(self, supervised: Supervised) -> None:
        super().__init__()
        self.supervised = supervised

    def step(self, model: nn.Module, source: SourceBatch, target: TargetBatch) -> Terms:
        """Return the terms of a batch: those of the source's labels and those of `adapt`."""
        video, wanted = self.supervised.mixed(source)
        on_source, on_target = joint_forward(model, video, target.inputs)
        terms = self.supervised.terms(on_source.logits, wanted)
        more = self.adapt(on_source, on_target)
        return Terms(terms.losses | more.losses, terms.metrics | more.metrics)

    def adapt(self, source: Output, target: Output) -> Terms:
        """Return the further terms, from the float32 outputs for the clips of each domain."""
        raise NotImplementedError
