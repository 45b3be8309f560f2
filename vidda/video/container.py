"""Open a video file for reading, and refuse what is not one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from vidda.video.errors import VideoError

# FFmpeg would take a text file for ANSI art, and a playlist for an order to open other files and
# addresses: only these containers, and only this very file.
OPEN_OPTIONS = {
    "format_whitelist": "mov,matroska,avi,mpegts,mpeg,m4v,h264,hevc,flv,asf,ogg,gif,ivf,mxf,dv",
    "protocol_whitelist": "file",
}


@contextmanager
def opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and its best video stream, to be decoded by one thread.

    What FFmpeg raises inside the block becomes a VideoError that names the file.
    """
    try:
        # An absolute path, for FFmpeg reads "word:rest" as a protocol.
        with av.open(str(path.absolute()), options=OPEN_OPTIONS) as container:
            stream = container.streams.best("video")
            if not isinstance(stream, VideoStream):
                raise VideoError(f"{path}: has no video stream; give a video file")
            # Loader workers are the parallelism; threads in each of them only get in their way.
            stream.codec_context.thread_count = 1
            yield container, stream
    except (av.FFmpegError, UnicodeDecodeError) as error:
        what = error.strerror if isinstance(error, av.FFmpegError) else error
        raise VideoError(f"{path}: corrupt or not a video: {what}") from error
