"""The choice of the square that is cut from a frame: its middle, or around the person."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from vidda.config import Config
from vidda.data.crop_clip import CropSquare, square_around
from vidda.errors import ViddaError
from vidda.sidecar import read_rows, sidecar_path
from vidda.types import ClipRecord


class WholeCrop(Config):
    """A crop to the largest square in the middle of the frame."""

    name: Literal["whole"] = "whole"

    def boxes(self, clip: ClipRecord, root: Path, numbers: np.ndarray) -> list[np.ndarray | None]:
        """Return None for each of these frames, because no box is needed.

        numbers: (N,) of the frames. clip, root: not used.
        """
        return [None] * len(numbers)

    def square(self, box: np.ndarray | None, height: int, width: int) -> CropSquare:
        """Return the largest central square of a frame: top, left and side, in pixels.

        box: not used. height, width: of the frame, in pixels.
        """
        return center_square(height, width)


class PersonCrop(Config):
    """A square around the person; the largest central one where no box of the person is known."""

    name: Literal["person"] = "person"
    margin: float = Field(
        default=1.3,
        ge=1,
        description="side of the square divided by the longer side of the person's box",
    )
    columns: tuple[str, str, str, str] | None = Field(
        default=None,
        description="manifest columns with the person's box in a clip, x0, y0, x1, y1 in pixels of"
        " its frames; null: each frame's box from the clip's sidecar file, where it has one",
    )

    def boxes(self, clip: ClipRecord, root: Path, numbers: np.ndarray) -> list[np.ndarray | None]:
        """Return the person's box (4,), x0, y0, x1, y1 in pixels, in each of a clip's frames.

        root: the manifest's folder. numbers: of the frames. None where the box is not known. Raises
        ViddaError when a column is no number or the sidecar cannot be read.
        """
        if self.columns is not None:
            box = _column_box(clip, self.columns)
            return [box] * len(numbers)
        if not sidecar_path(clip, root).is_file():
            return [None] * len(numbers)
        return [
            _enclosing_box(people) for people in read_rows(clip, root, "box", len(numbers), numbers)
        ]

    def square(self, box: np.ndarray | None, height: int, width: int) -> CropSquare:
        """Return the square to cut from a frame: top, left and side, in pixels.

        It is inside the frame, centered on the box where possible. box: (4,) x0, y0, x1, y1 in
        pixels; None: the middle of the frame. height, width: of the frame, in pixels.
        """
        if box is None:
            return center_square(height, width)
        return square_around(box, self.margin, height, width)


FrameCropConfig = Annotated[WholeCrop | PersonCrop, Field(discriminator="name")]


def center_square(height: int, width: int) -> CropSquare:
    """Return the largest square in the middle of a frame: top, left and side, in pixels.

    height, width: of the frame, in pixels.
    """
    return square_around(np.array([0, 0, width, height]), 1.0, height, width)


def _column_box(clip: ClipRecord, columns: tuple[str, str, str, str]) -> np.ndarray | None:
    cells = [clip.meta.get(column, "") for column in columns]
    if not any(cells):
        return None
    try:
        box = np.array([float(cell) for cell in cells])
    except ValueError:
        box = np.zeros(4)
    if not _has_area(box):
        raise ViddaError(
            f"clip {clip.id!r}: {', '.join(columns)} are {', '.join(map(repr, cells))}, no box"
            " x0 < x1, y0 < y1 in pixels; correct them or leave all four empty"
        )
    return box


def _enclosing_box(people: np.ndarray) -> np.ndarray | None:
    """Return the box around all people in one frame, from (4,) or (P, 4); None without any."""
    boxes = [box for box in people.reshape(-1, 4).astype(np.float64) if _has_area(box)]
    if not boxes:
        return None
    return np.concatenate([np.min(boxes, 0)[:2], np.max(boxes, 0)[2:]])


def _has_area(box: np.ndarray) -> bool:
    return bool(np.isfinite(box).all() and box[2] > box[0] and box[3] > box[1])
