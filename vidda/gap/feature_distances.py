"""Distances between two sets of points: k nearest neighbors, density, classifier, Frechet.

None holds a matrix of all pairs in memory.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import qr
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from vidda.errors import ViddaError

BLOCK = 256
"""Points whose distances to the others are in memory at a time."""
DENSITY_COMPONENTS = 10
"""Most principal components in which a density is estimated: in more, no sample is dense."""
EXTRAPOLATION_DRAWS = 5
"""Samples of each size by which the Frechet distance is extrapolated."""
CLASSIFIED = 2000
"""Most points of each set that the classifier of the proxy A-distance sees."""


def require_scikit_learn() -> None:
    """Raise ViddaError unless scikit-learn is installed."""
    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise ViddaError("scikit-learn is not installed: pip install 'vidda[gap]'") from None


def standardize(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return points (N, D) and (M, D) on one scale, float64, the target's mean at 0.

    Each coordinate is divided by the root of its mean variance in both sets, which so count alike
    whatever their sizes. Coordinates that never change are left out; ViddaError where all are.
    """
    first, second = source.astype(np.float64), target.astype(np.float64)
    center = second.mean(0)
    scale = np.sqrt((first.var(0) + second.var(0)) / 2)
    apart = np.abs(first.mean(0) - center) / 2
    size = 1e-9 * np.maximum(np.abs(first.mean(0)), np.abs(center))
    # Two different constants are one unit from their middle, as in `attribute_distances.scale_of`.
    scale = np.where(scale > size, scale, apart)
    kept = scale > size
    if not kept.any():
        raise ViddaError("the features of all clips are equal; give features of another extractor")
    return (first[:, kept] - center[kept]) / scale[kept], (second[:, kept] - center[kept]) / scale[
        kept
    ]


def neighbor_distances(
    points: np.ndarray, reference: np.ndarray, neighbors: int, *, itself: bool = False
) -> np.ndarray:
    """Return the mean Euclidean distance (N,) of points to their nearest neighbors in a reference.

    points: (N, D). reference: (M, D), M above `neighbors`. itself: whether the points are the
    reference, of which each is then left out of its own neighbors.
    """
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=neighbors, algorithm="brute").fit(reference)
    distances: np.ndarray = search.kneighbors(None if itself else points)[0]
    return distances.mean(1)


