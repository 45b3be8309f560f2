"""Checks of the libraries that read and write images and videos."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from vidda.doctor.findings import MissingPart
from vidda.provenance import version


def check_pyav() -> str:
    """Write and read an H.264 video with PyAV.

    Returns the detail for the table; raises where the part is missing or does not work.
    """
    import vidda.video

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "clip.mp4"
        vidda.video.write(file, _moving_square(), 25)
        _require_near(_read_with_pyav(file))
    return f"av {version('av')} writes H.264 and reads it back"


def check_decord() -> str:
    """Read an H.264 video with decord.

    Returns the detail for the table; raises where the part is missing or does not work.
    """
    import vidda.video
    from vidda.video._decord import decord

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "clip.mp4"
        vidda.video.write(file, _moving_square(), 25)
        _require_near(decord.VideoReader(str(file)).get_batch(range(8)).asnumpy())
    return f"decord {version('decord')} reads H.264"


def check_codecs() -> str:
    """Write and read further codecs that users' videos may have.

    Returns the detail for the table; raises where the part is missing or does not work.
    """
    works, fails = [], []
    for name, encoder, suffix in (
        ("HEVC", "libx265", ".mp4"),
        ("VP8", "libvpx", ".webm"),
        ("MPEG-4", "mpeg4", ".avi"),
    ):
        try:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / f"clip{suffix}"
                _write_with(encoder, file)
                _require_near(_read_with_pyav(file))
            works.append(name)
        except (ValueError, OSError) as error:
            fails.append(f"{name} ({error})")
    if fails:
        raise ValueError(f"not working: {', '.join(fails)}; working: {', '.join(works) or 'none'}")
    return ", ".join(works)


def _write_with(encoder: str, file: Path) -> None:
    import av

    frames = _moving_square()
    with av.open(str(file), "w") as container:
        stream: Any = container.add_stream(encoder, rate=25)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        stream.bit_rate = 2_000_000
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def check_torchcodec() -> str:
    """Read an H.264 video with torchcodec.

    Returns the detail for the table; raises where the part is missing or does not work.
    """
    if version("torchcodec") is None:
        raise MissingPart("not installed")
    from torchcodec.decoders import VideoDecoder

    import vidda.video

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "clip.mp4"
        vidda.video.write(file, _moving_square(), 25)
        frames = VideoDecoder(str(file)).get_frames_at(list(range(8))).data
        _require_near(frames.permute(0, 2, 3, 1).numpy())
    return f"torchcodec {version('torchcodec')} reads H.264"


def check_opencv() -> str:
    """Find edges in an image with OpenCV.

    Returns the detail for the table; raises where the part is missing or does not work.
    """
    import cv2

    edges = cv2.Canny(_moving_square()[0], 50, 150)
    if not 60 < (edges > 0).sum() < 200:
        raise ValueError(f"Canny found {(edges > 0).sum()} pixels of a 24x24 square's outline")
    return f"OpenCV {cv2.__version__} finds edges"


def _moving_square() -> np.ndarray:
    frames = np.full((8, 64, 96, 3), 60, np.uint8)
    for t, frame in enumerate(frames):
        frame[20:44, 8 * t : 8 * t + 24] = (220, 180, 40)
    return frames


def _require_near(got: np.ndarray) -> None:
    wanted = _moving_square()
    if got.shape != wanted.shape:
        raise ValueError(f"wrote frames {wanted.shape}, read {got.shape}")
    error = np.abs(got.astype(int) - wanted).mean()
    if error > 12:
        raise ValueError(f"the frames read differ from those written by {error:.0f} of 255")


def _read_with_pyav(file: Path) -> np.ndarray:
    import av

    with av.open(str(file)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])
