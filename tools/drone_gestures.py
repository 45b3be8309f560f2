"""Prepare the photographs of thirteen drone commands: crops, poses, takes and a manifest.

    python tools/drone_gestures.py PHOTOS OUT

PHOTOS has photos.csv and the crops that it lists, below crops/. A row of photos.csv is one crop:
file, class, subject, keypoints33_xy_in_crop (x y of MediaPipe's 33 points, as fractions of the
crop) and visibility33 (of each, 0 to 1). Other columns are not used.

OUT/CLASS/FILE.jpg          the crops, as they are
OUT/sidecar/CLASS/FILE.npz  `keypoints` (1, 17, 3): COCO's joints in pixels of the crop
OUT/manifest.csv            the crops as clips of one frame, with the columns subject, take, sidecar

Many photographs are near-duplicates: frames of a person who holds one command while the camera
moves. A take is a set of crops of one person and command of which each differs from another one by
less than TAKE_DISTANCE, so that crops of two takes never do.
"""

import argparse
import csv
import shutil
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage

from vidda import video
from vidda.control.blazepose import COCO_POINTS
from vidda.data.manifest import save_manifest
from vidda.errors import ViddaError
from vidda.files import atomic, inside
from vidda.types import ClipRecord, Manifest

COLUMNS = ("file", "class", "subject", "keypoints33_xy_in_crop", "visibility33")
POINTS = 33
VISIBLE = 0.5
"""Lowest visibility of a joint that counts as visible."""
TAKE_DISTANCE = 20.0
"""Root mean square difference of two crops, in gray levels (0 to 255), from which on they may be of
two takes. On the photographs it is below what separates person A's photographs of two commands (24
or more between `up` and `photo`)."""
TAKE_SIZE = 32
"""Height and width at which crops are compared, in pixels."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write OUT and return 0; on a mistake print one line and return 2."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("photos", type=Path, help="folder of photos.csv and crops/")
    parser.add_argument("out", type=Path, help="folder to write, such as DIR/photographs")
    options = parser.parse_args(arguments)
    try:
        manifest = prepare(options.photos, options.out)
    except ViddaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for subject in sorted({clip.subject or "" for clip in manifest.clips}):
        own = [clip for clip in manifest.clips if (clip.subject or "") == subject]
        takes = len({clip.meta["take"] for clip in own})
        print(f"subject {subject}: {len(own)} photographs, {takes} takes")
    print(f"written: {options.out / 'manifest.csv'}")
    return 0


def prepare(photos: Path, out: Path) -> Manifest:
    """Write crops, sidecars and the manifest, and return it.

    Raises ViddaError for a list, a row or a picture that cannot be read, before anything is
    written.
    """
    rows = read_rows(photos / "photos.csv")
    classes = tuple(sorted({row["class"] for row in rows}))
    images = [video.read(_crop(photos, row))[0] for row in rows]
    poses = [
        _joints(row, f"photos.csv:{number}", *image.shape[:2])
        for number, (row, image) in enumerate(zip(rows, images, strict=True), 2)
    ]
    takes = name_takes(rows, images)
    clips = []
    for row, pose, take in zip(rows, poses, takes, strict=True):
        path, sidecar = row["file"], f"sidecar/{Path(row['file']).with_suffix('.npz').as_posix()}"
        for name in (path, sidecar):
            inside(out, name).parent.mkdir(parents=True, exist_ok=True)
        with atomic(out / path) as temporary:
            shutil.copyfile(_crop(photos, row), temporary)
        with atomic(out / sidecar) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, keypoints=pose)
        meta = {"take": take, "sidecar": sidecar}
        label = classes.index(row["class"])
        clips.append(ClipRecord(path, path, label, "real", "ground", row["subject"], meta=meta))
    manifest = Manifest(out.absolute(), classes, tuple(clips))
    save_manifest(manifest, out / "manifest.csv")
    return manifest


def read_rows(file: Path) -> list[dict[str, str]]:
    """Return the rows of photos.csv by column, in its order.

    Raises ViddaError where it is not there, a column or a cell is missing, or a file is duplicated.
    """
    if not file.is_file():
        raise ViddaError(f"{file}: no such list; give the folder of photos.csv and crops/")
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise ViddaError(f"{file}:1: no column {missing[0]!r}; it needs {', '.join(COLUMNS)}")
        rows = list(reader)
    line_of: dict[str, int] = {}
    for number, row in enumerate(rows, 2):
        empty = [name for name in COLUMNS if not row[name]]
        if empty:
            raise ViddaError(f"{file}:{number}: no {empty[0]}; fill the cell or remove the row")
        first = line_of.setdefault(row["file"], number)
        if first != number:
            raise ViddaError(f"{file}:{number}: {row['file']} is on line {first} too; remove one")
    return rows


def name_takes(rows: Sequence[dict[str, str]], images: Sequence[np.ndarray]) -> list[str]:
    """Return the name of each photograph's take, such as A-closer-03.

    rows: of photos.csv, for class and subject. images: (H, W, 3) uint8 each. The takes of a person
    and command count from the one of the alphabetically first file.
    """
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index in sorted(range(len(rows)), key=lambda index: rows[index]["file"]):
        groups[rows[index]["subject"], rows[index]["class"]].append(index)
    names = [""] * len(rows)
    for (subject, label), members in groups.items():
        found = find_takes([images[index] for index in members])
        for index, take in zip(members, found, strict=True):
            names[index] = f"{subject}-{label}-{take:02}"
    return names


def find_takes(images: Sequence[np.ndarray]) -> list[int]:
    """Return the number of each picture's take, counted from 0 by first appearance.

    images: (H, W, 3) uint8 each, of one person and command. Two are of one take if they differ by
    less than TAKE_DISTANCE, or are linked by others that do (single linkage). Brightness does not
    count: each is compared without its mean color.
    """
    if len(images) < 2:
        return [0] * len(images)
    small = np.stack(
        [cv2.resize(one, (TAKE_SIZE, TAKE_SIZE), interpolation=cv2.INTER_AREA) for one in images]
    ).astype(np.float64)
    small -= small.mean((1, 2), keepdims=True)
    features = small.reshape(len(small), -1) / np.sqrt(small[0].size)
    labels = fcluster(linkage(features, "single"), TAKE_DISTANCE, "distance").tolist()
    order = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return [order[label] for label in labels]


def _crop(photos: Path, row: dict[str, str]) -> Path:
    return inside(photos / "crops", row["file"])


def _joints(row: dict[str, str], where: str, height: int, width: int) -> np.ndarray:
    """Return COCO's joints of a row, (1, 17, 3) float32: x, y in pixels, and 2, 1 or 0.

    As in `vidda.sidecar`: 2 is visible, 1 hidden, 0 outside the crop. where: the row, for messages.
    height, width: of the crop, in pixels. Raises ViddaError unless the row has 33 points.
    """
    try:
        at = np.array(row["keypoints33_xy_in_crop"].split(), np.float64).reshape(POINTS, 2)
        seen = np.array(row["visibility33"].split(), np.float64).reshape(POINTS)
    except ValueError:
        raise ViddaError(
            f"{where}: {row['file']} has not x, y and a visibility of {POINTS} points; correct the"
            " row"
        ) from None
    at, seen = at[list(COCO_POINTS)], seen[list(COCO_POINTS)]
    inner = ((at >= 0) & (at < 1)).all(1)
    state = np.where(inner, np.where(seen >= VISIBLE, 2, 1), 0)
    # The center of the first pixel is 0.
    pixels = at * (width, height) - 0.5
    return np.column_stack([pixels, state])[None].astype(np.float32)


if __name__ == "__main__":
    sys.exit(main())
