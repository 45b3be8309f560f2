"""Folders as vidda train, evaluate, translate and control leave them, at their smallest."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from clips import moving

from vidda.config import Config
from vidda.data import save_manifest
from vidda.data.manifest import csv_header, csv_lines, write_csv, write_dataset
from vidda.data.saved_predictions import load_predictions, save_predictions
from vidda.evaluate.labeled_predictions import columns_of
from vidda.evaluate.summary import Intervals
from vidda.evaluate.transfer import EpochCell, Transfer, TransferRow, transfer_cells
from vidda.evaluate.transfer_tables import write_tables
from vidda.report.job import run
from vidda.report.report_config import ReportConfig
from vidda.run import RunFolder
from vidda.translate.outputs import ClipResult
from vidda.types import ClipRecord, Manifest, Predictions
from vidda.video import write

CLASSES = ("Advance", "Halt", "Rally")
TASKS = ("gs2gr", "as2ar")
HITS = {"source only": 0.3, "per frame": 0.5, "target only": 0.9}
"""How often the recognizers of each row are right."""
EVIL = '<img src="x" onerror="alert(1)">&\'_%'


class TrainLike(Config):
    """The keys of a training's config that a report reads."""

    train: tuple[Path, ...]
    val: Path


class EvaluateLike(Config):
    """The keys of a transfer table's config that a report reads."""

    transfer: Transfer
    intervals: Intervals = Intervals(samples=200)


class TranslateLike(Config):
    """A config of vidda translate."""

    prompt: str = "a street </pre><script>alert(2)</script>"


def clips(count: int, domain: str, view: str, prefix: str = "") -> tuple[ClipRecord, ...]:
    """Labeled clips of three subjects; those from the air at two altitudes."""
    return tuple(
        ClipRecord(
            id=f"{prefix or domain}/{view}/{number}",
            path=f"{number}.mp4",
            label=number % 3,
            domain=domain,
            view=view,
            subject=f"S{number % 4 % 3}",
            altitude_m=(15.0 if number % 2 else 30.0) if view == "air" else None,
        )
        for number in range(count)
    )


def prepared(folder: Path, count: int = 24, classes: Sequence[str] = CLASSES) -> Path:
    """What vidda prepare writes: for each task the manifests of three settings."""
    root = folder.parent / "media"
    root.mkdir(parents=True, exist_ok=True)
    write_dataset(folder, root, classes, {})
    for task in TASKS:
        view = "ground" if task == "gs2gr" else "air"
        synthetic = clips(6, "synthetic", view)
        parts = {
            "source_only/train": synthetic,
            "source_only/val": clips(3, "synthetic", view, "synthetic_val"),
            "target_only/train": clips(6, "real", view, "real_train"),
            "target_only/val": clips(3, "real", view, "real_val"),
            "source_only/test": clips(count, "real", view),
        }
        for name, part in parts.items():
            lines = csv_lines(part, classes, [])
            write_csv(folder / "splits" / task / f"{name}.csv", csv_header([]), lines)
    return folder


def trained(
    path: Path,
    train: Path,
    val: Path,
    *,
    epochs: int = 6,
    finish: bool = True,
    select: str = "source_validation",
) -> Path:
    """A run of vidda train, its third epoch selected."""
    with RunFolder.open(path, TrainLike(train=(train,), val=val), {}, resume=False) as folder:
        for epoch in range(epochs):
            folder.record(epoch * 10 + 5, {"train/loss": 2.0 / (epoch + 1)})
            values = {"epoch/epoch": epoch, "epoch/val_accuracy": 0.5, "epoch/val_loss": 1.0}
            folder.record(epoch * 10 + 10, values)
        if finish:
            stored = {"selected": 2, "last": epochs - 1, "select": select}
            (path / "selection.json").write_text(json.dumps(stored))
            folder.finish()
    return path


