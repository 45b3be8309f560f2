"""Warnings that a reader of a report needs to interpret its results."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from vidda.errors import ViddaError
from vidda.evaluate.intervals import wilson
from vidda.evaluate.summary import Summary
from vidda.evaluate.transfer import ALL, TransferCell, load_tests
from vidda.report.found_runs import FoundRuns, FoundTransfer
from vidda.report.run_records import RunRecord, TrainingRecord
from vidda.report.target_label_use import Manifests
from vidda.types import Manifest

FEW_SUBJECTS = 10
WIDE = 0.05
"""Test clips are few if half their interval's width exceeds this."""
FEW_SEEDS = 3
NAMED = 3
"""Runs that one warning names; a sweep may have a hundred."""
RENDERED = "mini.json"
"""A file that vidda mini writes into the folder of its videos."""


def report_warnings(found: FoundRuns) -> list[str]:
    """Return the warnings about a report's results, a sentence each, the most serious first."""
    manifests = Manifests()
    lines: list[str] = []
    if found.transfer:
        lines += _selection(found.transfer, found.trainings, manifests)
        lines += _rendered_tests(found.transfer)
        lines += _sizes(found.transfer)
    lines += _small_tests({test.record.path.name: test.summary for test in found.tested})
    lines += _unfinished(found)
    lines += [f"Not reported, because it is missing or damaged: {line}." for line in found.absent]
    lines += _mixed_versions(found.records())
    return list(dict.fromkeys(lines))


def _selection(
    found: FoundTransfer, trainings: Mapping[Path, TrainingRecord], manifests: Manifests
) -> Iterator[str]:
    """Yield warnings of rows trained on their test clips, or selected by labels of the target."""
    try:
        tests = {task: test for task, (_, test) in load_tests(found.transfer).items()}
    except ViddaError:
        yield (
            "The test clips were moved or deleted, so whether a model was trained or selected on"
            " them could not be checked."
        )
        return
    unknown: dict[str, None] = {}
    for row in found.transfer.rows:
        for task, runs in row.runs.items():
            problems: dict[str, None] = {}
            for run in (trainings[path] for path in runs if path in trainings):
                content = run.record.content
                parts = [manifests.get(Path(path)) for path in content.get("train", ())]
                val = manifests.get(Path(content["val"])) if content.get("val") else None
                if val is None or None in parts:
                    unknown[row.name] = None
                    continue
                train = [part for part in parts if part is not None]
                problems |= dict.fromkeys(_leaks(train, val if run.chosen else None, tests[task]))
            yield from (f"“{row.name}” on {task}: {problem}" for problem in problems)
    if unknown:
        listed = ", ".join(f"“{name}”" for name in unknown)
        yield (
            f"The training clips of {listed} were moved or deleted, so whether the target's labels"
            " were used could not be checked."
        )


def _leaks(train: list[Manifest], val: Manifest | None, test: Manifest) -> Iterator[str]:
    """Yield the ways in which a run used its test. val: selected its epoch, None if none did."""
    tested = {clip.id for clip in test.clips}
    learned = [clip for part in train for clip in part.clips]
    if shared := len(tested & {clip.id for clip in learned}):
        yield f"it was trained on {shared} test clips. This is no result."
    if val is None:
        return
    if shared := len(tested & {clip.id for clip in val.clips}):
        yield f"its epoch was selected on {shared} test clips. This is no result."
    target = {(clip.domain, clip.view) for clip in test.clips}
    chosen = {(clip.domain, clip.view) for clip in val.clips} & target
    if chosen and not target & {(clip.domain, clip.view) for clip in learned}:
        yield (
            "its epoch was selected on labeled clips of the target, which unsupervised adaptation"
            " does not have: state this wherever the result is used."
        )


def _rendered_tests(found: FoundTransfer) -> Iterator[str]:
    try:
        roots = {test.root for _, test in load_tests(found.transfer).values()}
    except ViddaError:
        return
    if any((root / RENDERED).is_file() for root in roots):
        yield (
            "The test clips are MiniRoCoG's: its real clips are rendered too. These results show"
            " whether a method works, not how well it does on real video."
        )


