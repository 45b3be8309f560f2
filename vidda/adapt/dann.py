"""Domain-adversarial training (DANN)."""

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from vidda.adapt.joint import Joint, MethodConfig, MethodSettings
from vidda.adapt.losses.domain import domain_accuracy, domain_loss, ganin_strength, reverse
from vidda.recognize.method import Method, Supervised, Terms
from vidda.recognize.recognizer import Output, Recognizer


class DannConfig(MethodConfig):
    """Features that a domain classifier cannot tell apart (Ganin and Lempitsky, ICML 2015).

    Two hidden layers of 1024 with batch norm and ReLU, as in TLlib. The strength grows over the
    whole training, as in the paper; TLlib's has gamma p = step / 1000 however long it is.
    """

    name: Literal["dann"] = "dann"
    weight: float = Field(1.0, gt=0, description="of the domain classifier's loss")
    gamma: float = Field(10.0, gt=0, description="how fast the reversed gradient grows to full")
    hidden: int = Field(1024, ge=1, description="width of the domain classifier")

    def build(self, model: Recognizer, supervised: Supervised, setting: MethodSettings) -> Method:
        return Dann(self, model.feature_dim, supervised)


def domain_discriminator(width: int, hidden: int) -> nn.Sequential:
    """From features (B, width) to the logit of being source, (B, 1)."""
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
    """See `DannConfig`; both domains go through the domain classifier as one batch."""

    def __init__(self, config: DannConfig, width: int, supervised: Supervised) -> None:
        super().__init__(supervised)
        self.config = config
        self.discriminator = domain_discriminator(width, config.hidden)

    def adapt(self, source: Output, target: Output) -> Terms:
        strength = ganin_strength(self.progress, self.config.gamma)
        here, there = domain_logits(self.discriminator, source, target, strength)
        loss = domain_loss(here, there)
        shown = {"domain_accuracy": domain_accuracy(here, there)}
        return Terms({"domain": self.config.weight * loss}, shown)


def domain_logits(
    network: nn.Module, source: Output, target: Output, strength: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the domain classifier's logits of both domains, (B,) each, behind a
    reversed gradient.
    """
    features = torch.cat([source.features, target.features])
    logits = network(reverse(features, strength)).squeeze(1).float()
    return logits[: len(source.features)], logits[len(source.features) :]
