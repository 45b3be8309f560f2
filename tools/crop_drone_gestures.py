"""Crop the photographs of thirteen drone commands around their person, and find the person's pose.

    python tools/crop_drone_gestures.py PHOTOS OUT [--subjects FILE] [--weights FOLDER]

PHOTOS is the repository's dataset/photos/body, with CLASS/ID_org.jpg. FILE is a CSV of id, the
first eight characters of a photograph's name, and subject. FOLDER has BlazePose's networks, which
`vidda weights blazepose` fetches. OUT is then what tools/drone_gestures.py reads:

OUT/crops/CLASS/ID.jpg  a square around the person, 1.6 times as large, of 160x160 pixels
OUT/photos.csv          file, class, subject, keypoints33_xy_in_crop, visibility33

Photographs without a subject, or in which nobody is found, are left out and counted.
"""

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from vidda import video
from vidda.control.blazepose_networks import BlazePerson, BlazePoseNetworks
from vidda.control.blazepose_people import follow_people
from vidda.data.manifest import csv_line, write_csv
from vidda.errors import ViddaError
from vidda.files import atomic
from vidda.progress import track

SUBJECTS = Path(__file__).parents[1] / "data_prep/drone_gestures_subjects.csv"
COLUMNS = ("file", "class", "subject", "keypoints33_xy_in_crop", "visibility33")
SUFFIX = "_org.jpg"
ID_LENGTH = 8
SIZE = 160
"""Height and width of a crop, in pixels."""
LOWEST_SCORE = 0.5
"""Lowest score of a person, by the detector and in a crop."""
CROP = 1.6
"""Side of a crop relative to the longer side of the box around the person."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write OUT and return 0; on a mistake print one line and return 2."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("photos", type=Path, help="folder of CLASS/ID_org.jpg")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--subjects", type=Path, default=SUBJECTS, help="CSV of id and subject")
    parser.add_argument("--weights", type=Path, default=Path("weights/blazepose"))
    options = parser.parse_args(arguments)
    try:
        crop_photos(options.photos, options.out, options.subjects, options.weights)
    except ViddaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def crop_photos(photos: Path, out: Path, subjects: Path, weights: Path) -> None:
    """Write the crops and their list; arguments as in the module's docstring.

    Raises ViddaError where no photograph has a subject, and where networks or a file are missing.
    """
    subject_of = dict(_subjects(subjects))
    files = sorted(photos.glob(f"*/*{SUFFIX}"))
    wanted = [file for file in files if file.name[:ID_LENGTH] in subject_of]
    if not wanted:
        raise ViddaError(
            f"{photos}: no CLASS/ID{SUFFIX} of the {len(subject_of)} in {subjects}; give the"
            " folder dataset/photos/body of the repository"
        )
    networks = BlazePoseNetworks(weights)
    lines = []
    for file in track(wanted, label="cropping", total=len(wanted), unit="photographs"):
        picture = video.read(file)[0]
        people = next(follow_people(networks, [picture], [0], 1, LOWEST_SCORE, LOWEST_SCORE))
        if not people:
            continue
        person = people[0]
        crop, points = crop_person(picture, person)
        name = f"{file.parent.name}/{file.name.removesuffix(SUFFIX)}.jpg"
        path = out / "crops" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as temporary:
            Image.fromarray(crop).save(temporary, format="JPEG", quality=95)
        seen = " ".join(f"{value:.2f}" for value in person.visibility)
        places = " ".join(f"{value:.4f}" for value in points.ravel())
        row = (name, file.parent.name, subject_of[file.name[:ID_LENGTH]], places, seen)
        lines.append(csv_line(row))
    write_csv(out / "photos.csv", csv_line(COLUMNS), lines)
    print(
        f"written: {len(lines)} crops in {out}; left out: {len(files) - len(wanted)} without a"
        f" subject, {len(wanted) - len(lines)} in which nobody is found"
    )


def crop_person(picture: np.ndarray, person: BlazePerson) -> tuple[np.ndarray, np.ndarray]:
    """Return a square around a person, (SIZE, SIZE, 3), and the points in it, (33, 2) fractions.

    picture: (H, W, 3) uint8. The square is inside the picture, and so no larger than its shorter
    side.
    """
    height, width = picture.shape[:2]
    low, high = _box(person, height, width)
    side = min(round(CROP * float((high - low).max())), height, width)
    corner = np.clip(np.rint((low + high - side) / 2), 0, [width - side, height - side]).astype(int)
    square = picture[corner[1] : corner[1] + side, corner[0] : corner[0] + side]
    shrink = cv2.INTER_AREA if side > SIZE else cv2.INTER_LINEAR
    crop = cv2.resize(square, (SIZE, SIZE), interpolation=shrink)
    # The center of the first pixel is 0, and the crop's left edge is the fraction 0.
    return crop, (person.points + 0.5 - corner) / side


def _box(person: BlazePerson, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners x, y of the box around a person's mask, or their points without any."""
    rows, columns = np.nonzero(person.mask(height, width) > 0.5)
    if not len(rows):
        return person.points.min(0), person.points.max(0)
    corners = np.array([columns.min(), rows.min()]), np.array([columns.max(), rows.max()]) + 1
    return corners[0].astype(float), corners[1].astype(float)


def _subjects(file: Path) -> Iterator[tuple[str, str]]:
    """Yield the id and the subject of each photograph; ViddaError where the list is another."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            for row in csv.DictReader(stream):
                yield row["id"], row["subject"]
    except (OSError, KeyError) as error:
        raise ViddaError(f"{file}: no list with the columns id and subject ({error})") from None


if __name__ == "__main__":
    sys.exit(main())
