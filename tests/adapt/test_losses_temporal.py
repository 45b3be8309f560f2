"""Losses over time and its statistics: TA3N and ViTTA."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from tests.adapt.loss_check import DOMAINS, OTHER, A, Rows, entropy_of, reference_test
from vidda.adapt.losses.feature_statistics import (
    clip_statistics,
    moving_average,
    statistics_distance,
    view_distance,
)
from vidda.adapt.losses.temporal_attention import (
    attentive_entropy,
    domain_attention,
    select_relations,
    two_way_domain_accuracy,
    two_way_domain_loss,
)
from vidda.adapt.temporal_relations import segment_means

MAPS = np.random.default_rng(1).normal(0, 1, (4, 3, 2, 5))
"""Of two clips with two frames each: three channels of 2 x 5 places."""


def np_statistics(features: np.ndarray) -> float:
    means, variances = features.mean(0), features.var(0)
    return float(np.abs(means - A[0]).mean() + np.abs(variances - A[1] ** 2).mean())


def np_views(first: np.ndarray, second: np.ndarray) -> float:
    one, two = softmax(first, 1), softmax(second, 1)
    middle = (one + two) / 2
    return float(np.mean(np.abs(one - middle).sum(1) + np.abs(two - middle).sum(1))) / 2


def np_attentive(logits: np.ndarray, domains: np.ndarray) -> float:
    rows = zip(softmax(logits, 1), softmax(domains, 1), strict=True)
    return float(np.mean([(1 + entropy_of(d)) * entropy_of(y) for y, d in rows]))


def np_two_way(source: np.ndarray, target: np.ndarray) -> float:
    found = [-row[0] for row in log_softmax(source, 1)] + [
        -row[1] for row in log_softmax(target, 1)
    ]
    return float(np.mean(found))


def np_clip_statistics(maps: np.ndarray) -> float:
    found = []
    for clip in range(2):
        for channel in range(3):
            places = [x for frame in maps[2 * clip : 2 * clip + 2] for x in frame[channel].flat]
            mean = sum(places) / len(places)
            variance = sum((x - mean) ** 2 for x in places) / len(places)
            found.append(mean**2 + (channel + 1) * variance)
    return float(np.sum(found))


def np_attended(features: np.ndarray, domains: np.ndarray) -> float:
    rows = zip(features, softmax(domains, 1), strict=True)
    return float(sum((((2 - entropy_of(d)) * x) ** 2).sum() for x, d in rows))


def clip_statistics_of(maps: torch.Tensor) -> torch.Tensor:
    mean, variance = clip_statistics(maps, 2, 1)
    assert mean.shape == variance.shape == (2, 3)
    return (mean.square() + variance * torch.arange(1, 4).to(maps)).sum()


def statistics_of(features: torch.Tensor) -> torch.Tensor:
    there, spread = (torch.from_numpy(x).to(features.dtype) for x in (A[0], A[1] ** 2))
    variance = features.var(0, correction=0)
    return statistics_distance([features.mean(0)], [variance], [there], [spread])


LOSSES: Rows = [
    ("statistics", statistics_of, np_statistics, (OTHER,), False),
    ("views", view_distance, np_views, (A, OTHER), False),
    ("attentive", attentive_entropy, np_attentive, (A, DOMAINS), False),
    ("two_way", two_way_domain_loss, np_two_way, (DOMAINS, DOMAINS[:4]), False),
    ("clip_statistics", clip_statistics_of, np_clip_statistics, (MAPS,), False),
    (
        "attended",
        lambda f, d: domain_attention(f, d).square().sum(),
        np_attended,
        (A, DOMAINS),
        False,
    ),
]


test_a_loss_is_its_reference_and_its_gradient_is_right = reference_test(LOSSES)


def test_zero_least_and_greatest() -> None:
    a = torch.tensor(A)
    sure = torch.eye(5, dtype=torch.float64) * 1e4
    assert statistics_distance([a[0]], [a[1]], [a[0]], [a[1]]) == 0
    assert view_distance(a, a) == 0
    assert float(view_distance(sure, sure.roll(1, 0))) == pytest.approx(1)
    flat, told = torch.zeros(4, 2), torch.tensor([[99.0, -99.0]]).repeat(4, 1)
    assert float(two_way_domain_loss(flat, flat)) == pytest.approx(np.log(2))
    assert two_way_domain_loss(told, -told) < 1e-12
    assert two_way_domain_accuracy(told, -told) == 1 and two_way_domain_accuracy(-told, told) == 0
    assert attentive_entropy(sure, sure[:, :2]) == 0
    still = torch.ones(4, 3, 2, 5)
    assert (clip_statistics(still, 2, 1)[1] == 0).all()


def test_channels_may_be_first_or_last() -> None:
    maps = torch.from_numpy(MAPS)
    first, last = clip_statistics(maps, 2, 1), clip_statistics(maps.movedim(1, -1), 2, -1)
    for one, other in zip(first, last, strict=True):
        torch.testing.assert_close(one, other)


def test_time_steps_are_averaged_over_segments_of_the_clip() -> None:
    frames = torch.randn(2, 7, 3)
    for count in (1, 3, 5, 7, 9):
        found = segment_means(frames, count)
        wanted = torch.nn.functional.adaptive_avg_pool1d(frames.transpose(1, 2), count)
        torch.testing.assert_close(found, wanted.transpose(1, 2))


def test_the_pieces_of_ta3n() -> None:
    assert select_relations(4, 2, 99) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    assert select_relations(5, 3, 3) == [(0, 1, 2), (0, 2, 4), (1, 2, 4)]
    few = select_relations(8, 4, 3)
    assert len(few) == len(set(few)) == 3 and all(list(r) == sorted(set(r)) for r in few)
    features, domains = torch.tensor(A), torch.tensor(DOMAINS)
    weights = [2 - entropy_of(row) for row in softmax(DOMAINS, 1)]
    torch.testing.assert_close(
        domain_attention(features, domains), features * torch.tensor(weights)[:, None]
    )


def test_a_running_average_passes_a_gradient_to_the_new_value_alone() -> None:
    old, new = (torch.tensor([x], requires_grad=True) for x in (1.0, 3.0))
    after = moving_average(old, new)
    assert float(after.detach()) == pytest.approx(1.2)
    gradients = torch.autograd.grad(after, (old, new), allow_unused=True)
    assert gradients[0] is None and gradients[1] is not None
    assert float(gradients[1]) == pytest.approx(0.1)
