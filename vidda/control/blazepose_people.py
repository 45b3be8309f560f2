"""People by BlazePose over the frames of a clip, and the boxes around them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import count, tee
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from vidda.config import Config, Count
from vidda.control.blazepose_networks import BlazePerson, BlazePoseNetworks, CropRegion
from vidda.control.detected_people import pad_boxes
from vidda.control.keypoints import NobodyError
from vidda.types import ClipRecord

SAME_PLACE = 0.1
"""Distance of two regions' centers, relative to the larger side, up to which they hold one
person."""

FAR_TURNED = np.pi / 4
"""Angle in radians from which a person who is found turned may as well stand."""

LONGEST_STEP = 5
"""Frames between two pictures, over which a person is followed."""

PersonScore = Annotated[float, Field(ge=0, lt=1)]


class BlazePoseBoxes(Config):
    """BlazePose (arXiv 2006.10204) as a detector of people who are large in the frame."""

    name: Literal["blazepose"] = Field(default="blazepose", description="people by BlazePose")
    weights: Path = Field(
        default=Path("weights/blazepose"),
        description="folder of its two .tflite files, which vidda weights blazepose fetches",
    )
    people: Count = Field(default=1, description="most people per frame; the surest are kept")
    threshold: PersonScore = Field(default=0.5, description="lowest score of a person")

    def build(self) -> "BlazePoseDetector":
        """Return the loaded detector; raises ViddaError where ai-edge-litert or a file is not
        there.
        """
        return BlazePoseDetector(self)


class BlazePoseDetector:
    """BlazePose as a source of boxes: around each person's mask."""

    def __init__(self, config: BlazePoseBoxes) -> None:
        self.config = config
        self._networks = BlazePoseNetworks(config.weights)

    def find(
        self, frames: np.ndarray, clip: ClipRecord, root: Path, indices: np.ndarray | None
    ) -> np.ndarray:
        """Return the boxes (T, P, 4) of the people found, in each frame the surest first.

        Arguments as in `vidda.control.boxes.BoxSource.find`. Raises NobodyError when no frame has
        any.
        """
        padded = pad_boxes(list(self.follow(frames, indices)))
        if np.isnan(padded).all():
            raise NobodyError(
                f"clip {clip.id!r}: BlazePose finds nobody in {len(frames)} frames; lower"
                " pose.boxes.threshold, or choose another pose.boxes.name"
            )
        return padded

    def follow(
        self, frames: Iterable[np.ndarray], numbers: Iterable[int] | None = None
    ) -> Iterator[np.ndarray]:
        """Yield the boxes (P, 4) of the people in each frame, the surest first.

        frames: of one clip in order, (H, W, 3) uint8 RGB each; they are taken one at a time.
        numbers: of these frames in the clip, None for all its frames.
        """
        numbers = count() if numbers is None else numbers
        threshold, (frames, inspected) = self.config.threshold, tee(frames)
        people = self.config.people
        found = follow_people(self._networks, inspected, numbers, people, threshold, threshold)
        for frame, row in zip(frames, found, strict=True):
            boxes = [_mask_box(person.mask(*frame.shape[:2])) for person in row]
            yield np.reshape(boxes, (-1, 4))


def follow_people(
    networks: BlazePoseNetworks,
    frames: Iterable[np.ndarray],
    numbers: Iterable[int],
    most: int,
    detected: float,
    followed: float,
) -> Iterator[list[BlazePerson]]:
    """Yield the people in each frame, the surest first: followed from the one before, or detected.

    frames: (H, W, 3) uint8 RGB each, in order. numbers: of these frames in their clip; after a
    leap of more than LONGEST_STEP nobody is followed. most: people kept in each frame. detected,
    followed: lowest scores of a person by the detector, and in a crop.
    """
    before: list[BlazePerson] = []
    last = 0
    for frame, number in zip(frames, numbers, strict=False):  # numbers may be endless
        known = [p.next_region for p in before] if number - last <= LONGEST_STEP else []
        new = [one for one in networks.detect(frame, detected) if not _any_near(one, known)]
        people = [_person(networks, frame, region, followed) for region in known]
        people += [_person(networks, frame, region, followed, passes=2) for region in new]
        kept: list[BlazePerson] = []
        for person in sorted(people, key=lambda one: -one.score):
            distinct = not _any_near(person.next_region, [one.next_region for one in kept])
            if person.score >= followed and distinct:
                kept.append(person)
        before, last = kept[:most], number
        yield before


def _person(
    networks: BlazePoseNetworks,
    frame: np.ndarray,
    region: CropRegion,
    enough: float,
    passes: int = 1,
) -> BlazePerson:
    """Return the person in a region, as one who stands where that is sure enough.

    Where a head is outside the frame, the detector often takes a person for one upside down.
    enough: the lowest score of one who stands. passes: 2 for a region that is only a guess, which
    the points found in it correct.
    """
    upright = replace(region, angle=0.0)
    person: BlazePerson | None = None
    for start in (upright, region) if abs(region.angle) > FAR_TURNED else (region,):
        person = networks.person(frame, start)
        for _ in range(1, passes):
            person = networks.person(frame, person.next_region)
        if person.score >= enough:
            break
    assert person is not None
    return person


def _any_near(region: CropRegion, others: Sequence[CropRegion]) -> bool:
    """Return whether a region holds the same person as one of others."""
    return any(
        np.linalg.norm(region.center - other.center) <= SAME_PLACE * max(region.side, other.side)
        for other in others
    )


def _mask_box(mask: np.ndarray) -> np.ndarray:
    """Return the box x0, y0, x1, y1 around a person's pixels, NaN without any. mask: (H, W)."""
    rows, columns = np.flatnonzero((mask > 0.5).any(1)), np.flatnonzero((mask > 0.5).any(0))
    if not len(rows):
        return np.full(4, np.nan)
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float64)
