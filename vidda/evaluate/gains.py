"""Gains of methods over a baseline, paired by seed and clip, which cancels common variation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vidda.data.saved_predictions import SavedPredictions
from vidda.evaluate.intervals import Interval
from vidda.evaluate.labeled_predictions import labels_of
from vidda.evaluate.metrics import is_correct
from vidda.evaluate.summary import Intervals, clusters_of
from vidda.evaluate.transfer_tables import NO_VALUE, TransferGrid

SeedPredictions = Mapping[tuple[str, str], Mapping[int, SavedPredictions]]
"""Labeled predictions by (method, task), then seed; of a task, the same clips in the same order."""


@dataclass(frozen=True, slots=True)
class Gain:
    """Accuracy of a method minus the baseline's on a task, -1 to 1.

    runs: one for each seed. interval: of their mean, see `bootstrap_mean`; None for one subject.
    """

    method: str
    task: str
    runs: tuple[float, ...]
    interval: Interval | None


def compute_gains(predictions: SeedPredictions, baseline: str, intervals: Intervals) -> list[Gain]:
    """Return the gain of each other method on each task, over the seeds that both have.

    baseline: name of the method to compare with.
    """
    found = []
    for (method, task), runs in predictions.items():
        base = predictions.get((baseline, task), {})
        seeds = sorted(runs.keys() & base.keys())
        if method == baseline or not seeds:
            continue
        paired = np.stack([_correct(runs[seed]) - _correct(base[seed]) for seed in seeds])
        interval = intervals.bootstrap(paired, clusters_of(runs[seeds[0]]))
        found.append(Gain(method, task, tuple(paired.mean(1).tolist()), interval))
    return found


def _correct(saved: SavedPredictions) -> np.ndarray:
    """Return 1.0 for each clip that is recognized, else 0.0, (N,)."""
    return is_correct(saved.predictions.logits, labels_of(saved)).astype(np.float64)


def gain_grid(found: Sequence[Gain], baseline: str, tasks: Sequence[str]) -> TransferGrid:
    """Return a table of gains in percentage points, methods x tasks."""
    texts: dict[str, dict[str, str]] = {}
    for gain in found:
        texts.setdefault(gain.method, {})[gain.task] = _text(gain)
    rows = [(name, *(own.get(task, NO_VALUE) for task in tasks)) for name, own in texts.items()]
    return TransferGrid(f"Points gained over {baseline}", ("method", *tasks), tuple(rows))


def _text(gain: Gain) -> str:
    text = f"{100 * np.mean(gain.runs):+.1f}"
    if len(gain.runs) > 1:
        text += f" ± {100 * np.std(gain.runs, ddof=1):.1f}"
    if gain.interval:
        text += f" [{100 * gain.interval.low:+.1f}, {100 * gain.interval.high:+.1f}]"
    return text
