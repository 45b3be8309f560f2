"""Distances of features: against slow references, and their values where these are known."""

import tracemalloc

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.stats import gaussian_kde

from vidda.errors import ViddaError
from vidda.gap import feature_distances
from vidda.gap.feature_distances import (
    TargetDensity,
    frechet_distance,
    frechet_extrapolated,
    frechet_floor,
    neighbor_distances,
    proxy_a_distance,
    standardize,
)

RNG = np.random.default_rng(0)
SOURCE, TARGET = RNG.normal(1, 2, (70, 3)), RNG.normal(0, 1, (50, 3))


def slow_neighbors(points: np.ndarray, reference: np.ndarray, k: int, skip: int) -> list[float]:
    found = []
    for point in points:
        distances = sorted(float(np.sqrt(((point - one) ** 2).sum())) for one in reference)
        found.append(float(np.mean(distances[skip : skip + k])))
    return found


def test_neighbors_are_the_nearest_and_never_the_point_itself() -> None:
    found = neighbor_distances(SOURCE, TARGET, 4)
    assert found == pytest.approx(slow_neighbors(SOURCE, TARGET, 4, 0))
    own = neighbor_distances(TARGET, TARGET, 4, itself=True)
    assert own == pytest.approx(slow_neighbors(TARGET, TARGET, 4, 1))


def test_density_is_that_of_scipy_and_leaves_a_point_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_distances, "BLOCK", 7)
    density = TargetDensity.of(TARGET)
    assert density.reference.shape == (50, 3)
    # scipy's kernel has the covariance of the points, ours is round in their whitened axes.
    volume = np.log(np.sqrt(np.linalg.det(np.cov(TARGET.T))))
    found = density.log_density(SOURCE) - volume
    assert found == pytest.approx(gaussian_kde(TARGET.T).logpdf(SOURCE.T))
    own = density.log_density(TARGET, itself=True)
    for n in (0, 8, 49):
        others = np.delete(np.arange(50), n)
        rest = TargetDensity(
            density.mean, density.axes, density.reference[others], density.bandwidth
        )
        assert own[n] == pytest.approx(rest.log_density(TARGET[n : n + 1])[0])


def test_density_of_few_or_flat_points_is_finite() -> None:
    flat = np.concatenate([TARGET, np.zeros((50, 5))], axis=1)
    assert TargetDensity.of(flat).reference.shape == (50, 3)
    assert np.isfinite(TargetDensity.of(flat[:5]).log_density(flat)).all()
    assert np.isfinite(TargetDensity.of(np.ones((6, 2))).log_density(np.ones((1, 2)))).all()


def test_frechet_is_the_formula() -> None:
    first, second = np.cov(SOURCE.T), np.cov(TARGET.T)
    shift = SOURCE.mean(0) - TARGET.mean(0)
    root = sqrtm(first @ second).real
    slow = shift @ shift + np.trace(first + second - 2 * root)
    assert frechet_distance(SOURCE, TARGET) == pytest.approx(slow)
    assert frechet_distance(SOURCE, SOURCE) == pytest.approx(0, abs=1e-9)
    # Fewer points than coordinates.
    wide = RNG.normal(size=(5, 40))
    assert frechet_distance(wide, wide + 1) == pytest.approx(40)


def test_the_bias_of_frechet_is_what_the_floor_says_and_is_extrapolated_away() -> None:
    rng = np.random.default_rng(1)
    plain, floor, extrapolated = [], [], []
    for _ in range(5):
        first, second = rng.normal(size=(200, 20)), rng.normal(size=(200, 20))
        plain.append(frechet_distance(first, second))  # the true distance is 0
        floor.append(frechet_floor(second, 5, 0))
        extrapolated.append(frechet_extrapolated(first, second, 0))
    assert np.mean(plain) > 0.8 and np.mean(floor) == pytest.approx(2 * np.mean(plain), rel=0.25)
    assert abs(np.mean(extrapolated)) < np.mean(plain) / 3


def test_proxy_a_distance_is_0_for_one_set_and_2_for_separate_ones() -> None:
    rng = np.random.default_rng(2)
    one, other = rng.normal(size=(300, 2)), rng.normal(size=(60, 2))
    assert proxy_a_distance(one, other, 5, 0) < 0.35
    assert proxy_a_distance(one, other + 8, 5, 0) == 2
    assert proxy_a_distance(one, other + 1, 5, 0) == proxy_a_distance(one, other + 1, 5, 0)


def test_standardized_points_have_unit_spread_and_no_constants() -> None:
    source = np.concatenate([SOURCE * 100, np.full((70, 2), 0.1), np.full((70, 1), 30.0)], axis=1)
    target = np.concatenate([TARGET * 100, np.full((50, 2), 0.1), np.full((50, 1), 25.0)], axis=1)
    first, second = standardize(source.astype(np.float32), target.astype(np.float32))
    assert first.shape == (70, 4) and second.shape == (50, 4)
    assert (first[:, :3].var(0) + second[:, :3].var(0)) / 2 == pytest.approx(np.ones(3), rel=1e-5)
    assert second.mean(0) == pytest.approx(np.zeros(4), abs=1e-5)
    assert first[:, 3] == pytest.approx(np.full(70, 2.0))
    with pytest.raises(ViddaError, match="the features of all clips are equal"):
        standardize(source[:, 3:5], target[:, 3:5])


def test_no_matrix_of_all_pairs_is_in_memory() -> None:
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(20_000, 3)), rng.normal(size=(2_000, 3))
    density = TargetDensity.of(target)
    tracemalloc.start()
    neighbor_distances(source, target, 5)
    density.log_density(source)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < source.shape[0] * target.shape[0] * 8 / 4
