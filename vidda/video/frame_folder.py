"""A folder of numbered images as one video: a frame each, in the order of their names."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from vidda.video import still
from vidda.video.info import VideoInfo
from vidda.video.video_error import VideoError

FPS = 25.0
"""Frames per second: nothing in a folder says how fast it was filmed."""


def frame_files(folder: Path) -> list[Path]:
    """Return the images in a folder, by name, numbers in names by value: 2.png before 10.png.

    Raises VideoError where it holds none, or cannot be read.
    """
    try:
        files = [path for path in folder.iterdir() if path.suffix.lower() in still.SUFFIXES]
    except OSError as error:
        raise VideoError(f"{folder}: cannot be read: {error.strerror}") from None
    files = [path for path in files if not path.name.startswith(".")]
    if not files:
        raise VideoError(
            f"{folder}: a folder without images ({', '.join(still.SUFFIXES)}); give a video, or a"
            " folder of its frames"
        )
    return sorted(files, key=lambda path: (_by_value(path.stem), path.name))


def info(folder: Path) -> VideoInfo:
    """Return the facts of a folder of frames, those of its first image and their number.

    Raises VideoError where it holds no image, or the first cannot be read.
    """
    files = frame_files(folder)
    return replace(
        still.info(files[0]),
        path=folder,
        container="folder",
        frames=len(files),
        fps=FPS,
        duration_s=len(files) / FPS,
        variable_frame_rate=False,
        reason="a folder of images",
    )


def read(folder: Path, wanted: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Yield chosen frames of a folder, as (number, (H, W, 3) uint8 RGB); see `still.read`.

    wanted: frame numbers from 0. Raises VideoError at an image that is corrupt or of another size
    than the first.
    """
    files = frame_files(folder)
    first = still.info(files[0])
    for number in wanted:
        for _, frame in still.read(files[number], [0]):
            if frame.shape[:2] != (first.height, first.width):
                raise VideoError(
                    f"{files[number]}: {frame.shape[1]}x{frame.shape[0]} pixels, but"
                    f" {files[0].name} has {first.width}x{first.height}; all frames of a folder"
                    " need one size"
                )
            yield number, frame


def _by_value(stem: str) -> list[tuple[int, str]]:
    """Return the runs of digits and of other characters, such that numbers sort by their value."""
    return [
        (int(run), "") if run.isdecimal() else (-1, run) for run in re.findall(r"\d+|\D+", stem)
    ]
