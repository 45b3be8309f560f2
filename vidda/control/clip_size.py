"""The size at which a clip is translated and written."""

from vidda.control.controls import SMALLEST_SIDE
from vidda.video.info import VideoInfo


def output_size(
    info: VideoInfo, size: int | tuple[int, int] | None, multiple: int
) -> tuple[int, int]:
    """Return height and width in pixels: the requested size, rounded to multiples of `multiple`.

    info: the source video. size: shorter side, the aspect ratio being kept, or (height, width), or
    None for the video's own size. Each side is at least `SMALLEST_SIDE` pixels.
    """
    if isinstance(size, tuple):
        requested: tuple[float, float] = size
    else:
        scale = 1.0 if size is None else size / min(info.height, info.width)
        requested = (info.height * scale, info.width * scale)
    fewest = -(-SMALLEST_SIDE // multiple)
    height, width = (multiple * max(fewest, round(side / multiple)) for side in requested)
    return height, width
