"""A tiny recognizer with random weights, and small labeled clips for it."""

from pathlib import Path

import numpy as np
import torch
from clips import moving

from vidda.data.experiments import Experiment, as_json
from vidda.data.frame_sampling import FrameSamplingConfig, UniformSampling
from vidda.data.manifest import csv_header, csv_lines, save_manifest, write_csv, write_dataset
from vidda.data.transforms import TransformConfig
from vidda.recognize.biconvlstm import BiConvLstmConfig, PooledHeadConfig
from vidda.recognize.frame_trunk import SmallTrunkConfig
from vidda.recognize.saved_recognizer import ModelCard, save_model
from vidda.types import ClipRecord, Manifest
from vidda.video import write

CLASSES = ("Advance", "Halt", "Rally")
MODEL = BiConvLstmConfig(
    trunk=SmallTrunkConfig(widths=(6, 8)), input="frames", hidden=6, head=PooledHeadConfig()
)


def checkpoint(
    folder: Path,
    seed: int = 0,
    classes: tuple[str, ...] = CLASSES,
    sampling: FrameSamplingConfig | None = None,
) -> Path:
    """A checkpoint in `folder/checkpoints/best`, as vidda train leaves it; gives `folder`."""
    torch.manual_seed(seed)
    model = MODEL.build(len(classes)).eval()
    with torch.no_grad():
        # Random weights would see one class in everything: let dark and bright clips differ.
        seen = model.features(torch.linspace(-2, 2, 9).view(9, 1, 1, 1, 1).expand(9, 3, 4, 32, 32))
        model.classifier.weight /= seen.std() / 3
        model.classifier.bias.copy_(-model.classifier.weight @ seen.mean(0))
    place = folder / "checkpoints" / "best"
    place.mkdir(parents=True)
    card = ModelCard(
        model=MODEL,
        classes=classes,
        sampling=sampling or UniformSampling(frames=4, jitter=False),
        transform=TransformConfig(size=32),
    )
    save_model(place, card, model)
    return folder


def clip_files(root: Path, count: int, frames: int = 12) -> list[str]:
    """So many videos of 40x48 pixels; their paths under `root`."""
    for number in range(count):
        pictures = moving(frames, 40, 48, seed=number) // (1 + number % 3)
        write(root / f"{number}.mp4", pictures, 12)
    return [f"{number}.mp4" for number in range(count)]


def labeled(root: Path, count: int) -> Manifest:
    """Labeled air clips of three subjects, one of them at 30 m, with their videos."""
    clips = [
        ClipRecord(
            id=f"clip/{number}",
            path=path,
            label=number % 3,
            domain="real",
            view="air",
            subject=f"S{number % 4 % 3}",
            altitude_m=30.0 if number % 4 == 1 else 15.0,
        )
        for number, path in enumerate(clip_files(root, count))
    ]
    return Manifest(root.absolute(), CLASSES, tuple(clips))


def saved_manifest(folder: Path, count: int) -> tuple[Path, Manifest]:
    """`labeled` clips, and their manifest on disk."""
    manifest = labeled(folder / "videos", count)
    save_manifest(manifest, folder / "test.csv")
    return folder / "test.csv", manifest


def prepared(folder: Path, manifest: Manifest, tasks: tuple[str, ...]) -> Path:
    """A folder as vidda prepare writes it, in which every task has the same test clips."""
    lists = {f"{task}/source_only": Experiment({"test": "test"}, True) for task in tasks}
    write_dataset(folder, manifest.root, manifest.classes, {"experiments": as_json(lists)})
    for task in tasks:
        file = folder / "splits" / task / "source_only" / "test.csv"
        file.parent.mkdir(parents=True)
        write_csv(file, csv_header([]), csv_lines(manifest.clips, manifest.classes, []))
    return folder


def random_logits(count: int, classes: int = 3, seed: int = 0) -> np.ndarray:
    """(count, classes) float32."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, 2, (count, classes)).astype(np.float32)
