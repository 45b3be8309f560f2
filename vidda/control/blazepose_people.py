"""People by BlazePose over the frames of a clip, and the boxes around them."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from vidda.config import Config, Count
from vidda.control.blazepose_networks import BlazePerson, BlazePoseNetworks, CropRegion
from vidda.control.keypoints import NobodyError
from vidda.types import ClipRecord

SAME_PLACE = 0.1
"""Distance of two regions' centers, relative to the larger side, up to which they hold one
person."""

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
        threshold, height, width = self.config.threshold, *frames.shape[1:3]
        found = follow_people(self._networks, frames, self.config.people, threshold, threshold)
        boxes = [[_mask_box(person.mask(height, width)) for person in people] for people in found]
        count = max((len(row) for row in boxes), default=0)
        padded = np.full((len(frames), count, 4), np.nan, np.float32)
        for row, own in zip(padded, boxes, strict=True):
            row[: len(own)] = np.reshape(own, (-1, 4))
        if np.isnan(padded).all():
            raise NobodyError(
                f"clip {clip.id!r}: BlazePose finds nobody in {len(frames)} frames; lower"
                " pose.boxes.threshold, or choose another pose.boxes.name"
            )
        return padded


def follow_people(
    networks: BlazePoseNetworks,
    frames: Iterable[np.ndarray],
    most: int,
    detected: float,
    followed: float,
) -> Iterator[list[BlazePerson]]:
    """Yield the people in each frame, the surest first: detected, or followed from the one before.

    frames: (H, W, 3) uint8 RGB each, in order. most: people kept in each frame. detected, followed:
    lowest scores of a person by the detector, and in a crop.
    """
    before: list[BlazePerson] = []
    for frame in frames:
        regions = networks.detect(frame, detected)
        regions += [p.next_region for p in before if not _any_near(p.next_region, regions)]
        people = [networks.person(frame, region) for region in regions]
        kept: list[BlazePerson] = []
        for person in sorted(people, key=lambda one: -one.score):
            distinct = not _any_near(person.next_region, [one.next_region for one in kept])
            if person.score >= followed and distinct:
                kept.append(person)
        before = kept[:most]
        yield before


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
