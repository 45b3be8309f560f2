"""Distances between the distributions of one attribute in two sets of clips."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import wasserstein_distance


@dataclass(frozen=True, slots=True)
class AttributeDistance:
    """The difference of one attribute between source and target.

    bhattacharyya: -ln sum sqrt(p q) on shared bins; p_value: share of random divisions of all clips
    with at least that distance. wasserstein: in the attribute's unit; standardized: the same
    divided by the mean deviation of both sets. source, target: number of clips with a value.
    """

    bhattacharyya: float
    p_value: float
    wasserstein: float
    standardized: float
    source: int
    target: int
    source_mean: float
    target_mean: float


def compare_attribute(
    source: np.ndarray, target: np.ndarray, bins: int, permutations: int, seed: int
) -> AttributeDistance:
    """Return the distances between the values of an attribute in two sets of clips.

    source, target: (N,) and (M,) finite, each with at least one value. bins: most shared bins.
    permutations: random divisions for the p-value. seed: decides these.
    """
    counts = shared_counts(source, target, bins)
    shift = float(wasserstein_distance(source, target))
    return AttributeDistance(
        bhattacharyya(counts),
        permutation_p(counts, permutations, seed),
        shift,
        shift / scale_of(source, target) if shift else 0.0,
        len(source),
        len(target),
        float(source.mean()),
        float(target.mean()),
    )


def scale_of(source: np.ndarray, target: np.ndarray) -> float:
    """Return the root of the mean variance of values (N,) and (M,), in their unit.

    Where both are constant, and so cannot be compared with their spread, it is the half of what
    parts them; 1 where nothing does.
    """
    scale = float(np.sqrt((source.var() + target.var()) / 2))
    apart = abs(float(source.mean() - target.mean())) / 2
    # Rounding leaves a trace of a deviation in equal values.
    least = 1e-9 * max(abs(float(source.mean())), abs(float(target.mean())))
    return next((one for one in (scale, apart) if one > least), 1.0)


def shared_counts(source: np.ndarray, target: np.ndarray, bins: int) -> np.ndarray:
    """Return the numbers of values in shared bins, (2, B) int: of the source, of the target.

    source, target: (N,) and (M,). bins: most bins, B. The edges are quantiles of the two
    distributions in equal shares, so that neither an outlier nor the larger set decides them, and a
    monotone change of the unit changes nothing. There are fewer where many values are equal, and at
    most the root of the smaller set's size.
    """
    count = max(2, min(bins, int(np.sqrt(min(len(source), len(target))))))
    values = np.concatenate([source, target])
    weights = np.repeat([1 / len(source), 1 / len(target)], [len(source), len(target)])
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(weights[order]) / 2
    inner = np.searchsorted(cumulative, np.arange(1, count) / count - 1e-12)
    edges = np.setdiff1d(values[order][inner], values.max())
    # A value on an edge belongs to the bin below it.
    placed = (np.searchsorted(edges, part, side="left") for part in (source, target))
    return np.stack([np.bincount(part, minlength=len(edges) + 1) for part in placed])


def bhattacharyya(counts: np.ndarray) -> float:
    """Return the Bhattacharyya distance -ln sum_i sqrt(p_i q_i) of two histograms.

    counts: (2, B). Histograms that share no bin, of an infinite distance, get the one that a single
    pair of clips in a common bin would give: the largest that can be told apart.
    """
    sizes = counts.sum(1)
    overlap = float(np.sqrt(counts[0] / sizes[0] * counts[1] / sizes[1]).sum())
    least = 1 / np.sqrt(float(sizes[0]) * float(sizes[1]))
    return max(0.0, -float(np.log(max(overlap, least))))


def permutation_p(counts: np.ndarray, permutations: int, seed: int) -> float:
    """Return the p-value of the Bhattacharyya distance of two histograms, above 0.

    counts: (2, B). The clips of both are divided at random into sets of the same sizes, which for
    counts is a multivariate hypergeometric draw. The distance that was observed counts as one of
    the divisions (Phipson and Smyth, 2010).
    """
    rng = np.random.default_rng(seed)
    pooled = counts.sum(0)
    drawn = rng.multivariate_hypergeometric(pooled, int(counts[0].sum()), permutations)
    observed = bhattacharyya(counts)
    found = [bhattacharyya(np.stack([part, pooled - part])) for part in drawn]
    # Equal histograms in another order differ by rounding.
    return (1 + sum(one >= observed - 1e-12 for one in found)) / (1 + permutations)
