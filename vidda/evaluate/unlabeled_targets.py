"""Results on a target without labels: label-free scores of each row's runs, and predicted classes.

None of the scores is an accuracy; each is the higher the better, and any can be wrong.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import softmax

from vidda.data.saved_predictions import SavedPredictions, write_probabilities
from vidda.evaluate import label_free_metrics

SCORES: Mapping[str, Callable[[np.ndarray], float]] = {
    "class correlation": label_free_metrics.class_correlation,
    "information maximization": label_free_metrics.information_maximization,
    "soft neighborhood density": label_free_metrics.soft_neighborhood_density,
    "entropy": label_free_metrics.entropy,
}
"""Scores of a model's logits (N, K) for target clips; the one that served best comes first."""


@dataclass(frozen=True, slots=True)
class LabelFreeCell:
    """Label-free scores of the runs of one row on one task.

    row, task: names. clips: number of target clips. runs: number of seeds. scores: by name, mean
    over the seeds.
    """

    row: str
    task: str
    clips: int
    runs: int
    scores: Mapping[str, float]


def label_free_cell(row: str, task: str, runs: Sequence[SavedPredictions]) -> LabelFreeCell:
    """Return the scores of one row and task. runs: predictions, one for each seed."""
    logits = [run.predictions.logits for run in runs]
    scores = {name: float(np.mean([score(x) for x in logits])) for name, score in SCORES.items()}
    return LabelFreeCell(row, task, len(logits[0]), len(runs), scores)


def write_predicted_classes(file: Path, saved: SavedPredictions) -> None:
    """Write a CSV with each clip's id, predicted class, its probability and all probabilities."""
    probabilities = softmax(saved.predictions.logits.astype(np.float64), axis=1)
    names = [(clip,) for clip in saved.predictions.ids]
    write_probabilities(file, ("clip",), names, probabilities, saved.classes)
