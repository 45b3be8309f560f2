"""Writing of frames as H.264 or PNG, the same bytes for the same frames."""

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from vidda.files import atomic
from vidda.video.video_error import VideoError

SUFFIXES = (".mp4", ".mkv")
KEYFRAME_INTERVAL = 48
# No random segment id in .mkv, and no version of the library in any container.
BITEXACT = {"fflags": "+bitexact"}

# Frames per second that both containers can hold.
SLOWEST, FASTEST = 0.001, 1_000_000

# Closed groups of pictures without B-frames: every reader can then seek in the file and be right.
# Threads and the CPU's own instructions would make the bytes depend on the machine.
X264_PARAMS = (
    f"open-gop=0:bframes=0:keyint={KEYFRAME_INTERVAL}"
    ":threads=1:lookahead-threads=1:cpu-independent=1"
)


def write(
    path: Path | str,
    frames: np.ndarray | Iterable[np.ndarray],
    fps: float | Fraction,
    *,
    crf: int | None = 18,
    preset: str = "veryfast",
) -> None:
    """Encode frames as H.264 into an .mp4 or .mkv file that is whole or absent.

    path: ends in .mp4 or .mkv.
    frames: (T, H, W, 3) uint8 RGB, or an iterable of (H, W, 3) frames of one size, at least one.
    fps: frames per second, 0.001 to 1,000,000.
    crf: 0 to 51, lower is better and larger; 18 looks like the original. None keeps every RGB value
    exactly (H.264 in RGB, lossless), at roughly three times the size or more.
    preset: x264's speed preset; slower ones make smaller files.

    Even sizes are stored as 4:2:0, odd ones (which 4:2:0 cannot hold) as 4:4:4 at their own size;
    many players outside FFmpeg show neither the latter nor lossless files. One thread encodes, so
    the same frames give the same bytes. Raises VideoError.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise VideoError(f"{path}: a video is written as {' or '.join(SUFFIXES)}; change the name")
    rate = _rate(path, fps)
    if crf is not None and not 0 <= crf <= 51:
        raise VideoError(f"{path}: crf {crf} not in 0..51; give None for lossless")
    checked = _checked(path, frames)
    first = next(checked, None)
    if first is None:
        raise VideoError(f"{path}: no frames to write; a video has at least one")
    with _writing(path) as temporary:
        _encode(temporary, chain([first], checked), first.shape, rate, crf, preset)


def write_clip(path: Path, frames: np.ndarray, fps: float, crf: int | None) -> None:
    """Write a clip (T, H, W, 3) uint8 RGB by `write_png` if `path` ends in .png, else by `write`.

    fps: frames per second; 0, as an image has it, where T is 1. crf: see `write`; not used for PNG.
    Raises VideoError.
    """
    if path.suffix == ".png":
        write_png(path, frames, fps)
    else:
        write(path, frames, fps or 1.0, crf=crf)


def write_png(path: Path, frames: np.ndarray, fps: float = 0.0) -> None:
    """Write frames (T, H, W, 3) uint8 RGB as a PNG, atomically; several as an animated one.

    path: of the file. fps: frames per second, above 0 where T is more than 1. Every value is kept.
    Raises VideoError.
    """
    if len(frames) == 1:
        _, content = cv2.imencode(".png", cv2.cvtColor(frames[0], cv2.COLOR_RGB2BGR))
        with _writing(path) as temporary:
            temporary.write_bytes(content.tobytes())
        return
    rate = _rate(path, fps)
    with (
        _writing(path) as temporary,
        # An absolute path, for FFmpeg takes what comes before a colon for a protocol.
        av.open(str(temporary.absolute()), "w", format="apng", options=BITEXACT) as container,
    ):
        stream = container.add_stream("apng", rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "rgb24"
        stream.codec_context.thread_count = 1
        for number, frame in enumerate(frames):
            encoded = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            encoded.pts, encoded.time_base = number, 1 / rate
            container.mux(stream.encode(encoded))
        container.mux(stream.encode())


def _rate(path: Path, fps: float | Fraction) -> Fraction:
    if not SLOWEST <= fps <= FASTEST:
        raise VideoError(f"{path}: fps is {fps}; give a number above 0, from 0.001 to 1,000,000")
    return Fraction(fps).limit_denominator(1001)


@contextmanager
def _writing(path: Path) -> Iterator[Path]:
    """Yield a temporary path, as `atomic`; an error of FFmpeg or the disk becomes a VideoError."""
    try:
        with atomic(path) as temporary:
            yield temporary
    except (av.FFmpegError, OSError) as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "; free some space, and --resume continues" if full else ""
        raise VideoError(f"{path}: cannot be written: {error}{remedy}") from error


def _checked(path: Path, frames: np.ndarray | Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the frames one by one, contiguous, after a check of shape and type."""
    shape: tuple[int, ...] | None = None
    for index, frame in enumerate(frames):
        if frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape or frame.dtype != np.uint8:
            raise VideoError(
                f"{path}: frame {index} is {frame.dtype} of shape {frame.shape};"
                " give uint8 (H, W, 3)"
            )
        shape = shape or frame.shape
        if frame.shape != shape:
            raise VideoError(f"{path}: frame {index} is {frame.shape}, frame 0 is {shape}")
        yield np.ascontiguousarray(frame)


def _encode(
    path: Path,
    frames: Iterable[np.ndarray],
    shape: tuple[int, ...],
    rate: Fraction,
    crf: int | None,
    preset: str,
) -> None:
    height, width = shape[:2]
    options: dict[str, object] = {"preset": preset, "x264-params": X264_PARAMS}
    options |= {"qp": "0"} if crf is None else {"crf": str(crf)}
    # An absolute path, for FFmpeg takes what comes before a colon for a protocol.
    name = str(path.absolute())
    with av.open(name, "w", options=BITEXACT) as container:
        stream = container.add_stream("libx264rgb" if crf is None else "libx264", rate=rate)
        stream.height, stream.width = height, width
        stream.options = options
        stream.codec_context.thread_count = 1
        if crf is None:
            stream.pix_fmt = "rgb24"
            stream.codec_context.color_range = ColorRange.JPEG
            stream.codec_context.colorspace = 0  # RGB: the identity matrix, and every value in use
        else:
            even = height % 2 == 0 and width % 2 == 0
            stream.pix_fmt = "yuv420p" if even else "yuv444p"
            # Named in the file, so that no reader guesses another matrix by the frame's height.
            stream.codec_context.color_range = ColorRange.MPEG
            stream.codec_context.colorspace = Colorspace.ITU601
        reformatter = VideoReformatter()
        for index, frame in enumerate(frames):
            encoded = av.VideoFrame.from_ndarray(frame, format="rgb24")
            if crf is not None:
                # By default every call starts a pool of threads, which costs more than it gives.
                encoded = reformatter.reformat(
                    encoded,
                    format=stream.pix_fmt,
                    dst_colorspace=Colorspace.ITU601,
                    dst_color_range=ColorRange.MPEG,
                    threads=1,
                )
            encoded.pts, encoded.time_base = index, 1 / rate
            container.mux(stream.encode(encoded))
        container.mux(stream.encode())
