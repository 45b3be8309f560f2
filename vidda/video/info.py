"""What is known of a video before its frames are read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """One video file, or one image as a video of one frame.

    frames: how many frames `read` gives, 1 or more. fps: their mean rate in 1/s, 0 for an image.
    width, height: in pixels, after rotation. duration_s: in seconds, 0 for an image.
    rotation: degrees clockwise that the file asks to be turned by; `read` turns its frames.
    container: "mp4" (also mov, 3gp), "matroska" (also webm), "avi", "image" or FFmpeg's own name.
    reader: the first reader for this file, and why; see `vidda.video.read`.
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
    rotation: int
    variable_frame_rate: bool
    b_frames: bool
    reader: Literal["decord", "pyav", "pillow"]
    reason: str
