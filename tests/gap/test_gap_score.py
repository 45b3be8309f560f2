"""The score of a data set: near its floor without a gap, and growing with it."""

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from vidda.gap.feature_distances import standardize
from vidda.gap.gap_score import GapScore, attribute_shift, gap_score, measure_space, neighbor_shift


def scored(shift: float, seed: int = 0, sizes: tuple[int, int] = (120, 80)) -> GapScore:
    rng = np.random.default_rng(seed)
    source, target = rng.normal(shift, 1, (sizes[0], 4)), rng.normal(0, 1, (sizes[1], 4))
    points = standardize(source, target)
    space = measure_space(*points, 5, 5, 0)
    pairs = [(source[:, n], target[:, n]) for n in range(4)]
    return gap_score(pairs, space, points[1], 5, 30, 0)


def test_the_score_grows_with_the_gap_and_is_the_mean_of_its_parts() -> None:
    found = [scored(shift) for shift in (0.0, 0.5, 1.0, 2.0)]
    values = [one.value for one in found]
    assert values == sorted(values) and values[0] < 0.3 < 1 < values[3]
    assert found[2].value == pytest.approx((found[2].attributes + found[2].neighbors) / 2)
    assert found[3].attributes == pytest.approx(2, rel=0.2)
    assert found[0] == scored(0.0)


def test_the_floor_is_that_of_one_distribution() -> None:
    # Halves of the target are as small as these sets.
    same = np.mean([scored(0.0, seed, (40, 40)).value for seed in range(8)])
    floors = [scored(0.0, seed).floor for seed in range(4)]
    assert np.mean(floors) == pytest.approx(same, abs=0.1)
    assert 0 < np.mean(floors) < 0.3


def test_the_spread_is_that_of_other_samples() -> None:
    spread = np.std([scored(1.0, seed).value for seed in range(12)])
    assert scored(1.0).spread == pytest.approx(spread, rel=0.7)


def test_parts_are_their_formulas() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 30)), rng.normal(2, 3, (2, 20))
    slow = [
        wasserstein_distance(a, b) / np.sqrt((a.var() + b.var()) / 2)
        for a, b in zip(first, second, strict=True)
    ]
    pairs = list(zip(first, second, strict=True))
    assert attribute_shift(pairs) == pytest.approx(np.mean(slow))
    assert attribute_shift([]) == 0
    assert neighbor_shift(np.array([3.0, 5.0]), np.array([1.0, 3.0])) == pytest.approx(2)
    assert neighbor_shift(np.array([3.0]), np.array([2.0, 2.0])) == pytest.approx(0.5)
