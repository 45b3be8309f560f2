"""Minimum class confusion (MCC)."""

from typing import Literal

from pydantic import Field

from vidda.adapt.joint import Joint, MethodConfig, MethodSettings
from vidda.adapt.losses.class_confusion import class_confusion
from vidda.recognize.method import Method, Supervised, Terms
from vidda.recognize.recognizer import Output, Recognizer


class MccConfig(MethodConfig):
    """MCC: target predictions that do not confuse classes (Jin et al., ECCV 2020)."""

    name: Literal["mcc"] = "mcc"
    weight: float = Field(1.0, gt=0, description="weight of the class confusion")
    temperature: float = Field(
        2.5, gt=0, description="divides the logits before confusion is computed"
    )

    def build(self, model: Recognizer, supervised: Supervised, settings: MethodSettings) -> Method:
        return Mcc(self, supervised)


class Mcc(Joint):
    """The training method of `MccConfig`."""

    def __init__(self, config: MccConfig, supervised: Supervised) -> None:
        super().__init__(supervised)
        self.config = config

    def adapt(self, source: Output, target: Output) -> Terms:
        confusion = class_confusion(target.logits, self.config.temperature)
        return Terms({"confusion": self.config.weight * confusion}, {})
