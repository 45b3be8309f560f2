"""Small videos of every kind, made with PyAV, and their frames by its sequential decode."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def moving(frames: int = 60, height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    """(T, H, W, 3) uint8: a smooth texture that moves, in which no two frames are alike."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (2 + (height + frames) // 8, 2 + (width + frames) // 8, 3))
    fine = coarse.repeat(8, axis=0).repeat(8, axis=1)
    for axis in (0, 1):
        fine = np.mean([np.roll(fine, shift, axis) for shift in range(9)], axis=0)
    rows = [fine[t : t + height, t // 2 : t // 2 + width] for t in range(frames)]
    return np.stack(rows).astype(np.uint8)


def encode(
    path: Path,
    frames: np.ndarray,
    codec: str = "libx264",
    *,
    pixels: str = "yuv420p",
    b_frames: int = 0,
    group: int = 12,
    options: dict[str, str] | None = None,
    stamps: list[int] | None = None,
    rotation: int = 0,
    shape: Fraction | None = None,
) -> Path:
    """Write frames with any of FFmpeg's encoders; stamps: their times in 1/25 s.

    shape: width : height of a pixel.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        stream.bit_rate = 400_000
        stream.codec_context.gop_size = group
        stream.codec_context.max_b_frames = b_frames
        stream.codec_context.thread_count = 1
        if shape:
            stream.codec_context.sample_aspect_ratio = shape
        if rotation:
            stream.set_display_rotation(rotation)
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            picture.pts = number if stamps is None else stamps[number]
            picture.time_base = Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def picked(path: Path, numbers: set[int]) -> tuple[int, dict[int, np.ndarray]]:
    """How many frames PyAV decodes one after the other, and those of these numbers."""
    kept = {}
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number in numbers:
                kept[number] = frame.to_ndarray(format="rgb24")
    return number + 1, kept


def sequential(path: Path) -> np.ndarray:
    """Every frame as PyAV decodes them one after the other: the truth of all tests."""
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])
