"""Reading of any frames of a video, exactly as its sequential decode gives them."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from vidda.video import frame_folder, still
from vidda.video._decord import decord
from vidda.video.decode import (
    NumberedFrame,
    decode_everything,
    decode_with_decord,
    decode_with_pyav,
)
from vidda.video.display import orient_and_resize, resize_frame
from vidda.video.index import Index, index_of
from vidda.video.info import VideoInfo
from vidda.video.video_error import VideoError

Size = tuple[int, int] | int | None
"""Height and width in pixels, or the length of the shorter side, or None for the video's own."""

READER = 2
"""Version, increased whenever the same file gives other frames; caches of frames name it."""

# Decord seeks, PyAV decodes in one pass but skips what is not needed. Decord reads a request where
# it decodes at most this share of the packets up to the last wanted one.
MAX_DECODED_SHARE = 0.5


def probe(path: Path | str) -> VideoInfo:
    """Return the facts of a video, image or folder of frames, from its packets and first frame.

    path: of the file. A file whose packets cannot be counted as frames is decoded once. Raises
    VideoError where the file is missing, empty, truncated, or no video.
    """
    return index_of(Path(path)).info


def check(path: Path | str) -> VideoInfo:
    """Decode every frame of a video or image and return its facts.

    path: of the file. Raises VideoError exactly where reading all frames does.
    """
    index = index_of(Path(path))
    if index.info.reader == "pillow":
        for _ in _images(index, range(index.info.frames)):
            pass
        return index.info
    decode_everything(index)
    return index.info


def read(
    path: Path | str,
    indices: Sequence[int] | np.ndarray | None = None,
    size: Size = None,
    *,
    checked: bool = False,
) -> np.ndarray:
    """Return frames of a video or image, (T, H, W, 3) uint8 RGB, as a player displays them.

    A folder of images is a video too, with a frame for each image, in the order of their names.

    They are rotated and mirrored as the file asks, with square pixels; see `VideoInfo`. The frames
    of a video are those that PyAV decodes in order: files that are odd but decode are read, and
    `VideoInfo.notes` lists the oddities. Animated WebP and PNG have several frames, as GIF has.

    path: of the file. indices: frame numbers in 0..frames-1, in any order, repeats allowed; None
    for all frames. size: (height, width) in pixels, or the length of the shorter side with the
    shape kept, or None for the video's own. Frames are shrunk by area averaging and enlarged
    bilinearly.
    checked: whether the file passed `check` since it was written, so that damage is not searched.

    Raises VideoError. The choice of the reader never changes a pixel. Decord reads requests that
    jump, from files where its random access is right (`VideoInfo.reader`), once the frames are
    known to be undamaged, because it silently conceals damage: by `checked`, or by an earlier read
    or `check` in this process. PyAV reads everything else.
    """
    index = index_of(Path(path))
    numbers = _numbers(index.info, indices)
    height, width = _target(index.info.height, index.info.width, size, index.info.path)
    wanted, inverse = np.unique(numbers, return_inverse=True)
    out = np.empty((len(wanted), height, width, 3), np.uint8)
    row_of = {int(number): row for row, number in enumerate(wanted)}
    for number, frame in _frames(index, [int(n) for n in wanted], checked):
        out[row_of[number]] = orient_and_resize(index.info, frame, height, width)
    ascending = len(wanted) == len(numbers) and np.array_equal(wanted, numbers)
    return out if ascending else out[inverse]


def stream(path: Path | str, size: Size = None) -> Iterator[np.ndarray]:
    """Yield every frame of a video in order, (H, W, 3) uint8 RGB, without holding all of them.

    path: of the video. size: of the frames, as in `read`, which gives the same frames. Raises
    VideoError.
    """
    index = index_of(Path(path))
    height, width = _target(index.info.height, index.info.width, size, index.info.path)
    for _, frame in _frames(index, list(range(index.info.frames)), checked=False):
        yield orient_and_resize(index.info, frame, height, width)


def resize(frames: np.ndarray, size: Size) -> np.ndarray:
    """Return frames at the size at which `read` would give them, (T, height, width, 3) uint8.

    frames: (T, H, W, 3) uint8. size: as in `read`. Raises VideoError for a size below 1 pixel.
    """
    height, width = _target(frames.shape[1], frames.shape[2], size, "frames")
    return np.stack([resize_frame(frame, height, width) for frame in frames])


def require_frames(frames: np.ndarray, what: str = "frames") -> None:
    """Raise VideoError unless an array is of RGB frames, (T, H, W, 3) uint8, at least one.

    what: its name in the message.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise VideoError(
            f"{what}: an array of {frames.dtype}, {frames.shape}; give RGB frames, (T, H, W, 3)"
            " uint8 with T of 1 or more"
        )


def _frames(index: Index, wanted: list[int], checked: bool) -> Iterator[NumberedFrame]:
    if not wanted:
        return
    if index.info.reader == "pillow":
        yield from _images(index, wanted)
        return
    if index.info.reader == "decord" and _seeking_pays(index, wanted, checked):
        try:
            yield from decode_with_decord(index, wanted)
            return
        except (decord.DECORDError, UnicodeEncodeError):  # or a name that is not UTF-8
            pass  # PyAV then reads it, or reports what is wrong with it
    yield from decode_with_pyav(index, wanted)


def _images(index: Index, wanted: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Yield frames of an image file or of a folder of images."""
    path = index.info.path
    return frame_folder.read(path, wanted) if path.is_dir() else still.read(path, wanted)


def _seeking_pays(index: Index, wanted: list[int], checked: bool) -> bool:
    """Return whether these frames are known to be undamaged and decord's seeks save decoding."""
    order = np.argsort(index.pts)
    if not checked and not index.undamaged.issuperset(index.pts[order[wanted]].tolist()):
        return False
    positions = np.sort(order[wanted])
    last_of = dict(zip(index.groups[positions], positions, strict=True))
    starts = np.searchsorted(index.groups, list(last_of))
    spared = 1 - (np.array(list(last_of.values())) - starts + 1).sum() / (positions[-1] + 1)
    return bool(spared >= 1 - MAX_DECODED_SHARE)


def _numbers(info: VideoInfo, indices: Sequence[int] | np.ndarray | None) -> np.ndarray:
    if indices is None:
        return np.arange(info.frames)
    numbers = np.asarray(indices)
    if numbers.size == 0:
        return np.empty(0, np.int64)
    if numbers.ndim != 1 or not np.issubdtype(numbers.dtype, np.integer):
        raise VideoError(f"{info.path}: indices are {numbers.dtype}{numbers.shape}; give integers")
    outside = numbers[(numbers < 0) | (numbers >= info.frames)]
    if len(outside):
        raise VideoError(f"{info.path}: frame {outside[0]} not in 0..{info.frames - 1}")
    return numbers


def _target(height: int, width: int, size: Size, what: object) -> tuple[int, int]:
    """Return the height and width in pixels at which to give frames of (height, width).

    size: see `read`. what: the frames' name in a message.
    """
    if size is None:
        return height, width
    if isinstance(size, int):
        scale = size / min(height, width)
        height, width = round(height * scale), round(width * scale)
    else:
        height, width = size
    if min(height, width) < 1:
        raise VideoError(f"{what}: size {size} is not in pixels above 0")
    return height, width
