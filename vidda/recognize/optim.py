"""Optimizers, and learning rates over time and over depth."""

import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import nn

from vidda.config import Config
from vidda.recognize.recognizer import Recognizer

Rate = Annotated[float, Field(gt=0, description="highest learning rate")]
Decay = Annotated[
    float, Field(ge=0, description="weight decay of matrices, not of biases or norms")
]
Warmup = Annotated[float, Field(ge=0, description="epochs of linear growth at the start")]


class AdamWConfig(Config):
    """AdamWConfig (Loshchilov and Hutter, arXiv 1711.05101)."""

    name: Literal["adamw"] = "adamw"
    lr: Rate = 1e-3
    weight_decay: Decay = 0.05
    betas: tuple[float, float] = Field(default=(0.9, 0.999), description="of the two moments")

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(groups, lr=self.lr, betas=self.betas)


class SgdConfig(Config):
    """Stochastic gradient descent with Nesterov momentum."""

    name: Literal["sgd"] = "sgd"
    lr: Rate = 0.01
    weight_decay: Decay = 1e-4
    momentum: float = Field(default=0.9, ge=0, lt=1, description="of the velocity")

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        nesterov = self.momentum > 0
        return torch.optim.SGD(groups, lr=self.lr, momentum=self.momentum, nesterov=nesterov)


class CosineSchedule(Config):
    """Warm-up, then half a cosine down to `floor`."""

    name: Literal["cosine"] = "cosine"
    warmup: Warmup = 1.0
    floor: float = Field(default=0.01, ge=0, le=1, description="share of the rate at the end")

    def factor(self, epoch: float, epochs: int) -> float:
        """Return the share of the highest rate at a moment, in epochs since the start."""
        if epoch < self.warmup:
            return _warm(epoch, self.warmup)
        share = (epoch - self.warmup) / max(epochs - self.warmup, 1e-9)
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


class StepSchedule(Config):
    """Warm-up, then times `gamma` every so many epochs."""

    name: Literal["step"] = "step"
    warmup: Warmup = 0.0
    every: int = Field(default=3, ge=1, description="epochs between two steps down")
    gamma: float = Field(default=0.97, gt=0, le=1, description="factor of a step")

    def factor(self, epoch: float, epochs: int) -> float:
        """Return the share of the highest rate at a moment, in epochs since the start."""
        return _warm(epoch, self.warmup) * self.gamma ** (int(epoch) // self.every)


class ConstantSchedule(Config):
    """Warm-up, then the same rate to the end."""

    name: Literal["constant"] = "constant"
    warmup: Warmup = 0.0

    def factor(self, epoch: float, epochs: int) -> float:
        """Return the share of the highest rate at a moment, in epochs since the start."""
        return _warm(epoch, self.warmup)


OptimizerConfig = Annotated[AdamWConfig | SgdConfig, Field(discriminator="name")]
ScheduleConfig = Annotated[
    CosineSchedule | StepSchedule | ConstantSchedule, Field(discriminator="name")
]


def param_groups(
    model: nn.Module, lr: float, weight_decay: float, layer_decay: float
) -> list[dict[str, Any]]:
    """Return one group for each depth and for decayed or not, with `lr_scale` and its start `lr`.

    layer_decay: the rate of a layer is this times that of the layer above it; 1 is the same for
    all (BEiT, arXiv 2106.08254, appendix; VideoMAE uses 0.75). Biases, norms and other vectors are
    not decayed. Parameters that need no gradient are left out.
    """
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for depth, decayed, parameter in _sorted_out(model, layer_decay):
        scale = layer_decay**depth
        group = groups.setdefault(
            (depth, decayed),
            {
                "params": [],
                "lr": lr * scale,
                "lr_scale": scale,
                "weight_decay": weight_decay if decayed else 0.0,
            },
        )
        group["params"].append(parameter)
    return list(groups.values())


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every group, each by its own scale."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_scale"]


def _sorted_out(model: nn.Module, layer_decay: float) -> Iterator[tuple[int, bool, nn.Parameter]]:
    """(layers below the head, whether to decay, parameter) of all that learn."""
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            below = 0
            if layer_decay != 1.0 and isinstance(model, Recognizer):
                below = model.depth - model.depth_of(name)
            yield below, parameter.ndim > 1, parameter


def _warm(epoch: float, warmup: float) -> float:
    # The first step already learns a little: a rate of exactly 0 would waste it.
    return min(1.0, (epoch + 1e-3) / warmup) if warmup > 0 else 1.0
