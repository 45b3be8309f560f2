"""An index of a video's packets: how many frames, where, and which reader is right.

Only the first frame is decoded, unless packets cannot be counted as frames: then PyAV decodes
everything once, and the frames that it gives are those of the video.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidda.files import size_and_time
from vidda.video import display, frame_folder, still
from vidda.video.completeness import require_complete
from vidda.video.container import open_video
from vidda.video.info import VideoInfo
from vidda.video.packets import Packets
from vidda.video.sequence import decode_in_order
from vidda.video.video_error import VideoError

# Decord's pixels equal PyAV's in these; in 10-bit ones they differ by up to 84.
EXACT_IN_DECORD = {"yuv420p", "yuvj420p", "yuv422p", "yuv444p", "gbrp", "gray"}

# Pixel formats that store colors at half the size.
SUBSAMPLED = {"yuv420p", "yuvj420p", "yuv422p"}

# FFmpeg's AVFieldOrder: 0 is unknown, 1 progressive, the others interlaced.
PROGRESSIVE = 1

# Frames per second of raw streams without any time.
DEFAULT_FPS = 25.0

# An index is some kilobytes; this many of them are cached in each process.
CACHED_INDICES = 4096


@dataclass(frozen=True, slots=True)
class Index:
    """The index of one video: its facts and its packets.

    pts: presentation time stamps: (P,) in decoding order for P packets where groups can be decoded
    alone, else (info.frames,) in the order of the frames.
    groups: (P,) the number of the group of pictures that each packet belongs to.
    closed_groups: whether each group can be decoded alone, and each frame found by its time stamp.
    size: height and width of the frames as stored, in pixels.
    decoded: whether every frame was decoded, without fault, to count them.
    undamaged: time stamps of frames that PyAV has decoded without fault in this process.
    """

    info: VideoInfo
    pts: np.ndarray
    groups: np.ndarray
    closed_groups: bool
    size: tuple[int, int]
    decoded: bool = False
    undamaged: set[int | None] = field(default_factory=set)


def index_of(path: Path) -> Index:
    """Return the index of a video as it is now, cached as long as it does not change.

    path: a file or a folder of frames. Raises VideoError where it is missing, empty, truncated, or
    no video.
    """
    extra = 0 if path.is_dir() else require_complete(path)
    size, mtime_ns = size_and_time(path)
    return _index(path, mtime_ns, size, extra)


@lru_cache(maxsize=CACHED_INDICES)
def _index(path: Path, mtime_ns: int, size: int, extra: int) -> Index:
    if path.is_dir() or path.suffix.lower() in still.SUFFIXES:
        info = frame_folder.info(path) if path.is_dir() else still.info(path)
        return Index(info, np.zeros(1), np.zeros(1, int), False, (info.height, info.width))
    with open_video(path) as (container, stream):
        packets = Packets(path, container, stream)
        if extra:
            packets.notes.append(f"{extra} bytes follow the end of the video")
        first = None
        for packet in container.demux(stream):
            packets.add(packet)
            if first is None:
                first = next(iter(packet.decode()), None)
        if first is None:
            raise VideoError(f"{path}: holds no frame that decodes; fetch it again")
        packets.conclude(container, stream)
        return _build_index(packets, container, stream, first)


def _build_index(
    packets: Packets, container: InputContainer, stream: VideoStream, first: VideoFrame
) -> Index:
    declared = stream.codec_context.field_order > PROGRESSIVE
    interlaced = first.interlaced_frame or declared or packets.fields
    pts = packets.pts
    counted = bool(packets.count_doubt) or packets.fields
    if counted:
        pts = [frame.pts for frame in decode_in_order(packets.path)]
        packets.compare(pts)
    tracks = container.streams.video
    notes = [*packets.notes]
    if any("\ufffd" in text for text in (container.metadata | stream.metadata).values()):
        notes.append("its tags are not UTF-8")
    ratio, odd_ratio = display.pixel_aspect(stream.sample_aspect_ratio)
    rotation, mirrored = display.orientation(packets.path, first)
    width, height = display.display_size(first.width, first.height, ratio, rotation)
    fps, duration, variable = _timing(pts, stream)
    flaw = packets.seek_flaw or _flaw_of_frames(
        first, len(pts), len(tracks), rotation > 0 or mirrored, interlaced
    )
    info = VideoInfo(
        path=packets.path,
        container=packets.name,
        codec=packets.codec,
        pixel_format=first.format.name,
        frames=len(pts),
        fps=fps,
        width=width,
        height=height,
        duration_s=duration,
        sample_aspect_ratio=ratio,
        rotation=rotation,
        mirrored=mirrored,
        variable_frame_rate=variable,
        b_frames=packets.b_frames,
        track=tracks.index(stream),
        tracks=len(tracks),
        reader="pyav" if flaw else "decord",
        reason=flaw or f"decord's seeks are right for {packets.codec} in {packets.name}",
        notes=(*notes, *odd_ratio),
    )
    closed = not packets.seek_flaw
    stamps = packets.pts if closed else pts
    array = np.array(stamps if None not in stamps else range(len(stamps)), dtype=np.int64)
    groups = np.cumsum(packets.keys) - 1
    return Index(info, array, groups, closed, (first.height, first.width), counted)


def _flaw_of_frames(
    first: VideoFrame, frames: int, tracks: int, turned: bool, interlaced: bool
) -> str:
    """Return why decord would give other pixels than PyAV even of the right frames, "" if not."""
    if tracks > 1:
        return "of several video tracks decord chooses one by other rules"
    if turned:
        return "turned or mirrored, which decord does in some containers only"
    if interlaced:
        return "interlaced, and decord's colors are those of whole frames"
    if frames == 1:
        return "one frame, which decord refuses in some containers"
    pixels = first.format.name
    if pixels not in EXACT_IN_DECORD:
        return f"decord's colors are not exact for {pixels}"
    if pixels in SUBSAMPLED and (first.width % 2 or first.height % 2):
        return f"decord's colors are not exact for {pixels} of odd sizes"
    return ""


def _timing(stamps: Sequence[int | None], stream: VideoStream) -> tuple[float, float, bool]:
    """Return frames per second, seconds, and whether the rate varies, by time stamps."""
    tick = float(stream.time_base or 0)
    rate = float(stream.average_rate or 0)
    known = np.sort([stamp for stamp in stamps if stamp is not None])
    steps = np.diff(known)
    if len(known) < len(stamps):  # a raw stream has none, a program stream only some
        return rate or DEFAULT_FPS, len(stamps) / (rate or DEFAULT_FPS), False
    if not len(steps) or steps.mean() == 0:
        return rate, 1 / rate if rate else 0.0, False
    spread = steps.max() - steps.min()
    # Rounding to a container's ticks moves a stamp by one; beyond that the rate really varies.
    variable = bool(spread > 2 and spread > 0.1 * steps.mean())
    fps = 1 / (float(steps.mean()) * tick)
    if rate and not variable and abs(fps / rate - 1) < 0.05:
        fps = rate
    return fps, len(stamps) / fps, variable
