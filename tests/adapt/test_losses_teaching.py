"""Losses with a teacher's labels or pseudo-labels: MIC, UNITE, AdaMatch, ATCoN."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from torch.autograd import gradcheck

from tests.adapt.loss_check import LABELS, OTHER, A, Rows, entropy_of, reference_test, unit
from vidda.adapt.losses.consistency import (
    jensen_shannon,
    match_or_conf,
    teacher_cross_entropy,
    weighted_cross_entropy,
)
from vidda.adapt.losses.pseudo_labels import (
    align_distribution,
    interpolate_logits,
    pseudo_label_loss,
    relative_threshold,
    warm_up,
)
from vidda.adapt.losses.temporal_consistency import cluster_labels, scale_consistency

GUESS = torch.from_numpy(OTHER)
HALF = torch.tensor(0.5, dtype=torch.float64)
WEIGHTS = np.array([0.9, 0.0, 0.3, 0.5, 1.0])
"""Of the clips, by label."""


def np_labeled(logits: np.ndarray) -> float:
    rows = zip(log_softmax(logits, 1), LABELS, strict=True)
    return float(np.mean([-row[k] * WEIGHTS[k] for row, k in rows]))


def np_taught(logits: np.ndarray) -> float:
    spread, guess = log_softmax(logits, 1), softmax(OTHER, 1)
    return float(np.mean([-max(g) * s[g.argmax()] for s, g in zip(spread, guess, strict=True)]))


def np_taught_share(logits: np.ndarray) -> float:
    spread, guess = log_softmax(logits, 1), softmax(OTHER, 1)
    share = np.mean([max(g) > 0.5 for g in guess])
    return float(share * np.mean([-s[g.argmax()] for s, g in zip(spread, guess, strict=True)]))


def np_agreement(first: np.ndarray, second: np.ndarray) -> float:
    one, two = softmax(first, 1), softmax(second, 1)
    middle = (one + two) / 2
    apart = (one * np.log(one / middle) + two * np.log(two / middle)).sum(1) / 2
    return float(apart.mean())


def np_pseudo(logits: np.ndarray) -> float:
    guess, spread = softmax(OTHER, 1), log_softmax(logits, 1)
    rows = zip(guess, spread, strict=True)
    return float(np.mean([-s[g.argmax()] if max(g) >= 0.5 else 0.0 for g, s in rows]))


def np_scales(one: np.ndarray, two: np.ndarray, whole: np.ndarray) -> float:
    average = (softmax(one, 1) + softmax(two, 1)) / 2
    found = []
    for scale in (one, two):
        sure = np.array([5 - entropy_of(row) for row in softmax(10 * scale, 1)])
        apart = [
            sum(a * (np.log(a) - np.log(p)) for a, p in zip(mean, row, strict=True))
            for mean, row in zip(average, softmax(scale, 1), strict=True)
        ]
        found.append(np.mean(sure / sure.mean() * apart))
    squares = ((softmax(whole, 1) - average) ** 2).sum(1).mean()
    return float(18 * np.mean(found) + 2 * squares)


LOSSES: Rows = [
    (
        "labeled",
        lambda x: weighted_cross_entropy(
            x, torch.from_numpy(LABELS), torch.from_numpy(WEIGHTS[LABELS]).to(x.dtype)
        ),
        np_labeled,
        (A,),
        False,
    ),
    ("taught", lambda x: teacher_cross_entropy(x, GUESS.to(x.dtype)), np_taught, (A,), False),
    (
        "taught_share",
        lambda x: teacher_cross_entropy(x, GUESS.to(x.dtype), 0.5),
        np_taught_share,
        (A,),
        False,
    ),
    ("agreement", jensen_shannon, np_agreement, (A, OTHER), False),
    ("pseudo", lambda x: pseudo_label_loss(x, GUESS.softmax(1), HALF), np_pseudo, (A,), False),
]


test_a_loss_is_its_reference_and_its_gradient_is_right = reference_test(LOSSES)


def test_zero_least_and_greatest() -> None:
    a, other = torch.tensor(A), torch.tensor(OTHER)
    sure = torch.eye(5, dtype=torch.float64) * 1e4
    flat = torch.zeros(6, 5, dtype=torch.float64)
    assert jensen_shannon(a, a).abs() < 1e-12
    assert float(jensen_shannon(sure, sure.roll(1, 0))) == pytest.approx(np.log(2))
    assert (
        teacher_cross_entropy(sure, sure) < 1e-12
        and teacher_cross_entropy(other[:6], flat, threshold=0.9) == 0
    )


def test_the_pieces_of_adamatch() -> None:
    a, other = torch.tensor(A), torch.tensor(OTHER)
    shares = torch.rand(a.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mixed = interpolate_logits(a, other, shares)
    assert (mixed <= torch.maximum(a, other)).all() and (mixed >= torch.minimum(a, other)).all()
    assert torch.equal(interpolate_logits(a, other, torch.ones(7, 5)), a)
    guess, wanted = other.softmax(1), torch.tensor([0.5, 0.2, 0.1, 0.1, 0.1])
    shifted = align_distribution(guess, wanted, guess.mean(0))
    for row, old in zip(shifted.numpy(), guess.numpy(), strict=True):
        new = old * (wanted.numpy() + 1e-6) / (guess.mean(0).numpy() + 1e-6)
        np.testing.assert_allclose(row, new / new.sum(), rtol=1e-6)
    torch.testing.assert_close(align_distribution(guess, guess.mean(0), guess.mean(0)), guess)
    threshold = relative_threshold(a.softmax(1))
    assert float(threshold) == pytest.approx(0.9 * softmax(A, 1).max(1).mean())
    assert (warm_up(0), warm_up(0.25), warm_up(0.5), warm_up(0.9)) == (0, pytest.approx(0.5), 1, 1)


def test_the_pieces_of_atcon() -> None:
    arrays = A, OTHER, A[::-1].copy()
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]

    def loss(one: torch.Tensor, two: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
        return scale_consistency([one, two], whole)

    assert float(loss(*tensors).detach()) == pytest.approx(np_scales(*arrays), abs=1e-6)
    assert gradcheck(loss, tensors)
    assert float(loss(*[torch.tensor(A)] * 3)) == pytest.approx(0, abs=1e-12)


def test_pseudo_labels_by_clustering() -> None:
    rng = np.random.default_rng(3)
    features, logits = rng.normal(0, 1, (30, 4)), rng.normal(0, 1, (30, 5))
    unit_ = unit(np.hstack([features, np.ones((30, 1))]))
    weights, labels = softmax(logits, 1), np.zeros(30, int)
    for _ in range(2):
        centers = [
            sum(w * row for w, row in zip(weights[:, k], unit_, strict=True)) for k in range(5)
        ]
        lengths = [np.linalg.norm(center) for center in centers]
        labels = np.array(
            [
                max(
                    (row @ c / n, k)
                    for k, (c, n) in enumerate(zip(centers, lengths, strict=True))
                    if n
                )[1]
                for row in unit_
            ]
        )
        weights = np.eye(5)[labels]
    found = cluster_labels(torch.tensor(features), torch.tensor(logits))
    assert found.tolist() == labels.tolist()
    # Two groups, and a classifier that is right about most of the clips: all get their group's.
    groups = torch.tensor([[5.0, 0], [0, 5]]).repeat(10, 1)
    guess = torch.eye(2).repeat(10, 1) * 3
    guess[:2] = guess[:2].flip(0)
    assert cluster_labels(groups, guess).tolist() == [0, 1] * 10


def test_pseudo_labels_of_model_and_teacher() -> None:
    # Both say the first; each is sure alone; neither is sure; both are sure, and disagree.
    own = torch.tensor([[0.1, 0], [3.0, 0], [0.1, 0], [0.1, 0], [3.0, 0]])
    teacher = torch.tensor([[0.2, 0], [0, 1.0], [0, 4.0], [0, 0.2], [0, 9.0]])
    labels, known = match_or_conf(own, teacher, 0.8)
    assert known.tolist() == [True, True, True, False, False]
    assert labels[known].tolist() == [0, 0, 1]
