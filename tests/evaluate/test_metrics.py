"""Metrics against torchmetrics, and against values worked out by hand."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_confusion_matrix,
    multiclass_f1_score,
)

from vidda.evaluate.metrics import (
    calibration_error,
    confusion_matrix,
    is_correct,
    macro_f1,
    mean_class_accuracy,
)


@pytest.mark.parametrize("seed", range(5))
def test_against_torchmetrics(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.choice(7, 200, p=[0.3, 0.2, 0.2, 0.1, 0.1, 0.05, 0.05])
    logits = rng.normal(0, 1, (200, 7)).astype(np.float32)
    logits[np.arange(200), labels] += rng.exponential(2, 200).astype(np.float32)
    truth, scores = torch.from_numpy(labels), torch.from_numpy(logits)
    confusion = confusion_matrix(logits, labels)
    assert np.array_equal(confusion, multiclass_confusion_matrix(scores, truth, 7).numpy())
    ours = {
        "micro": is_correct(logits, labels).mean(),
        "macro": mean_class_accuracy(confusion),
    }
    for average, value in ours.items():
        theirs = multiclass_accuracy(scores, truth, 7, average=average)
        assert value == pytest.approx(theirs.item(), abs=1e-6)
    assert macro_f1(confusion) == pytest.approx(multiclass_f1_score(scores, truth, 7).item())
    theirs = multiclass_calibration_error(scores.softmax(1), truth, 7, n_bins=15, norm="l1")
    assert calibration_error(logits, labels) == pytest.approx(theirs.item(), abs=1e-6)


def test_a_class_without_clips_does_not_count_in_mean_class_accuracy() -> None:
    labels = np.array([0, 0, 1, 1])
    logits = np.eye(3, dtype=np.float32)[[0, 2, 1, 1]]
    confusion = confusion_matrix(logits, labels)
    assert confusion.tolist() == [[1, 0, 1], [0, 2, 0], [0, 0, 0]]
    assert mean_class_accuracy(confusion) == (0.5 + 1.0) / 2
    # F1: 2 of 3, all, none: class 2 was predicted, so it counts with 0.
    assert macro_f1(confusion) == pytest.approx((2 / 3 + 1 + 0) / 3)
    never = confusion_matrix(np.eye(3, dtype=np.float32)[[0, 1, 1, 1]], labels)
    assert macro_f1(never) == pytest.approx((2 / 3 + 4 / 5) / 2)


def test_calibration_error_by_hand() -> None:
    # Confidence 0.9, right 3 times of 4; confidence 1, right once of twice.
    sure = np.log([0.9, 0.1])
    logits = np.array([sure] * 4 + [[0.0, -2000.0]] * 2)
    labels = np.array([0, 0, 0, 1, 0, 1])
    # 0.9 lies in bin 14 (above 13/15), 1.0 in bin 15.
    expected = (4 * abs(0.75 - 0.9) + 2 * abs(0.5 - 1.0)) / 6
    assert calibration_error(logits, labels) == pytest.approx(expected)
    # 0.95 and exactly 1 share the last bin, in which their errors cancel.
    together = np.array([np.log([0.95, 0.05]), [0.0, -2000.0]])
    assert calibration_error(together, np.array([0, 1])) == pytest.approx(abs(1 - 1.95) / 2)


def test_figures_are_computed_without_torch() -> None:
    code = (
        "import sys, vidda.evaluate.epochs, vidda.evaluate.summary;"
        "sys.exit('torch' in sys.modules or 'vidda.recognize' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
