"""Selection: the clips of a large source to take for a target, by three methods."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MOST_COORDINATES = 10
"""Most principal components of the target in which a mixture is fitted."""
CLUSTER = 50
"""Clips of a group, about, where the source has no column of groups."""


@dataclass(frozen=True, slots=True)
class TargetMixture:
    """A Gaussian mixture of K components over target points, with diagonal covariances.

    weights: (K,) sum to 1. means, deviations: (K, d). silhouette: of the components as clusters, by
    which K was chosen; NaN for one component.
    """

    weights: np.ndarray
    means: np.ndarray
    deviations: np.ndarray
    silhouette: float


def principal_points(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return points (N, D) and (M, D) in the target's first principal components, at most 10."""
    mean = target.mean(0)
    _, sizes, rows = np.linalg.svd(target - mean, full_matrices=False)
    count = max(1, min(MOST_COORDINATES, len(target) // 4, int((sizes > 1e-6 * sizes[:1]).sum())))
    axes = rows[:count].T
    return (source - mean) @ axes, (target - mean) @ axes


def target_mixture(
    target: np.ndarray, components: int | None, most: int, seed: int
) -> TargetMixture:
    """Return a mixture of target points (M, d).

    components: K; None takes the one of 2..most with the highest silhouette of its clusters, of
    which each has two points or more, and 1 where there is none.
    """
    from sklearn.metrics import silhouette_score
    from sklearn.mixture import GaussianMixture

    best: tuple[float, GaussianMixture] | None = None
    tried = [components] if components else range(2, min(most, len(target) // 4) + 1)
    for count in tried:
        model = GaussianMixture(count, covariance_type="diag", reg_covar=1e-3, random_state=seed)
        labels = model.fit_predict(target)
        sizes = np.bincount(labels, minlength=count)
        apart = (sizes > 0).sum() > 1
        value = float(silhouette_score(target, labels)) if apart else float("nan")
        if components or (sizes.min() > 1 and (best is None or value > best[0])):
            best = value, model
    if best is None:
        one = GaussianMixture(1, covariance_type="diag", reg_covar=1e-3, random_state=seed)
        best = float("nan"), one.fit(target)
    value, model = best
    return TargetMixture(model.weights_, model.means_, np.sqrt(model.covariances_), value)


def source_clusters(source: np.ndarray, seed: int) -> list[str]:
    """Return names of k-means clusters of points (N, d), of about 50 points each."""
    from sklearn.cluster import MiniBatchKMeans

    count = max(1, round(len(source) / CLUSTER))
    model = MiniBatchKMeans(count, n_init=3, random_state=seed)
    return [str(label) for label in model.fit_predict(source)]


def shares_of(count: int, weights: np.ndarray, most: np.ndarray | None = None) -> np.ndarray:
    """Return whole numbers (K,) that sum to `count`, in proportion to weights (K,).

    Largest remainders are rounded up. most: (K,) upper limits, with a sum of at least `count`;
    what is over one goes to the others.
    """
    limits = np.full(len(weights), count) if most is None else most
    found = np.zeros(len(weights), int)
    while found.sum() < count:
        free = np.where(found < limits, weights, 0.0)
        # Where only components without weight have room left, they share alike.
        free = free if free.sum() > 0 else (found < limits).astype(float)
        wanted = free / free.sum() * (count - found.sum())
        whole = np.floor(wanted + 1e-9).astype(int)
        order = np.argsort(whole - wanted, kind="stable")[: count - found.sum() - whole.sum()]
        whole[order] += 1
        found = np.minimum(found + whole, limits)
    return found


def select_by_mixture(
    source: np.ndarray, groups: Sequence[str], mixture: TargetMixture, count: int, seed: int
) -> np.ndarray:
    """Return the component of each chosen clip, (N,) int, -1 for those that are not chosen.

    source: (N, d) points. groups: (N,) names. count: of clips to choose, at most N. Each component,
    the heaviest first, takes clips in proportion to its weight from the groups nearest to it in
    mean and deviation, |m - m'|^2 + |s - s'|^2, the squared 2-Wasserstein distance of Gaussians
    with diagonal covariances; of the last group a random part, decided by `seed`.
    """
    rng = np.random.default_rng(seed)
    names = sorted(set(groups))
    members = [np.flatnonzero(np.array(groups) == name) for name in names]
    means = np.stack([source[rows].mean(0) for rows in members])
    deviations = np.stack([source[rows].std(0) for rows in members])
    members = [rng.permutation(rows) for rows in members]
    quotas = shares_of(count, mixture.weights)
    chosen = np.full(len(source), -1)
    for one in np.argsort(-mixture.weights, kind="stable"):
        apart = ((means - mixture.means[one]) ** 2).sum(1)
        apart += ((deviations - mixture.deviations[one]) ** 2).sum(1)
        left = int(quotas[one])
        for group in np.argsort(apart, kind="stable"):
            free = members[group][chosen[members[group]] < 0][:left]
            chosen[free] = one
            left -= len(free)
            if not left:
                break
    return chosen


def select_k_center(source: np.ndarray, target: np.ndarray, count: int) -> np.ndarray:
    """Return which clips are chosen, (N,) bool, by greedy k-center.

    source: (N, d). target: (M, d). count: of clips, at most N. The first is the one nearest to the
    target's mean, and each further one the farthest from all chosen so far, so that they cover the
    source (Sener and Savarese, 2018, core-set selection). Distances to one clip at a time are in
    memory.
    """
    latest = int(((source - target.mean(0)) ** 2).sum(1).argmin())
    chosen = np.zeros(len(source), bool)
    nearest = np.full(len(source), np.inf)
    for _ in range(count):
        chosen[latest] = True
        nearest = np.minimum(nearest, ((source - source[latest]) ** 2).sum(1))
        nearest[latest] = -1.0
        latest = int(nearest.argmax())
    return chosen


def select_random(clips: int, count: int, seed: int) -> np.ndarray:
    """Return which of `clips` are chosen, (N,) bool, `count` of them at random."""
    chosen = np.zeros(clips, bool)
    chosen[np.random.default_rng(seed).permutation(clips)[:count]] = True
    return chosen
