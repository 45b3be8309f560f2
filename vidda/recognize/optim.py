"""Optimizers, learning rate schedules and layer-wise learning rates."""

import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import nn

from vidda.config import Config
from vidda.recognize.recognizer import Recognizer

HighestRate = Annotated[float, Field(gt=0, description="highest learning rate")]
Decay = Annotated[
    float, Field(ge=0, description="weight decay of matrices, not of biases or norms")
]
Warmup = Annotated[
    float, Field(ge=0, description="epochs in which the learning rate grows linearly from 0")
]


class AdamWConfig(Config):
    """AdamW (Loshchilov and Hutter, arXiv 1711.05101)."""

    name: Literal["adamw"] = "adamw"
    lr: HighestRate = 1e-3
    weight_decay: Decay = 0.05
    betas: tuple[float, float] = Field(
        default=(0.9, 0.999), description="decay of the first and second moment of the gradient"
    )

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Return the optimizer of parameter groups.

        groups: from `param_groups`.
        """
        # On a CPU torch's default updates one tensor after the other, in four times the time.
        return torch.optim.AdamW(groups, lr=self.lr, betas=self.betas, fused=True)


class SgdConfig(Config):
    """Stochastic gradient descent with Nesterov momentum."""

    name: Literal["sgd"] = "sgd"
    lr: HighestRate = 0.01
    weight_decay: Decay = 1e-4
    momentum: float = Field(
        default=0.9, ge=0, lt=1, description="Nesterov momentum; 0: plain gradient descent"
    )

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Return the optimizer of parameter groups.

        groups: from `param_groups`.
        """
        nesterov = self.momentum > 0
        return torch.optim.SGD(groups, lr=self.lr, momentum=self.momentum, nesterov=nesterov)


class CosineSchedule(Config):
    """Linear warm-up, then half a cosine down to `floor`."""

    name: Literal["cosine"] = "cosine"
    warmup: Warmup = 1.0
    floor: float = Field(
        default=0.01, ge=0, le=1, description="learning rate at the end, as a share of the highest"
    )

    def factor(self, epoch: float, epochs: int) -> float:
        """Return the learning rate as a share of the highest one, in [0, 1].

        epoch: epochs since the start, with a fraction. epochs: of the whole training.
        """
        if epoch < self.warmup:
            return _warmup_factor(epoch, self.warmup)
        share = (epoch - self.warmup) / max(epochs - self.warmup, 1e-9)
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


class StepSchedule(Config):
    """Linear warm-up, then a step decay: times `gamma` every `every` epochs."""

    name: Literal["step"] = "step"
    warmup: Warmup = 0.0
    every: int = Field(default=3, ge=1, description="epochs between two decay steps")
    gamma: float = Field(
        default=0.97, gt=0, le=1, description="factor of the learning rate at a decay step"
    )

    def factor(self, epoch: float, epochs: int) -> float:
        """Return the learning rate as a share of the highest one, in [0, 1].

        epoch: epochs since the start, with a fraction. epochs: of the whole training, not used
        here.
        """
        return _warmup_factor(epoch, self.warmup) * self.gamma ** (int(epoch) // self.every)


class ConstantSchedule(Config):
    """Linear warm-up, then a constant learning rate."""

    name: Literal["constant"] = "constant"
    warmup: Warmup = 0.0

    def factor(self, epoch: float, epochs: int) -> float:
        """Return the learning rate as a share of the highest one, in [0, 1].

        epoch: epochs since the start, with a fraction. epochs: of the whole training, not used
        here.
        """
        return _warmup_factor(epoch, self.warmup)


OptimizerConfig = Annotated[AdamWConfig | SgdConfig, Field(discriminator="name")]
ScheduleConfig = Annotated[
    CosineSchedule | StepSchedule | ConstantSchedule, Field(discriminator="name")
]


def param_groups(
    model: nn.Module, lr: float, weight_decay: float, layer_decay: float
) -> list[dict[str, Any]]:
    """Return parameter groups for an optimizer, one for each depth, with and without weight decay.

    Each has `params`, its initial `lr`, `lr_scale` (its share of the rate) and `weight_decay`. lr:
    rate of the last layer. layer_decay: the rate of a layer is this times that of the layer above
    it; 1 is the same for all (BEiT, arXiv 2106.08254, appendix; VideoMAE uses 0.75). Biases, norms
    and other vectors have no weight decay. Parameters that need no gradient are left out.
    """
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for depth, decayed, parameter in _parameters_by_depth(model, layer_decay):
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


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every group to `rate` times the group's `lr_scale`."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_scale"]


def _parameters_by_depth(
    model: nn.Module, layer_decay: float
) -> Iterator[tuple[int, bool, nn.Parameter]]:
    """Yield (layers below the head, whether to decay, parameter) of all trainable parameters."""
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            below = 0
            if layer_decay != 1.0 and isinstance(model, Recognizer):
                below = model.depth - model.depth_of(name)
            yield below, parameter.ndim > 1, parameter


def _warmup_factor(epoch: float, warmup: float) -> float:
    # Slightly above 0 at the first step, which would be wasted otherwise.
    return min(1.0, (epoch + 1e-3) / warmup) if warmup > 0 else 1.0
