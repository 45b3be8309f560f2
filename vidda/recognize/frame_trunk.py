"""Convolutional networks that encode each frame as a feature map."""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
import torchvision
from pydantic import Field, field_validator
from torch import nn
from torchvision.models import ResNet, get_model, get_model_weights, list_models

from vidda.config import Config, Count
from vidda.errors import ViddaError
from vidda.recognize.pretrained_weights import PretrainedWeightsConfig, load_state, read_weights


class FrameTrunk(nn.Sequential):
    """Layers that map images (N, C, H, W) to feature maps (N, channels, H/stride, W/stride)."""

    def __init__(self, layers: Sequence[nn.Module], channels: int) -> None:
        super().__init__(*layers)
        self.channels = channels


class SmallTrunkConfig(Config):
    """A few narrow layers, to train from scratch in minutes on a CPU."""

    name: Literal["small"] = "small"
    widths: tuple[Count, ...] = Field(
        default=(24, 48, 64, 96),
        min_length=1,
        description="channels of the stages, each of which halves the size",
    )

    @property
    def stride(self) -> int:
        """The number of pixels that one cell of the feature map spans."""
        return 2 ** len(self.widths)

    def without_weights(self) -> "SmallTrunkConfig":
        """Return this config: it has no initial weights."""
        return self

    def build(self, channels: int) -> FrameTrunk:
        """Return a trunk for images of `channels` channels."""
        stages = []
        for before, width in zip((channels, *self.widths), self.widths, strict=False):
            convolution = nn.Conv2d(before, width, 3, stride=2, padding=1, bias=False)
            stages.append(nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True)))
        return FrameTrunk(stages, self.widths[-1])


class TorchvisionTrunkConfig(Config):
    """An image classifier of torchvision, cut before its feature maps become too small."""

    name: Literal["torchvision"] = "torchvision"
    arch: str = Field(
        default="vgg13",
        description="architecture, by torchvision's name: vgg13, resnet18, mobilenet_v3_small, ...",
    )
    stride: Literal[2, 4, 8, 16, 32] = Field(
        default=16, description="pixels that one cell of the feature map spans"
    )
    weights: PretrainedWeightsConfig | None = Field(
        default=None, description="ImageNet weights; null: train from scratch"
    )

    @field_validator("arch")
    @classmethod
    def _known(cls, arch: str) -> str:
        if arch not in list_models(module=torchvision.models):
            raise ValueError(f"{arch!r} is not an image classifier of torchvision; vgg13 is one")
        return arch

    def without_weights(self) -> "TorchvisionTrunkConfig":
        """Return the same architecture without initial weights, for loading a checkpoint of
        vidda.
        """
        return TorchvisionTrunkConfig(arch=self.arch, stride=self.stride)

    def build(self, channels: int) -> FrameTrunk:
        """Return a trunk for images of `channels` channels, a multiple of 3.

        Six channels (RGB and its difference in time) start from the weights of three, repeated.
        Raises ViddaError when the model has no convolutional trunk, or its weights cannot be
        loaded.
        """
        model = get_model(self.arch, weights=None)
        layers = _layers(self.arch, model)
        if self.weights is not None:
            self._load(model)
        trunk = _cut(layers, self.stride)
        if channels != 3:
            _widen(trunk, channels)
        return trunk

    def _load(self, model: nn.Module) -> None:
        assert self.weights is not None
        source, state = read_weights(self.weights, get_model_weights(self.arch).DEFAULT.url)
        heads = tuple(name for name, _ in model.named_children() if name in ("fc", "classifier"))
        for name in heads:
            delattr(model, name)
        load_state(model, state, source, ignore=heads)


TrunkConfig = Annotated[SmallTrunkConfig | TorchvisionTrunkConfig, Field(discriminator="name")]


def _layers(arch: str, model: nn.Module) -> list[nn.Module]:
    """Return the layers before the pooling and the head, in order."""
    if isinstance(model, ResNet):
        return [layer for name, layer in model.named_children() if name not in ("avgpool", "fc")]
    features = getattr(model, "features", None)
    # Swin has `features` too, but with channels last.
    if isinstance(features, nn.Sequential) and hasattr(model, "classifier"):
        return list(features)
    raise ViddaError(
        f"trunk.arch {arch!r} has no convolutional trunk; choose one of the vgg, resnet,"
        " mobilenet, efficientnet, densenet or convnext families"
    )


def _cut(layers: list[nn.Module], stride: int) -> FrameTrunk:
    """Return the layers that keep to the stride, found by passing a black image through them."""
    side = 128
    kept = []
    with torch.no_grad():
        image = torch.zeros(1, 3, side, side)
        for layer in layers:
            after = layer.eval()(image)
            layer.train()
            if side // after.shape[-1] > stride:
                break
            kept.append(layer)
            image = after
    if not kept:
        raise ViddaError(f"trunk.stride {stride} is less than that of the trunk's first layer")
    return FrameTrunk(kept, image.shape[1])


def _widen(trunk: FrameTrunk, channels: int) -> None:
    """Replace the first convolution by one for more channels, each three with the weights
    of RGB.
    """
    name, old = next((n, m) for n, m in trunk.named_modules() if isinstance(m, nn.Conv2d))
    new = nn.Conv2d(
        channels,
        old.out_channels,
        old.kernel_size,  # type: ignore[arg-type]
        old.stride,  # type: ignore[arg-type]
        old.padding,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )
    with torch.no_grad():
        new.weight.copy_(old.weight.repeat(1, channels // 3, 1, 1))
        if old.bias is not None and new.bias is not None:
            new.bias.copy_(old.bias)
    parent, _, own = name.rpartition(".")
    trunk.get_submodule(parent).register_module(own, new)
