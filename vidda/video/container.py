"""Opening of video files, with a refusal of what is not one."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from vidda.video.video_error import VideoError

# FFmpeg would take a text file for ANSI art, and a playlist for an order to open other files and
# addresses: only these containers, and only this very file.
OPEN_OPTIONS = {
    "format_whitelist": "mov,matroska,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,flv,asf,ogg,gif,ivf,"
    "obu,mjpeg,mxf,dv,yuv4mpegpipe",
    "protocol_whitelist": "file",
}

# A cover or the thumbnails of chapters, which FFmpeg gives as video tracks.
STILL_TRACKS = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image

# Tracks made for some viewers only, or that mean nothing without another one.
SPECIAL_TRACKS = (
    Disposition.hearing_impaired
    | Disposition.visual_impaired
    | Disposition.comment
    | Disposition.dependent
)


# How many packets of several tracks are read to tell still images from videos.
PACKETS_SEARCHED = 500


@contextmanager
def open_video(
    path: Path, *, edit_lists: bool = True
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Yield the container and the video track that a player chooses, with one decoding thread.

    edit_lists: whether the edit lists of an MP4 hide what they cut away, as in a player. An error
    of FFmpeg inside the block becomes a VideoError that names the file.
    """
    options = OPEN_OPTIONS | ({} if edit_lists else {"ignore_editlist": "1"})
    try:
        # An absolute path, for FFmpeg reads "word:rest" as a protocol. Tags may be in any encoding.
        name = str(path.absolute())
        with av.open(name, options=options, metadata_errors="replace") as container:
            stream = _choose_track(path, container, options)
            # Loader workers are the parallelism; threads in each of them only get in their way.
            stream.codec_context.thread_count = 1
            yield container, stream
    except (av.FFmpegError, UnicodeError) as error:
        what = error.strerror if isinstance(error, av.FFmpegError) else error
        raise VideoError(f"{path}: corrupt or not a video: {what}") from error


def _choose_track(path: Path, container: InputContainer, options: dict[str, str]) -> VideoStream:
    """Return the track that players choose: moving, marked as default, the largest, the first."""
    tracks = [stream for stream in container.streams.video if stream.codec_context is not None]
    if not tracks:
        missing = "no decoder here for its video" if container.streams.video else "no video stream"
        raise VideoError(f"{path}: has {missing}; give another video file")
    if len(tracks) == 1:
        return tracks[0]
    moving = _tracks_with_motion(container.name, options)

    def rank(track: VideoStream) -> tuple[bool, bool, bool, bool, int, int]:
        marks, codec = track.disposition, track.codec_context
        return (
            not marks & STILL_TRACKS,
            track.index in moving,
            not marks & SPECIAL_TRACKS,
            bool(marks & Disposition.default),
            codec.width * codec.height,
            -track.index,
        )

    return max(tracks, key=rank)


def _tracks_with_motion(name: str, options: dict[str, str]) -> set[int]:
    """Return the indices of the video tracks that hold more than one frame."""
    packets: Counter[int] = Counter()
    with av.open(name, options=options, metadata_errors="replace") as container:
        for packet in islice(container.demux(*container.streams.video), PACKETS_SEARCHED):
            packets[packet.stream_index] += packet.size > 0
    return {index for index, count in packets.items() if count > 1}
