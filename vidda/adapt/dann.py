"""Domain-adversarial training (DANN)."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from vidda.adapt.joint import Joint, MethodConfig, MethodSettings
from vidda.adapt.losses.domain import (
    domain_accuracy,
    domain_loss,
    reversal_strength,
    reverse_gradient,
)
from vidda.recognize.method import Method, Supervised, Terms
from vidda.recognize.recognizer import Output, Recognizer


class DannConfig(MethodConfig):
    """DANN: features that a domain discriminator cannot tell apart (Ganin and Lempitsky, ICML
    2015).

    The discriminator has two hidden layers with batch norm and ReLU, as in TLlib. The strength of
    the reversed gradient grows over the whole training, as in the paper; TLlib's has gamma p = step
    / 1000, however long the training is.
    """

    name: Literal["dann"] = "dann"
    weight: float = Field(1.0, gt=0, description="weight of the domain discriminator's loss")
    gamma: float = Field(10.0, gt=0, description="growth rate of the reversed gradient's strength")
    hidden: int = Field(1024, ge=1, description="width of the domain discriminator's layers")
    aligns_features: ClassVar[bool] = True

    def build(self, model: Recognizer, supervised: Supervised, settings: MethodSettings) -> Method:
        return Dann(self, model.feature_dim, supervised)


def binary_discriminator(width: int, hidden: int) -> nn.Sequential:
    """Return a domain discriminator, from features (B, width) to the logit of being source, (B, 1).

    hidden: width of its two hidden layers. Architecture of TLlib.
    """
    return nn.Sequential(
        nn.Linear(width, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, 1),
    )


class Dann(Joint):
    """The training method of `DannConfig`; both domains pass the discriminator as one batch."""

    def __init__(self, config: DannConfig, width: int, supervised: Supervised) -> None:
        super().__init__(supervised)
        self.config = config
        self.discriminator = binary_discriminator(width, config.hidden)

    def adapt(self, source: Output, target: Output) -> Terms:
        strength = reversal_strength(self.progress, self.config.gamma)
        on_source, on_target = domain_logits(self.discriminator, source, target, strength)
        loss = domain_loss(on_source, on_target)
        metrics = {"domain_accuracy": domain_accuracy(on_source, on_target)}
        return Terms({"domain": self.config.weight * loss}, metrics)


def domain_logits(
    network: nn.Module, source: Output, target: Output, strength: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a discriminator's logits of being source, (B,) and (B',), behind a gradient reversal.

    network: from features (N, D) to (N, 1). source, target: outputs for B and B' clips. strength:
    factor of the reversed gradient.
    """
    features = torch.cat([source.features, target.features])
    logits = network(reverse_gradient(features, strength)).squeeze(1).float()
    return logits[: len(source.features)], logits[len(source.features) :]
