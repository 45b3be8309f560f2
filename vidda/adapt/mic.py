"""Masked consistency: what a teacher says of the whole clip, from a part of it (MIC)."""

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from vidda.adapt.joint import MethodConfig, MethodSettings, joint_forward
from vidda.adapt.losses.consistency import taught
from vidda.adapt.masking import masked
from vidda.recognize.loop import averaged
from vidda.recognize.method import Method, SourceBatch, Supervised, TargetBatch, Terms
from vidda.recognize.recognizer import Recognizer


class MicConfig(MethodConfig):
    """MIC (Hoyer et al., CVPR 2023), on top of cross-entropy alone.

    The defaults are those of its image classification (224 pixels). Differences from the released
    code: it stands on SDAT (CDAN, MCC and a sharpness-aware optimizer) or, for segmentation, on
    HRDA; it jitters and blurs the colors of the masked images too; its teacher's decay begins at
    0 and grows, its batch norm uses the batch, and only parameters are averaged, where here the
    teacher is in evaluation mode and the running statistics are averaged too.
    """

    name: Literal["mic"] = "mic"
    weight: float = Field(1.0, gt=0, description="of the masked clips' loss")
    block: int = Field(64, ge=1, description="side of a masked block, in pixels")
    ratio: float = Field(0.7, gt=0, lt=1, description="share of the blocks that is masked")
    decay: float = Field(0.9, gt=0, lt=1, description="of the teacher's averaged weights")
    threshold: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="weigh by the share of surer clips; null: each by its own confidence"
    )
    pixels: ClassVar[bool] = True

    def problems(self, setting: MethodSettings) -> list[str]:
        if 2 * self.block > setting.size:
            return [
                f"method.block: {self.block} hides clips of {setting.size} pixels whole or not at"
                f" all; take at most {setting.size // 2}"
            ]
        return []

    def build(self, model: Recognizer, supervised: Supervised, setting: MethodSettings) -> Method:
        return Mic(self, model, supervised)


class Mic(Method):
    """See `MicConfig`."""

    def __init__(self, config: MicConfig, model: Recognizer, supervised: Supervised) -> None:
        super().__init__()
        self.config = config
        self.supervised = supervised
        self.teacher = averaged(model, config.decay).requires_grad_(False)

    def step(self, model: nn.Module, source: SourceBatch, target: TargetBatch) -> Terms:
        c = self.config
        with torch.no_grad():
            label = self.teacher.eval()(target.video).logits.float()
        video, wanted = self.supervised.mixed(source)
        here, there = joint_forward(model, video, masked(target.video, c.block, c.ratio))
        terms = self.supervised.terms(here.logits, wanted)
        loss = taught(there.logits, label, c.threshold)
        shown = {"confidence": label.softmax(1).max(1).values.mean()}
        return Terms(terms.losses | {"masked": c.weight * loss}, terms.shown | shown)

    def after_step(self, model: nn.Module) -> None:
        self.teacher.update_parameters(model)
