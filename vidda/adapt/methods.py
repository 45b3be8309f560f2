"""The union of all adaptation methods: adding one is one line here."""

from typing import Annotated

from pydantic import Field

from vidda.adapt.adamatch import AdaMatchConfig
from vidda.adapt.atcon import AtconConfig
from vidda.adapt.co2a import Co2aConfig
from vidda.adapt.comix import ComixConfig
from vidda.adapt.coral import CoralConfig
from vidda.adapt.dan import DanConfig
from vidda.adapt.dann import DannConfig
from vidda.adapt.feature_similarity import FeatureSimilarityConfig
from vidda.adapt.information_maximization import InformationMaximizationConfig
from vidda.adapt.mcc import MccConfig
from vidda.adapt.mic import MicConfig
from vidda.adapt.source_only import SourceOnlyConfig
from vidda.adapt.ta3n import Ta3nConfig
from vidda.adapt.transvae import TransVaeConfig
from vidda.adapt.unite import UniteConfig
from vidda.adapt.vitta import VittaConfig

MethodConfig = Annotated[
    SourceOnlyConfig
    | DannConfig
    | CoralConfig
    | DanConfig
    | MccConfig
    | InformationMaximizationConfig
    | AdaMatchConfig
    | MicConfig
    | FeatureSimilarityConfig
    | ComixConfig
    | Co2aConfig
    | UniteConfig
    | AtconConfig
    | Ta3nConfig
    | TransVaeConfig
    | VittaConfig,
    Field(discriminator="name"),
]
