"""`vidda evaluate` with rows of runs: predict every test set, then make the transfer table."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from vidda.console import console
from vidda.data.saved_predictions import SavedPredictions, load_predictions, save_predictions
from vidda.errors import ViddaError
from vidda.evaluate import console_tables
from vidda.evaluate.labeled_predictions import join_columns, join_labels
from vidda.evaluate.predict_clips import check_model, predict_clips
from vidda.evaluate.summary import Intervals
from vidda.evaluate.transfer import (
    EpochCell,
    Transfer,
    TransferCell,
    epoch_cell,
    load_tests,
    load_unlabeled,
    transfer_cells,
)
from vidda.evaluate.transfer_tables import (
    label_free_grids,
    label_free_legend,
    legend,
    transfer_grids,
    write_tables,
)
from vidda.evaluate.unlabeled_targets import (
    LabelFreeCell,
    label_free_cell,
    write_predicted_classes,
)
from vidda.files import sha256
from vidda.recognize.inference_config import InferenceConfig
from vidda.recognize.saved_recognizer import WEIGHTS
from vidda.run import RunFolder
from vidda.types import Manifest

ManifestByTask = Mapping[str, tuple[str, Manifest]]
"""The file name and the clips of each task."""


@dataclass(frozen=True, slots=True)
class TransferTest:
    """One run on the test clips of one task.

    row, task: names. number: index of the seed, from 0. run: folder of the run. folder: of its
    checkpoint.
    """

    row: str
    task: str
    number: int
    run: Path
    folder: Path

    @property
    def file(self) -> str:
        """Return the path of its predictions, relative to OUT."""
        return f"predictions/{self.row}/{self.task}_{self.number}.npz"


def run_transfer(
    transfer: Transfer,
    out: Path,
    inference: InferenceConfig,
    intervals: Intervals,
    dry_run: bool,
    resume: bool,
) -> None:
    """Check everything, predict what is missing, write and print the tables.

    out: folder to write. inference: the command's config, with the settings of inference. dry_run:
    stop after the checks. resume: continue what `out` holds already. Raises ViddaError, a line for
    each run that does not fit its clips.
    """
    transfer.check()
    unlabeled = load_unlabeled(transfer)
    manifests = load_tests(transfer) | unlabeled
    tests = _plan(transfer, manifests, unlabeled, inference)
    device = inference.torch_device()
    clips = sum(len(manifests[test.task][1]) for test in tests)
    if dry_run:
        print(f"dry run: would run {len(tests)} tests, {clips} clips in all, on {device}")
        return
    fingerprints = {f"test of {task}": m.fingerprint() for task, (_, m) in manifests.items()}
    weights = {test.folder for test in tests}
    fingerprints |= {f"weights of {folder}": sha256(folder / WEIGHTS) for folder in sorted(weights)}
    with RunFolder.open(out, inference, fingerprints, resume=resume) as folder:
        found = _predictions(tests, out, manifests, unlabeled, inference, device)
        table, epochs = _cells(transfer, manifests, unlabeled, found, intervals)
        scored = _label_free_cells(transfer, unlabeled, found)
        if not folder.finished:
            write_tables(out, table, epochs, transfer.tasks, intervals.confidence, scored)
            folder.finish()
    texts = [*transfer_grids(table, epochs, transfer.tasks), *label_free_grids(scored)]
    told = [*legend(table, epochs, intervals.confidence), *label_free_legend(scored)]
    console_tables.print_grids(console(sys.stdout), texts, told)
    print(f"written: {out / 'transfer.md'}, transfer.csv and transfer.json")


def _plan(
    transfer: Transfer,
    manifests: ManifestByTask,
    unlabeled: ManifestByTask,
    inference: InferenceConfig,
) -> list[TransferTest]:
    """Return every test; ViddaError with a line for each run that does not fit its clips."""
    tests: list[TransferTest] = []
    problems: dict[str, None] = {}
    for row in transfer.rows:
        for task in (task for task in transfer.tasks if task in row.runs):
            name, manifest = manifests[task]
            for number, run in enumerate(row.runs[task]):
                try:
                    labeled = task not in unlabeled
                    folder = check_model(run, manifest, name, inference, labeled=labeled)
                except ViddaError as error:
                    problems |= dict.fromkeys(str(error).splitlines())
                else:
                    tests.append(TransferTest(row.name, task, number, run, folder))
    if problems:
        raise ViddaError("\n".join(problems))
    return tests


def _predictions(
    tests: list[TransferTest],
    out: Path,
    manifests: ManifestByTask,
    unlabeled: ManifestByTask,
    inference: InferenceConfig,
    device: torch.device,
) -> dict[TransferTest, SavedPredictions]:
    """Load predictions that OUT holds, and predict the others, each run once on the same clips."""
    known: dict[tuple[Path, str], SavedPredictions] = {}
    found = {}
    for test in tests:
        name, manifest = manifests[test.task]
        key = (test.folder.resolve(), manifest.fingerprint())
        file = out / test.file
        labeled = test.task not in unlabeled
        if file.exists():
            join = join_labels if labeled else join_columns
            known[key] = join(load_predictions(file), manifest, name)
        elif key not in known:
            known[key] = predict_clips(test.run, manifest, name, inference, device, labeled=labeled)
        saved = known[key]
        if not labeled:
            write_predicted_classes(file.with_suffix(".csv"), saved)
        if not file.exists():
            save_predictions(file, saved.predictions, saved.classes, saved.columns)
        found[test] = known[key]
    return found


def _cells(
    transfer: Transfer,
    manifests: ManifestByTask,
    unlabeled: ManifestByTask,
    found: dict[TransferTest, SavedPredictions],
    intervals: Intervals,
) -> tuple[list[TransferCell], list[EpochCell]]:
    table: list[TransferCell] = []
    epochs: list[EpochCell] = []
    for row in transfer.rows:
        for task in (task for task in transfer.tasks if task in row.runs):
            if task in unlabeled:
                continue
            runs = _runs_of(found, row.name, task)
            table += transfer_cells(row.name, task, runs, intervals)
            name, manifest = manifests[task]
            three = epoch_cell(row.name, task, row.runs[task], manifest, name)
            epochs += [three] if three else []
    return table, epochs


def _label_free_cells(
    transfer: Transfer, unlabeled: ManifestByTask, found: dict[TransferTest, SavedPredictions]
) -> list[LabelFreeCell]:
    return [
        label_free_cell(row.name, task, _runs_of(found, row.name, task))
        for task in unlabeled
        for row in transfer.rows
        if task in row.runs
    ]


def _runs_of(
    found: dict[TransferTest, SavedPredictions], row: str, task: str
) -> list[SavedPredictions]:
    """Return the predictions of a row's runs on a task, one for each seed."""
    return [saved for test, saved in found.items() if (test.row, test.task) == (row, task)]
