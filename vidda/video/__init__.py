"""Reading and writing of video: decord and PyAV read, PyAV writes."""

from vidda.video.info import VideoInfo
from vidda.video.reading import READER, check, probe, read, require_frames, resize, stream
from vidda.video.video_error import VideoError
from vidda.video.writing import write, write_clip, write_png

__all__ = [
    "READER",
    "VideoError",
    "VideoInfo",
    "check",
    "probe",
    "read",
    "require_frames",
    "resize",
    "stream",
    "write",
    "write_clip",
    "write_png",
]
