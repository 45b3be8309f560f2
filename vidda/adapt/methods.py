"""Every method of adaptation there is: adding one is one line in this union."""

from typing import Annotated

from pydantic import Field

from vidda.adapt.adamatch import AdaMatch
from vidda.adapt.atcon import Atcon
from vidda.adapt.co2a import Co2a
from vidda.adapt.comix import Comix
from vidda.adapt.coral import Coral
from vidda.adapt.dan import Dan
from vidda.adapt.dann import Dann
from vidda.adapt.information import InformationMaximisation
from vidda.adapt.mcc import Mcc
from vidda.adapt.mic import Mic
from vidda.adapt.similarity import FeatureSimilarity
from vidda.adapt.source_only import SourceOnly
from vidda.adapt.ta3n import Ta3n
from vidda.adapt.transvae import TranSvae
from vidda.adapt.unite import Unite
from vidda.adapt.vitta import Vitta

MethodConfig = Annotated[
    SourceOnly
    | Dann
    | Coral
    | Dan
    | Mcc
    | InformationMaximisation
    | AdaMatch
    | Mic
    | FeatureSimilarity
    | Comix
    | Co2a
    | Unite
    | Atcon
    | Ta3n
    | TranSvae
    | Vitta,
    Field(discriminator="name"),
]
