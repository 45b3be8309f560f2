"""Stored frames as a player displays them: with square pixels, rotated and mirrored."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame

from vidda.video.info import VideoInfo
from vidda.video.video_error import VideoError

SQUARE = Fraction(1)

# Encoders round the shape of the whole frame to one of pixels like 1216:1215, which is invisible.
NEGLIGIBLE = 0.01
# Beyond this the header is wrong: no frame is that narrow.
LARGEST_ASPECT = 8


def orientation(path: Path, frame: VideoFrame) -> tuple[int, bool]:
    """Return the degrees clockwise to rotate a frame by, and whether to mirror it after that.

    It reads the display matrix, as FFmpeg does (`ffmpeg_filter.c`, autorotate). Raises VideoError
    for angles that are more than one degree off 0, 90, 180 and 270.
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if not isinstance(data, SideData):
        return 0, False
    matrix = np.frombuffer(bytes(data), np.int32).reshape(3, 3)[:2, :2].astype(float)
    scale = np.hypot(*matrix)  # of each column; a matrix of zeros gives no orientation
    if not scale.all():
        return 0, False
    mirrored = bool(np.linalg.det(matrix) < 0)
    if mirrored:  # without the exchange of left and right, a rotation remains
        matrix[:, 0] *= -1
    angle = float(np.degrees(np.arctan2(matrix[0, 1] / scale[1], matrix[0, 0] / scale[0]))) % 360
    rotation = round(angle / 90) * 90
    if abs(angle - rotation) > 1:
        raise VideoError(
            f"{path}: asks to be rotated by {angle:.0f} degrees; vidda rotates by 90, 180 and 270:"
            " write it again upright"
        )
    return rotation % 360, mirrored


def pixel_aspect(ratio: Fraction | None) -> tuple[Fraction, tuple[str, ...]]:
    """Return the sample aspect ratio to scale by, and notes, one where the file's is implausible.

    ratio: width : height of a stored pixel, as the file declares it; None where it does not. The
    result is 1 where it is None, close to 1 or implausible.
    """
    if not ratio or ratio < 0 or abs(ratio - 1) < NEGLIGIBLE:
        return SQUARE, ()
    if not 1 / LARGEST_ASPECT <= ratio <= LARGEST_ASPECT:
        declared = f"{ratio.numerator}:{ratio.denominator}"
        return SQUARE, (f"declares pixels of {declared}, which are taken for square ones",)
    return ratio, ()


def display_size(width: int, height: int, ratio: Fraction, rotation: int) -> tuple[int, int]:
    """Return the width and height in pixels at which a player displays a stored frame.

    width, height: as stored. ratio: width : height of a pixel. rotation: degrees clockwise.
    """
    wide = max(1, round(width * ratio))
    return (height, wide) if rotation in (90, 270) else (wide, height)


def orient_and_resize(info: VideoInfo, frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return a decoded frame, (H, W, 3) uint8, rotated, mirrored and resized to (height, width).

    info: gives rotation and mirroring. See `resize_frame`.
    """
    frame = np.rot90(frame, -info.rotation // 90)
    if info.mirrored:
        frame = frame[:, ::-1]
    return resize_frame(frame, height, width)


def resize_frame(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return a frame, (H, W, 3) uint8, at (height, width) pixels.

    Area averaging shrinks, bilinear interpolation enlarges.
    """
    if frame.shape[:2] == (height, width):
        return frame
    shrinks = height <= frame.shape[0] and width <= frame.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(frame), (width, height), interpolation=interpolation)
