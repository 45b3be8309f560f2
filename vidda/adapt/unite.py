"""Masked self-training with a teacher's features and labels (UNITE)."""

from pathlib import Path
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from vidda.adapt.joint import MethodConfig, MethodSettings, joint_forward
from vidda.adapt.losses.consistency import agreed_labels, feature_distance, labeled_loss
from vidda.adapt.masking import masked
from vidda.recognize.loop import averaged
from vidda.recognize.method import Method, SourceBatch, Supervised, TargetBatch, Terms
from vidda.recognize.recognizer import Recognizer
from vidda.recognize.saved_recognizer import load_model


class UniteConfig(MethodConfig):
    """Masked distillation and masked self-training, as UNITE has it (Reddy et al., CVPR 2024).

    The model sees a part of each target clip; a teacher that sees it whole says what its features
    are to be like, and both together say its label, which weighs as much as the model, when it sees
    the clip whole, is sure of its own guess.

    Differences from the released code: its teacher is CLIP, and it first distils (2 - 2 cos, token
    by token), then trains on the source, then trains itself; here the teacher is any recognizer
    that vidda has trained on these classes and clips of this size, or else the moving average of
    the model, everything is one stage, and the features of whole clips are compared. What it hides
    in each frame is what CLIP attends to least, here it is random blocks of the whole clip. There
    the model's own guess is made with dropout. So this is UNITE's idea, not its published numbers;
    decay and weight of the features are ours.
    """

    name: Literal["unite"] = "unite"
    teacher: Path | None = Field(
        None, description="trained run or checkpoint that teaches; null: the model's average"
    )
    decay: float = Field(0.99, gt=0, lt=1, description="of the model's average where it teaches")
    labels: float = Field(1.0, ge=0, description="weight of the target's labels")
    features: float = Field(1.0, ge=0, description="weight of the teacher's features")
    threshold: float = Field(
        0.5, ge=0, lt=1, description="confidence that counts where they disagree"
    )
    block: int = Field(16, ge=1, description="side of a masked block, in pixels")
    ratio: float = Field(0.8, gt=0, lt=1, description="share of the blocks that is masked")
    pixels: ClassVar[bool] = True

    def problems(self, setting: MethodSettings) -> list[str]:
        if 2 * self.block > setting.size:
            return [
                f"method.block: {self.block} hides clips of {setting.size} pixels whole or not at"
                f" all; take at most {setting.size // 2}"
            ]
        return []

    def build(self, model: Recognizer, supervised: Supervised, setting: MethodSettings) -> Method:
        if self.teacher is None:
            return Unite(self, model, None, supervised)
        return Unite(self, model, load_model(self.teacher)[0], supervised)


class Unite(Method):
    """See `UniteConfig`. teacher: None for the model's moving average."""

    def __init__(
        self,
        config: UniteConfig,
        model: Recognizer,
        teacher: Recognizer | None,
        supervised: Supervised,
    ) -> None:
        super().__init__()
        self.config = config
        self.supervised = supervised
        self.average = None if teacher else averaged(model, config.decay).requires_grad_(False)
        self.given = teacher.requires_grad_(False) if teacher else None
        width = teacher.feature_dim if teacher else model.feature_dim
        self.projection = nn.Linear(model.feature_dim, width)

    def step(self, model: nn.Module, source: SourceBatch, target: TargetBatch) -> Terms:
        c = self.config
        teacher = self.given if self.average is None else self.average
        assert teacher is not None
        with torch.no_grad():
            taught = teacher.eval()(target.video)
            model.eval()
            own = model(target.video).logits.float()
            model.train()
        labels, known = agreed_labels(own, taught.logits.float(), c.threshold)
        weight = known * own.softmax(1).max(1).values
        video, wanted = self.supervised.mixed(source)
        here, there = joint_forward(model, video, masked(target.video, c.block, c.ratio))
        terms = self.supervised.terms(here.logits, wanted)
        alike = feature_distance(self.projection(there.features).float(), taught.features.float())
        losses = {
            "labels": c.labels * labeled_loss(there.logits, labels, weight),
            "features": c.features * alike,
        }
        return Terms(terms.losses | losses, terms.shown | {"pseudo_labels": known.float().mean()})

    def after_step(self, model: nn.Module) -> None:
        if self.average is not None:
            self.average.update_parameters(model)
