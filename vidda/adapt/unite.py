"""Masked self-training with a teacher's features and labels (UNITE)."""

from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import nn

from vidda.adapt.joint import MethodSettings, joint_forward
from vidda.adapt.losses.consistency import feature_distance, match_or_conf, weighted_cross_entropy
from vidda.adapt.masking import Block, MaskingConfig, Ratio, mask_blocks
from vidda.recognize.freezing import set_training_mode
from vidda.recognize.loop import ema_copy
from vidda.recognize.method import Method, SourceBatch, Supervised, TargetBatch, Terms
from vidda.recognize.recognizer import Recognizer
from vidda.recognize.saved_recognizer import load_model


class UniteConfig(MaskingConfig):
    """Masked distillation and masked self-training, after UNITE (Reddy et al., CVPR 2024).

    The model gets a masked version of each target clip; a teacher that gets the whole clip provides
    the features to imitate, and the teacher and the model (on the whole clip) together provide a
    pseudo-label, weighted by the model's confidence in its own prediction.

    Differences from the released code: its teacher is CLIP, and it first distils (2 - 2 cos, token
    by token), then trains on the source, then trains itself; here the teacher is any recognizer
    that vidda has trained on these classes and clips of this size, or else the moving average of
    the model, everything is one stage, and the features of whole clips are compared. It masks what
    CLIP attends to least in each frame; here the mask is random blocks of the whole clip. There the
    clips that are masked are RandAugmented first, and those that are predicted whole are not; here
    both are the training transform's. There the model's own prediction is made with dropout. The
    threshold is its program's default; its script has 0.1. So this is UNITE's idea, not its
    published numbers; decay and weight of the features are ours.
    """

    name: Literal["unite"] = "unite"
    teacher: Path | None = Field(
        None,
        description="trained run or checkpoint of the teacher; null: the model's moving average",
    )
    decay: float = Field(
        0.99, gt=0, lt=1, description="decay of the moving average, where it is the teacher"
    )
    labels: float = Field(1.0, ge=0, description="weight of the target's pseudo-labels")
    features: float = Field(
        1.0, ge=0, description="weight of the distance from the teacher's features"
    )
    threshold: float = Field(
        0.5, ge=0, lt=1, description="confidence that decides where teacher and model disagree"
    )
    block: Block = 16
    ratio: Ratio = 0.8

    def build(self, model: Recognizer, supervised: Supervised, settings: MethodSettings) -> Method:
        if self.teacher is None:
            return Unite(self, model, None, supervised)
        return Unite(self, model, load_model(self.teacher)[0], supervised)


class Unite(Method):
    """The training method of `UniteConfig`. teacher: a trained recognizer, or None for the model's
    moving average.
    """

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
        self.average = None if teacher else ema_copy(model, config.decay).requires_grad_(False)
        # These names are keys of saved checkpoints.
        self.given = teacher.requires_grad_(False) if teacher else None
        width = teacher.feature_dim if teacher else model.feature_dim
        self.projection = nn.Linear(model.feature_dim, width)

    def step(self, model: nn.Module, source: SourceBatch, target: TargetBatch) -> Terms:
        c = self.config
        teacher = self.given if self.average is None else self.average
        assert teacher is not None
        with torch.no_grad():
            by_teacher = teacher.eval()(target.inputs)
            model.eval()
            own = model(target.inputs).logits.float()
            set_training_mode(model)
        labels, used = match_or_conf(own, by_teacher.logits.float(), c.threshold)
        weight = used * own.softmax(1).max(1).values
        video, wanted = self.supervised.mixed(source)
        masked = mask_blocks(target.inputs, c.block, c.ratio)
        on_source, on_target = joint_forward(model, video, masked)
        terms = self.supervised.terms(on_source.logits, wanted)
        projected = self.projection(on_target.features).float()
        losses = {
            "labels": c.labels * weighted_cross_entropy(on_target.logits, labels, weight),
            "features": c.features * feature_distance(projected, by_teacher.features.float()),
        }
        return Terms(terms.losses | losses, terms.metrics | {"pseudo_labels": used.float().mean()})

    def after_step(self, model: nn.Module) -> None:
        if self.average is not None:
            self.average.update_parameters(model)