def transfer(
    folder: Path, data: Path, rows: Mapping[str, Mapping[str, Sequence[Path]]], count: int = 24
) -> Path:
    """What vidda evaluate writes for rows of runs, right as often as `HITS` says."""
    config = EvaluateLike(
        transfer=Transfer(
            data=data,
            tasks=TASKS,
            rows=tuple(
                TransferRow(name=name, runs={task: tuple(paths) for task, paths in runs.items()})
                for name, runs in rows.items()
            ),
        )
    )
    root, table = data.parent / "media", []
    rng = np.random.default_rng(0)
    with RunFolder.open(folder, config, {}, resume=False) as opened:
        for row in config.transfer.rows:
            for task, runs in row.runs.items():
                tests = Manifest(
                    root, CLASSES, clips(count, "real", "ground" if task == "gs2gr" else "air")
                )
                found = []
                for number in range(len(runs)):
                    file = folder / f"predictions/{row.name}/{task}_{number}.npz"
                    logits = rng.normal(0, 0.1, (count, 3)).astype(np.float32)
                    truth = np.array([clip.label for clip in tests.clips])
                    wrong = rng.random(count) >= HITS.get(row.name, 0.6)
                    logits[np.arange(count), (truth + wrong) % 3] += 2
                    ids = tuple(clip.id for clip in tests.clips)
                    made = Predictions(ids, logits, truth)
                    save_predictions(file, made, CLASSES, columns_of(tests))
                    found.append(load_predictions(file))
                table += transfer_cells(row.name, task, found, config.intervals)
        epochs = [EpochCell("source only", "gs2gr", 0.3, 0.25, 0.4)]
        write_tables(folder, table, epochs, TASKS, config.intervals.confidence)
        opened.finish()
    return folder


def translated(folder: Path, source: Manifest, *, videos: bool = True) -> Path:
    """What vidda translate writes; the third clip has failed, the second is rejected."""
    with RunFolder.open(folder, TranslateLike(), {}, resume=False) as opened:
        for number, clip in enumerate(source.clips):
            status = {1: "rejected", 2: "failed"}.get(number, "kept")
            path = None if status == "failed" else f"videos/{clip.path}"
            if path and videos:
                write(folder / path, moving(6, 32, 40, seed=number) // 2, 8)
            figures = {"warp_error_ratio": float(number), "flow_epe": number / 10}
            reasons = () if status == "kept" else (f"{status} because {EVIL}",)
            result = ClipResult(
                id=clip.id,
                status=status,
                reasons=reasons,
                path=path,
                quality={} if status == "failed" else {**figures, "pck": None},
            )
            result.write((folder / f"videos/{clip.path}").with_suffix(".json"))
        opened.finish()
    return folder


def source_clips(folder: Path, count: int = 8) -> tuple[Path, Manifest]:
    """Videos to translate, the first with an evil id, and their manifest on disk."""
    records = []
    for number in range(count):
        write(folder / "videos" / f"{number}.mp4", moving(8, 48, 60, seed=number), 8)
        name = EVIL if number == 0 else f"clip/{number}"
        records.append(ClipRecord(name, f"{number}.mp4", number % 3, "synthetic", "ground"))
    manifest = Manifest((folder / "videos").absolute(), CLASSES, tuple(records))
    save_manifest(manifest, folder / "clips.csv")
    return folder / "clips.csv", manifest


def controlled(folder: Path, source: Manifest) -> Path:
    """What vidda control writes; the last clip has no pose."""
    for clip in source.clips:
        for name in ("edges", "pose"):
            if name == "edges" or clip is not source.clips[-1]:
                write(folder / "clips" / clip.path / f"{name}.mp4", moving(8, 48, 60), 8)
    return folder


def report(resume: bool = False, dry_run: bool = False, **content: Any) -> int:
    """`vidda report` with this config, checked as the command line does it."""
    config = ReportConfig.model_validate_json(json.dumps(content, default=str), strict=True)
    return run(config, dry_run=dry_run, resume=resume)
