"""Sequential decoding by PyAV, with an error where a frame is damaged."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from av.video.frame import VideoFrame

from vidda.video.container import open_video
from vidda.video.video_error import VideoError


def decode_in_order(path: Path) -> Iterator[VideoFrame]:
    """Yield every frame of a video, in order; raises VideoError on the first detectable fault."""
    with open_video(path) as (container, stream):
        yield from require_undamaged(path, container.decode(stream))


def require_undamaged(
    path: Path, frames: Iterable[VideoFrame], size: tuple[int, int] | None = None
) -> Iterator[VideoFrame]:
    """Yield the frames, or raise VideoError at one that is damaged or of another size.

    path: of their video, for the message. size: height and width as stored, in pixels; None for
    those of the first frame.
    """
    for frame in frames:
        if frame.is_corrupt:
            seconds = f"{float(frame.time or 0):.2f} s"
            raise VideoError(f"{path}: corrupt: the frame at {seconds} is damaged; fetch it again")
        found = (frame.height, frame.width)
        size = size or found
        if found != size:
            raise VideoError(
                f"{path}: its frames change size, from {size} to {found} (height, width);"
                " write it again at one size"
            )
        yield frame
