"""Metrics of predictions with labels, intervals, and scores without labels."""

from typing import TYPE_CHECKING

from vidda.lazy import lazy_names

if TYPE_CHECKING:
    from vidda.evaluate import intervals
    from vidda.evaluate import label_free_metrics as scores
    from vidda.evaluate.intervals import (
        Interval,
        McNemar,
        bootstrap_mean,
        mcnemar,
        paired_gain,
        wilson,
    )
    from vidda.evaluate.metrics import (
        accuracy,
        calibration_error,
        confusion_matrix,
        is_correct,
        macro_f1,
        mean_class_accuracy,
    )

__all__ = [
    "Interval",
    "McNemar",
    "accuracy",
    "bootstrap_mean",
    "calibration_error",
    "confusion_matrix",
    "intervals",
    "is_correct",
    "macro_f1",
    "mcnemar",
    "mean_class_accuracy",
    "paired_gain",
    "scores",
    "wilson",
]

if not TYPE_CHECKING:  # type checkers know only the names above
    _INTERVALS = ("Interval", "McNemar", "bootstrap_mean", "mcnemar", "paired_gain", "wilson")
    _METRICS = (
        *("accuracy", "calibration_error", "confusion_matrix", "is_correct", "macro_f1"),
        "mean_class_accuracy",
    )

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            **{name: f"vidda.evaluate.intervals:{name}" for name in _INTERVALS},
            **{name: f"vidda.evaluate.metrics:{name}" for name in _METRICS},
            "intervals": "vidda.evaluate.intervals",
            "scores": "vidda.evaluate.label_free_metrics",
        },
    )
