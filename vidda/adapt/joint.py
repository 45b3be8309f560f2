"""What most methods share: one pass over source and target, the source's labels, one more term."""

from abc import abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import nn

from vidda.config import Config
from vidda.recognize.method import Method, SourceBatch, Supervised, TargetBatch, Terms
from vidda.recognize.recognizer import Output, Recognizer


class MethodSettings(NamedTuple):
    """What a method may know of a run before it begins.

    size: of a clip's frames, in pixels. target: how many clips it has. parents: (N,) int64, for
    each training clip the number of the one it was translated from, or -1. mixes: whether the
    source's clips are mixed with each other before they are shown. compiled: whether the model is.
    """

    size: int
    target: int
    parents: np.ndarray
    mixes: bool
    compiled: bool


class MethodConfig(Config):
    """Base of the config of every method, those of installed packages (`vidda.plugins`) too.

    A method is a config class, whose `build` gives a `vidda.recognize.method.Method`; where it adds
    a term to the source's labels, that is a `Joint`. `vidda.adapt.coral` is a short example.

    name: by which it is chosen; a Literal of one value in each class.
    source_free: whether its steps do without the source, beginning with a trained recognizer.
    paired: whether a clip and its translation are to be in one batch. views: how many draws of a
    target clip are in a batch, one after another. least: clips of each domain in a part of a batch
    without which a term is left out of that step. pixels: whether it needs the clips themselves, to
    change them or to look into the model, so that frozen features of them do not do.
    """

    name: str

    source_free: ClassVar[bool] = False
    paired: ClassVar[bool] = False
    views: ClassVar[int] = 1
    least: ClassVar[int] = 1
    pixels: ClassVar[bool] = False

    def problems(self, setting: MethodSettings) -> list[str]:
        """What does not fit the run, a line each."""
        return []

    @abstractmethod
    def build(self, model: Recognizer, supervised: Supervised, setting: MethodSettings) -> Method:
        """Return the method. model: the recognizer that it trains, for its sizes or a copy of it.

        supervised: what is made of the source's labels.
        """
        ...


def joint_forward(
    model: nn.Module, source: torch.Tensor, target: torch.Tensor
) -> tuple[Output, Output]:
    """What a recognizer says of two sets of clips, in float32, seen as one batch.

    So batch norm sees the mixture of both, as in TLlib.
    """
    out = model(torch.cat([source, target]))
    split = len(source)
    logits, features = out.logits.float(), out.features.float()
    return Output(logits[:split], features[:split]), Output(logits[split:], features[split:])


class Joint(Method):
    """Cross-entropy on the source, and a term of both domains' outputs from the same pass."""

    def __init__(self, supervised: Supervised) -> None:
        super().__init__()
        self.supervised = supervised

    def step(self, model: nn.Module, source: SourceBatch, target: TargetBatch) -> Terms:
        video, wanted = self.supervised.mixed(source)
        here, there = joint_forward(model, video, target.video)
        terms, more = self.supervised.terms(here.logits, wanted), self.adapt(here, there)
        return Terms(terms.losses | more.losses, terms.shown | more.shown)

    def adapt(self, source: Output, target: Output) -> Terms:
        """Return the further terms; both outputs are float32."""
        raise NotImplementedError
