"""Distances of attributes: against slow references, and what has to hold of any values."""

from itertools import combinations

import numpy as np
import pytest

from vidda.gap.attribute_distances import (
    bhattacharyya,
    compare_attribute,
    permutation_p,
    scale_of,
    shared_counts,
)

RNG = np.random.default_rng(0)
CASES = [
    (RNG.normal(0, 1, 200), RNG.normal(1, 2, 60)),
    (RNG.integers(0, 3, 40).astype(float), RNG.integers(1, 4, 90).astype(float)),
    (np.full(9, 30.0), np.full(16, 25.0)),
    (RNG.uniform(0, 1, 50), np.full(30, 0.5)),
    (np.array([1.0]), np.array([2.0])),
]


def slow_bhattacharyya(counts: np.ndarray) -> float:
    total = 0.0
    for first, second in counts.T:
        total += (first / counts[0].sum() * second / counts[1].sum()) ** 0.5
    return float("inf") if total == 0 else -np.log(total)


@pytest.mark.parametrize(("source", "target"), CASES)
def test_every_value_is_in_one_bin_and_the_bins_are_shared(
    source: np.ndarray, target: np.ndarray
) -> None:
    counts = shared_counts(source, target, 20)
    assert counts.sum(1).tolist() == [len(source), len(target)]
    assert (counts.sum(0) > 0).all() and 1 <= counts.shape[1] <= 20
    # Equal values are never parted, so another order or a monotone unit changes nothing.
    again = shared_counts(np.exp(source[::-1]), np.exp(target[::-1]), 20)
    assert (again == counts).all()


@pytest.mark.parametrize(("source", "target"), CASES)
def test_bhattacharyya_is_the_formula(source: np.ndarray, target: np.ndarray) -> None:
    counts = shared_counts(source, target, 20)
    slow = slow_bhattacharyya(counts)
    found = bhattacharyya(counts)
    assert found == pytest.approx(min(slow, 0.5 * np.log(len(source) * len(target))), abs=1e-12)
    assert found == pytest.approx(bhattacharyya(counts[::-1]))
    assert bhattacharyya(np.stack([counts[0], 3 * counts[0]])) == pytest.approx(0, abs=1e-12)


def test_wasserstein_is_the_mean_distance_of_sorted_values() -> None:
    first, second = RNG.normal(0, 1, 80), RNG.normal(2, 3, 80)
    found = compare_attribute(first, second, 20, 9, 0)
    slow = np.abs(np.sort(first) - np.sort(second)).mean()
    assert found.wasserstein == pytest.approx(slow)
    spread = np.sqrt((first.var() + second.var()) / 2)
    assert found.standardized == pytest.approx(slow / spread)
    shifted = compare_attribute(first, first + 0.5, 20, 9, 0)
    assert shifted.wasserstein == pytest.approx(0.5)


def test_p_values_are_those_of_all_divisions() -> None:
    source, target = np.array([0, 0, 0, 1, 0, 2.0]), np.array([1, 1, 2, 2, 1.0])
    counts = np.stack([np.bincount(part.astype(int), minlength=3) for part in (source, target)])
    observed, values = bhattacharyya(counts), np.concatenate([source, target])
    reached = []
    for chosen in combinations(range(11), 6):
        part = np.zeros(11, bool)
        part[list(chosen)] = True
        one = np.stack([np.bincount(values[p].astype(int), minlength=3) for p in (part, ~part)])
        reached.append(bhattacharyya(one) >= observed - 1e-12)
    assert permutation_p(counts, 4000, 0) == pytest.approx(np.mean(reached), abs=0.02)


def test_p_values_of_one_distribution_are_uniform_and_of_two_are_small() -> None:
    rng = np.random.default_rng(1)
    same = [permutation_p(shared_counts(*rng.normal(size=(2, 60)), 20), 99, n) for n in range(100)]
    assert 0.01 <= np.mean(np.array(same) <= 0.1) <= 0.2 and min(same) >= 0.01
    apart = shared_counts(rng.normal(size=60), rng.normal(2, 1, 60), 20)
    assert permutation_p(apart, 99, 0) == 0.01


def test_constants_are_apart_or_not() -> None:
    same = compare_attribute(np.full(5, 30.0), np.full(4, 30.0), 20, 9, 0)
    assert (same.bhattacharyya, same.standardized, same.p_value) == (0, 0, 1)
    apart = compare_attribute(np.full(5, 30.0), np.full(4, 25.0), 20, 9, 0)
    assert apart.standardized == 2 and apart.bhattacharyya == pytest.approx(0.5 * np.log(20))
    assert scale_of(np.full(3, 0.1), np.full(7, 0.1)) == 1
