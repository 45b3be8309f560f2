"""Deep adaptation network: maximum mean discrepancy of features (DAN)."""

from typing import ClassVar, Literal

from pydantic import Field

from vidda.adapt.joint import Joint, MethodConfig, MethodSettings
from vidda.adapt.losses.mmd import OCTAVES, mmd
from vidda.recognize.method import Method, Supervised, Terms
from vidda.recognize.recognizer import Output, Recognizer


class DanConfig(MethodConfig):
    """DAN: equal kernel mean embeddings of features in both domains (Long et al., ICML 2015).

    The paper aligns the last three layers of AlexNet; here, as in TLlib, only the features, there
    of a bottleneck of 256. TLlib's default is the estimate in linear time, from neighboring pairs
    of clips; here it is that over all pairs, its `--non-linear`, see `losses.mmd.mmd`.
    """

    name: Literal["dan"] = "dan"
    weight: float = Field(1.0, gt=0, description="weight of the maximum mean discrepancy")
    octaves: tuple[int, ...] = Field(
        OCTAVES,
        min_length=1,
        description="exponents i of the kernels, of bandwidth 2^i x mean squared distance",
    )
    aligns_features: ClassVar[bool] = True

    def build(self, model: Recognizer, supervised: Supervised, settings: MethodSettings) -> Method:
        return Dan(self, supervised)


class Dan(Joint):
    """The training method of `DanConfig`."""

    def __init__(self, config: DanConfig, supervised: Supervised) -> None:
        super().__init__(supervised)
        self.config = config

    def adapt(self, source: Output, target: Output) -> Terms:
        distance = mmd(source.features, target.features, self.config.octaves)
        return Terms({"mmd": self.config.weight * distance}, {})
