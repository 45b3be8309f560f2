"""Small sets of clips of known differences, for `vidda gap`, `filter` and `select`."""

from pathlib import Path
from typing import Any

import numpy as np

from tests.clips import moving
from vidda import video
from vidda.data.manifest import save_manifest
from vidda.types import ClipRecord, Manifest

CLASSES = ("Advance", "Halt")


def write_set(
    folder: Path, count: int, *, dark: float = 0.0, person: bool = True, labels: bool = True
) -> Path:
    """Clips of 40 x 48 pixels with a moving texture, and their manifest.

    dark: share of the clips, the last ones, that are darker. person: whether sidecars with boxes
    are there. Every second clip is of class 0; the column `scene` is a, b, c, d in turns of 4
    clips, and `distance` is a number of meters.
    """
    rng = np.random.default_rng(count)
    clips = []
    for number in range(count):
        frames = moving(6, 40, 48, seed=number)
        if number >= count * (1 - dark):
            frames = frames // 3
        path = f"{number:03d}.mp4"
        video.write(folder / path, frames, 12)
        meta = {"scene": "abcd"[number // 4 % 4], "distance": f"{rng.uniform(5, 9):.2f}"}
        if person:
            box = np.tile([10, 8, 20 + number % 5, 30], (6, 1)).astype(np.float32)
            (folder / "sidecar").mkdir(exist_ok=True)
            np.savez(folder / "sidecar" / f"{number:03d}.npz", box=box)
            meta["sidecar"] = f"sidecar/{number:03d}.npz"
        label = number % 2 if labels else None
        clips.append(ClipRecord(f"c{number}", path, label, "synthetic", "ground", meta=meta))
    save_manifest(Manifest(folder.absolute(), CLASSES, tuple(clips)), folder / "manifest.csv")
    return folder / "manifest.csv"


def write_features(folder: Path, name: str, values: np.ndarray) -> str:
    """A file of features of the first clips of a set; gives its path."""
    file = folder / f"{name}.npz"
    ids = np.array([f"c{n}" for n in range(len(values))])
    np.savez(file, ids=ids, features=values.astype(np.float32))
    return str(file)


def files(folder: Path, source: np.ndarray, target: np.ndarray) -> dict[str, Any]:
    """The keys of features in files."""
    return {
        "name": "files",
        "source": write_features(folder, "source", source),
        "target": write_features(folder, "target", target),
    }
