"""Minimum class confusion (MCC)."""

from typing import Literal

from pydantic import Field

from vidda.adapt.joint import Joint, MethodBase, Setting
from vidda.adapt.losses.mcc import class_confusion
from vidda.recognize.recognizer import Output, Recognizer
from vidda.recognize.step import Method, Supervised, Terms


class Mcc(MethodBase):
    """Target predictions that do not confuse classes with each other (Jin et al., ECCV 2020)."""

    name: Literal["mcc"] = "mcc"
    weight: float = Field(1.0, gt=0, description="of the confusion")
    temperature: float = Field(2.5, gt=0, description="logits are divided by it")

    def build(self, model: Recognizer, supervised: Supervised, setting: Setting) -> Method:
        return MinimumConfusion(self, supervised)


class MinimumConfusion(Joint):
    """See `Mcc`."""

    def __init__(self, config: Mcc, supervised: Supervised) -> None:
        super().__init__(supervised)
        self.config = config

    def adapt(self, source: Output, target: Output) -> Terms:
        confusion = class_confusion(target.logits, self.config.temperature)
        return Terms({"confusion": self.config.weight * confusion}, {})
