"""Intervals and McNemar's test against published examples, and the bootstrap against theory."""

import itertools

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import binomtest, norm, t

from vidda.evaluate.intervals import bootstrap_mean, mcnemar, paired_gain, wilson


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
    # Many clips, so that what they alone leave open is not the longer interval.
    values = np.repeat([True, True, False, True, False, False, False, True, True, True], 20)
    clusters = np.repeat(list("aaabbccccc"), 20)
    parts = [values[clusters == name] for name in "abc"]
    means = [np.concatenate(draw).mean() for draw in itertools.product(parts, repeat=3)]
    # Far from the jumps of a distribution with so few values, the quantiles agree exactly.
    found = bootstrap_mean(values, clusters, samples=40_000, seed=0, confidence=0.8)
    assert found is not None
    # Of three clusters: the variance of three new ones, and Student's t.
    longer = np.sqrt(3 / 2) * t.ppf(0.9, 2) / norm.ppf(0.9)
    wanted = values.mean() + longer * (np.percentile(means, [10, 90]) - values.mean())
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
    values = rng.random(200) < of_subject

    def width(values: np.ndarray, clusters: np.ndarray) -> float:
        found = bootstrap_mean(values, clusters, samples=4000, seed=0)
        assert found is not None
        return found.high - found.low

    alone, together = np.arange(200), np.repeat(np.arange(20), 10)
    assert width(values, together) > 1.5 * width(values, alone)
    same = np.stack([values] * 3)
    assert width(same, together) == pytest.approx(width(values, together), rel=0.1)
    seeds = np.stack([values, np.ones(200, bool), np.zeros(200, bool)])
    assert width(seeds, together) > 2 * width(same, together)


SUBJECTS = np.repeat(np.arange(6), 47)


def subjects_alone(values: np.ndarray) -> tuple[float, float]:
    """Percentiles of draws of six whole subjects and nothing more, as a counterexample."""
    of_subject = values.reshape(6, 47).mean(1)
    drawn = np.random.default_rng(0).integers(6, size=(300, 6))
    low, high = np.percentile(of_subject[drawn].mean(1), [2.5, 97.5])
    return float(low), float(high)


@pytest.mark.parametrize("spread", [0.0, 0.3, 0.8], ids=["alike", "differ", "differ_much"])
@pytest.mark.parametrize("accuracy", [0.5, 0.2])
def test_of_95_percent_intervals_over_six_subjects_95_percent_hold_the_truth(
    spread: float, accuracy: float
) -> None:
    rng, trials = np.random.default_rng(5), 200
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    truth = (weights * expit(logit(accuracy) + spread * nodes)).sum() / weights.sum()
    chances = expit(logit(accuracy) + spread * rng.normal(size=(trials, 6)))
    held = held_by_subjects_alone = 0
    for chance in chances:
        hits = rng.random(282) < np.repeat(chance, 47)
        found = bootstrap_mean(hits, SUBJECTS, samples=300, seed=0)
        assert found is not None
        held += found.low <= truth <= found.high
        low, high = subjects_alone(hits)
        held_by_subjects_alone += low <= truth <= high
    assert held_by_subjects_alone / trials < 0.9
    assert 0.92 <= held / trials <= 0.99


def test_of_intervals_of_a_gain_and_of_seeds_95_percent_hold_the_truth() -> None:
    rng, trials, held, held_by_seeds = np.random.default_rng(6), 100, 0, 0
    for _ in range(trials):
        # Each subject gains 0.1 on average; one model's hits are the other's where neither changes.
        chance = np.repeat(0.1 + 0.1 * rng.normal(size=6), 47)
        gains = (rng.random(282) < 0.3 + chance / 2).astype(float)
        gains -= rng.random(282) < 0.3 - chance / 2
        found = bootstrap_mean(gains, SUBJECTS, samples=300, seed=0)
        # Three seeds that differ, on clips without subjects.
        seeds = rng.random((3, 60)) < 0.5 + 0.1 * rng.normal(size=(3, 1))
        of_seeds = bootstrap_mean(seeds, np.arange(60), samples=200, seed=0)
        assert found is not None and of_seeds is not None
        held += found.low <= 0.1 <= found.high
        held_by_seeds += of_seeds.low <= 0.5 <= of_seeds.high
    assert 0.92 <= held / trials <= 0.99 and 0.92 <= held_by_seeds / trials <= 0.99


@pytest.mark.parametrize("accuracy", [0.0, 0.2, 0.5, 1.0])
def test_no_interval_is_shorter_than_that_of_as_many_independent_clips(accuracy: float) -> None:
    # Every subject is recognized equally often: they tell nothing of their spread.
    hits = np.tile(np.arange(45) < round(45 * accuracy), 6)
    found = bootstrap_mean(hits, np.repeat(np.arange(6), 45), samples=500, seed=0)
    assert found == wilson(hits.mean(), 270)
    if accuracy == 0.5:
        assert found.high - found.low == pytest.approx(2 * 0.059, abs=0.001)


def test_a_paired_gain_against_its_formula_and_its_ends() -> None:
    # Bentur et al. again, 1 and 7 of 21 pairs: (1 + 1 and 7 + 1) of 21 + 2.
    gains = np.repeat([1.0, -1.0, 0.0], [1, 7, 13])
    first, second = 2 / 23, 8 / 23
    spread = norm.ppf(0.975) * np.sqrt((first + second - (first - second) ** 2) / 23)
    found = paired_gain(gains)
    assert (found.low, found.high) == pytest.approx((-6 / 23 - spread, -6 / 23 + spread))
    for same in (np.zeros(50), np.ones(50), -np.ones(50)):
        found = bootstrap_mean(same, np.arange(50) // 10, samples=100, seed=0)
        assert found is not None and -1 <= found.low <= same[0] <= found.high <= 1
        assert found.high - found.low > 0.05


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
