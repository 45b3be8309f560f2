"""Rows of a transfer table that have seen labels of their target: they are no adaptation."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from vidda.data import load_manifest
from vidda.errors import ViddaError
from vidda.evaluate.transfer import TransferCell, find_tests
from vidda.report.found_runs import Found, TransferFound
from vidda.report.run_records import RunRecord, TrainingRecord, read_record
from vidda.types import Manifest

Place = tuple[str, str]
"""A row and a task."""


class Manifests:
    """Manifests by path, each read once; None where it cannot be read."""

    def __init__(self) -> None:
        self._read: dict[Path, Manifest | None] = {}

    def get(self, path: Path) -> Manifest | None:
        """Return a manifest, None where it cannot be read."""
        if path not in self._read:
            try:
                self._read[path] = load_manifest(path)
            except ViddaError:
                self._read[path] = None
        return self._read[path]


def domains(manifest: Manifest) -> set[tuple[str, str]]:
    """Return the domains and views of the labeled clips, as far as a manifest names them."""
    return {(c.domain, c.view) for c in manifest.clips if c.label is not None} - {("", "")}


def saw_labels(found: Found, oracle: str) -> frozenset[Place]:
    """Return rows and tasks whose runs learned from target labels, or were chosen by them.

    oracle: the row that stands for target labels, by its name alone. Of other rows the manifests
    say it, of each run and of those that it began with; where these are gone, nothing is known.
    """
    transfer = found.transfer
    if transfer is None:
        return frozenset()
    named = {(row.name, task) for row in transfer.transfer.rows for task in row.runs}
    seen = {place for place in named if place[0] == oracle}
    return frozenset(seen | set(_by_manifests(transfer, found.trainings)))


def best_places(cells: Sequence[TransferCell], informed: Collection[Place]) -> frozenset[Place]:
    """Return the best rows of each task among those that saw no labels of its target.

    cells: one for each row and task. informed: see `saw_labels`.
    """
    best: dict[str, float] = {}
    fair = [cell for cell in cells if (cell.row, cell.task) not in informed]
    for cell in fair:
        best[cell.task] = max(cell.mean, best.get(cell.task, cell.mean))
    return frozenset((cell.row, cell.task) for cell in fair if cell.mean == best[cell.task])


def _by_manifests(
    found: TransferFound, trainings: Mapping[Path, TrainingRecord]
) -> Iterator[Place]:
    try:
        tests = {task: test for task, (_, test) in find_tests(found.transfer).items()}
    except ViddaError:  # the page warns of it
        return
    manifests = Manifests()
    for row in found.transfer.rows:
        for task, runs in row.runs.items():
            target = domains(tests[task])
            own = [trainings[run] for run in runs if run in trainings]
            if any(target & _learned(training, manifests) for training in own):
                yield row.name, task


def _learned(training: TrainingRecord, manifests: Manifests) -> set[tuple[str, str]]:
    """Return the domains and views whose labels a run and those before it have used."""
    record = training.record
    chosen_by = [record.content["val"]] if training.chosen and record.content.get("val") else []
    paths = [*chosen_by, *(p for one in _lineage(record) for p in one.content.get("train") or ())]
    read = (manifests.get(Path(path)) for path in paths)
    return {place for manifest in read if manifest is not None for place in domains(manifest)}


def _lineage(record: RunRecord) -> Iterator[RunRecord]:
    """Yield a run, and the runs that its weights and its teacher's are from, if they are there."""
    yield record
    method = record.content.get("method")
    teacher = method.get("teacher") if isinstance(method, Mapping) else None
    for path in (Path(start) for start in (record.content.get("start"), teacher) if start):
        # A run, or a checkpoint of one.
        folders = (folder for folder in (path, *path.parents[1:2]) if _is_run(folder))
        if folder := next(folders, None):
            try:
                before = read_record(folder)
            except ViddaError:  # damaged, and not of this report: as if it were gone
                continue
            yield from _lineage(before)


def _is_run(folder: Path) -> bool:
    return (folder / "config.yaml").is_file()
