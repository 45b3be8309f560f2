"""How far a measured accuracy may be trusted: intervals, and a paired test of two models."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom, norm

CHUNK = 2_000_000
"""Random counts drawn at once, 16 MB of them."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a share or a mean lies with some confidence."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class McNemar:
    """How two models differ on the same clips.

    only_first, only_second: clips that only this model recognizes. exact_p, mid_p: two-sided.
    """

    only_first: int
    only_second: int
    exact_p: float
    mid_p: float


def wilson(share: float, count: int, confidence: float = 0.95) -> Interval:
    """Interval of a share of `count` independent clips (Wilson 1927; Newcombe 1998, method 3).

    share: 0 to 1. It takes clips for independent, which those of one subject are not.
    """
    z = float(norm.ppf(0.5 + confidence / 2))
    middle = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return Interval(max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale))


def bootstrap_mean(
    values: np.ndarray,
    clusters: np.ndarray,
    *,
    samples: int,
    seed: int,
    confidence: float = 0.95,
) -> Interval | None:
    """Percentile interval of a mean, with clusters of clips (and runs) drawn with replacement.

    values: (N,) of each clip, or (R, N) of each run and clip; then runs are drawn too, apart from
    the clusters (pigeonhole bootstrap, Owen 2007, arXiv 0712.1111). clusters: (N,) keys, such as
    subjects; clips of one cluster stay together. samples: how many draws.

    None where there is a single cluster, which tells nothing of others. With few clusters, say
    fewer than ten, the interval comes out too narrow (Cameron, Gelbach and Miller 2008).
    """
    values = np.atleast_2d(np.asarray(values, dtype=np.float64))
    _, index = np.unique(clusters, return_inverse=True)
    sizes = np.bincount(index)
    if len(sizes) < 2:
        return None
    sums = np.stack([np.bincount(index, run) for run in values])
    runs, rng = len(values), np.random.default_rng(seed)
    means = []
    for start in range(0, samples, max(1, CHUNK // len(sizes))):
        draws = min(samples - start, max(1, CHUNK // len(sizes)))
        times = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), draws)
        of_run = rng.multinomial(runs, np.full(runs, 1 / runs), draws)
        means.append(((of_run @ sums) * times).sum(1) / (runs * (times @ sizes)))
    tail = 50 * (1 - confidence)
    low, high = np.percentile(np.concatenate(means), [tail, 100 - tail])
    return Interval(float(low), float(high))


def mcnemar(first: np.ndarray, second: np.ndarray) -> McNemar:
    """McNemar's test, exact and mid-p, of two models' hits on the same clips, (N,) bool each.

    The mid-p test keeps its level in practice and finds more than the exact one (Fagerland,
    Lydersen and Laake 2013, doi 10.1186/1471-2288-13-91).
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
