"""The two readers: PyAV in one pass, decord by seeking. Both give the same pixels."""

from collections.abc import Iterator, Sequence

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from vidda.video._decord import decord
from vidda.video.container import open_video
from vidda.video.index import Index
from vidda.video.sequence import decode_in_order, require_undamaged
from vidda.video.video_error import VideoError

NumberedFrame = tuple[int, np.ndarray]
"""A frame's number from 0, and the frame, (H, W, 3) uint8 RGB."""


def decode_with_decord(index: Index, wanted: Sequence[int]) -> Iterator[NumberedFrame]:
    """Yield the wanted frames, (number, (H, W, 3) uint8 RGB), by decord's random access.

    wanted: frame numbers, ascending. The reader is opened anew in each call: one that is kept
    across a fork hangs in the child. Raises decord's DECORDError where it cannot read the file.
    """
    reader = decord.VideoReader(str(index.info.path.absolute()), num_threads=1)
    if len(reader) != index.info.frames:
        raise decord.DECORDError(f"{len(reader)} frames, the index has {index.info.frames}")
    yield from zip(wanted, reader.get_batch(list(wanted)).asnumpy(), strict=True)


def decode_with_pyav(index: Index, wanted: Sequence[int]) -> Iterator[NumberedFrame]:
    """Yield the wanted frames, (number, (H, W, 3) uint8 RGB), in order within each group.

    wanted: frame numbers, ascending and without repeats. Raises VideoError on the first detectable
    fault, even where FFmpeg would conceal it.
    """
    reformatter = VideoReformatter()
    decoded = _groups(index, wanted) if index.closed_groups else _all(index, wanted)
    for number, frame in decoded:
        yield number, _rgb(reformatter, frame, index.info.codec == "gif")


def _rgb(reformatter: VideoReformatter, frame: VideoFrame, transparent: bool) -> np.ndarray:
    """Return a frame, (H, W, 3) uint8 RGB, with transparent pixels black, as in other images."""
    # By default every call starts a pool of threads, which costs more than it gives.
    kind = "rgba" if transparent else "rgb24"
    image: np.ndarray = reformatter.reformat(frame, format=kind, threads=1).to_ndarray()
    return image[..., :3] * (image[..., 3:] > 0) if transparent else image


def decode_everything(index: Index) -> None:
    """Decode every frame, unless the index did so to count them; raises VideoError on a fault."""
    if not index.decoded:
        for _ in _all(index, range(index.info.frames)):
            pass


def _groups(index: Index, wanted: Sequence[int]) -> Iterator[tuple[int, VideoFrame]]:
    """Decode only the groups of pictures that hold a wanted frame, each up to its last one.

    Unwanted frames that no other frame refers to are not decoded, which does not change the others.
    """
    path = index.info.path
    order = np.argsort(index.pts)
    number_of = {int(index.pts[order[n]]): n for n in wanted}
    last_of = {int(index.groups[p]): int(p) for p in np.sort(order[list(wanted)])}
    stamps: set[int | None] = set()
    with open_video(path) as (container, stream):
        codec = stream.codec_context
        position = -1
        for packet in container.demux(stream):
            position += 1
            last = last_of.get(int(index.groups[position])) if packet.size else None
            if last is None or position > last:
                continue
            codec.skip_frame = "DEFAULT" if packet.pts in number_of else "NONREF"
            frames: list[VideoFrame] = list(codec.decode(packet))
            if position == last:
                frames += codec.decode(None)
                codec.flush_buffers()
                del last_of[int(index.groups[position])]
            for frame in require_undamaged(path, frames, index.size):
                stamps.add(frame.pts)
                if frame.pts in number_of:
                    yield number_of.pop(frame.pts), frame
            if not last_of:
                break
    if number_of:
        raise VideoError(f"{path}: corrupt: frame {min(number_of.values())} does not decode")
    index.undamaged.update(stamps)


def _all(index: Index, wanted: Sequence[int]) -> Iterator[tuple[int, VideoFrame]]:
    """Decode and count every frame up to the last wanted one, and yield the wanted ones."""
    path, last = index.info.path, wanted[-1]
    left = set(wanted)
    stamps: set[int | None] = set()
    number = -1
    for number, frame in enumerate(decode_in_order(path)):
        stamps.add(frame.pts)
        if number in left:
            yield number, frame
        if number == last:
            break
    if number < last:
        raise VideoError(
            f"{path}: corrupt: {number + 1} of its {index.info.frames} frames decode;"
            " fetch it again"
        )
    index.undamaged.update(stamps)
