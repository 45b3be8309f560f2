"""Scores without labels against slow references, and at values worked out by hand."""

import math

import numpy as np
import pytest
from scipy.special import softmax

from vidda.evaluate import label_free_metrics
from vidda.evaluate.label_free_metrics import (
    agreement,
    class_correlation,
    cross_entropies,
    density_ratio,
    dev,
    entropy,
    hopkins,
    information_maximization,
    iwcv,
    rank_correlation,
    soft_neighborhood_density,
    source_validation,
    transfer_score,
    uniformity,
)

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 2, (40, 4))
SURE = np.eye(4)[np.arange(40) % 4] * 100
ONE_CLASS = np.eye(4)[np.zeros(40, int)] * 100
FLAT = np.zeros((40, 4))


def plain_entropy(shares: np.ndarray) -> float:
    return -sum(p * math.log(p) for p in shares.tolist() if p > 0)


def test_entropy_and_information() -> None:
    shares = softmax(LOGITS, axis=1)
    mean = np.mean([plain_entropy(row) for row in shares])
    assert entropy(LOGITS) == pytest.approx(-mean, abs=1e-6)
    whole = plain_entropy(shares.mean(0))
    assert information_maximization(LOGITS) == pytest.approx(whole - mean, abs=1e-6)
    assert entropy(SURE) == pytest.approx(0) and entropy(FLAT) == pytest.approx(-math.log(4))
    assert information_maximization(SURE) == pytest.approx(math.log(4))
    # Sure of one class alone: the best entropy, and no information.
    assert entropy(ONE_CLASS) == pytest.approx(0)
    assert information_maximization(ONE_CLASS) == pytest.approx(0)


