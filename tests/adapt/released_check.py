"""Values that released code gives on fixed tensors, held against vidda's losses.

The released code was run once outside of this repository, in float64 on tensors of `wave` and on
layers of `fill`; the numbers in the tests are its results, with the repository and its commit.
"""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import nn

from vidda.recognize.recognizer import Output


def wave(*shape: int, phase: float) -> torch.Tensor:
    """Return a leaf of this shape, the same with every version of torch: float64 in [-2, 2]."""
    number = torch.arange(1, math.prod(shape) + 1, dtype=torch.float64)
    return (2 * torch.sin(phase + number**1.5)).reshape(shape).requires_grad_()


def fill(module: nn.Module, phase: float) -> None:
    """Set a module to float64 and its parameters to those of `wave`, each with the next phase."""
    module.double()
    with torch.no_grad():
        for n, parameter in enumerate(module.parameters()):
            parameter.copy_(wave(*parameter.shape, phase=phase + n) / 2)


def hold(
    loss: torch.Tensor, released: float, inputs: Sequence[torch.Tensor], norms: Sequence[float]
) -> None:
    """Assert that a loss and the norms of its gradients are those of the released code."""
    assert float(loss.detach()) == pytest.approx(released, rel=1e-5, abs=1e-5)
    gradients = torch.autograd.grad(loss, list(inputs), retain_graph=True)
    found = [float(gradient.norm()) for gradient in gradients]
    assert found == pytest.approx(list(norms), rel=1e-5, abs=1e-6)


class GivenLogits(nn.Module):
    """A model with the same logits (B, K) for any clips."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, video: torch.Tensor) -> Output:
        return Output(self.logits, self.logits)
