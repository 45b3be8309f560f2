"""Entropy minimization and information maximization on the target."""

from typing import Literal

from pydantic import Field

from vidda.adapt.joint import Joint, MethodConfig, MethodSettings
from vidda.adapt.losses.entropy import conditional_entropy, diversity, information_maximization
from vidda.recognize.method import Method, Supervised, Terms
from vidda.recognize.recognizer import Output, Recognizer


class InformationMaximizationConfig(MethodConfig):
    """Confident and diverse predictions on the target (the loss of SHOT, Liang et al., ICML 2020).

    It is added to the loss on the source's labels, where SHOT continues without the source and with
    a frozen head; see `atcon` for that. diversity 0 is entropy minimization (Grandvalet and Bengio,
    NIPS 2004), which alone may predict one class for all clips.
    """

    name: Literal["information"] = "information"
    weight: float = Field(1.0, gt=0, description="weight of information maximization")
    diversity: float = Field(
        1.0, ge=0, description="weight of the diversity term, the mean prediction's entropy"
    )

    def build(self, model: Recognizer, supervised: Supervised, settings: MethodSettings) -> Method:
        return InformationMaximization(self, supervised)


class InformationMaximization(Joint):
    """The training method of `InformationMaximizationConfig`."""

    def __init__(self, config: InformationMaximizationConfig, supervised: Supervised) -> None:
        super().__init__(supervised)
        self.config = config

    def adapt(self, source: Output, target: Output) -> Terms:
        term = information_maximization(target.logits, self.config.diversity)
        logits = target.logits.detach()
        metrics = {"entropy": conditional_entropy(logits), "diversity": diversity(logits)}
        return Terms({"information": self.config.weight * term}, metrics)
