"""What scores without target labels are worth: the epochs that they choose, against the truth."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidda.data.saved_predictions import load_predictions
from vidda.evaluate.epochs import Epochs
from vidda.evaluate.label_free_metrics import agreement, rank_correlation

Values = Mapping[str, Sequence[float]]
"""Scores by name, each with one value for every epoch of a run."""


@dataclass(frozen=True, slots=True)
class ScoreWorth:
    """A score's worth over the epochs of runs that differ in their seed, as means over these.

    correlation: Spearman's, of the score with the test accuracy over the epochs; None where one of
    them is constant in every run. accuracy: on the test clips, at the epochs that it chooses. lost:
    by how much the oracle's is higher.
    """

    score: str
    correlation: float | None
    accuracy: float
    lost: float


def score_worth(runs: Sequence[tuple[Values, Epochs]]) -> list[ScoreWorth]:
    """Return every score that all runs have, in the first one's order. runs: at least one."""
    names = [name for name in runs[0][0] if all(name in values for values, _ in runs)]
    return [_judged(name, [(values[name], epochs) for values, epochs in runs]) for name in names]


def _judged(name: str, runs: Sequence[tuple[Sequence[float], Epochs]]) -> ScoreWorth:
    correlations, accuracies, lost = [], [], []
    for values, epochs in runs:
        # The first one, where several are equally good, as training does.
        best = max(range(len(values)), key=lambda epoch: values[epoch])
        accuracies.append(epochs.accuracies[best])
        lost.append(epochs.accuracies[epochs.oracle] - epochs.accuracies[best])
        correlations.append(rank_correlation(values, epochs.accuracies))
    known = [value for value in correlations if not math.isnan(value)]
    mean = float(np.mean(known)) if known else None
    return ScoreWorth(name, mean, float(np.mean(accuracies)), float(np.mean(lost)))


def judge_agreement(runs: Sequence[tuple[Path, Epochs]]) -> ScoreWorth | None:
    """Return the agreement between seeds, epoch by epoch, against the runs' mean accuracy there.

    None for one run, for runs of different lengths, and where one has not kept what it said of the
    target. The oracle is the epoch of the best mean.
    """
    lasts = {epochs.last for _, epochs in runs}
    folders = [run / "predictions" / "target" for run, _ in runs]
    if len(runs) < 2 or len(lasts) > 1 or not all(folder.is_dir() for folder in folders):
        return None
    (last,) = lasts
    values = [agreement([target_logits(run, e) for run, _ in runs]) for e in range(last + 1)]
    mean = np.mean([epochs.accuracies for _, epochs in runs], axis=0)
    whole = Epochs(tuple(mean.tolist()), last, last, int(mean.argmax()))
    return _judged("agreement between seeds", [(values, whole)])


def target_logits(run: Path, epoch: int) -> np.ndarray:
    """What a run of vidda adapt said of the target's clips after an epoch, (N, K)."""
    file = run / "predictions" / "target" / f"epoch_{epoch:03d}.npz"
    return load_predictions(file).predictions.logits
