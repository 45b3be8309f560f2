"""Entropy minimisation and information maximisation on the target."""

from typing import Literal

from pydantic import Field

from vidda.adapt.joint import Joint, MethodBase, Setting
from vidda.adapt.losses.entropy import conditional_entropy, diversity, information_maximisation
from vidda.recognize.recognizer import Output, Recognizer
from vidda.recognize.step import Method, Supervised, Terms


class InformationMaximisation(MethodBase):
    """Sure and varied predictions on the target (the loss of SHOT, Liang et al., ICML 2020).

    Beside the source's labels, where SHOT goes on without the source and with a frozen head; see
    `atcon` for that setting. diversity 0 is entropy minimisation (Grandvalet and Bengio, NIPS
    2004), which alone may put all clips into one class.
    """

    name: Literal["information"] = "information"
    weight: float = Field(1.0, gt=0, description="of the whole term")
    diversity: float = Field(1.0, ge=0, description="of the mean prediction's entropy within it")

    def build(self, model: Recognizer, supervised: Supervised, setting: Setting) -> Method:
        return Informed(self, supervised)


class Informed(Joint):
    """See `InformationMaximisation`."""

    def __init__(self, config: InformationMaximisation, supervised: Supervised) -> None:
        super().__init__(supervised)
        self.config = config

    def adapt(self, source: Output, target: Output) -> Terms:
        term = information_maximisation(target.logits, self.config.diversity)
        known = target.logits.detach()
        shown = {"entropy": conditional_entropy(known), "diversity": diversity(known)}
        return Terms({"information": self.config.weight * term}, shown)
