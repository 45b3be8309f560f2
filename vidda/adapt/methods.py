"""The union of all adaptation methods: adding one is one line here.

Installed packages add theirs under the entry point `vidda.methods`, see `vidda.plugins`.
"""

from typing import TYPE_CHECKING

from vidda.adapt.adamatch import AdaMatchConfig
from vidda.adapt.atcon import AtconConfig
from vidda.adapt.co2a import Co2aConfig
from vidda.adapt.comix import ComixConfig
from vidda.adapt.coral import CoralConfig
from vidda.adapt.dan import DanConfig
from vidda.adapt.dann import DannConfig
from vidda.adapt.feature_similarity import FeatureSimilarityConfig
from vidda.adapt.information_maximization import InformationMaximizationConfig
from vidda.adapt.joint import MethodConfig
from vidda.adapt.mcc import MccConfig
from vidda.adapt.mic import MicConfig
from vidda.adapt.source_only import SourceOnlyConfig
from vidda.adapt.ta3n import Ta3nConfig
from vidda.adapt.transvae import TransVaeConfig
from vidda.adapt.unite import UniteConfig
from vidda.adapt.vitta import VittaConfig
from vidda.plugins import union

if TYPE_CHECKING:
    AnyMethodConfig = MethodConfig
else:
    AnyMethodConfig = union(
        "vidda.methods",
        MethodConfig,
        SourceOnlyConfig,
        DannConfig,
        CoralConfig,
        DanConfig,
        MccConfig,
        InformationMaximizationConfig,
        AdaMatchConfig,
        MicConfig,
        FeatureSimilarityConfig,
        ComixConfig,
        Co2aConfig,
        UniteConfig,
        AtconConfig,
        Ta3nConfig,
        TransVaeConfig,
        VittaConfig,
    )
