"""Quality of label-free scores: the test accuracy of the epochs that they choose."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidda.data.saved_predictions import load_predictions
from vidda.evaluate.epochs import EpochAccuracies
from vidda.evaluate.label_free_metrics import agreement, rank_correlation

ScoreValues = Mapping[str, Sequence[float]]
"""Scores by name, each with a value for every epoch of a run."""


@dataclass(frozen=True, slots=True)
class ScoreWorth:
    """Quality of a score for choosing epochs, as means over runs that differ in their seed.

    score: its name. correlation: Spearman's, of the score with the test accuracy over the epochs;
    None where one of them is constant in every run. accuracy: on the test clips, at the epochs that
    it chooses, 0 to 1. lost: accuracy of the oracle epoch minus that.
    """

    score: str
    correlation: float | None
    accuracy: float
    lost: float


def score_worth(runs: Sequence[tuple[ScoreValues, EpochAccuracies]]) -> list[ScoreWorth]:
    """Return how well each score that all runs have chooses epochs, in the first run's order.

    runs: at least one, each with its scores and the test accuracies of its epochs.
    """
    names = [name for name in runs[0][0] if all(name in values for values, _ in runs)]
    return [_worth(name, [(values[name], epochs) for values, epochs in runs]) for name in names]


def _worth(name: str, runs: Sequence[tuple[Sequence[float], EpochAccuracies]]) -> ScoreWorth:
    correlations, accuracies, lost = [], [], []
    for values, epochs in runs:
        # max takes the first of equally good ones, as training does.
        best = max(range(len(values)), key=lambda epoch: values[epoch])
        accuracies.append(epochs.accuracies[best])
        lost.append(epochs.accuracies[epochs.oracle] - epochs.accuracies[best])
        correlations.append(rank_correlation(values, epochs.accuracies))
    known = [value for value in correlations if not math.isnan(value)]
    mean = float(np.mean(known)) if known else None
    return ScoreWorth(name, mean, float(np.mean(accuracies)), float(np.mean(lost)))


def agreement_worth(runs: Sequence[tuple[Path, EpochAccuracies]]) -> ScoreWorth | None:
    """Return how well the agreement between seeds chooses epochs, by the runs' mean accuracies.

    runs: folders, and the test accuracies of their epochs. The oracle is the epoch of the best
    mean. Returns None for one run, for runs of different lengths, and where a run has not saved its
    predictions of the target.
    """
    lasts = {epochs.last for _, epochs in runs}
    folders = [run / "predictions" / "target" for run, _ in runs]
    if len(runs) < 2 or len(lasts) > 1 or not all(folder.is_dir() for folder in folders):
        return None
    (last,) = lasts
    values = [agreement([load_target_logits(run, e) for run, _ in runs]) for e in range(last + 1)]
    mean = np.mean([epochs.accuracies for _, epochs in runs], axis=0)
    whole = EpochAccuracies(tuple(mean.tolist()), last, last, int(mean.argmax()))
    return _worth("agreement between seeds", [(values, whole)])


def load_target_logits(run: Path, epoch: int) -> np.ndarray:
    """Load a run's logits of the target's clips after an epoch, (N, K)."""
    file = run / "predictions" / "target" / f"epoch_{epoch:03d}.npz"
    return load_predictions(file).predictions.logits
