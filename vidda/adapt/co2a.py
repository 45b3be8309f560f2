"""Contrastive learning within and across domains, with a second head (CO2A)."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from vidda.adapt.joint import MethodConfig, MethodSettings
from vidda.adapt.losses.contrastive import (
    head_consistency,
    inter_domain_contrast,
    supervised_contrast,
)
from vidda.adapt.losses.entropy import entropies
from vidda.adapt.strong_augmentation import augment_strongly
from vidda.recognize.method import Method, SourceBatch, Supervised, TargetBatch, Terms
from vidda.recognize.recognizer import Recognizer


class Co2aConfig(MethodConfig):
    """CO2A (Turrisi da Costa et al., WACV 2022); each target clip comes in two views, one strongly
    augmented.

    A target clip is used with its predicted class where the prediction's entropy is below log K /
    `selection`. Weights and temperature are those of the released scripts for HMDB and UCF and for
    Mixamo to Kinetics; the program's own default temperature is 0.2, and its script for NEC-Drone
    has temperature 0.1, cross_domain 0.2, augmented 1.2 and agreement 0.01. `selection` is 6 in the
    program and for Mixamo, and 4 in the other scripts.

    Differences from the released code: the recognizer takes a clip whole, so there is no
    aggregation of four segments and no contrast between them; its classifier works on its own
    features, without other hidden layers, and the contrastive head has one layer (there, with
    `--layers 2`, both heads have two); one of the two views of a target clip is the training
    transform's, where there both are augmented in the same way; across the domains its third
    projection is, by a slip, not used for half of the clips, and here there is one projection, as
    its default has it.
    """

    name: Literal["co2a"] = "co2a"
    source: float = Field(
        1.0, ge=0, description="weight of the contrastive loss by label on the source"
    )
    cross_domain: float = Field(
        2.0, ge=0, description="weight of the contrastive loss across domains"
    )
    augmented: float = Field(
        0.2, ge=0, description="weight of the contrastive loss of a clip's two views"
    )
    agreement: float = Field(0.02, ge=0, description="weight of the consistency of both heads")
    temperature: float = Field(0.5, gt=0, description="temperature of the contrastive losses")
    threshold: float = Field(
        0.5, ge=-1, lt=1, description="cosine above which two clips are similar"
    )
    selection: float = Field(
        6.0, ge=1, description="target clips are used below an entropy of log K over this"
    )
    bottleneck: int = Field(256, ge=1, description="width of the contrastive head")
    projection: int = Field(128, ge=1, description="width of the projected features")
    needs_pixels: ClassVar[bool] = True

    def build(self, model: Recognizer, supervised: Supervised, settings: MethodSettings) -> Method:
        return Co2a(self, model.feature_dim, model.classes, supervised)

    def problems(self, settings: MethodSettings) -> list[str]:
        if settings.mixed:
            return ["mixup, cutmix: CO2A needs one class per clip; set both to 0"]
        return []


class Co2a(Method):
    """The training method of `Co2aConfig`. width: of the recognizer's features."""

    def __init__(
        self, config: Co2aConfig, width: int, classes: int, supervised: Supervised
    ) -> None:
        super().__init__()
        self.config = config
        self.supervised = supervised
        self.max_entropy = float(torch.log(torch.tensor(float(classes)))) / config.selection
        middle = config.bottleneck
        self.head = nn.Sequential(nn.Linear(width, middle), nn.ReLU())
        self.projection = nn.Sequential(
            nn.Linear(middle, middle), nn.ReLU(), nn.Linear(middle, config.projection)
        )

    def step(self, model: nn.Module, source: SourceBatch, target: TargetBatch) -> Terms:
        c, clips = self.config, len(source.inputs)
        video, wanted = self.supervised.mixed(source)
        out = model(torch.cat([video, target.inputs, augment_strongly(target.inputs)]))
        logits = out.logits.float()
        head_features = self.head(out.features)
        projected = self.projection(head_features).float()
        terms = self.supervised.terms(logits[:clips], wanted)
        on_source, on_target = projected[:clips], projected[clips:]
        guess = logits[clips:].detach()
        sure = entropies(guess) < self.max_entropy
        view = torch.arange(len(target.inputs), device=projected.device).repeat(2)
        cross_domain = inter_domain_contrast(
            on_source, on_target[sure], source.labels, guess.argmax(1)[sure], c.temperature
        )
        agreement = head_consistency(
            logits[:clips],
            logits[clips:],
            head_features[:clips].float(),
            head_features[clips:].float(),
            c.threshold,
        )
        losses = {
            "source_contrast": c.source
            * supervised_contrast(on_source, source.labels, c.temperature),
            "cross_domain": c.cross_domain * cross_domain,
            "augmented": c.augmented * supervised_contrast(on_target, view, c.temperature),
            "agreement": c.agreement * agreement,
        }
        share = sure.float().mean()
        return Terms(terms.losses | losses, terms.metrics | {"pseudo_labels": share})
