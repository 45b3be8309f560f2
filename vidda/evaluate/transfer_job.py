"""`vidda evaluate` with rows of runs: predict every test set, then make the transfer table."""

import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from vidda.console import console
from vidda.data.saved_predictions import SavedPredictions, load_predictions, save_predictions
from vidda.errors import ViddaError
from vidda.evaluate import console_tables
from vidda.evaluate.labeled_predictions import join
from vidda.evaluate.predict_labeled import check_model, predict_labeled
from vidda.evaluate.summary import Intervals
from vidda.evaluate.transfer import EpochCell, Transfer, TransferCell, cells, epoch_cell, find_tests
from vidda.evaluate.transfer_tables import grids, legend, write_tables
from vidda.files import sha256
from vidda.recognize.inference_config import InferenceConfig
from vidda.recognize.saved_recognizer import WEIGHTS
from vidda.run import RunFolder
from vidda.types import Manifest


@dataclass(frozen=True, slots=True)
class TransferTest:
    """One run on the test clips of one task. number: which seed; folder: its checkpoint's."""

    row: str
    task: str
    number: int
    run: Path
    folder: Path

    @property
    def file(self) -> str:
        """Where its predictions are kept, in OUT."""
        return f"predictions/{self.row}/{self.task}_{self.number}.npz"


def run_transfer(
    transfer: Transfer,
    out: Path,
    showing: InferenceConfig,
    intervals: Intervals,
    dry_run: bool,
    resume: bool,
) -> None:
    """Check everything, predict what is not there yet, write and print the tables.

    showing: how clips are shown; as a whole, the command's config.
    """
    transfer.check()
    manifests = find_tests(transfer)
    trials = _plan(transfer, manifests, showing)
    device = showing.torch_device()
    clips = sum(len(manifests[trial.task][1]) for trial in trials)
    if dry_run:
        print(f"dry run: would run {len(trials)} trials, {clips} clips in all, on {device}")
        return
    fingerprints = {f"test of {task}": m.fingerprint() for task, (_, m) in manifests.items()}
    weights = {trial.folder for trial in trials}
    fingerprints |= {f"weights of {folder}": sha256(folder / WEIGHTS) for folder in sorted(weights)}
    with RunFolder.open(out, showing, fingerprints, resume=resume) as folder:
        found = _predictions(trials, out, manifests, showing, device)
        table, epochs = _cells(transfer, manifests, found, intervals)
        if not folder.finished:
            write_tables(out, table, epochs, transfer.tasks, intervals.confidence)
            folder.finish()
    texts = grids(table, epochs, transfer.tasks)
    console_tables.print_grids(
        console(sys.stdout), texts, legend(table, epochs, intervals.confidence)
    )
    print(f"written: {out / 'transfer.md'}, transfer.csv and transfer.json")


def _plan(
    transfer: Transfer, manifests: dict[str, tuple[str, Manifest]], showing: InferenceConfig
) -> list[TransferTest]:
    """Return every test, once each run is known to fit its clips; all that do not are named."""
    trials: list[TransferTest] = []
    problems: dict[str, None] = {}
    for row in transfer.rows:
        for task in (task for task in transfer.tasks if task in row.runs):
            name, manifest = manifests[task]
            for number, run in enumerate(row.runs[task]):
                try:
                    folder = check_model(run, manifest, name, showing)
                except ViddaError as error:
                    problems |= dict.fromkeys(str(error).splitlines())
                else:
                    trials.append(TransferTest(row.name, task, number, run, folder))
    if problems:
        raise ViddaError("\n".join(problems))
    return trials


def _predictions(
    trials: list[TransferTest],
    out: Path,
    manifests: dict[str, tuple[str, Manifest]],
    showing: InferenceConfig,
    device: torch.device,
) -> dict[TransferTest, SavedPredictions]:
    """From OUT where an earlier session has them; a run on the same clips is run once."""
    known: dict[tuple[Path, str], SavedPredictions] = {}
    found = {}
    for trial in trials:
        name, manifest = manifests[trial.task]
        key = (trial.folder.resolve(), manifest.fingerprint())
        file = out / trial.file
        if file.exists():
            known[key] = join(load_predictions(file), manifest, name)
        elif key not in known:
            known[key] = predict_labeled(trial.run, manifest, name, showing, device)
        if not file.exists():
            saved = known[key]
            save_predictions(file, saved.predictions, saved.classes, saved.columns)
        found[trial] = known[key]
    return found


def _cells(
    transfer: Transfer,
    manifests: dict[str, tuple[str, Manifest]],
    found: dict[TransferTest, SavedPredictions],
    intervals: Intervals,
) -> tuple[list[TransferCell], list[EpochCell]]:
    table: list[TransferCell] = []
    epochs: list[EpochCell] = []
    for row in transfer.rows:
        for task in (task for task in transfer.tasks if task in row.runs):
            runs = [saved for t, saved in found.items() if (t.row, t.task) == (row.name, task)]
            table += cells(row.name, task, runs, intervals)
            name, manifest = manifests[task]
            three = epoch_cell(row.name, task, row.runs[task], manifest, name)
            epochs += [three] if three else []
    return table, epochs
