"""Rows of a transfer table that used labels of their target, so are no unsupervised adaptation."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from vidda.data import load_manifest
from vidda.errors import ViddaError
from vidda.evaluate.transfer import TransferCell, load_tests
from vidda.report.found_runs import FoundRuns, FoundTransfer
from vidda.report.run_records import RunRecord, TrainingRecord, read_record
from vidda.types import Manifest

RowTask = tuple[str, str]
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


def labeled_domains(manifest: Manifest) -> set[tuple[str, str]]:
    """Return the (domain, view) pairs of a manifest's labeled clips.

    Clips of which neither domain nor view is known are left out.
    """
    return {(c.domain, c.view) for c in manifest.clips if c.label is not None} - {("", "")}


def rows_with_target_labels(found: FoundRuns, oracle: str) -> frozenset[RowTask]:
    """Return the rows and tasks whose runs were trained on target labels, or selected by them.

    oracle: name of the row that is trained on target labels. For other rows the manifests of each
    run, and of the runs that it started from, decide; missing manifests are ignored.
    """
    transfer = found.transfer
    if transfer is None:
        return frozenset()
    named = {(row.name, task) for row in transfer.transfer.rows for task in row.runs}
    of_oracle = {row_task for row_task in named if row_task[0] == oracle}
    return frozenset(of_oracle | set(_by_manifests(transfer, found.trainings)))


def best_rows(
    cells: Sequence[TransferCell], used_labels: Collection[RowTask]
) -> frozenset[RowTask]:
    """Return the best row of each task, or several equal ones, that used no labels of its target.

    cells: one for each row and task. used_labels: rows and tasks to leave out, from
    `rows_with_target_labels`.
    """
    best: dict[str, float] = {}
    fair = [cell for cell in cells if (cell.row, cell.task) not in used_labels]
    for cell in fair:
        best[cell.task] = max(cell.mean, best.get(cell.task, cell.mean))
    return frozenset((cell.row, cell.task) for cell in fair if cell.mean == best[cell.task])


def _by_manifests(
    found: FoundTransfer, trainings: Mapping[Path, TrainingRecord]
) -> Iterator[RowTask]:
    try:
        tests = {task: test for task, (_, test) in load_tests(found.transfer).items()}
    except ViddaError:  # `reader_warnings` reports it
        return
    manifests = Manifests()
    for row in found.transfer.rows:
        for task, runs in row.runs.items():
            target = labeled_domains(tests[task])
            own = [trainings[run] for run in runs if run in trainings]
            if any(target & _learned(training, manifests) for training in own):
                yield row.name, task


def _learned(training: TrainingRecord, manifests: Manifests) -> set[tuple[str, str]]:
    """Return the (domain, view) pairs whose labels a run, and those it started from, used."""
    record = training.record
    chosen_by = [record.content["val"]] if training.chosen and record.content.get("val") else []
    paths = [*chosen_by, *(p for one in _lineage(record) for p in one.content.get("train") or ())]
    read = (manifests.get(Path(path)) for path in paths)
    return {pair for manifest in read if manifest is not None for pair in labeled_domains(manifest)}


def _lineage(record: RunRecord) -> Iterator[RunRecord]:
    """Yield a run, and the runs that its weights and its teacher come from, if they exist."""
    yield record
    method = record.content.get("method")
    teacher = method.get("teacher") if isinstance(method, Mapping) else None
    for path in (Path(start) for start in (record.content.get("start"), teacher) if start):
        # A run, or a checkpoint of one.
        folders = (folder for folder in (path, *path.parents[1:2]) if _is_run(folder))
        if folder := next(folders, None):
            try:
                origin = read_record(folder)
            except ViddaError:  # damaged, and not part of this report: treated as missing
                continue
            yield from _lineage(origin)


def _is_run(folder: Path) -> bool:
    return (folder / "config.yaml").is_file()
