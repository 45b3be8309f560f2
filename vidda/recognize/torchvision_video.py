"""The video models of torchvision."""

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator
from torch import nn
from torchvision.models import get_model, get_model_weights

from vidda.recognize.clip_requirements import Needs
from vidda.recognize.pretrained_weights import Head, WeightsConfig, check_head
from vidda.recognize.recognizer import RecognizerConfig
from vidda.recognize.zoo import ZooRecognizer, load_zoo


@dataclass(frozen=True, slots=True)
class _Facts:
    """last: the attribute with dropout and last layer. stages: from the input on."""

    last: str
    dropout: float
    stages: tuple[str, ...]
    needs: Needs


_RESNET = ("stem.", "layer1.", "layer2.", "layer3.", "layer4.")
_BLOCKS = tuple(f"blocks.{i}." for i in range(16))
_STAGES = tuple(f"features.{i}." for i in range(7))
_MVIT_INPUT = ("conv_proj.", "pos_encoding.")

_FACTS = {
    "r3d_18": _Facts("fc", 0.0, _RESNET, Needs(1, 16)),
    "r2plus1d_18": _Facts("fc", 0.0, _RESNET, Needs(1, 16)),
    # Its average pooling spans 2 x 7 x 7 cells of 8 x 32 x 32, the last of them cut short.
    "s3d": _Facts("classifier", 0.2, tuple(f"features.{i}." for i in range(16)), Needs(14, 224)),
    # Its relative positions are made for one size of clip.
    "mvit_v2_s": _Facts("head", 0.5, (*_MVIT_INPUT, *_BLOCKS), Needs(16, 224, exact=True)),
    "swin3d_t": _Facts("head", 0.0, ("patch_embed.", *_STAGES), Needs(2, 32)),
}


class TorchvisionVideoConfig(RecognizerConfig):
    """A video model of torchvision: R3D, R(2+1)D, S3D, MViTv2 or Swin3D."""

    name: Literal["torchvision"] = "torchvision"
    arch: Literal["r3d_18", "r2plus1d_18", "s3d", "mvit_v2_s", "swin3d_t"] = Field(
        default="r3d_18", description="which model, by torchvision's name"
    )
    weights: WeightsConfig | None = Field(
        default=None,
        description="pre-trained weights (mvit_v2_s wants transform.normalize kinetics, the others"
        " imagenet), or null to train from nothing",
    )
    head: Head = "new"

    @model_validator(mode="after")
    def _a_loaded_head_has_weights(self) -> Self:
        check_head(self.head, self.weights)
        return self

    def check_input(self, frames: int, height: int, width: int) -> None:
        """Raise ViddaError when clips of this length and size do not fit."""
        _FACTS[self.arch].needs.check(self.arch, frames, height, width)

    def without_weights(self) -> "TorchvisionVideoConfig":
        """Return the same architecture, to be filled from a checkpoint of vidda."""
        return TorchvisionVideoConfig(arch=self.arch)

    def build(self, classes: int) -> ZooRecognizer:
        """Return a recognizer of so many classes; raises ViddaError when its weights cannot be
        loaded.
        """
        facts = _FACTS[self.arch]
        trunk = get_model(self.arch, weights=None)
        *_, last = (m for m in getattr(trunk, facts.last).modules() if hasattr(m, "weight"))
        width = last.weight.shape[1]
        setattr(trunk, facts.last, nn.Identity())
        model = ZooRecognizer(trunk, width, classes, facts.dropout, facts.stages)
        if self.weights is not None:
            url = get_model_weights(self.arch).DEFAULT.url
            load_zoo(model, self.weights, self.head, url=url, last_layer=f"{facts.last}.")
        return model