@pytest.mark.parametrize("chunk", [7, 1024])
def test_soft_neighborhood_density(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(label_free_metrics, "CHUNK", chunk)
    shares = softmax(LOGITS, axis=1)
    unit = [row / np.sqrt((row**2).sum()) for row in shares]
    found = []
    for i, row in enumerate(unit):
        near = np.array([np.exp(row @ other / 0.05) for j, other in enumerate(unit) if j != i])
        found.append(plain_entropy(near / near.sum()))
    assert soft_neighborhood_density(LOGITS) == pytest.approx(np.mean(found), abs=1e-6)
    assert soft_neighborhood_density(FLAT) == pytest.approx(math.log(39))
    # Ten clips in each class, equally near to the other nine.
    assert soft_neighborhood_density(SURE) == pytest.approx(math.log(9), abs=1e-4)


def test_class_correlation() -> None:
    shares = softmax(LOGITS, axis=1)
    together = np.zeros((4, 4))
    for row in shares:
        together += np.outer(row, row)
    cosine = np.diag(together).sum() / (math.sqrt((together**2).sum()) * 2)
    assert class_correlation(LOGITS) == pytest.approx(cosine, abs=1e-6)
    assert class_correlation(SURE) == pytest.approx(1)
    assert class_correlation(ONE_CLASS) == pytest.approx(1 / 2)
    assert class_correlation(FLAT) == pytest.approx(1 / 2)


def test_importance_weighted_losses() -> None:
    losses, weights = RNG.exponential(1, 50), RNG.exponential(1, 50)
    weighted = [loss * weight for loss, weight in zip(losses, weights, strict=True)]
    assert iwcv(losses, weights) == pytest.approx(-np.mean(weighted), abs=1e-6)
    mean, mean_w = np.mean(weighted), weights.mean()
    covariance = sum((x - mean) * (w - mean_w) for x, w in zip(weighted, weights, strict=True)) / 49
    eta = -covariance / (sum((w - mean_w) ** 2 for w in weights) / 49)
    assert dev(losses, weights) == pytest.approx(-(mean + eta * mean_w - eta), abs=1e-6)
    assert dev(losses, np.ones(50)) == iwcv(losses, np.ones(50)) == pytest.approx(-losses.mean())
    # Where the loss is the same everywhere, the control variate takes all noise of the weights out.
    assert dev(np.full(50, 0.7), weights) == pytest.approx(-0.7)


def test_density_ratio_finds_that_of_two_normal_distributions() -> None:
    rng = np.random.default_rng(1)
    source, target = rng.normal(0, 1, (4000, 2)), rng.normal([1, 0], 1, (2000, 2))
    at = np.array([[-1.0, 0], [0, 0], [0.5, 1], [2, 0]])
    wanted = np.exp(at[:, 0] - 0.5)
    np.testing.assert_allclose(density_ratio(source, target, at), wanted, rtol=0.2)
    same = density_ratio(source, source, at)
    np.testing.assert_allclose(same, 1, atol=1e-3)
    apart = density_ratio(source, target + 1000, source)
    assert np.isfinite(apart).all() and (apart >= 0).all()


def test_uniformity() -> None:
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    assert uniformity(corners * [[1], [2], [3], [4]]) == pytest.approx(0, abs=1e-9)
    wanted = (math.acos(0) - math.acos(-1 / 2)) ** 2
    assert uniformity(np.eye(3, 5)) == pytest.approx(wanted, abs=1e-6)


def test_hopkins() -> None:
    rng = np.random.default_rng(2)
    even = rng.uniform(0, 1, (400, 2))
    groups = np.repeat([[0.0, 0], [0, 1], [1, 0]], 100, 0) + rng.normal(0, 0.01, (300, 2))
    assert 0.45 < hopkins(even) < 0.6 < 0.9 < hopkins(groups)
    few = rng.normal(0, 1, (9, 3))
    drawn = np.random.default_rng(5).uniform(few.min(0), few.max(0), few.shape)
    own = sum(
        min(np.linalg.norm(x - y) for j, y in enumerate(few) if j != i) for i, x in enumerate(few)
    )
    other = sum(min(np.linalg.norm(x - y) for y in few) for x in drawn)
    assert hopkins(few, draws=1, seed=5) == pytest.approx(other / (other + own), abs=1e-6)
    assert hopkins(few, seed=5) == hopkins(few, seed=5) != hopkins(few, seed=6)


def test_transfer_score() -> None:
    features, weight = RNG.normal(0, 1, (40, 6)), RNG.normal(0, 1, (4, 6))
    parts = hopkins(features), information_maximization(LOGITS) / math.log(4), uniformity(weight)
    score = transfer_score(features, LOGITS, weight)
    assert score == pytest.approx(parts[0] + parts[1] - parts[2], abs=1e-9)
    assert transfer_score(features, SURE, weight) > transfer_score(features, FLAT, weight)


def test_labeled_scores_and_agreement() -> None:
    labels = LOGITS.argmax(1)
    labels[:10] = (labels[:10] + 1) % 4
    assert source_validation(LOGITS, labels) == 0.75
    shares = softmax(LOGITS, axis=1)
    losses = [-math.log(row[label]) for row, label in zip(shares, labels, strict=True)]
    np.testing.assert_allclose(cross_entropies(LOGITS, labels), losses, atol=1e-6)
    assert agreement([LOGITS, LOGITS * 2]) == 1
    runs = [np.eye(2)[classes] for classes in ([0, 0, 0, 0], [0, 0, 1, 1], [1, 0, 1, 1])]
    assert agreement(runs) == pytest.approx((0.5 + 0.25 + 0.75) / 3)


def test_rank_correlation() -> None:
    assert rank_correlation([1, 2, 5, 9], [0.1, 0.2, 0.3, 0.9]) == pytest.approx(1)
    assert rank_correlation([4, 3, 2, 1], [0.1, 0.2, 0.3, 0.9]) == pytest.approx(-1)
    assert math.isnan(rank_correlation([1, 1, 1], [0.1, 0.2, 0.3]))
