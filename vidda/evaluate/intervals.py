"""Confidence intervals of accuracies and gains, and a paired test of two models."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom, norm, t

CHUNK = 2_000_000
"""Random counts that are sampled at once: 16 MB."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval of a share (0 to 1) or of a mean gain (-1 to 1)."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class McNemar:
    """McNemar's test of two models on the same clips.

    only_first, only_second: number of clips that only this model recognizes. exact_p, mid_p:
    two-sided p values.
    """

    only_first: int
    only_second: int
    exact_p: float
    mid_p: float


def wilson(share: float, count: int, confidence: float = 0.95) -> Interval:
    """Return Wilson's interval of a share of `count` independent clips.

    share: 0 to 1. confidence: of the interval, 0 to 1. Clips of one subject are not independent:
    use `bootstrap_mean` for them. Wilson 1927; Newcombe 1998, method 3.
    """
    z = float(norm.ppf(0.5 + confidence / 2))
    middle = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return Interval(max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale))


def paired_gain(gains: np.ndarray, confidence: float = 0.95) -> Interval:
    """Return the interval of one model's mean gain over another on the same independent clips.

    gains: (N,), -1, 0 or 1 a clip, or means of that over runs. confidence: of the interval, 0 to 1.
    The adjusted Wald interval of Bonett and Price 2012 (doi 10.3102/1076998611411915): one clip is
    added that only the first and one that only the second recognizes, so that models which never
    differ are not known to be equal.
    """
    z, count = float(norm.ppf(0.5 + confidence / 2)), len(gains) + 2
    middle, square = float(gains.sum()) / count, float((gains**2).sum() + 2) / count
    spread = z * math.sqrt((square - middle**2) / count)
    return Interval(max(-1.0, middle - spread), min(1.0, middle + spread))


def bootstrap_mean(
    values: np.ndarray,
    clusters: np.ndarray,
    *,
    samples: int,
    seed: int,
    confidence: float = 0.95,
) -> Interval | None:
    """Return the interval of a mean over clips in clusters, such as subjects (and over runs).

    values: (N,) of each clip, or (R, N) of each run and clip: correct predictions as bool, or the
    gain of one model over another, -1 to 1, as float. clusters: (N,) keys. samples, seed: number of
    bootstrap samples, and their seed. confidence: of the interval, 0 to 1. Returns None for a
    single cluster, from which nothing follows for others.

    Clusters and, independently, runs are sampled with replacement (pigeonhole bootstrap, Owen 2007,
    arXiv 0712.1111). With few clusters the percentiles are too narrow (Cameron, Gelbach and Miller
    2008), so their distances to the mean are multiplied by `_widening`; and a few clusters can be
    alike by chance, so the result is never narrower than the interval of N independent clips.
    """
    hits = values.dtype == np.bool_
    values = np.atleast_2d(np.asarray(values, dtype=np.float64))
    _, index = np.unique(clusters, return_inverse=True)
    sizes = np.bincount(index)
    if len(sizes) < 2:
        return None
    sums, mean = np.stack([np.bincount(index, run) for run in values]), float(values.mean())
    tail = 50 * (1 - confidence)
    ends = np.percentile(_resampled_means(sums, sizes, samples, seed), [tail, 100 - tail])
    low, high = (mean + _widening(sums, sizes, confidence) * (ends - mean)).tolist()
    alone = (
        wilson(mean, values.shape[1], confidence)
        if hits
        else paired_gain(values.mean(0), confidence)
    )
    lowest = 0.0 if hits else -1.0
    return Interval(max(lowest, min(low, alone.low)), min(1.0, max(high, alone.high)))


def _resampled_means(sums: np.ndarray, sizes: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """Return the means over clusters and runs sampled with replacement, (samples,).

    sums: (R, G), sum of each run's values in each cluster. sizes: (G,), clips of each cluster.
    """
    runs, rng = len(sums), np.random.default_rng(seed)
    means = []
    for start in range(0, samples, max(1, CHUNK // len(sizes))):
        draws = min(samples - start, max(1, CHUNK // len(sizes)))
        times = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), draws)
        of_run = rng.multinomial(runs, np.full(runs, 1 / runs), draws)
        means.append(((of_run @ sums) * times).sum(1) / (runs * (times @ sizes)))
    return np.concatenate(means)


def _widening(sums: np.ndarray, sizes: np.ndarray, confidence: float) -> float:
    """Return the factor by which the interval of resampled means is too narrow, at least 1.

    The variance of G clusters sampled with replacement is (G - 1)/G of that of G new ones, and of R
    runs likewise; a variance estimated from few of them needs Student's t, with the degrees of
    freedom of Satterthwaite 1946. sums, sizes: as in `_resampled_means`.
    """
    (runs, groups), clips = sums.shape, sizes.sum()
    mean = sums.sum() / (runs * clips)
    of_clusters = (((sums.mean(0) - mean * sizes) / clips) ** 2).sum()
    of_runs = ((sums.sum(1) / clips - mean) ** 2).sum() / runs**2
    resampled = of_clusters + of_runs
    if resampled == 0:
        return 1.0
    new_clusters = of_clusters * groups / (groups - 1)
    new_runs = of_runs * runs / (runs - 1) if runs > 1 else 0.0
    new = new_clusters + new_runs
    freedom = new**2 / (new_clusters**2 / (groups - 1) + new_runs**2 / max(1, runs - 1))
    quantile = 0.5 + confidence / 2
    return float(math.sqrt(new / resampled) * t.ppf(quantile, freedom) / norm.ppf(quantile))


def mcnemar(first: np.ndarray, second: np.ndarray) -> McNemar:
    """Compare two models on the same clips by McNemar's test, exact and mid-p.

    first, second: (N,) bool, correct predictions. The mid-p test keeps its level in practice and
    has more power than the exact one (Fagerland, Lydersen and Laake 2013, doi
    10.1186/1471-2288-13-91).
    """
    only_first = int(np.count_nonzero(first & ~second))
    only_second = int(np.count_nonzero(second & ~first))
    differ, fewer = only_first + only_second, min(only_first, only_second)
    if differ == 0:
        return McNemar(0, 0, 1.0, 1.0)
    exact = min(1.0, 2 * float(binom.cdf(fewer, differ, 0.5)))
    at_tie = 0.5 if only_first == only_second else 1.0
    mid = exact - at_tie * float(binom.pmf(fewer, differ, 0.5))
    return McNemar(only_first, only_second, exact, mid)
