"""The distances of source and target in one space of features, and one score of a data set."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import wasserstein_distance

from vidda.gap.attribute_distances import scale_of
from vidda.gap.feature_distances import (
    TargetDensity,
    frechet_distance,
    frechet_extrapolated,
    frechet_floor,
    neighbor_distances,
    proxy_a_distance,
)

HALVES = 10
"""Random divisions of the target by which the lowest possible values are estimated."""


@dataclass(frozen=True, slots=True)
class SpaceDistances:
    """The distances of source and target in one space of D standardized coordinates.

    neighbors_source: (N,) mean distance of each source clip to its nearest target clips.
    neighbors_target: (M,) the same of each target clip to others. density_source, density_target:
    (N,) and (M,) log density under the target's clips, each target clip left out of its own.
    proxy_a, frechet, frechet_floor, frechet_extrapolated: see `feature_distances`.
    """

    dimensions: int
    neighbors_source: np.ndarray
    neighbors_target: np.ndarray
    density_source: np.ndarray
    density_target: np.ndarray
    proxy_a: float
    frechet: float
    frechet_floor: float
    frechet_extrapolated: float

    @property
    def neighbor_shift(self) -> float:
        """The source's mean neighbor distance above the target's own, in its deviations."""
        return neighbor_shift(self.neighbors_source, self.neighbors_target)


@dataclass(frozen=True, slots=True)
class GapScore:
    """The score of a source for a target: 0 for clips of one distribution, above for others.

    value: mean of two parts. attributes: mean over the attributes of their Wasserstein distance,
    each divided by its deviation. neighbors: `SpaceDistances.neighbor_shift`. spread: standard
    deviation of the value over bootstrap samples of both sets' clips. floor: mean value between two
    random halves of the target, which has no gap: what a finite sample cannot go below.
    """

    value: float
    spread: float
    attributes: float
    neighbors: float
    floor: float


def measure_space(
    source: np.ndarray, target: np.ndarray, neighbors: int, folds: int, seed: int
) -> SpaceDistances:
    """Return all distances of standardized points (N, D) and (M, D).

    neighbors: number of nearest ones, below M. folds: of the classifier's cross-validation.
    """
    density = TargetDensity.of(target)
    return SpaceDistances(
        dimensions=source.shape[1],
        neighbors_source=neighbor_distances(source, target, neighbors),
        neighbors_target=neighbor_distances(target, target, neighbors, itself=True),
        density_source=density.log_density(source),
        density_target=density.log_density(target, itself=True),
        proxy_a=proxy_a_distance(source, target, folds, seed),
        frechet=frechet_distance(source, target),
        frechet_floor=frechet_floor(target, HALVES, seed),
        frechet_extrapolated=frechet_extrapolated(source, target, seed),
    )


def neighbor_shift(source: np.ndarray, target: np.ndarray) -> float:
    """Return the difference of mean neighbor distances, in deviations of the target's.

    source, target: (N,) and (M,). Where the target's are all equal, it is in their mean.
    """
    spread = float(target.std()) or float(target.mean()) or 1.0
    return float(source.mean() - target.mean()) / spread


def attribute_shift(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """Return the mean of the standardized Wasserstein distances of attributes.

    pairs: values (n,) and (m,) of each in source and target.
    """
    return float(np.mean([wasserstein_distance(a, b) / scale_of(a, b) for a, b in pairs] or [0.0]))


def gap_score(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    space: SpaceDistances,
    target: np.ndarray,
    neighbors: int,
    bootstrap: int,
    seed: int,
) -> GapScore:
    """Return the score of a source.

    pairs: finite values of each attribute, as for `attribute_shift`. space: the distances, and
    target: (M, D) the points of the target, in the space that counts. neighbors: number of nearest
    ones, below M / 2. bootstrap: number of samples; the neighbors of a clip stay those among all of
    the target's clips.
    """
    rng = np.random.default_rng(seed)
    parts = attribute_shift(pairs), space.neighbor_shift
    distances = space.neighbors_source, space.neighbors_target
    values = []
    for _ in range(bootstrap):
        drawn = [(rng.choice(a, len(a)), rng.choice(b, len(b))) for a, b in pairs]
        own, other = (rng.choice(part, len(part)) for part in distances)
        values.append((attribute_shift(drawn) + neighbor_shift(own, other)) / 2)
    return GapScore(
        value=sum(parts) / 2,
        spread=float(np.std(values)) if values else 0.0,
        attributes=parts[0],
        neighbors=parts[1],
        floor=_floor([second for _, second in pairs], target, neighbors, rng),
    )


def _floor(
    values: Sequence[np.ndarray], points: np.ndarray, neighbors: int, rng: np.random.Generator
) -> float:
    """Return the mean score between random halves of the target.

    values: (m,) of each attribute. points: (M, D) in the space that counts.
    """
    found = []
    for _ in range(HALVES):
        halves = [np.array_split(rng.permutation(one), 2) for one in values if len(one) > 1]
        shift = attribute_shift([(a, b) for a, b in halves])
        first, second = np.array_split(points[rng.permutation(len(points))], 2)
        there = neighbor_distances(first, second, neighbors)
        own = neighbor_distances(second, second, neighbors, itself=True)
        found.append((shift + neighbor_shift(there, own)) / 2)
    return float(np.mean(found))
