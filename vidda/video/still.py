"""Images as videos of one frame."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vidda.video.errors import VideoError
from vidda.video.info import VideoInfo

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


def info(path: Path) -> VideoInfo:
    """What is known of an image without decoding its pixels; raises VideoError."""
    try:
        with Image.open(path) as image:
            codec, mode = str(image.format).lower(), image.mode
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            width, height = image.size[::-1] if turned else image.size
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError) as error:
        raise VideoError(f"{path}: corrupt or not an image: {error}") from None
    return VideoInfo(
        path=path,
        container="image",
        codec=codec,
        pixel_format=mode,
        frames=1,
        fps=0.0,
        width=width,
        height=height,
        duration_s=0.0,
        rotation=0,
        variable_frame_rate=False,
        b_frames=False,
        reader="pillow",
        reason="a still image",
    )


def read(path: Path) -> np.ndarray:
    """The pixels, (H, W, 3) uint8 RGB, turned as its EXIF data asks; raises VideoError."""
    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
        raise VideoError(f"{path}: corrupt or truncated image: {error}") from None
