"""The transfer table: accuracy on each task of recognizers trained on different data."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field

from vidda.config import Config, FileName
from vidda.data import load_manifest
from vidda.data.experiments import load_experiments, tasks_of
from vidda.data.saved_predictions import SavedPredictions
from vidda.errors import ViddaError
from vidda.evaluate.epochs import SELECTION, read_epochs, watched_predictions
from vidda.evaluate.intervals import Interval
from vidda.evaluate.labeled_predictions import labels_of
from vidda.evaluate.metrics import is_correct
from vidda.evaluate.summary import (
    Intervals,
    clusters_of,
    count_subjects,
    count_takes,
    subjects_of,
)
from vidda.types import Manifest

ALL = "all"
UNLABELED = Path("adapted", "target.csv")
"""The clips of a task whose target has no labels, below splits/TASK."""


class TransferRow(Config):
    """A row of the transfer table: the runs of one kind of training, for each task and seed."""

    name: FileName = Field(pattern=r"^[\w][\w .+-]*$", description="what they were trained on")
    runs: dict[str, tuple[Path, ...]] = Field(
        description="runs of vidda train or adapt by task, one for each seed; a run may be listed"
        " for several tasks"
    )


class Transfer(Config):
    """A transfer table: rows of runs, tested on the test clips of each task."""

    data: Path = Field(description="folder that vidda prepare wrote")
    tasks: tuple[FileName, ...] = Field(
        default=(), description="columns of the table; none: every task of the data"
    )
    rows: tuple[TransferRow, ...] = Field(min_length=1, description="rows of the table")

    def check(self) -> None:
        """Raise ViddaError, naming every mistake, when rows and tasks do not go together."""
        names = [row.name for row in self.rows]
        problems = [
            f"row {name!r} is duplicated; give each row another name"
            for name in sorted(set(names))
            if names.count(name) > 1
        ]
        for row in self.rows:
            strange = [task for task in row.runs if task not in self.tasks]
            problems += [
                f"row {row.name!r}: {t!r} is not one of the tasks {self.tasks}" for t in strange
            ]
            empty = [task for task, runs in row.runs.items() if not runs]
            problems += [
                f"row {row.name!r}: no run for {task}; leave the task out" for task in empty
            ]
        if problems:
            raise ViddaError("\n".join(f"transfer: {problem}" for problem in problems))


@dataclass(frozen=True, slots=True)
class TransferCell:
    """Accuracy of the runs of one row on one task, 0 to 1.

    row, task: names. part: "all", or an altitude such as "15 m". runs: accuracy of each seed, and
    mean and deviation their mean and standard deviation, None for one. clips, subjects,
    without_subject: number of clips, of known subjects, and of clips whose subject is not known.
    wilson: interval of the mean, as of one model on this many clips. bootstrap: interval from
    resampled subjects and seeds, or takes of a single subject; None for a single cluster. takes:
    number of takes that were resampled, 0 where subjects were.
    """

    row: str
    task: str
    part: str
    runs: tuple[float, ...]
    mean: float
    deviation: float | None
    clips: int
    subjects: int
    wilson: Interval
    bootstrap: Interval | None
    without_subject: int = 0
    takes: int = 0


@dataclass(frozen=True, slots=True)
class EpochCell:
    """Mean accuracy of a row's runs on one task, 0 to 1, at three epochs.

    row, task: names. selected, last, oracle: at the epoch that each run selected, at its last one,
    and at the one of the highest test accuracy.
    """

    row: str
    task: str
    selected: float
    last: float
    oracle: float


def with_tasks(transfer: Transfer) -> Transfer:
    """Return a transfer table that names its tasks: those given, or all of the prepared data.

    Raises ViddaError where no task is given and none is prepared.
    """
    tasks = transfer.tasks or tasks_of(load_experiments(transfer.data))
    if not tasks:
        raise ViddaError(f"{transfer.data}: no experiments in it; run vidda prepare")
    return transfer.model_copy(update={"tasks": tasks})


def load_tests(transfer: Transfer) -> dict[str, tuple[str, Manifest]]:
    """Load the file name and the test clips of each task; all settings of a task share them.

    Tasks without labeled test clips are left out. Raises ViddaError, a line for each task that has
    no target clips either.
    """
    found, problems = {}, []
    for task in transfer.tasks:
        folder = transfer.data / "splits" / task
        files = sorted(folder.glob("*/test.csv"))
        if files:
            found[task] = (str(files[0]), load_manifest(files[0]))
        elif not (folder / UNLABELED).is_file():
            problems.append(f"{transfer.data}: no splits/{task}/*/test.csv; run vidda prepare")
    if problems:
        raise ViddaError("\n".join(problems))
    return found


def load_unlabeled(transfer: Transfer) -> dict[str, tuple[str, Manifest]]:
    """Load the file name and the target clips of each task that has no labeled test clips."""
    folders = {task: transfer.data / "splits" / task for task in transfer.tasks}
    files = {
        task: folder / UNLABELED
        for task, folder in folders.items()
        if not any(folder.glob("*/test.csv")) and (folder / UNLABELED).is_file()
    }
    return {task: (str(file), load_manifest(file)) for task, file in files.items()}


def transfer_cells(
    row: str, task: str, runs: Sequence[SavedPredictions], intervals: Intervals
) -> list[TransferCell]:
    """Return the cell of one row and task, and one for each altitude where these are known.

    runs: labeled predictions of the same clips in the same order, one for each seed.
    """
    hits = np.stack([is_correct(run.predictions.logits, labels_of(run)) for run in runs])
    clusters, subjects = clusters_of(runs[0]), subjects_of(runs[0])
    altitudes = runs[0].columns["altitude_m"]
    parts = {ALL: np.full(hits.shape[1], True)}
    for altitude in sorted(set(altitudes.tolist()) - {""}, key=float):
        parts[f"{altitude} m"] = altitudes == altitude
    return [
        _cell((row, task, part), hits[:, chosen], clusters[chosen], subjects[chosen], intervals)
        for part, chosen in parts.items()
    ]


def _cell(
    row_task_part: tuple[str, str, str],
    hits: np.ndarray,
    clusters: np.ndarray,
    subjects: np.ndarray,
    intervals: Intervals,
) -> TransferCell:
    accuracies = hits.mean(1)
    mean = float(accuracies.mean())
    known, without_subject = count_subjects(subjects)
    return TransferCell(
        *row_task_part,
        runs=tuple(accuracies.tolist()),
        mean=mean,
        deviation=float(accuracies.std(ddof=1)) if len(hits) > 1 else None,
        clips=hits.shape[1],
        subjects=known,
        wilson=intervals.wilson(mean, hits.shape[1]),
        bootstrap=intervals.bootstrap(hits, clusters),
        without_subject=without_subject,
        takes=count_takes(clusters),
    )


def epoch_cell(
    row: str, task: str, runs: Sequence[Path], manifest: Manifest, name: str
) -> EpochCell | None:
    """Return the mean accuracies of the selected, last and oracle epochs of a row's runs.

    row, task: names. runs: folders, one for each seed. manifest: the task's test clips. name: the
    manifest's, for messages. None unless every run has predicted these clips after each epoch.
    """
    if not all((run / SELECTION).is_file() and watched_predictions(run, manifest) for run in runs):
        return None
    found = [read_epochs(run, manifest, name) for run in runs]
    means = {
        kind: float(np.mean([one.accuracies[one.chosen[kind]] for one in found]))
        for kind in ("selected", "last", "oracle")
    }
    return EpochCell(row, task, **means)
