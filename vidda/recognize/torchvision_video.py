"""The video models of torchvision."""

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator
from torch import nn
from torchvision.models import get_model, get_model_weights

from vidda.recognize.clip_requirements import ClipRequirements
from vidda.recognize.pretrained_weights import Head, PretrainedWeightsConfig, check_head
from vidda.recognize.recognizer import RecognizerConfig
from vidda.recognize.zoo import ZooRecognizer, load_zoo


@dataclass(frozen=True, slots=True)
class _ArchInfo:
    """The layout of an architecture.

    last: the attribute with dropout and last layer. dropout: its rate. stages: prefixes of
    parameters, from the input on. needs: the clips it accepts.
    """

    last: str
    dropout: float
    stages: tuple[str, ...]
    needs: ClipRequirements


_RESNET = ("stem.", "layer1.", "layer2.", "layer3.", "layer4.")
_BLOCKS = tuple(f"blocks.{i}." for i in range(16))
_STAGES = tuple(f"features.{i}." for i in range(7))
_MVIT_INPUT = ("conv_proj.", "pos_encoding.")

_ARCHS = {
    "r3d_18": _ArchInfo("fc", 0.0, _RESNET, ClipRequirements(1, 16)),
    "r2plus1d_18": _ArchInfo("fc", 0.0, _RESNET, ClipRequirements(1, 16)),
    # Its average pooling spans 2 x 7 x 7 cells of 8 x 32 x 32; the last one may be incomplete.
    "s3d": _ArchInfo(
        "classifier", 0.2, tuple(f"features.{i}." for i in range(16)), ClipRequirements(14, 224)
    ),
    # Its relative positions are made for one size of clip.
    "mvit_v2_s": _ArchInfo(
        "head", 0.5, (*_MVIT_INPUT, *_BLOCKS), ClipRequirements(16, 224, exact=True)
    ),
    "swin3d_t": _ArchInfo("head", 0.0, ("patch_embed.", *_STAGES), ClipRequirements(2, 32)),
}


class TorchvisionVideoConfig(RecognizerConfig):
    """A video model of torchvision: R3D, R(2+1)D, S3D, MViTv2 or Swin3D."""

    name: Literal["torchvision"] = "torchvision"
    arch: Literal["r3d_18", "r2plus1d_18", "s3d", "mvit_v2_s", "swin3d_t"] = Field(
        default="r3d_18", description="architecture, by torchvision's name"
    )
    weights: PretrainedWeightsConfig | None = Field(
        default=None,
        description="pre-trained weights, which need transform.normalize=kinetics for mvit_v2_s and"
        " imagenet for the others; null: train from scratch",
    )
    head: Head = "new"

    @model_validator(mode="after")
    def _a_loaded_head_has_weights(self) -> Self:
        check_head(self.head, self.weights)
        return self

    def check_input(self, frames: int, height: int, width: int) -> None:
        """Raise ViddaError when clips of this many frames and pixels do not fit."""
        _ARCHS[self.arch].needs.check(self.arch, frames, height, width)

    def without_weights(self) -> "TorchvisionVideoConfig":
        """Return the same architecture without initial weights, for loading a checkpoint of
        vidda.
        """
        return TorchvisionVideoConfig(arch=self.arch)

    def build(self, classes: int) -> ZooRecognizer:
        """Return a recognizer of `classes` classes; raises ViddaError when its weights cannot be
        loaded.
        """
        info = _ARCHS[self.arch]
        trunk = get_model(self.arch, weights=None)
        *_, last = (m for m in getattr(trunk, info.last).modules() if hasattr(m, "weight"))
        width = last.weight.shape[1]
        setattr(trunk, info.last, nn.Identity())
        model = ZooRecognizer(trunk, width, classes, info.dropout, info.stages)
        if self.weights is not None:
            url = get_model_weights(self.arch).DEFAULT.url
            load_zoo(model, self.weights, self.head, url=url, last_layer=f"{info.last}.")
        return model