@dataclass(frozen=True, slots=True)
class TargetDensity:
    """A Gaussian kernel density of target points, in their whitened principal components.

    mean: (D,). axes: (D, d) principal axes, divided by the deviation along each. reference: (M, d).
    bandwidth: of Scott's rule, M^(-1 / (d + 4)) deviations.
    """

    mean: np.ndarray
    axes: np.ndarray
    reference: np.ndarray
    bandwidth: float

    @classmethod
    def of(cls, target: np.ndarray) -> "TargetDensity":
        """Return the density of points (M, D), two or more."""
        mean = target.mean(0)
        _, sizes, rows = np.linalg.svd(target - mean, full_matrices=False)
        most = min(DENSITY_COMPONENTS, max(1, (len(target) - 1) // 4))
        count = max(1, min(most, int((sizes > 1e-6 * sizes[:1]).sum())))
        spread = np.maximum(sizes[:count], 1e-12) / np.sqrt(len(target) - 1)
        axes = rows[:count].T / spread
        return cls(mean, axes, (target - mean) @ axes, len(target) ** (-1 / (count + 4)))

    def log_density(self, points: np.ndarray, *, itself: bool = False) -> np.ndarray:
        """Return the logarithm of the density at points (N, D), (N,).

        itself: whether the points are the target's own, of which each is then left out of the
        density at its place.
        """
        places = (points - self.mean) @ self.axes
        count, dims = self.reference.shape
        constant = dims * np.log(self.bandwidth * np.sqrt(2 * np.pi)) + np.log(count - itself)
        found = []
        for at in range(0, len(places), BLOCK):
            block = places[at : at + BLOCK]
            exponents = -cdist(block, self.reference, "sqeuclidean") / (2 * self.bandwidth**2)
            if itself:
                rows = np.arange(len(block))
                exponents[rows, at + rows] = -np.inf
            found.append(logsumexp(exponents, axis=1) - constant)
        return np.concatenate(found)


def proxy_a_distance(source: np.ndarray, target: np.ndarray, folds: int, seed: int) -> float:
    """Return the proxy A-distance 2 (1 - 2 e), in 0..2, of a linear classifier's error e.

    source, target: (N, D), (M, D). The classifier, logistic regression with equal weight of both
    sets, is tested by cross-validation in `folds` parts on at most CLASSIFIED points of each set,
    and e is the mean of its error on source and on target. An error above a half counts as a half.
    Ben-David et al., 2007, analysis of representations for domain adaptation.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    rng = np.random.default_rng(seed)
    parts = [one[np.sort(rng.permutation(len(one))[:CLASSIFIED])] for one in (source, target)]
    labels = np.repeat([0, 1], [len(one) for one in parts])
    model = LogisticRegression(class_weight="balanced", max_iter=1000, C=0.1)
    split = StratifiedKFold(folds, shuffle=True, random_state=seed)
    said = cross_val_predict(model, np.concatenate(parts), labels, cv=split)
    error = float(np.mean([(said[labels == one] != one).mean() for one in (0, 1)]))
    return 2 * (1 - 2 * min(error, 0.5))


def frechet_distance(source: np.ndarray, target: np.ndarray) -> float:
    """Return the squared Frechet distance of Gaussians fitted to points (N, D) and (M, D).

    |m - n|^2 + tr(S + T - 2 (S T)^(1/2)), as in Heusel et al., 2017 (FID). The trace of the root is
    the sum of the singular values of A B^T with S = A^T A and T = B^T B. Two or more points each.
    """
    roots = [_covariance_root(points) for points in (source, target)]
    shift = source.mean(0) - target.mean(0)
    spread = sum(float((root**2).sum()) for root in roots)
    shared = float(np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum())
    return max(0.0, float(shift @ shift) + spread - 2 * shared)


def _covariance_root(points: np.ndarray) -> np.ndarray:
    """Return A (min(N, D), D) with A^T A the covariance of points (N, D)."""
    centered = (points - points.mean(0)) / np.sqrt(len(points) - 1)
    root: np.ndarray = qr(centered, mode="r", check_finite=False)[0]
    return root[: min(points.shape)]


def frechet_floor(target: np.ndarray, repeats: int, seed: int) -> float:
    """Return the mean Frechet distance between two random halves of points (M, D), M of 4 or more.

    Both are of one distribution, so this is bias alone, of samples of M / 2 points. It falls about
    as 1 / M, and grows with D.
    """
    rng = np.random.default_rng(seed)
    half = len(target) // 2
    orders = [rng.permutation(len(target)) for _ in range(repeats)]
    return float(
        np.mean([frechet_distance(target[one[:half]], target[one[half:]]) for one in orders])
    )


def frechet_extrapolated(source: np.ndarray, target: np.ndarray, seed: int) -> float:
    """Return the Frechet distance extrapolated to samples without end.

    source, target: (N, D), (M, D). A line over 1 / n, the number of points drawn from each, is
    fitted to distances of samples between a quarter of the smaller set and all of it (Chong and
    Forsyth, 2020, effectively unbiased FID). Below 0 where the sets differ by less than its error.
    """
    rng = np.random.default_rng(seed)
    most = min(len(source), len(target))
    sizes = np.unique(np.linspace(max(2, most // 4), most, 8).round().astype(int))
    drawn = np.repeat(sizes, EXTRAPOLATION_DRAWS)
    values = [
        frechet_distance(
            source[rng.permutation(len(source))[:n]], target[rng.permutation(len(target))[:n]]
        )
        for n in drawn
    ]
    if len(sizes) < 2:
        return float(np.mean(values))
    return float(np.polyfit(1 / drawn, values, 1)[1])
