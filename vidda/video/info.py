"""The facts of a video that are known before its frames are read."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """The facts of one video file, or of one image as a video of one frame.

    container: "mp4" (also mov, 3gp), "matroska" (also webm), "avi", "image" or FFmpeg's own name.
    codec, pixel_format: FFmpeg's names. frames: number of frames that `read` gives, 1 or more. fps:
    their mean rate in 1/s, 0 for an image. width, height: in pixels, as a player displays the
    video: stretched and rotated as below. duration_s: in seconds, 0 for an image.

    sample_aspect_ratio: width : height of a stored pixel; `read` scales the width by it, so that
    the pixels it gives are square. 1 where they are stored so, and where they differ by less than
    one in a hundred. rotation: degrees clockwise by which the file asks to be rotated, and
    mirrored: whether left and right are exchanged after that; `read` does both. track, tracks:
    which of the file's video tracks is read, from 0, and how many it has, covers and thumbnails
    included. It is the one that a player chooses: no cover, marked as default, the largest, the
    first; the earlier rules take precedence.

    variable_frame_rate: whether the time between frames varies. b_frames: whether frames are stored
    in another order than displayed. reader, reason: the first reader for this file, and why; see
    `vidda.video.read`. notes: oddities of a file that can be read nevertheless, each a sentence
    without its full stop.
    """

    path: Path
    container: str
    codec: str
    pixel_format: str
    frames: int
    fps: float
    width: int
    height: int
    duration_s: float
    sample_aspect_ratio: Fraction
    rotation: int
    mirrored: bool
    variable_frame_rate: bool
    b_frames: bool
    track: int
    tracks: int
    reader: Literal["decord", "pyav", "pillow"]
    reason: str
    notes: tuple[str, ...]
