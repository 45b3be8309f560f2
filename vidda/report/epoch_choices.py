"""Epochs chosen without target labels, and the quality of each score for choosing them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidda.data import load_manifest
from vidda.errors import ViddaError
from vidda.evaluate.epochs import SELECTION, EpochAccuracies, read_epochs, watched_predictions
from vidda.evaluate.score_worth import ScoreWorth, agreement_worth, score_worth
from vidda.evaluate.transfer import load_tests
from vidda.report.found_runs import FoundRuns
from vidda.report.run_records import TrainingRecord
from vidda.types import Manifest


@dataclass(frozen=True, slots=True)
class EpochChoice:
    """Epochs of runs that differ in their seed alone, compared on one list of test clips.

    title: names the runs. tests: names the list. runs: number of runs. selected, last, oracle: mean
    accuracy at these epochs, 0 to 1. scores: the best first.
    """

    title: str
    tests: str
    runs: int
    selected: float
    last: float
    oracle: float
    scores: tuple[ScoreWorth, ...]


def compare_epoch_choices(found: FoundRuns) -> list[EpochChoice]:
    """Return the choices of every row and task, and every other run, that watched test clips."""
    return [*_of_rows(found), *_of_runs(found)]


def _of_rows(found: FoundRuns) -> Iterator[EpochChoice]:
    if found.transfer is None:
        return
    try:
        tests = load_tests(found.transfer.transfer)
    except ViddaError:  # `reader_warnings` reports it
        return
    for row in found.transfer.transfer.rows:
        for task, paths in row.runs.items():
            runs = {path: found.trainings[path] for path in paths if path in found.trainings}
            name, manifest = tests[task]
            choice = _choice(row.name, task, runs, manifest, name)
            if len(runs) == len(paths) and choice:
                yield choice


def _of_runs(found: FoundRuns) -> Iterator[EpochChoice]:
    """Yield the choices of runs that no row names, on the labeled clips that they watched."""
    rows = found.transfer.transfer.rows if found.transfer else ()
    named = {path for row in rows for paths in row.runs.values() for path in paths}
    for path, training in found.trainings.items():
        if path in named:
            continue
        for name, file in (training.record.content.get("watch") or {}).items():
            try:
                manifest = load_manifest(Path(file))
            except ViddaError:  # without the test clips there is nothing to compare
                continue
            if manifest.clips and all(clip.label is not None for clip in manifest.clips):
                choice = _choice(path.name, name, {path: training}, manifest, file)
                yield from [choice] if choice else []


def _choice(
    title: str, tests: str, runs: Mapping[Path, TrainingRecord], manifest: Manifest, name: str
) -> EpochChoice | None:
    """Return the choice of some runs; None unless every run is finished and watched the clips."""
    if not runs or not all(
        (p / SELECTION).is_file() and watched_predictions(p, manifest) for p in runs
    ):
        return None
    epochs = {path: read_epochs(path, manifest, name) for path in runs}
    worths = score_worth([(training.scores(), epochs[path]) for path, training in runs.items()])
    agreement = agreement_worth(list(epochs.items()))
    worths += [agreement] if agreement else []
    each = list(epochs.values())
    return EpochChoice(
        title,
        tests,
        len(runs),
        _mean(each, "selected"),
        _mean(each, "last"),
        _mean(each, "oracle"),
        tuple(sorted(worths, key=lambda one: one.lost)),
    )


def _mean(runs: Sequence[EpochAccuracies], kind: str) -> float:
    return float(np.mean([one.accuracies[one.chosen[kind]] for one in runs]))
