"""Contrast within and across domains, with a head of its own (CO2A)."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from vidda.adapt.joint import MethodConfig, MethodSettings
from vidda.adapt.losses.contrastive import (
    inter_domain_contrast,
    pairing_agreement,
    supervised_contrast,
)
from vidda.adapt.losses.entropy import entropies
from vidda.adapt.strong_augmentation import strong
from vidda.recognize.method import Method, SourceBatch, Supervised, TargetBatch, Terms
from vidda.recognize.recognizer import Recognizer


class Co2aConfig(MethodConfig):
    """CO2A (Turrisi da Costa et al., WACV 2022); target clips are seen twice, once augmented.

    A target clip counts with its predicted class where the prediction's entropy is below log K /
    `selection`. Differences from the released code: the recognizer sees a clip whole, so there is
    no aggregation of four parts and no contrast of these parts; its classifier stands on its own
    features, without another hidden layer; across the domains its third projection is, by a slip,
    not used for half of the clips, and here there is one projection, as its default has it.
    """

    name: Literal["co2a"] = "co2a"
    source: float = Field(1.0, ge=0, description="weight of contrast by label on the source")
    cross_domain: float = Field(2.0, ge=0, description="weight of contrast across the domains")
    augmented: float = Field(0.2, ge=0, description="weight of contrast of a clip's two views")
    agreement: float = Field(0.02, ge=0, description="weight of both heads pairing alike")
    temperature: float = Field(0.2, gt=0, description="of the contrasts")
    threshold: float = Field(0.5, ge=-1, lt=1, description="cosine above which a pair is alike")
    selection: float = Field(6.0, ge=1, description="log K over this is the entropy that counts")
    bottleneck: int = Field(256, ge=1, description="width of the contrastive head")
    projection: int = Field(128, ge=1, description="width of what is contrasted")
    pixels: ClassVar[bool] = True

    def build(self, model: Recognizer, supervised: Supervised, setting: MethodSettings) -> Method:
        return Co2a(self, model.feature_dim, model.classes, supervised)

    def problems(self, setting: MethodSettings) -> list[str]:
        if setting.mixes:
            return ["mixup, cutmix: a mixed clip has no class to contrast; set both to 0"]
        return []


class Co2a(Method):
    """See `Co2aConfig`."""

    def __init__(
        self, config: Co2aConfig, width: int, classes: int, supervised: Supervised
    ) -> None:
        super().__init__()
        self.config = config
        self.supervised = supervised
        self.surely = float(torch.log(torch.tensor(float(classes)))) / config.selection
        middle = config.bottleneck
        self.head = nn.Sequential(nn.Linear(width, middle), nn.ReLU())
        self.projection = nn.Sequential(
            nn.Linear(middle, middle), nn.ReLU(), nn.Linear(middle, config.projection)
        )

    def step(self, model: nn.Module, source: SourceBatch, target: TargetBatch) -> Terms:
        c, clips = self.config, len(source.video)
        video, wanted = self.supervised.mixed(source)
        out = model(torch.cat([video, target.video, strong(target.video)]))
        logits = out.logits.float()
        beside = self.head(out.features)
        shown = self.projection(beside).float()
        terms = self.supervised.terms(logits[:clips], wanted)
        here, there = shown[:clips], shown[clips:]
        guess = logits[clips:].detach()
        sure = entropies(guess) < self.surely
        view = torch.arange(len(target.video), device=shown.device).repeat(2)
        cross_domain = inter_domain_contrast(
            here, there[sure], source.labels, guess.argmax(1)[sure], c.temperature
        )
        agreement = pairing_agreement(
            logits[:clips],
            logits[clips:],
            beside[:clips].float(),
            beside[clips:].float(),
            c.threshold,
        )
        losses = {
            "source_contrast": c.source * supervised_contrast(here, source.labels, c.temperature),
            "cross_domain": c.cross_domain * cross_domain,
            "augmented": c.augmented * supervised_contrast(there, view, c.temperature),
            "agreement": c.agreement * agreement,
        }
        share = sure.float().mean()
        return Terms(terms.losses | losses, terms.shown | {"pseudo_labels": share})
