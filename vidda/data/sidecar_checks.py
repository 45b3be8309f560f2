"""Checks of sidecars: that they open, fit their clips, and hold what vidda reads from them.

Shapes and types come from the arrays' headers, so that the large arrays of many clips are not
decompressed: of masks and depth only the first frame is read.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from numpy.lib.npyio import NpzFile

from vidda import video
from vidda.data.listing import Problem
from vidda.data.sidecar_headers import ArrayHeader, array_headers, first_row
from vidda.data.sidecar_values import (
    ValueCheck,
    check_boxes,
    check_depth,
    check_finite,
    check_keypoints,
    check_scores,
)
from vidda.errors import ViddaError
from vidda.files import inside
from vidda.progress import track
from vidda.sidecar import named_mask, open_sidecar
from vidda.types import ClipRecord
from vidda.video import VideoInfo

REGIONS_ARRAY = "regions"
"""The one array without a row for each frame."""

NUMBERS = ("f", "i", "u")
IMAGES = (("T", "H", "W"),)


@dataclass(frozen=True, slots=True)
class ArrayRule:
    """The rule of one array that vidda reads.

    shapes: of which one has to fit; a letter is any number. types: numpy's letters of kinds of
    types, or names of types. remedy: what to write. values: check of all values, or of the first
    frame of images; None: any will do.
    """

    shapes: tuple[tuple[int | str, ...], ...]
    types: tuple[str, ...]
    remedy: str
    values: ValueCheck | None = None

    def fits(self, header: ArrayHeader) -> bool:
        """Return whether an array has such a shape and such a type."""
        shape = any(
            len(header.shape) == len(wanted)
            and all(isinstance(b, str) or a == b for a, b in zip(header.shape, wanted, strict=True))
            for wanted in self.shapes
        )
        return shape and not {header.dtype.kind, header.dtype.name}.isdisjoint(self.types)


RULES: Mapping[str, ArrayRule] = {
    "keypoints": ArrayRule(
        (("T", 17, 3), ("T", "P", 17, 3)),
        NUMBERS,
        "COCO's 17 joints as x, y, visibility, (T, 17, 3) or (T, P, 17, 3)",
        check_keypoints,
    ),
    "keypoint_scores": ArrayRule(
        (("T", "P", 17),), ("f",), "a score from 0 to 1 of each joint, (T, P, 17)", check_scores
    ),
    "keypoints_3d": ArrayRule(
        (("T", 17, 3),), ("f",), "COCO's 17 joints as x, y, z in meters, (T, 17, 3)", check_finite
    ),
    "box": ArrayRule(
        (("T", 4), ("T", "P", 4)), NUMBERS, "x0, y0, x1, y1, (T, 4) or (T, P, 4)", check_boxes
    ),
    "mask": ArrayRule(IMAGES, ("b", "i", "u"), "whole numbers, (T, H, W)"),
    "found": ArrayRule((("T",),), ("b",), "true or false for each frame, (T,)"),
    "depth": ArrayRule(IMAGES, ("uint16",), "uint16 millimeters, (T, H, W)", check_depth),
    "inverse_depth": ArrayRule(IMAGES, ("f",), "float16, (T, H, W)", check_finite),
}
"""The rules of the arrays that vidda reads; any others may be there, with a row for each frame."""


def check_sidecars(
    clips: Sequence[ClipRecord], root: Path, jobs: int
) -> tuple[list[Problem], list[str]]:
    """Return the problems of clips' sidecars, and a note where clips themselves cannot be read.

    clips: whose column `sidecar` names a file. root: of their paths. jobs: number of threads.
    """
    problems: list[Problem] = []
    unread: list[str] = []
    # Only clips are read in threads: headers are parsed in Python, which threads do not speed up.
    with ThreadPoolExecutor(jobs) as pool:
        found = pool.map(partial(_probe, root), clips)
        tracked = track(found, label="check sidecars", total=len(clips), unit="clips")
        for clip, info in zip(clips, tracked, strict=True):
            name = clip.meta["sidecar"]
            if isinstance(info, ViddaError):
                unread.append(str(info))
            problems += [Problem("sidecar", name, line) for line in _check_file(root, name, info)]
    if not unread:
        return problems, []
    note = f"{len(unread)} clips with sidecars cannot be read, so their frames were not counted"
    return problems, [f"{note}; verify=true reports them; first {unread[0]}"]


def _probe(root: Path, clip: ClipRecord) -> VideoInfo | ViddaError:
    """Return the facts of a clip, or why it cannot be read."""
    try:
        return video.probe(inside(root, clip.path))
    except ViddaError as error:
        return error


def _check_file(root: Path, name: str, info: VideoInfo | ViddaError) -> list[str]:
    """Return a line for each fault of a sidecar.

    name: its path under the root. info: of its clip, or why that cannot be read.
    """
    try:
        path = inside(root, name)
        if not path.is_file():
            return ["no such sidecar; restore it, or empty its cell in the list"]
        return list(sidecar_faults(path, None if isinstance(info, ViddaError) else info))
    except ViddaError as error:
        return [str(error)]


def sidecar_faults(path: Path, info: VideoInfo | None) -> Iterator[str]:
    """Yield a line for each array of a sidecar that is not as it should be.

    info: of the clip; where it is None, the arrays are compared with the first of them. Raises
    ViddaError where the file cannot be read.
    """
    with open_sidecar(path) as content:
        yield from _array_faults(content, path, info)


def _array_faults(content: NpzFile, path: Path, info: VideoInfo | None) -> Iterator[str]:
    headers = array_headers(content, path)
    by_frame = {name: one.shape[:1] for name, one in headers.items() if name != REGIONS_ARRAY}
    frames: tuple[int, ...]
    if info is not None:
        frames, source = (info.frames,), f"{info.path.name} has {info.frames} frames"
    else:
        first = next(iter(by_frame), "")
        frames = by_frame.get(first, ())
        source = f"{first} has {frames[0] if frames else 0}"
    for name, header in headers.items():
        rule, written = RULES.get(name), f"{name} is {header.dtype} {header.shape}"
        if rule is not None and not rule.fits(header):
            yield f"{written}; write {rule.remedy}"
        elif name in by_frame and header.shape[:1] != frames:
            rows = header.shape[0] if header.shape else 0
            yield (
                f"{name} has {rows} rows, but {source}; write a row for each frame, row 0 for the"
                " first"
            )
        elif rule is not None and rule.shapes == IMAGES and _is_transposed(header, info):
            yield f"{written}, width before height; write (T, height, width)"
        elif rule is not None and 0 not in header.shape:
            yield from _value_faults(content, path, name, rule, info)


def _is_transposed(header: ArrayHeader, info: VideoInfo | None) -> bool:
    """Return whether images have the height of their clip as width, and the width as height."""
    return (
        info is not None
        and info.width != info.height
        and header.shape[1:] == (info.width, info.height)
    )


def _value_faults(
    content: NpzFile, path: Path, name: str, rule: ArrayRule, info: VideoInfo | None
) -> Iterator[str]:
    """Yield a line where an array of the right shape has values that it cannot have."""
    rows = first_row(content, name)[None] if rule.shapes == IMAGES else content[name]
    if name == "mask":
        regions = {key: content[key] for key in content if key == REGIONS_ARRAY}
        named_mask({name: rows, **regions}, path)
    elif rule.values is not None:
        fault = rule.values(name, rows, None if info is None else (info.width, info.height))
        if fault is not None:
            yield fault
