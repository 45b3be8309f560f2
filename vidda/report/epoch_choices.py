"""How epochs were chosen without target labels, and what each score would have been worth."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidda.data import load_manifest
from vidda.errors import ViddaError
from vidda.evaluate.epochs import SELECTION, Epochs, read_epochs, watched
from vidda.evaluate.score_worth import ScoreWorth, judge_agreement, score_worth
from vidda.evaluate.transfer import find_tests
from vidda.report.found_runs import Found
from vidda.report.run_records import TrainingRecord
from vidda.types import Manifest


@dataclass(frozen=True, slots=True)
class Choice:
    """Runs that differ in their seed alone, on one list of test clips.

    selected, last, oracle: mean accuracy at these epochs. scores: the best first.
    """

    title: str
    tests: str
    runs: int
    selected: float
    last: float
    oracle: float
    scores: tuple[ScoreWorth, ...]


def choices(found: Found) -> list[Choice]:
    """Of every row and task, and every other run, as far as the runs watched the test clips."""
    return [*_of_rows(found), *_of_runs(found)]


def _of_rows(found: Found) -> Iterator[Choice]:
    if found.transfer is None:
        return
    try:
        tests = find_tests(found.transfer.transfer)
    except ViddaError:  # the page warns of it
        return
    for row in found.transfer.transfer.rows:
        for task, paths in row.runs.items():
            runs = {path: found.trainings[path] for path in paths if path in found.trainings}
            name, manifest = tests[task]
            choice = _choice(row.name, task, runs, manifest, name)
            if len(runs) == len(paths) and choice:
                yield choice


def _of_runs(found: Found) -> Iterator[Choice]:
    """Of runs that no row names, on the clips that they watched and that have labels."""
    rows = found.transfer.transfer.rows if found.transfer else ()
    named = {path for row in rows for paths in row.runs.values() for path in paths}
    for path, training in found.trainings.items():
        if path in named:
            continue
        for name, file in (training.record.content.get("watch") or {}).items():
            try:
                manifest = load_manifest(Path(file))
            except ViddaError:  # gone: no figures of it then
                continue
            if manifest.clips and all(clip.label is not None for clip in manifest.clips):
                choice = _choice(path.name, name, {path: training}, manifest, file)
                yield from [choice] if choice else []


def _choice(
    title: str, tests: str, runs: Mapping[Path, TrainingRecord], manifest: Manifest, name: str
) -> Choice | None:
    """None unless every run is finished and watched these clips."""
    if not runs or not all((p / SELECTION).is_file() and watched(p, manifest) for p in runs):
        return None
    epochs = {path: read_epochs(path, manifest, name) for path in runs}
    judged = score_worth([(training.scores(), epochs[path]) for path, training in runs.items()])
    together = judge_agreement(list(epochs.items()))
    judged += [together] if together else []
    each = list(epochs.values())
    return Choice(
        title,
        tests,
        len(runs),
        _mean(each, "selected"),
        _mean(each, "last"),
        _mean(each, "oracle"),
        tuple(sorted(judged, key=lambda one: one.lost)),
    )


def _mean(runs: Sequence[Epochs], kind: str) -> float:
    return float(np.mean([one.accuracies[one.chosen[kind]] for one in runs]))
