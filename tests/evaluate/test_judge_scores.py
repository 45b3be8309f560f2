"""Label-free scores are judged by the accuracies of recognizers that were trained differently."""

from pathlib import Path

import numpy as np
import pytest

from tools.judge_scores import main
from vidda.data.saved_predictions import save_predictions
from vidda.types import Predictions

CLASSES = ("one", "two", "three", "four")


def written(folder: Path, name: str, sure: float, *, clips: int = 80, labeled: bool = True) -> str:
    """Predictions of a recognizer that is right where it is sure. sure: 0 to 1."""
    rng = np.random.default_rng(0)
    labels = np.arange(clips) % 4
    logits = rng.normal(0, 1, (clips, 4)) * (1.2 - sure) + 6 * sure * np.eye(4)[labels]
    ids = tuple(map(str, range(clips)))
    file = folder / name / "predictions.npz"
    file.parent.mkdir()
    save_predictions(file, Predictions(ids, logits, labels if labeled else None), CLASSES)
    return str(file)


def test_scores_that_rank_as_accuracies_do_are_told_from_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [written(tmp_path, name, sure) for name, sure in (("a", 0.1), ("b", 0.3), ("c", 0.9))]
    assert main(files) == 0
    printed = capsys.readouterr().out
    rows = [line for line in printed.splitlines() if "Corr-C" in line]
    assert "+1.00" in rows[-1] and "100.0%" in rows[-1]
    assert [line.split("│")[1].strip() for line in printed.splitlines() if "│" in line][:3] == [
        *"abc"
    ]


def test_predictions_that_cannot_be_compared_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = written(tmp_path, "one", 0.5)
    for others, line in (
        ([], "one recognizer cannot be ranked"),
        ([written(tmp_path, "bare", 0.5, labeled=False)], "bare/predictions.npz: has no labels"),
        ([written(tmp_path, "short", 0.5, clips=8)], "of other clips than"),
    ):
        assert main([one, *others]) == 2
        assert line in capsys.readouterr().err
