"""Frames of the target to learn from, sampled evenly over its clips without randomness."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
from pydantic import Field

from vidda.config import Config
from vidda.errors import ViddaError
from vidda.files import inside
from vidda.progress import track
from vidda.translate.stable_diffusion.personalize.crops import FrameCropConfig, WholeCrop
from vidda.translate.stable_diffusion.personalize.stored_images import SpooledImages
from vidda.types import ClipRecord, Manifest
from vidda.video import probe, read, stream

AT_ONCE = 16
"""Up to so many frames of a clip are read by seeking; more by decoding the whole clip."""


class FramesConfig(Config):
    """The choice of frames of the target's clips, and their size."""

    count: int = Field(
        default=256, ge=1, description="frames to train on, sampled evenly over the clips"
    )
    held_out: int = Field(
        default=8, ge=0, description="clips kept for validation, with one frame of each"
    )
    resolution: Annotated[int, Field(ge=8)] | None = Field(
        default=None, description="height and width of frames in pixels; null: the base's own size"
    )
    crop: FrameCropConfig = Field(
        default=WholeCrop(), description="the square that is cut from each frame"
    )
    flip: bool = Field(
        default=False,
        description="mirror half of the frames at random, which swaps left and right of gestures",
    )


@dataclass(frozen=True, slots=True)
class Frames:
    """N frames to train on and M held out, each (S, S, 3) uint8 RGB, on disk.

    boxless: the number of the N + M frames in which the person's box is not known.
    """

    train: SpooledImages
    held_out: SpooledImages
    boxless: int

    def fingerprint(self) -> str:
        """Return the hex SHA-256 of all pixels."""
        digest = hashlib.sha256(repr((self.train.shape, self.held_out.shape)).encode())
        for images in (self.train, self.held_out):
            for number in range(len(images)):
                digest.update(images[number : number + 1].data)
        return digest.hexdigest()


def evenly_spaced(count: int, total: int) -> np.ndarray:
    """Return `count` numbers in 0..total-1, (count,) int64, ascending, evenly spaced.

    Each is the middle of one of `count` equal intervals.
    """
    return ((np.arange(count) + 0.5) * (total / count)).astype(np.int64)


def frame_problems(manifest: Manifest, config: FramesConfig) -> list[str]:
    """Return a line for each reason why frames cannot be sampled from these clips."""
    if not manifest.clips:
        return [f"target: no clips in the manifest of {manifest.root}; prepare it again"]
    if config.held_out >= len(manifest):
        return [
            f"frames.held_out: {config.held_out} of only {len(manifest)} clips leaves none to learn"
            " from; lower it"
        ]
    return []


def sample_frames(manifest: Manifest, config: FramesConfig, size: int) -> Frames:
    """Return frames of size x size pixels, sampled evenly over the clips in the manifest's order.

    config: without `frame_problems` for this manifest. Raises ViddaError when a clip has too few
    frames, VideoError when one cannot be read.
    """
    clips = manifest.clips
    held = set(evenly_spaced(config.held_out, len(clips)).tolist()) if config.held_out else set()
    learned = [number for number in range(len(clips)) if number not in held]
    shares = np.bincount(evenly_spaced(config.count, len(learned)), minlength=len(learned))
    wanted = dict(zip(learned, shares.tolist(), strict=True)) | dict.fromkeys(held, 1)
    train, held_out = SpooledImages(size), SpooledImages(size)
    boxless = 0
    used = [number for number in range(len(clips)) if wanted[number]]
    for number in track(used, label="sampling frames", total=len(used), unit="clips"):
        for image, has_box in _clip_frames(manifest, clips[number], wanted[number], config, size):
            (held_out if number in held else train).append(image)
            boxless += not has_box
    return Frames(train, held_out, boxless)


def _clip_frames(
    manifest: Manifest, clip: ClipRecord, count: int, config: FramesConfig, size: int
) -> Iterator[tuple[np.ndarray, bool]]:
    """Yield `count` frames of a clip, cropped and resized, and whether the box was known."""
    path = inside(manifest.root, clip.path)
    length = probe(path).frames
    if count > length:
        raise ViddaError(
            f"frames.count: {config.count} takes {count} frames of clip {clip.id!r}, which has"
            f" {length}; lower it"
        )
    numbers = evenly_spaced(count, length)
    boxes = config.crop.boxes(clip, manifest.root, numbers)
    for frame, box in zip(_read_frames(path, numbers), boxes, strict=True):
        top, left, side = config.crop.square(box, *frame.shape[:2])
        yield resize(frame[top : top + side, left : left + side], size), box is not None


def _read_frames(path: Path, numbers: np.ndarray) -> Iterator[np.ndarray]:
    """Yield a video's frames of these ascending numbers, in order."""
    if len(numbers) <= AT_ONCE:
        yield from read(path, numbers)
        return
    wanted = set(numbers.tolist())
    for number, frame in enumerate(stream(path)):
        if number in wanted:
            yield frame


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Return a square image (H, H, 3) uint8, resized to size x size pixels."""
    if image.shape[0] == size:
        return image
    filter_ = cv2.INTER_AREA if image.shape[0] > size else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(image), (size, size), interpolation=filter_)
