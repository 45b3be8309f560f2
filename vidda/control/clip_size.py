"""The size at which a clip is translated and written."""

from vidda.control.controls import SMALLEST
from vidda.video.info import VideoInfo


def fitted(info: VideoInfo, size: int | tuple[int, int] | None, multiple: int) -> tuple[int, int]:
    """Return height and width in pixels: what is asked for, rounded to multiples that the model
    takes.

    size: of the shorter side, the shape being kept, or (height, width), or None for the clip's own.
    """
    if isinstance(size, tuple):
        wanted: tuple[float, float] = size
    else:
        scale = 1.0 if size is None else size / min(info.height, info.width)
        wanted = (info.height * scale, info.width * scale)
    least = -(-SMALLEST // multiple)
    height, width = (multiple * max(least, round(side / multiple)) for side in wanted)
    return height, width
