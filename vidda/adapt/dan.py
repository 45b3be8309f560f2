"""Deep adaptation network: maximum mean discrepancy of features (DAN)."""

from typing import Literal

from pydantic import Field

from vidda.adapt.joint import Joint, MethodConfig, MethodSettings
from vidda.adapt.losses.mmd import OCTAVES, mmd
from vidda.recognize.method import Method, Supervised, Terms
from vidda.recognize.recognizer import Output, Recognizer


class DanConfig(MethodConfig):
    """Equal kernel means of features in both domains (Long et al., ICML 2015).

    The paper aligns the last three layers of AlexNet; here, as in TLlib, the features alone.
    """

    name: Literal["dan"] = "dan"
    weight: float = Field(1.0, gt=0, description="of the discrepancy")
    octaves: tuple[int, ...] = Field(
        OCTAVES, min_length=1, description="kernels' bandwidths: mean squared distance x 2^i"
    )

    def build(self, model: Recognizer, supervised: Supervised, setting: MethodSettings) -> Method:
        return Dan(self, supervised)


class Dan(Joint):
    """See `DanConfig`."""

    def __init__(self, config: DanConfig, supervised: Supervised) -> None:
        super().__init__(supervised)
        self.config = config

    def adapt(self, source: Output, target: Output) -> Terms:
        distance = mmd(source.features, target.features, self.config.octaves)
        return Terms({"mmd": self.config.weight * distance}, {})