def _sizes(found: FoundTransfer) -> Iterator[str]:
    whole = [cell for cell in found.cells if cell.part == ALL]
    yield from _small_tests({cell.task: cell for cell in whole})
    seeds = {len(cell.runs) for cell in whole}
    if seeds and min(seeds) < FEW_SEEDS:
        few = sum(len(cell.runs) < FEW_SEEDS for cell in whole)
        yield (
            f"{few} of {len(whole)} results are of fewer than {FEW_SEEDS} seeds: the deviation"
            " between seeds is hardly known."
        )
    if len(seeds) > 1:
        yield f"Results are of {min(seeds)} to {max(seeds)} seeds: compare them with care."
    present = {(cell.row, cell.task) for cell in whole}
    for row in found.transfer.rows:
        lacking = [task for task in found.transfer.tasks if (row.name, task) not in present]
        if lacking:
            yield f"“{row.name}” has no result on {', '.join(lacking)}."


def _small_tests(tests: Mapping[str, TransferCell | Summary]) -> Iterator[str]:
    """Yield warnings of tests with few clips or subjects; equal numbers share a line."""
    by_clips: dict[int, list[str]] = {}
    by_subjects: dict[int, list[str]] = {}
    unknown: dict[int, list[str]] = {}
    for name, test in tests.items():
        by_clips.setdefault(test.clips, []).append(name)
        if test.without_subject:
            unknown.setdefault(test.without_subject, []).append(name)
        if test.subjects:
            by_subjects.setdefault(test.subjects, []).append(name)
    for clips, names in by_clips.items():
        middle = wilson(0.5, clips)
        half = (middle.high - middle.low) / 2
        if half > WIDE:
            yield (
                f"{', '.join(names)}: {clips} test clips; an accuracy of 50% is known to within"
                f" ±{100 * half:.0f} points at best."
            )
    for subjects, names in by_subjects.items():
        if subjects < FEW_SUBJECTS:
            yield (
                f"{', '.join(names)}: {subjects} test subjects; how far the results hold for other"
                " subjects is hardly known."
            )
    for clips, names in unknown.items():
        yield (
            f"{', '.join(names)}: the subjects of {clips} test clips are not known; if several"
            " clips are of one subject, the true uncertainty is larger than shown."
        )


def _unfinished(found: FoundRuns) -> Iterator[str]:
    rising = []
    for run in found.trainings.values():
        if not run.record.finished:
            yield f"{run.record.path.name} is not finished."
        # A single epoch, or one that no score selected, is always the last.
        elif run.chosen and run.last and run.selected == run.last:
            rising.append(run.record.path.name)
    if rising:
        few = ", ".join(rising[:NAMED])
        more = len(rising) - NAMED
        names = f"{few} and {more} more of {len(found.trainings)} runs" if more > 0 else few
        yield f"{names}: the last epoch is the best one; training longer may help."
    for name, translation in found.translations.items():
        if failed := translation.count("failed"):
            yield f"Translation “{name}”: {failed} of {len(translation.clips)} clips failed."


def _mixed_versions(records: list[RunRecord]) -> Iterator[str]:
    sessions = [record.sessions[-1] for record in records if record.sessions]
    commits = {session.git for session in sessions}
    if any(commit and commit.endswith("+changes") for commit in commits):
        yield "Some runs used uncommitted changes of vidda: they cannot be reproduced."
    if len({(commit or "").removesuffix("+changes") for commit in commits}) > 1:
        yield "The runs are of different commits of vidda; see the versions."
    packages = {
        (name, version) for session in sessions for name, version in session.versions.items()
    }
    mixed = sorted({name for name, _ in packages if sum(n == name for n, _ in packages) > 1})
    if mixed:
        yield f"The runs are of different versions of {', '.join(mixed)}."
