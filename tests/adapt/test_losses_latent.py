"""Losses of TranSVAE's latents."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from scipy.stats import norm

from tests.adapt.loss_check import LABELS, OTHER, A, B, Rows, reference_test
from vidda.adapt.losses.variational import (
    confident_cross_entropy,
    gaussian_divergence,
    log_densities,
    mutual_information,
    reconstruction_error,
    static_triplet,
)

DRAW = np.random.default_rng(2)
MEAN, SPREAD, SAMPLE = (DRAW.normal(0, s, (4, 2)) for s in (1, 0.5, 1))
MEANS, SPREADS, SAMPLES = (DRAW.normal(0, s, (3, 4, 2)) for s in (1, 0.5, 1))


def np_rebuilt(frames: np.ndarray, again: np.ndarray) -> float:
    return float(np.mean([((x - y) ** 2).sum() for x, y in zip(frames, again, strict=True)]))


def np_divergence(
    mean: np.ndarray, spread: np.ndarray, prior: np.ndarray, width: np.ndarray
) -> float:
    total = 0.0
    for m, v, p, w in zip(*(x.ravel() for x in (mean, spread, prior, width)), strict=True):
        q, r = np.exp(v / 2), np.exp(w / 2)
        total += np.log(r / q) + (q**2 + (m - p) ** 2) / (2 * r**2) - 0.5
    return total / len(mean)


def np_information(*arrays: np.ndarray) -> float:
    sample, mean, spread, samples, means, spreads = arrays
    found = []
    for t in range(len(samples)):
        for i in range(len(sample)):
            pairs = []
            for j in range(len(mean)):
                d = norm.pdf(sample[i], mean[j], np.exp(spread[j] / 2)).prod()
                z = norm.pdf(samples[t, i], means[t, j], np.exp(spreads[t, j] / 2)).prod()
                pairs.append((d, z))
            d, z = np.array(pairs).T
            found.append(np.log((d * z).mean() / (d.mean() * z.mean())))
    return float(np.mean(found))


def np_triplet(static: np.ndarray, shuffled: np.ndarray, other: np.ndarray) -> float:
    found = []
    for n, (x, y) in enumerate(zip(static, shuffled, strict=True)):
        # torch adds 1e-6 to each difference.
        near = np.linalg.norm(x - y + 1e-6)
        far = np.linalg.norm(x - other[n % len(other)] + 1e-6)
        found.append(max(0.0, near - far + 1))
    return float(np.mean(found))


def np_sure(logits: np.ndarray) -> float:
    rows = zip(log_softmax(logits, 1), LABELS, strict=True)
    return float(np.mean([-row[k] for row, k in rows if k != 1]))


def information_of(*tensors: torch.Tensor) -> torch.Tensor:
    return mutual_information(log_densities(*tensors[:3]), log_densities(*tensors[3:]))


def sure_of(logits: torch.Tensor) -> torch.Tensor:
    return confident_cross_entropy(logits, torch.from_numpy(LABELS), torch.from_numpy(LABELS != 1))


LATENTS = (SAMPLE, MEAN, SPREAD, SAMPLES, MEANS, SPREADS)
LOSSES: Rows = [
    ("rebuilt", reconstruction_error, np_rebuilt, (MEANS, SAMPLES), False),
    (
        "divergence",
        gaussian_divergence,
        np_divergence,
        (A, OTHER, A[::-1].copy(), OTHER / 2),
        False,
    ),
    ("information", information_of, np_information, LATENTS, False),
    ("triplet", static_triplet, np_triplet, (A, A[::-1].copy(), B / 2), False),
    ("sure", sure_of, np_sure, (A,), False),
]


test_a_loss_is_its_reference_and_its_gradient_is_right = reference_test(LOSSES)


def test_zero_least_and_greatest() -> None:
    mean, spread = torch.tensor(MEANS), torch.tensor(SPREADS)
    assert reconstruction_error(mean, mean) == 0
    assert gaussian_divergence(mean, spread, mean, spread) == 0
    nothing = torch.zeros(1, dtype=torch.float64)
    assert gaussian_divergence(mean, spread, nothing, nothing) > 0
    assert static_triplet(mean[0], mean[0], mean[0] + 99) == 0
    assert float(static_triplet(mean[0], mean[0], mean[0])) == pytest.approx(1, abs=1e-5)
    logits = torch.tensor(A, requires_grad=True)
    none = confident_cross_entropy(
        logits, torch.from_numpy(LABELS), torch.zeros(7, dtype=torch.bool)
    )
    none.backward()
    assert none.detach() == 0 and logits.grad is not None and (logits.grad == 0).all()


def test_latents_share_information_only_where_both_identify_the_clip() -> None:
    apart = torch.arange(4.0)[:, None] * 100
    same, narrow = torch.zeros(4, 1), torch.zeros(4, 1)
    telling = log_densities(apart, apart, narrow)
    silent = log_densities(same, same, narrow)
    assert float(mutual_information(telling, telling[None])) == pytest.approx(np.log(4))
    assert float(mutual_information(telling, silent[None])) == pytest.approx(0, abs=1e-6)
    assert float(mutual_information(silent, silent[None])) == pytest.approx(0, abs=1e-6)
