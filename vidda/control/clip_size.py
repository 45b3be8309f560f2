"""The size at which a clip is translated and written."""

from vidda.video.info import VideoInfo

SMALLEST_SIDE = 16
"""Fewest pixels a side of a frame; optical flow needs as many."""


def output_size(
    info: VideoInfo, size: int | tuple[int, int] | None, multiple: int
) -> tuple[int, int]:
    """Return height and width in pixels: the requested size, rounded to multiples of `multiple`.

    info: the source video. size: see `rounded_size`.
    """
    return rounded_size(info.height, info.width, size, multiple)


def rounded_size(
    height: int, width: int, size: int | tuple[int, int] | None, multiple: int
) -> tuple[int, int]:
    """Return the size in pixels for frames of (height, width), rounded to multiples of `multiple`.

    size: shorter side, the aspect ratio being kept, or (height, width), or None for the frames' own
    size. Each side is at least `SMALLEST_SIDE` pixels.
    """
    if isinstance(size, tuple):
        requested: tuple[float, float] = size
    else:
        scale = 1.0 if size is None else size / min(height, width)
        requested = (height * scale, width * scale)
    fewest = -(-SMALLEST_SIDE // multiple)
    high, wide = (multiple * max(fewest, round(side / multiple)) for side in requested)
    return high, wide
