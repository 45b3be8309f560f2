"""What a reader must know before believing the figures."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from vidda.errors import ViddaError
from vidda.evaluate.intervals import wilson
from vidda.evaluate.summary import Summary
from vidda.evaluate.transfer import ALL, TransferCell, find_tests
from vidda.report.found_runs import Found, TransferFound
from vidda.report.run_records import RunRecord, TrainingRecord
from vidda.report.seen_labels import Manifests
from vidda.types import Manifest

FEW_SUBJECTS = 10
WIDE = 0.05
"""Half an interval's width that makes test clips few."""
FEW_SEEDS = 3
NAMED = 3
"""Runs of one warning that are named; a sweep may have a hundred."""
RENDERED = "mini.json"
"""What vidda mini leaves in the folder of its videos."""


def warnings(found: Found) -> list[str]:
    """Return a sentence each, the gravest first; empty where there is nothing to say."""
    manifests = Manifests()
    lines: list[str] = []
    if found.transfer:
        lines += _selection(found.transfer, found.trainings, manifests)
        lines += _simulated(found.transfer)
        lines += _sizes(found.transfer)
    lines += _few({test.record.path.name: test.summary for test in found.tested})
    lines += _unfinished(found)
    lines += [f"Not reported, because it is gone or damaged: {line}." for line in found.absent]
    lines += _mixed(found.records())
    return list(dict.fromkeys(lines))


def _selection(
    found: TransferFound, trainings: Mapping[Path, TrainingRecord], manifests: Manifests
) -> Iterator[str]:
    """Yield rows that have seen what they are tested on, or were chosen by labels of the target."""
    try:
        tests = {task: test for task, (_, test) in find_tests(found.transfer).items()}
    except ViddaError:
        yield (
            "The test clips are not where they were, so whether a model was trained or selected on"
            " them could not be checked."
        )
        return
    unknown: dict[str, None] = {}
    for row in found.transfer.rows:
        for task, runs in row.runs.items():
            said: dict[str, None] = {}
            for run in (trainings[path] for path in runs if path in trainings):
                content = run.record.content
                parts = [manifests.get(Path(path)) for path in content.get("train", ())]
                val = manifests.get(Path(content["val"])) if content.get("val") else None
                if val is None or None in parts:
                    unknown[row.name] = None
                    continue
                train = [part for part in parts if part is not None]
                said |= dict.fromkeys(_seen(train, val if run.chosen else None, tests[task]))
            yield from (f"“{row.name}” on {task}: {what}" for what in said)
    if unknown:
        listed = ", ".join(f"“{name}”" for name in unknown)
        yield (
            f"The clips that {listed} learned from are not where they were, so whether the target's"
            " labels were used could not be checked."
        )


def _seen(train: list[Manifest], val: Manifest | None, test: Manifest) -> Iterator[str]:
    """What is wrong with a run on a test. val: what chose its epoch, None where nothing did."""
    tested = {clip.id for clip in test.clips}
    learned = [clip for part in train for clip in part.clips]
    if shared := len(tested & {clip.id for clip in learned}):
        yield f"{shared} test clips were trained on. This is no result."
    if val is None:
        return
    if shared := len(tested & {clip.id for clip in val.clips}):
        yield f"its epoch was selected on {shared} test clips. This is no result."
    target = {(clip.domain, clip.view) for clip in test.clips}
    chosen = {(clip.domain, clip.view) for clip in val.clips} & target
    if chosen and not target & {(clip.domain, clip.view) for clip in learned}:
        yield (
            "its epoch was selected on labeled clips of the target, which unsupervised adaptation"
            " does not have: a reader must be told."
        )


def _simulated(found: TransferFound) -> Iterator[str]:
    try:
        roots = {test.root for _, test in find_tests(found.transfer).values()}
    except ViddaError:
        return
    if any((root / RENDERED).is_file() for root in roots):
        yield (
            "The test clips are MiniRoCoG's: what is called real here is rendered too. These"
            " figures say whether the method works, not how well it does on real video."
        )


def _sizes(found: TransferFound) -> Iterator[str]:
    whole = [cell for cell in found.cells if cell.part == ALL]
    yield from _few({cell.task: cell for cell in whole})
    seeds = {len(cell.runs) for cell in whole}
    if min(seeds) < FEW_SEEDS:
        few = sum(len(cell.runs) < FEW_SEEDS for cell in whole)
        yield (
            f"{few} of {len(whole)} results are of fewer than {FEW_SEEDS} seeds: the spread between"
            " seeds is hardly known."
        )
    if len(seeds) > 1:
        yield f"Results are of {min(seeds)} to {max(seeds)} seeds: compare them with care."
    there = {(cell.row, cell.task) for cell in whole}
    for row in found.transfer.rows:
        lacking = [task for task in found.transfer.tasks if (row.name, task) not in there]
        if lacking:
            yield f"“{row.name}” has no result on {', '.join(lacking)}."


def _few(tests: Mapping[str, TransferCell | Summary]) -> Iterator[str]:
    """Tests of few clips or subjects; those that have the same number share a line."""
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
                f"{', '.join(names)}: {clips} test clips; an accuracy of 50% is known to"
                f" ±{100 * half:.0f} points at best."
            )
    for subjects, names in by_subjects.items():
        if subjects < FEW_SUBJECTS:
            yield (
                f"{', '.join(names)}: {subjects} test subjects; how far the figures hold for others"
                " is hardly known."
            )
    for clips, names in unknown.items():
        yield (
            f"{', '.join(names)}: the subjects of {clips} test clips are not known; where several"
            " clips are of one, the true uncertainty is larger than shown."
        )


def _unfinished(found: Found) -> Iterator[str]:
    rising = []
    for run in found.trainings.values():
        if not run.record.finished:
            yield f"{run.record.path.name} is not finished."
        # Of a single epoch, or one that was not chosen, being the last says nothing.
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


def _mixed(records: list[RunRecord]) -> Iterator[str]:
    sessions = [record.sessions[-1] for record in records if record.sessions]
    commits = {session.git for session in sessions}
    if any(commit and commit.endswith("+changes") for commit in commits):
        yield "Some runs were made with changes that are in no commit: they cannot be made again."
    if len({(commit or "").removesuffix("+changes") for commit in commits}) > 1:
        yield "The runs are of different commits of vidda; see the versions."
    packages = {
        (name, version) for session in sessions for name, version in session.versions.items()
    }
    mixed = sorted({name for name, _ in packages if sum(n == name for n, _ in packages) > 1})
    if mixed:
        yield f"The runs are of different versions of {', '.join(mixed)}."
