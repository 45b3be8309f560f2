"""Intervals and McNemar's test against published examples, and the bootstrap against theory."""

import itertools

import numpy as np
import pytest
from scipy.stats import binomtest

from vidda.evaluate.intervals import bootstrap_mean, mcnemar, wilson


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_against_newcombe_1998_table_1(
    right: int, count: int, low: float, high: float
) -> None:
    found = wilson(right / count, count)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_wilson_against_scipy(confidence: float) -> None:
    for right in (0, 3, 60, 91):
        theirs = binomtest(right, 91).proportion_ci(confidence, method="wilson")
        found = wilson(right / 91, 91, confidence)
        assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_mcnemar_against_fagerland_2013() -> None:
    # Bentur et al.: 1 and 7 of 21 pairs differ. Their table 7: exact 0.0703, mid-p 0.0391.
    first = np.array([True] * 1 + [True] * 1 + [False] * 7 + [False] * 12)
    second = np.array([True] * 1 + [False] * 1 + [True] * 7 + [False] * 12)
    found = mcnemar(first, second)
    assert (found.only_first, found.only_second) == (1, 7)
    assert (found.exact_p, found.mid_p) == pytest.approx((0.0703, 0.0391), abs=5e-5)
    turned = mcnemar(second, first)
    assert (turned.only_first, turned.exact_p, turned.mid_p) == (7, found.exact_p, found.mid_p)


def test_mcnemar_of_models_that_differ_equally_or_not() -> None:
    one, other = np.array([True, False, True]), np.array([False, True, True])
    # Their supplement: 1 - f(1 | 2) / 2 = 1 - 0.5 / 2.
    assert mcnemar(one, other).exact_p == 1.0
    assert mcnemar(one, other).mid_p == pytest.approx(0.75)
    assert mcnemar(one, one).mid_p == 1.0
    for fewer, more in [(0, 5), (3, 9), (12, 40)]:
        first = np.repeat([True, False], [fewer, more])
        theirs = binomtest(fewer, fewer + more).pvalue
        assert mcnemar(first, ~first).exact_p == pytest.approx(theirs)


def test_the_bootstrap_of_clusters_against_all_draws() -> None:
    values = np.array([1, 1, 0, 1, 0, 0, 0, 1, 1, 1], dtype=float)
    clusters = np.array(list("aaabbccccc"))
    parts = [values[clusters == name] for name in "abc"]
    means = [np.concatenate(draw).mean() for draw in itertools.product(parts, repeat=3)]
    # Far from the jumps of a distribution with so few values, the quantiles agree exactly.
    found = bootstrap_mean(values, clusters, samples=40_000, seed=0, confidence=0.8)
    assert found is not None
    wanted = np.percentile(means, [10, 90])
    assert (found.low, found.high) == pytest.approx(tuple(wanted), abs=1e-9)


def test_the_bootstrap_of_single_clips_against_the_normal_approximation() -> None:
    values = np.random.default_rng(1).random(2000) < 0.7
    found = bootstrap_mean(values, np.arange(2000), samples=5000, seed=0)
    assert found is not None
    spread = 1.96 * np.sqrt(values.mean() * (1 - values.mean()) / 2000)
    wanted = (values.mean() - spread, values.mean() + spread)
    assert (found.low, found.high) == pytest.approx(wanted, abs=0.002)


def test_clusters_and_runs_widen_the_interval() -> None:
    rng = np.random.default_rng(2)
    of_subject = rng.random(20)[np.repeat(np.arange(20), 10)]
    values = (rng.random(200) < of_subject).astype(float)

    def width(values: np.ndarray, clusters: np.ndarray) -> float:
        found = bootstrap_mean(values, clusters, samples=4000, seed=0)
        assert found is not None
        return found.high - found.low

    alone, together = np.arange(200), np.repeat(np.arange(20), 10)
    assert width(values, together) > 1.5 * width(values, alone)
    same = np.stack([values] * 3)
    assert width(same, together) == pytest.approx(width(values, together), rel=0.1)
    seeds = np.stack([values, np.ones(200), np.zeros(200)])
    assert width(seeds, together) > 2 * width(same, together)


def test_the_bootstrap_is_repeatable_and_knows_its_limit() -> None:
    values, clusters = np.arange(12) % 3 == 0, np.arange(12) // 3

    def ends(seed: int) -> object:
        return bootstrap_mean(np.r_[values, True], np.r_[clusters, 9], samples=150, seed=seed)

    assert ends(0) == ends(0)
    assert any(ends(0) != ends(seed) for seed in range(1, 5))
    assert bootstrap_mean(values, np.zeros(12), samples=100, seed=0) is None


def test_the_bootstrap_in_chunks_draws_all_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    values, clusters = np.arange(60) % 4 == 0, np.arange(60) // 2
    whole = bootstrap_mean(values, clusters, samples=3000, seed=0)
    monkeypatch.setattr("vidda.evaluate.intervals.CHUNK", 700)
    parts = bootstrap_mean(values, clusters, samples=3000, seed=0)
    assert whole is not None and parts is not None
    assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high), abs=0.02)
