"""Entropy minimization and information maximization on the target."""

from typing import Literal

from pydantic import Field

from vidda.adapt.joint import Joint, MethodConfig, MethodSettings
from vidda.adapt.losses.entropy import conditional_entropy, diversity, information_maximization
from vidda.recognize.method import Method, Supervised, Terms
from vidda.recognize.recognizer import Output, Recognizer


class InformationMaximizationConfig(MethodConfig):
    """Sure and varied predictions on the target (the loss of SHOT, Liang et al., ICML 2020).

    Beside the source's labels, where SHOT goes on without the source and with a frozen head; see
    `atcon` for that setting. diversity 0 is entropy minimization (Grandvalet and Bengio, NIPS
    2004), which alone may put all clips into one class.
    """

    name: Literal["information"] = "information"
    weight: float = Field(1.0, gt=0, description="of the whole term")
    diversity: float = Field(1.0, ge=0, description="of the mean prediction's entropy within it")

    def build(self, model: Recognizer, supervised: Supervised, setting: MethodSettings) -> Method:
        return InformationMaximization(self, supervised)


class InformationMaximization(Joint):
    """See `InformationMaximizationConfig`."""

    def __init__(self, config: InformationMaximizationConfig, supervised: Supervised) -> None:
        super().__init__(supervised)
        self.config = config

    def adapt(self, source: Output, target: Output) -> Terms:
        term = information_maximization(target.logits, self.config.diversity)
        known = target.logits.detach()
        shown = {"entropy": conditional_entropy(known), "diversity": diversity(known)}
        return Terms({"information": self.config.weight * term}, shown)
