"""Differences between the rows of a transfer table, paired by seed and clip, with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidda.data.saved_predictions import SavedPredictions, load_predictions
from vidda.evaluate.gains import Gain, compute_gains
from vidda.evaluate.intervals import Interval
from vidda.files import inside
from vidda.report.found_runs import FoundTransfer
from vidda.report.run_records import TrainingRecord

MOST_ROWS = 12
"""With more rows, each is compared with the source's alone: all pairs would be too many to read."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Accuracy of a row minus another's, -1 to 1. sure: whether the interval excludes zero."""

    mean: float
    interval: Interval | None

    @property
    def sure(self) -> bool:
        """Return whether the interval excludes zero."""
        return self.interval is not None and not self.interval.low <= 0 <= self.interval.high


@dataclass(frozen=True, slots=True)
class TaskDifferences:
    """Differences of one task. rows, others: names; by_pair: row minus another row."""

    task: str
    rows: tuple[str, ...]
    others: tuple[str, ...]
    by_pair: Mapping[tuple[str, str], Difference]


def paired_differences(
    found: FoundTransfer, trainings: Mapping[Path, TrainingRecord], source: str
) -> list[TaskDifferences]:
    """Return the differences of all pairs of rows of each task with two rows or more.

    trainings: for the seeds; where one is not known, runs are paired in the order of the table.
    source: the row that the others are compared with where there are more than `MOST_ROWS`.
    """
    tasks = []
    for task in found.transfer.tasks:
        loaded = _load(found, trainings, task)
        rows = tuple(name for name, _ in loaded)
        others = rows if len(rows) <= MOST_ROWS else tuple(r for r in rows if r == source)
        pairs: dict[tuple[str, str], Difference] = {}
        for other in others:
            for gain in compute_gains(loaded, other, found.intervals):
                if (gain.method, other) not in pairs:
                    pairs[gain.method, other] = _difference(gain, 1)
                    pairs[other, gain.method] = _difference(gain, -1)
        if pairs:
            tasks.append(TaskDifferences(task, rows, others, pairs))
    return tasks


def _difference(gain: Gain, sign: int) -> Difference:
    """Return a gain as a difference. sign: -1 turns it around."""
    ends = gain.interval and sorted((sign * gain.interval.low, sign * gain.interval.high))
    return Difference(sign * float(np.mean(gain.runs)), Interval(*ends) if ends else None)


def _load(
    found: FoundTransfer, trainings: Mapping[Path, TrainingRecord], task: str
) -> dict[tuple[str, str], dict[int, SavedPredictions]]:
    """Return the labeled predictions of each row of a task, by (row, task) and seed."""
    tested = {(cell.row, cell.task) for cell in found.cells}
    rows = [row for row in found.transfer.rows if (row.name, task) in tested]
    seeds = {row.name: _seeds(row.runs[task], trainings) for row in rows}
    known = all(seeds.values())
    loaded = {}
    for row in rows:
        names = [f"predictions/{row.name}/{task}_{n}.npz" for n in range(len(row.runs[task]))]
        saved = [load_predictions(inside(found.record.path, name)) for name in names]
        keys = seeds[row.name] if known else range(len(saved))
        loaded[row.name, task] = dict(zip(keys, saved, strict=True))
    return loaded


def _seeds(runs: Sequence[Path], trainings: Mapping[Path, TrainingRecord]) -> list[int]:
    """Return the seeds of a row's runs; none unless all are known and differ."""
    found = [trainings[run].record.content.get("seed") for run in runs if run in trainings]
    seeds = [seed for seed in found if isinstance(seed, int)]
    return seeds if len(seeds) == len(runs) == len(set(seeds)) else []
