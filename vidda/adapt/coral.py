"""Correlation alignment (Deep CORAL)."""

from typing import ClassVar, Literal

from pydantic import Field

from vidda.adapt.joint import Joint, MethodBase, Setting
from vidda.adapt.losses.coral import coral
from vidda.recognize.recognizer import Output, Recognizer
from vidda.recognize.step import Method, Supervised, Terms


class Coral(MethodBase):
    """Equal covariances of features in both domains (Sun and Saenko, ECCV Workshops 2016).

    The paper applies it to the last layer's outputs (the logits) and chooses the weight so that
    both losses are about equal at the end; here it is applied to the features below, as in TLlib.
    """

    name: Literal["coral"] = "coral"
    weight: float = Field(1.0, gt=0, description="of the distance")
    means: bool = Field(False, description="add the squared distance of the means, as TLlib does")
    least: ClassVar[int] = 2

    def build(self, model: Recognizer, supervised: Supervised, setting: Setting) -> Method:
        return CorrelationAlignment(self, supervised)


class CorrelationAlignment(Joint):
    """See `Coral`."""

    def __init__(self, config: Coral, supervised: Supervised) -> None:
        super().__init__(supervised)
        self.config = config

    def adapt(self, source: Output, target: Output) -> Terms:
        distance = coral(source.features, target.features, self.config.means)
        return Terms({"coral": self.config.weight * distance}, {})
