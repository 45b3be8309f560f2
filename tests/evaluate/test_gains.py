"""Gains over a baseline are paired: of one seed, on the same clips."""

import numpy as np
import pytest

from vidda.data.saved_predictions import SavedPredictions
from vidda.evaluate.gains import compute_gains, gain_grid
from vidda.evaluate.summary import Intervals
from vidda.types import Predictions

SUBJECTS = np.repeat(["a", "b", "c", "d"], 5)
LABELS = np.arange(20) % 3


def predictions_of(right: np.ndarray, subjects: np.ndarray = SUBJECTS) -> SavedPredictions:
    """Answers of which these are right."""
    answers = np.where(right, LABELS, (LABELS + 1) % 3)
    ids = tuple(f"c{n}" for n in range(20))
    columns = {"subject": subjects}
    return SavedPredictions(
        "p", Predictions(ids, np.eye(3)[answers], LABELS), ("x", "y", "z"), columns
    )


def first(count: int) -> np.ndarray:
    return np.arange(20) < count


def test_seeds_are_paired_and_only_those_that_both_have_count() -> None:
    found = compute_gains(
        {
            ("base", "gs2gr"): {
                0: predictions_of(first(4)),
                1: predictions_of(first(12)),
                3: predictions_of(first(0)),
            },
            ("better", "gs2gr"): {
                1: predictions_of(first(14)),
                0: predictions_of(first(6)),
                2: predictions_of(first(20)),
            },
            ("better", "as2ar"): {0: predictions_of(first(6))},
        },
        "base",
        Intervals(),
    )
    (gain,) = found
    assert (gain.method, gain.task) == ("better", "gs2gr")
    # The seeds lie 40 points apart, their gains do not differ at all.
    assert gain.runs == pytest.approx((0.1, 0.1))
    grid = gain_grid(found, "base", ("gs2gr", "as2ar"))
    assert grid.heads == ("method", "gs2gr", "as2ar")
    # Gained are clips 4 and 5, then 12 and 13: of three of the four subjects.
    (line,) = grid.rows
    assert line[0] == "better" and line[1].startswith("+10.0 ± 0.0 [-") and line[2] == "-"
    # Four clips of twenty, of four subjects, do not tell a gain from none.
    assert gain.interval and -0.15 < gain.interval.low < 0 < 0.1 < gain.interval.high < 0.35


def test_one_seed_has_no_deviation_and_one_subject_no_interval() -> None:
    alone = np.full(20, "a")
    answers = {
        ("base", "gs2gr"): {0: predictions_of(first(10), alone)},
        ("worse", "gs2gr"): {0: predictions_of(first(8), alone)},
    }
    (line,) = gain_grid(compute_gains(answers, "base", Intervals()), "base", ("gs2gr",)).rows
    assert line == ("worse", "-10.0")
