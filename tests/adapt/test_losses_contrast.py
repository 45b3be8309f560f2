"""Losses that contrast clips with each other, and features of two views."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from tests.adapt.loss_check import LABELS, OTHER, A, B, Rows, reference_test, unit
from vidda.adapt.losses.consistency import barlow_twins, feature_distance
from vidda.adapt.losses.contrastive import (
    head_consistency,
    info_nce,
    inter_domain_contrast,
    supervised_contrast,
)


def np_supcon(features: np.ndarray) -> float:
    near = unit(features) @ unit(features).T / 0.1
    found = []
    for i in range(len(near)):
        others = [j for j in range(len(near)) if j != i]
        partners = [j for j in others if LABELS[j] == LABELS[i]]
        if partners:
            whole = np.log(sum(np.exp(near[i, j]) for j in others))
            found.append(np.mean([whole - near[i, j] for j in partners]))
    return float(np.mean(found))


def np_supcon_products(features: np.ndarray) -> float:
    near, found = features @ features.T / 0.5, []
    for i in range(len(near)):
        others = [j for j in range(len(near)) if j != i]
        partners = [near[i, j] for j in others if LABELS[j] == LABELS[i]]
        if partners:
            found.append(np.log(sum(np.exp(near[i, j]) for j in others)) - np.mean(partners))
    return float(np.mean(found))


def np_across(source: np.ndarray, target: np.ndarray) -> float:
    near, found = unit(source) @ unit(target).T / 0.2, []
    for rows, mine, theirs in ((near, LABELS, LABELS[1:]), (near.T, LABELS[1:], LABELS)):
        for row, label in zip(rows, mine, strict=True):
            partners = row[theirs == label]
            if len(partners):
                found.append(np.log(np.exp(row).sum()) - partners.mean())
    return float(np.mean(found))


def np_pairing(source: np.ndarray, target: np.ndarray) -> float:
    found = []
    for t, y in enumerate(target):
        for s, x in enumerate(source):
            alike = float(unit(B)[t] @ unit(OTHER)[s] > 0.1)
            p = 1 / (1 + np.exp(-(x @ y)))
            found.append(-alike * np.log(p) - (1 - alike) * np.log(1 - p))
    return float(np.mean(found))


def np_pairs(first: np.ndarray, second: np.ndarray) -> float:
    near = unit(first) @ unit(second).T / 0.1
    return float(
        -(np.diag(log_softmax(near, 1)).mean() + np.diag(log_softmax(near.T, 1)).mean()) / 2
    )


def np_barlow(first: np.ndarray, second: np.ndarray) -> float:
    one, two = ((v - v.mean(0)) / np.sqrt(v.var(0) + 1e-5) for v in (first, second))
    loss = 0.0
    for i in range(first.shape[1]):
        for j in range(first.shape[1]):
            c = (one[:, i] * two[:, j]).mean()
            loss += (c - 1) ** 2 if i == j else 5e-3 * c**2
    return loss


def np_cosine(first: np.ndarray, second: np.ndarray) -> float:
    return float(1 - (unit(first) * unit(second)).sum(1).mean())


def across(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    labels = torch.from_numpy(LABELS)
    return inter_domain_contrast(source, target, labels, labels[1:])


def pairing(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    here, there = (torch.from_numpy(x).to(source.dtype) for x in (OTHER, B))
    return head_consistency(source, target, here, there, 0.1)


LOSSES: Rows = [
    ("supcon", lambda x: supervised_contrast(x, torch.from_numpy(LABELS)), np_supcon, (A,), False),
    (
        "products",
        lambda x: supervised_contrast(x, torch.from_numpy(LABELS), 0.5, normalize=False),
        np_supcon_products,
        (A,),
        False,
    ),
    ("across", across, np_across, (A, B), False),
    ("pairing", pairing, np_pairing, (A, B), False),
    ("pairs", info_nce, np_pairs, (A, OTHER), False),
    ("barlow", barlow_twins, np_barlow, (A, OTHER), False),
    ("cosine", feature_distance, np_cosine, (A, OTHER), False),
]


test_a_loss_is_its_reference_and_its_gradient_is_right = reference_test(LOSSES)


def test_zero_least_and_greatest() -> None:
    a = torch.tensor(A)
    flat = torch.zeros(6, 5, dtype=torch.float64)
    assert feature_distance(a, 2 * a).abs() < 1e-12
    assert float(feature_distance(a, -a)) == pytest.approx(2)
    assert (
        float(barlow_twins(a, a, off_diagonal=0))
        < 1e-8
        < float(barlow_twins(a, -a, off_diagonal=0))
    )
    assert float(info_nce(flat + 1, flat + 1)) == pytest.approx(np.log(6))
    eye = torch.eye(5)
    assert info_nce(eye, eye) < 1e-3 < info_nce(eye, eye.roll(1, 0))
    alone = supervised_contrast(a, torch.arange(7))
    assert alone == 0
    near = torch.tensor(LABELS)[:, None] == torch.arange(4)
    assert supervised_contrast(near.double(), torch.tensor(LABELS)) < supervised_contrast(
        a, torch.tensor(LABELS)
    )


def test_contrast_without_anything_to_contrast_is_zero() -> None:
    a = torch.tensor(A, requires_grad=True)
    none = torch.zeros(0, 5, dtype=torch.float64)
    empty = torch.zeros(0, dtype=torch.int64)
    for loss in (
        inter_domain_contrast(a, none, torch.from_numpy(LABELS), empty),
        supervised_contrast(a[:0], empty),
    ):
        assert loss == 0
        (gradient,) = torch.autograd.grad(loss, a, allow_unused=True)
        assert gradient is None or (gradient == 0).all()
