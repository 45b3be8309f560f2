"""From stored pictures to those that a player shows: square pixels, turned and mirrored."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame

from vidda.video.info import VideoInfo
from vidda.video.video_error import VideoError

SQUARE = Fraction(1)

# Encoders round the shape of the whole picture to one of pixels like 1216:1215; nobody sees that.
NEGLIGIBLE = 0.01
# Beyond this the header is wrong, not the picture that narrow.
LARGEST_ASPECT = 8


def orientation(path: Path, frame: VideoFrame) -> tuple[int, bool]:
    """Return the degrees clockwise to turn a frame by, and whether to mirror it after that.

    From its display matrix, as FFmpeg turns by itself (`ffmpeg_filter.c`, autorotate), within one
    degree. Raises VideoError for other angles.
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if not isinstance(data, SideData):
        return 0, False
    matrix = np.frombuffer(bytes(data), np.int32).reshape(3, 3)[:2, :2].astype(float)
    scale = np.hypot(*matrix)  # of each column; a matrix of zeros says nothing
    if not scale.all():
        return 0, False
    mirrored = bool(np.linalg.det(matrix) < 0)
    if mirrored:  # what is left once left and right are exchanged is a turn
        matrix[:, 0] *= -1
    angle = float(np.degrees(np.arctan2(matrix[0, 1] / scale[1], matrix[0, 0] / scale[0]))) % 360
    rotation = round(angle / 90) * 90
    if abs(angle - rotation) > 1:
        raise VideoError(
            f"{path}: asks to be turned by {angle:.0f} degrees; vidda turns by 90, 180 and 270:"
            " write it again upright"
        )
    return rotation % 360, mirrored


def pixel_aspect(ratio: Fraction | None) -> tuple[Fraction, tuple[str, ...]]:
    """Return the sample aspect ratio to scale by, and a note where the file's own cannot be."""
    if not ratio or ratio < 0 or abs(ratio - 1) < NEGLIGIBLE:
        return SQUARE, ()
    if not 1 / LARGEST_ASPECT <= ratio <= LARGEST_ASPECT:
        said = f"{ratio.numerator}:{ratio.denominator}"
        return SQUARE, (f"declares pixels of {said}, which are taken for square ones",)
    return ratio, ()


def display_size(width: int, height: int, ratio: Fraction, rotation: int) -> tuple[int, int]:
    """Return the width and height of a stored picture as a player shows it."""
    wide = max(1, round(width * ratio))
    return (height, wide) if rotation in (90, 270) else (wide, height)


def orient_and_resize(info: VideoInfo, picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return a decoded picture, (H, W, 3) uint8, turned, mirrored and resized to a size."""
    picture = np.rot90(picture, -info.rotation // 90)
    if info.mirrored:
        picture = picture[:, ::-1]
    if picture.shape[:2] == (height, width):
        return picture
    shrinks = height <= picture.shape[0] and width <= picture.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(picture), (width, height), interpolation=interpolation)
