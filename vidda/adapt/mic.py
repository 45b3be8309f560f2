"""Masked consistency with the labels of a teacher that takes the whole clip (MIC)."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from vidda.adapt.joint import MethodSettings, joint_forward
from vidda.adapt.losses.consistency import teacher_cross_entropy
from vidda.adapt.masking import Block, MaskingConfig, Ratio, mask_blocks
from vidda.recognize.loop import ema_copy
from vidda.recognize.method import Method, SourceBatch, Supervised, TargetBatch, Terms
from vidda.recognize.recognizer import Recognizer


class MicConfig(MaskingConfig):
    """MIC (Hoyer et al., CVPR 2023), added to cross-entropy alone.

    The defaults are those of its image classification (224 pixels). Differences from the released
    code: it is added to SDAT (CDAN, MCC and a sharpness-aware optimizer) or, for segmentation, to
    HRDA; of that optimizer's two passes only the first, which finds the direction, weights clips by
    confidence, and the second, whose gradient is applied, weights all by 1. Masked clips pass the
    model apart there, and the source's share their batch norm with the whole target clips; here
    they share it with the masked ones. It also jitters and blurs the colors of the masked images;
    its teacher's decay begins at 0 and grows, its batch norm uses the batch, and only parameters
    are averaged, where here the teacher is in evaluation mode and the running statistics are
    averaged too.
    """

    name: Literal["mic"] = "mic"
    weight: float = Field(1.0, gt=0, description="weight of the masked clips' loss")
    block: Block = 64
    ratio: Ratio = 0.7
    decay: float = Field(0.9, gt=0, lt=1, description="decay of the teacher's averaged weights")
    threshold: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="weight all clips by the share with a teacher confidence above this; null:"
        " weight each clip by its own confidence",
    )

    def build(self, model: Recognizer, supervised: Supervised, settings: MethodSettings) -> Method:
        return Mic(self, model, supervised)


class Mic(Method):
    """The training method of `MicConfig`."""

    def __init__(self, config: MicConfig, model: Recognizer, supervised: Supervised) -> None:
        super().__init__()
        self.config = config
        self.supervised = supervised
        self.teacher = ema_copy(model, config.decay).requires_grad_(False)

    def step(self, model: nn.Module, source: SourceBatch, target: TargetBatch) -> Terms:
        c = self.config
        with torch.no_grad():
            teacher = self.teacher.eval()(target.inputs).logits.float()
        video, wanted = self.supervised.mixed(source)
        masked = mask_blocks(target.inputs, c.block, c.ratio)
        on_source, on_target = joint_forward(model, video, masked)
        terms = self.supervised.terms(on_source.logits, wanted)
        loss = teacher_cross_entropy(on_target.logits, teacher, c.threshold)
        confidence = teacher.softmax(1).max(1).values.mean()
        metrics = terms.metrics | {"confidence": confidence}
        return Terms(terms.losses | {"masked": c.weight * loss}, metrics)

    def after_step(self, model: nn.Module) -> None:
        self.teacher.update_parameters(model)
