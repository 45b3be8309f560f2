"""A loss against a slow reference in NumPy, and its gradient against finite differences."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

RNG = np.random.default_rng(0)
A, B = RNG.normal(0, 1, (7, 5)), RNG.normal(0.5, 2, (6, 5))
OTHER = RNG.normal(0, 1, (7, 5))
LABELS = np.array([0, 1, 0, 2, 1, 0, 3])
DOMAINS = RNG.normal(0, 1, (7, 2))

Arrays = tuple[np.ndarray, ...]
Loss = Callable[..., torch.Tensor]
Reference = Callable[..., float]

# Name, loss, reference, inputs, and whether the loss stops a gradient that finite differences see.
Rows = list[tuple[str, Loss, Reference, Arrays, bool]]


def check(loss: Loss, reference: Reference, inputs: Arrays, stops: bool) -> None:
    """The value in float64 and float32, and the gradient of every input."""
    tensors = [torch.tensor(array, requires_grad=True) for array in inputs]
    value = loss(*tensors)
    assert value.shape == ()
    assert float(value.detach()) == pytest.approx(reference(*inputs), abs=1e-6, rel=1e-6)
    single = loss(*(tensor.detach().float() for tensor in tensors))
    assert single.dtype == torch.float32
    assert float(single) == pytest.approx(float(value.detach()), rel=1e-4, abs=1e-4)
    gradients = torch.autograd.grad(value, tensors)
    assert all(torch.isfinite(g).all() and g.abs().sum() > 0 for g in gradients)
    if not stops:
        assert gradcheck(loss, tensors)


def reference_test(rows: Rows) -> Callable[..., None]:
    """Return a test that a loss is its reference and its gradient is right, for every row."""

    @pytest.mark.parametrize(
        ("loss", "reference", "inputs", "stops"),
        [row[1:] for row in rows],
        ids=[row[0] for row in rows],
    )
    def test(loss: Loss, reference: Reference, inputs: Arrays, stops: bool) -> None:
        check(loss, reference, inputs, stops)

    return test


def entropy_of(shares: np.ndarray) -> float:
    return float(-sum(p * np.log(p) for p in shares if p > 0))


def unit(features: np.ndarray) -> np.ndarray:
    return features / np.linalg.norm(features, axis=1, keepdims=True)
