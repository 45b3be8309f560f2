"""The video models of pytorchvideo, as its `create_*` functions build them."""

from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import nn

from vidda.recognize.clip_requirements import ClipRequirements
from vidda.recognize.pretrained_weights import Head, PretrainedWeightsConfig, check_head
from vidda.recognize.recognizer import RecognizerConfig
from vidda.recognize.zoo import ZooRecognizer, load_zoo

Arch = Literal["x3d_s", "x3d_m", "slowfast_r50", "i3d_r50"]

PATHWAY_RATIO = 4
"""Frames of SlowFast's fast pathway for one of its slow pathway."""

_REQUIREMENTS = {
    "x3d_s": ClipRequirements(1, 32),
    "x3d_m": ClipRequirements(1, 32),
    "slowfast_r50": ClipRequirements(PATHWAY_RATIO, 32, multiple=PATHWAY_RATIO),
    "i3d_r50": ClipRequirements(2, 32),
}


class PytorchvideoVideoConfig(RecognizerConfig):
    """A video model of pytorchvideo: X3D-S, X3D-M, SlowFast-R50 or I3D-R50.

    Features of clips of any size are averaged whole before the last layer; at the size that a model
    was made for (X3D-S 13x160, X3D-M 16x224, SlowFast 32x224, I3D 8x224) that is what the library
    does.
    """

    name: Literal["pytorchvideo"] = "pytorchvideo"
    arch: Arch = Field(default="x3d_s", description="architecture, by pytorchvideo's name")
    weights: PretrainedWeightsConfig | None = Field(
        default=None,
        description="pre-trained weights, which need transform.normalize=kinetics; null: train from"
        " scratch",
    )
    head: Head = "new"

    @model_validator(mode="after")
    def _a_loaded_head_has_weights(self) -> Self:
        check_head(self.head, self.weights)
        return self

    def check_input(self, frames: int, height: int, width: int) -> None:
        """Raise ViddaError when clips of this many frames and pixels do not fit."""
        _REQUIREMENTS[self.arch].check(self.arch, frames, height, width)

    def without_weights(self) -> "PytorchvideoVideoConfig":
        """Return the same architecture without initial weights, for loading a checkpoint of
        vidda.
        """
        return PytorchvideoVideoConfig(arch=self.arch)

    def build(self, classes: int) -> ZooRecognizer:
        """Return a recognizer of `classes` classes; raises ViddaError when its weights cannot be
        loaded.
        """
        net, url = _create(self.arch)
        head = net.blocks[-1]
        width, dropout = head.proj.in_features, head.dropout.p
        head.proj, head.dropout = nn.Identity(), nn.Identity()
        kind = SlowFast if self.arch == "slowfast_r50" else ZooRecognizer
        stages = [f"blocks.{i}." for i in range(len(net.blocks) - 1)]
        model = kind(net, width, classes, dropout, stages)
        if self.weights is not None:
            last_layer = f"blocks.{len(net.blocks) - 1}.proj."
            load_zoo(model, self.weights, self.head, url=url, last_layer=last_layer)
        return model


class SlowFast(ZooRecognizer):
    """SlowFast: every fourth frame for the slow pathway, all frames for the fast one."""

    def features(self, video: torch.Tensor) -> torch.Tensor:
        frames = video.shape[2]
        slow = torch.linspace(0, frames - 1, frames // PATHWAY_RATIO, device=video.device).long()
        # A new list, because the model writes into it.
        return self.dropout(self.trunk([video.index_select(2, slow), video]))


def _create(arch: Arch) -> tuple[Any, str]:
    """Return the library's model with logits instead of a softmax, and the URL of its weights."""
    from pytorchvideo.models.hub import resnet as resnets
    from pytorchvideo.models.hub import slowfast as slowfasts
    from pytorchvideo.models.hub import x3d as x3ds

    average = nn.AdaptiveAvgPool3d
    if arch == "slowfast_r50":
        return slowfasts.slowfast_r50(head_pool=average), slowfasts.checkpoint_paths[arch]
    if arch == "i3d_r50":
        return resnets.i3d_r50(head_pool=average), resnets.checkpoint_paths[arch]
    create = {"x3d_s": x3ds.x3d_s, "x3d_m": x3ds.x3d_m}[arch]
    net = create(head_activation=None)
    net.blocks[-1].pool.pool = average(1)
    return net, x3ds.checkpoint_paths[arch]
