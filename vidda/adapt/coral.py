"""Correlation alignment (Deep CORAL)."""

from typing import ClassVar, Literal

from pydantic import Field

from vidda.adapt.joint import Joint, MethodConfig, MethodSettings
from vidda.adapt.losses.correlation import coral
from vidda.recognize.method import Method, Supervised, Terms
from vidda.recognize.recognizer import Output, Recognizer


class CoralConfig(MethodConfig):
    """Deep CORAL: equal feature covariances in both domains (Sun and Saenko, ECCV Workshops 2016).

    The paper applies it to the last layer's outputs (the logits) and chooses the weight so that
    both losses are about equal at the end; here it is applied to the features below, as in TLlib,
    there those of a bottleneck, where the model has one. TLlib's loss is four times the distance of
    the covariances plus that of the means: with `means` no single weight gives this ratio.
    """

    name: Literal["coral"] = "coral"
    weight: float = Field(1.0, gt=0, description="weight of the distance of the covariances")
    means: bool = Field(False, description="add the squared distance of the means")
    min_clips: ClassVar[int] = 2
    aligns_features: ClassVar[bool] = True

    def build(self, model: Recognizer, supervised: Supervised, settings: MethodSettings) -> Method:
        return Coral(self, supervised)


class Coral(Joint):
    """The training method of `CoralConfig`."""

    def __init__(self, config: CoralConfig, supervised: Supervised) -> None:
        super().__init__(supervised)
        self.config = config

    def adapt(self, source: Output, target: Output) -> Terms:
        distance = coral(source.features, target.features, self.config.means)
        return Terms({"coral": self.config.weight * distance}, {})
