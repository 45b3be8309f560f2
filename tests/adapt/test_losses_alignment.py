"""Losses that align domains: entropy and information, DANN, CORAL, MMD, MCC."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch.autograd import gradcheck

from tests.adapt.loss_check import A, B, Rows, entropy_of, reference_test
from vidda.adapt.losses.class_confusion import class_confusion
from vidda.adapt.losses.consistency import barlow_twins
from vidda.adapt.losses.correlation import coral
from vidda.adapt.losses.domain import (
    domain_accuracy,
    domain_loss,
    reversal_strength,
    reverse_gradient,
)
from vidda.adapt.losses.entropy import conditional_entropy, diversity, information_maximization
from vidda.adapt.losses.mmd import mmd


def np_entropy(logits: np.ndarray) -> float:
    return float(np.mean([entropy_of(softmax(row)) for row in logits]))


def np_information(logits: np.ndarray) -> float:
    return np_entropy(logits) - 0.5 * entropy_of(softmax(logits, 1).mean(0))


def np_domain(source: np.ndarray, target: np.ndarray) -> float:
    one = [np.log(1 + np.exp(-x)) for x in source[:, 0]]
    two = [np.log(1 + np.exp(x)) for x in target[:, 0]]
    return float(np.mean(one) + np.mean(two)) / 2


def np_coral(source: np.ndarray, target: np.ndarray) -> float:
    apart = np.cov(source.T) - np.cov(target.T)
    return float((apart**2).sum() / (4 * source.shape[1] ** 2))


def np_coral_means(source: np.ndarray, target: np.ndarray) -> float:
    return np_coral(source, target) + float(((source.mean(0) - target.mean(0)) ** 2).mean())


def np_mmd(source: np.ndarray, target: np.ndarray) -> float:
    both = [*source, *target]
    squares = [((x - y) ** 2).sum() for i, x in enumerate(both) for y in both[:i]]
    scales = [np.mean(squares) * 2.0**i for i in (-2, -1, 0, 1, 2)]

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return sum(np.exp(-((x - y) ** 2).sum() / scale) for scale in scales)

    def mean(one: np.ndarray, two: np.ndarray) -> float:
        return float(np.mean([kernel(x, y) for x in one for y in two]))

    return mean(source, source) + mean(target, target) - 2 * mean(source, target)


def np_mcc(logits: np.ndarray) -> float:
    shares = softmax(logits / 2.5, axis=1)
    weights = np.array([1 + np.exp(-entropy_of(row)) for row in shares])
    weights *= len(logits) / weights.sum()
    classes = logits.shape[1]
    together = np.zeros((classes, classes))
    for weight, row in zip(weights, shares, strict=True):
        together += weight * np.outer(row, row)
    confusion = together / together.sum(1, keepdims=True)
    return float(sum(confusion[i, j] for i in range(classes) for j in range(classes) if i != j)) / (
        classes
    )


LOSSES: Rows = [
    ("entropy", conditional_entropy, np_entropy, (A,), False),
    ("information", lambda x: information_maximization(x, 0.5), np_information, (A,), False),
    ("domain", lambda s, t: domain_loss(s[:, 0], t[:, 0]), np_domain, (A, B), False),
    ("coral", coral, np_coral, (A, B), False),
    ("coral_means", lambda s, t: coral(s, t, True), np_coral_means, (A, B), False),
    ("mmd", mmd, np_mmd, (A, B), True),
    ("mcc", class_confusion, np_mcc, (A,), True),
]


test_a_loss_is_its_reference_and_its_gradient_is_right = reference_test(LOSSES)


def test_a_stopped_gradient_is_that_of_the_loss_with_the_rest_held() -> None:
    """mmd holds its bandwidth, mcc its weights: finite differences of the same with both held."""
    source, target = (torch.tensor(x, requires_grad=True) for x in (A, B))
    both = torch.cat([source, target]).detach()
    mean = (both[:, None] - both[None]).square().sum() / (len(both) * (len(both) - 1))

    def held(s: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        def kernel(one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
            squares = (one[:, None] - two[None]).square().sum(2)
            return sum((-squares / (mean * 2.0**i)).exp() for i in (-2, -1, 0, 1, 2)).mean()

        return kernel(s, s) + kernel(t, t) - 2 * kernel(s, t)

    assert gradcheck(held, (source, target))
    ours = torch.autograd.grad(mmd(source, target), (source, target))
    theirs = torch.autograd.grad(held(source, target), (source, target))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)

    logits = torch.tensor(A, requires_grad=True)
    cool = (logits / 2.5).softmax(1).detach()
    weights = 1 + torch.exp((cool * cool.log()).sum(1))
    weights = weights / weights.mean()

    def confused(x: torch.Tensor) -> torch.Tensor:
        p = (x / 2.5).softmax(1)
        together = (p * weights[:, None]).T @ p
        return 1 - (together / together.sum(1, keepdim=True)).trace() / x.shape[1]

    assert gradcheck(confused, (logits,))
    torch.testing.assert_close(
        torch.autograd.grad(class_confusion(logits), logits),
        torch.autograd.grad(confused(logits), logits),
    )


def test_zero_least_and_greatest() -> None:
    a = torch.tensor(A)
    sure = torch.eye(5, dtype=torch.float64) * 1e4
    flat = torch.zeros(6, 5, dtype=torch.float64)
    log5 = float(np.log(5))
    assert conditional_entropy(sure) == 0 and float(conditional_entropy(flat)) == pytest.approx(
        log5
    )
    assert float(diversity(sure)) == pytest.approx(log5) and diversity(sure[:1]) == 0
    assert float(information_maximization(sure)) == pytest.approx(-log5)
    assert float(information_maximization(flat)) == pytest.approx(0)
    assert coral(a, a.flip(0)) < 1e-30 and coral(a, a + 3) < 1e-28
    assert float(coral(a, a + 3, means=True)) == pytest.approx(9)
    assert abs(float(mmd(a, a.flip(0)))) < 1e-12 and mmd(a, a + 1) > mmd(a, a + 0.1) > 0
    same = torch.ones(4, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(mmd(same, same), same)
    assert torch.isfinite(gradient).all()
    assert class_confusion(sure) == 0
    assert float(class_confusion(flat)) == pytest.approx(4 / 5)
    zeros = torch.zeros(3, dtype=torch.float64)
    assert float(domain_loss(zeros, zeros)) == pytest.approx(np.log(2))
    assert domain_loss(zeros + 99, zeros - 99) < 1e-12
    assert domain_accuracy(zeros + 1, zeros - 1) == 1 and domain_accuracy(zeros - 1, zeros + 1) == 0


def test_a_reversed_gradient() -> None:
    features = torch.tensor(A, requires_grad=True)
    turned = reverse_gradient(features, 0.3)
    assert torch.equal(turned, features)
    (gradient,) = torch.autograd.grad(turned.square().sum(), features)
    torch.testing.assert_close(gradient, -0.3 * 2 * torch.tensor(A))
    assert reversal_strength(0) == 0 and reversal_strength(0.5) == pytest.approx(
        2 / (1 + np.exp(-5)) - 1
    )
    assert 0.9999 < reversal_strength(1.0) < 1


def test_autocast_does_not_round_a_loss() -> None:
    a, b = torch.tensor(A).float(), torch.tensor(B).float()
    for loss in (coral, mmd, lambda s, t: class_confusion(s), lambda s, t: barlow_twins(s[:6], t)):
        with torch.autocast("cpu", torch.bfloat16):
            inside = loss(a, b)
        assert torch.equal(inside, loss(a, b))
