"""Images as videos of one frame, and animated WebP and PNG as videos of all theirs."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import Disposal

from vidda.video.info import VideoInfo
from vidda.video.video_error import VideoError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")

# Formats whose further images are frames; those of a JPEG are previews or the other eye's.
ANIMATED = ("WEBP", "PNG", "GIF")

# Browsers display a frame for this long where it declares no time.
UNTIMED_MS = 100

FAULTS = (
    OSError,
    UnidentifiedImageError,
    Image.DecompressionBombError,
    SyntaxError,
    ValueError,
    EOFError,
)


def info(path: Path) -> VideoInfo:
    """Return the facts of an image file, or of an animated one.

    Pixels are decoded only where an animation's times need it. Raises VideoError where it cannot be
    read.
    """
    try:
        with Image.open(path) as image:
            codec, mode = str(image.format).lower(), image.mode
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            width, height = image.size[::-1] if turned else image.size
            frames = len(_numbers(image))
            durations = _durations(image) if frames > 1 else [0.0]
    except FAULTS as error:
        raise VideoError(f"{path}: corrupt or not an image: {error}") from None
    seconds = sum(durations)
    return VideoInfo(
        path=path,
        container="image",
        codec=codec,
        pixel_format=mode,
        frames=frames,
        fps=frames / seconds if seconds else 0.0,
        width=width,
        height=height,
        duration_s=seconds,
        sample_aspect_ratio=Fraction(1),
        rotation=0,
        mirrored=False,
        variable_frame_rate=len(set(durations)) > 1,
        b_frames=False,
        track=0,
        tracks=1,
        reader="pillow",
        reason="a still image" if frames == 1 else "an animated image",
        notes=(),
    )


def read(path: Path, wanted: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Yield chosen frames of an image, or of an animated image, as (number, (H, W, 3) uint8 RGB).

    path: of the image file. wanted: frame numbers from 0, ascending; an image has only frame 0.
    Frames are rotated as EXIF data asks. Of 16 bits the upper 8 are kept; transparent pixels are
    black. Raises VideoError where the file is corrupt.
    """
    try:
        with Image.open(path) as image:
            numbers = _numbers(image)
            for number in wanted:
                image.seek(numbers[number])
                if image.info.get("disposal") == Disposal.OP_PREVIOUS:
                    # Once it has loaded such a frame, Pillow would leave it in those after it.
                    with Image.open(path) as again:
                        again.seek(numbers[number])
                        yield number, _rgb(ImageOps.exif_transpose(again))
                else:
                    yield number, _rgb(ImageOps.exif_transpose(image))
    except FAULTS as error:
        raise VideoError(f"{path}: corrupt or truncated image: {error}") from None


def _rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I"):  # 16-bit gray, which Pillow clips to 8 bits
        gray = (np.asarray(image).astype(np.int32) >> 8).clip(0, 255).astype(np.uint8)
        return gray[..., None].repeat(3, axis=2)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, (0, 0, 0, 255)), layer)
    return np.asarray(image.convert("RGB"))


def _numbers(image: Image.Image) -> range:
    """Return the numbers of the images in a file that are frames."""
    if image.format not in ANIMATED:
        return range(1)
    # An animated PNG may begin with an image for those who cannot show the animation.
    count = getattr(image, "n_frames", 1)
    return range(1 if count > 1 and image.info.get("default_image") else 0, count)


def _durations(image: Image.Image) -> list[float]:
    """Return how long each frame of an animation is displayed, in seconds."""
    durations = []
    for number in _numbers(image):
        image.seek(number)
        image.load()  # Pillow knows WebP's durations only then
        durations.append(float(image.info.get("duration") or UNTIMED_MS) / 1000)
    return durations
