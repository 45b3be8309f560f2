"""What each method gains over one of them, seed by seed: a seed's luck with both cancels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vidda.data.saved_predictions import SavedPredictions
from vidda.evaluate.intervals import Interval
from vidda.evaluate.labeled_predictions import labels_of
from vidda.evaluate.metrics import right
from vidda.evaluate.summary import Intervals, clusters_of
from vidda.evaluate.transfer_tables import NONE, TransferGrid

Answers = Mapping[tuple[str, str], Mapping[int, SavedPredictions]]
"""What was said of the same test clips in the same order, by method and task, then by seed."""


@dataclass(frozen=True, slots=True)
class Gain:
    """How much higher a method's accuracy is on a task.

    runs: by seed. interval: of their mean, see `bootstrap_mean`; None where there is one subject.
    """

    method: str
    task: str
    runs: tuple[float, ...]
    interval: Interval | None


def gains(said: Answers, baseline: str, intervals: Intervals) -> list[Gain]:
    """Of each method and task, over the seeds that the baseline has there too."""
    found = []
    for (method, task), runs in said.items():
        base = said.get((baseline, task), {})
        seeds = sorted(runs.keys() & base.keys())
        if method == baseline or not seeds:
            continue
        more = np.stack([_hits(runs[seed]) - _hits(base[seed]) for seed in seeds])
        interval = intervals.bootstrap(more, clusters_of(runs[seeds[0]]))
        found.append(Gain(method, task, tuple(more.mean(1).tolist()), interval))
    return found


def _hits(said: SavedPredictions) -> np.ndarray:
    """1 for a clip that is recognized, else 0. (N,)"""
    return right(said.predictions.logits, labels_of(said)).astype(np.float64)


def gain_grid(found: Sequence[Gain], baseline: str, tasks: Sequence[str]) -> TransferGrid:
    """Methods x tasks, in points."""
    texts: dict[str, dict[str, str]] = {}
    for gain in found:
        texts.setdefault(gain.method, {})[gain.task] = _text(gain)
    rows = [(name, *(own.get(task, NONE) for task in tasks)) for name, own in texts.items()]
    return TransferGrid(f"Points gained over {baseline}", ("method", *tasks), tuple(rows))


def _text(gain: Gain) -> str:
    text = f"{100 * np.mean(gain.runs):+.1f}"
    if len(gain.runs) > 1:
        text += f" ± {100 * np.std(gain.runs, ddof=1):.1f}"
    if gain.interval:
        text += f" [{100 * gain.interval.low:+.1f}, {100 * gain.interval.high:+.1f}]"
    return text
