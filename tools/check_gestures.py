"""Check that rendered gestures cover those of photographs: the class of the nearest rendered pose.

    python tools/check_gestures.py RENDERED PHOTOS [--weights FOLDER]

RENDERED: a folder that `vidda mini OUT gestures=NAME` wrote. PHOTOS: a folder with photos.csv, of
the columns class, subject and keypoints33_xy_in_crop (33 points in MediaPipe's order, x and y as
shares of the crop). Printed are, by class and by person, how many photographs have a nearest
rendered pose of their own class, and which classes are taken for which. Labels are compared only.

A pose is the shoulders, elbows, wrists and hips, centered between the hips and scaled by the torso.
Rendered poses are the true ones of the sidecars; with --weights FOLDER, where BlazePose's networks
are (`vidda weights blazepose`), those that BlazePose finds in the rendered frames.
"""

import argparse
import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from vidda import video
from vidda.control.blazepose import COCO_POINTS, BlazePoseConfig
from vidda.mini.labeled_layout import PARTS
from vidda.sidecar import COCO_17, default_sidecar, open_sidecar
from vidda.types import ClipRecord

UPPER_BODY = [
    COCO_17.index(f"{side}_{joint}")
    for joint in ("shoulder", "elbow", "wrist", "hip")
    for side in ("left", "right")
]
PER_CLIP = 4
"""Frames of a rendered clip whose poses are compared."""


@dataclass(frozen=True)
class Poses:
    """Normalized poses, (N, 16), with the class and the person of each; no person in renderings."""

    points: np.ndarray
    classes: list[str]
    people: list[str]


def normalized(keypoints: np.ndarray) -> np.ndarray:
    """Return the upper body of keypoints (N, 17, 2), centered and scaled, as (N, 16)."""
    points = keypoints[:, UPPER_BODY].astype(float)
    hips, shoulders = points[:, 6:].mean(1), points[:, :2].mean(1)
    torso = np.linalg.norm(shoulders - hips, axis=-1)
    scaled: np.ndarray = (points - hips[:, None]) / np.maximum(torso, 1e-6)[:, None, None]
    return scaled.reshape(len(points), -1)


def rendered_poses(folder: Path, weights: Path | None) -> Poses:
    """Return the poses of some frames of each clip, true ones, or BlazePose's by its `weights`."""
    estimator = BlazePoseConfig(weights=weights).build() if weights else None
    points, classes = [], []
    for row in [row for part in PARTS for row in _read_csv(folder / f"{part}.csv")]:
        with open_sidecar(folder / default_sidecar(row["path"])) as content:
            found, boxes = content["keypoints"], content["box"]
        picked = np.unique(np.linspace(0, len(found) - 1, PER_CLIP).round().astype(int))
        found = found[picked, :, :2]
        if estimator:
            frames = video.read(folder / row["path"])[picked]
            clip = ClipRecord(row["path"], row["path"], None, "synthetic", "ground")
            pose = estimator.estimate(frames, boxes[picked, None], clip, folder, picked)
            found = pose.keypoints[pose.scores[:, 0].any(-1), 0]
        points.append(found)
        classes += [row["label"]] * len(found)
    return Poses(normalized(np.concatenate(points)), classes, [""] * len(classes))


def photographed_poses(folder: Path) -> Poses:
    """Return the poses of photos.csv."""
    rows = _read_csv(folder / "photos.csv")
    points = [np.array(row["keypoints33_xy_in_crop"].split(), float).reshape(33, 2) for row in rows]
    chosen = np.stack(points)[:, list(COCO_POINTS)]
    return Poses(normalized(chosen), [r["class"] for r in rows], [r["subject"] for r in rows])


def _read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def nearest_classes(rendered: Poses, photographed: Poses) -> list[str]:
    """Return the class of the rendered pose that is nearest to each photographed one."""
    _, nearest = cKDTree(rendered.points).query(photographed.points)
    return [rendered.classes[n] for n in nearest]


def report(photographed: Poses, nearest: list[str]) -> list[str]:
    """Return the lines to print: shares by class and person, and the confusions."""
    right = np.array([a == b for a, b in zip(photographed.classes, nearest, strict=True)])
    classes, people = np.array(photographed.classes), np.array(photographed.people)
    names = sorted(set(photographed.people))
    lines = [f"{'class':14}{'all':>8}" + "".join(f"{name:>8}" for name in names)]
    for label in [*sorted(set(photographed.classes)), "all"]:
        own = classes == label if label != "all" else np.full(len(classes), True)
        shares = [
            100.0 * right[own & chosen].mean()
            for chosen in (own, *(people == name for name in names))
            if (own & chosen).any()
        ]
        lines.append(f"{label:14}" + "".join(f"{share:8.1f}" for share in shares))
    wrong = Counter(
        f"{label} taken for {other}"
        for label, other in zip(photographed.classes, nearest, strict=True)
        if label != other
    )
    return lines + [f"{count:5} {name}" for name, count in wrong.most_common()]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("rendered", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--weights", type=Path)
    arguments = parser.parse_args()
    rendered = rendered_poses(arguments.rendered, arguments.weights)
    photographed = photographed_poses(arguments.photos)
    print(f"{len(rendered.classes)} rendered poses, {len(photographed.classes)} photographs")
    print("\n".join(report(photographed, nearest_classes(rendered, photographed))))


if __name__ == "__main__":
    main()
