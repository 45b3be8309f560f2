"""Frames of the target to learn from: drawn evenly over its clips, the same ones every time."""

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
from vidda.translate.stable_diffusion.personalize.crops import CropConfig, WholeCrop
from vidda.translate.stable_diffusion.personalize.stored_images import Spool
from vidda.types import ClipRecord, Manifest
from vidda.video import probe, read, stream

AT_ONCE = 16
"""Frames of a clip that are read together, which spares decoding those between them."""


class FramesConfig(Config):
    """Which frames of the target's clips are learned from."""

    count: int = Field(
        default=256, ge=1, description="frames to learn from, drawn evenly over the clips"
    )
    held_out: int = Field(
        default=8, ge=0, description="clips that are only measured on, by one frame of each"
    )
    resolution: Annotated[int, Field(ge=8)] | None = Field(
        default=None, description="height and width in pixels; null: what the base was made for"
    )
    crop: CropConfig = Field(
        default=WholeCrop(), description="the square that is cut from each frame"
    )
    flip: bool = Field(
        default=False,
        description="mirror half of them at random; a gesture's handedness then changes",
    )


@dataclass(frozen=True, slots=True)
class Frames:
    """What was drawn: N frames to learn from and M held out, S x S pixels, uint8 RGB, on disk.

    boxless: of how many of the N + M frames it is not known where the person is.
    """

    train: Spool
    held_out: Spool
    boxless: int

    def fingerprint(self) -> str:
        """Return hex digest of all pixels."""
        digest = hashlib.sha256(repr((self.train.shape, self.held_out.shape)).encode())
        for pictures in (self.train, self.held_out):
            for number in range(len(pictures)):
                digest.update(pictures[number : number + 1].data)
        return digest.hexdigest()


def spread(count: int, total: int) -> np.ndarray:
    """`count` numbers in 0..total-1, ascending, each in the middle of its share of the range."""
    return ((np.arange(count) + 0.5) * (total / count)).astype(np.int64)


def problems(manifest: Manifest, config: FramesConfig) -> list[str]:
    """What is wrong with drawing so from these clips, a line each."""
    if not manifest.clips:
        return [f"target: no clips in the manifest of {manifest.root}; prepare it again"]
    if config.held_out >= len(manifest):
        return [
            f"frames.held_out: {config.held_out} of only {len(manifest)} clips leaves none to learn"
            " from; lower it"
        ]
    return []


def draw(manifest: Manifest, config: FramesConfig, size: int) -> Frames:
    """Return frames of size x size pixels, evenly over the clips in the manifest's order, by no
    chance.

    config: one in which `problems` finds none with this manifest. Raises ViddaError when a clip has
    too few frames, VideoError where one cannot be read.
    """
    clips = manifest.clips
    held = set(spread(config.held_out, len(clips)).tolist()) if config.held_out else set()
    learned = [number for number in range(len(clips)) if number not in held]
    shares = np.bincount(spread(config.count, len(learned)), minlength=len(learned))
    wanted = dict(zip(learned, shares.tolist(), strict=True)) | dict.fromkeys(held, 1)
    train, held_out = Spool(size), Spool(size)
    boxless = 0
    used = [number for number in range(len(clips)) if wanted[number]]
    for number in track(used, label="drawing frames", total=len(used), unit="clips"):
        for picture, has_box in _of_clip(manifest, clips[number], wanted[number], config, size):
            (held_out if number in held else train).append(picture)
            boxless += not has_box
    return Frames(train, held_out, boxless)


def _of_clip(
    manifest: Manifest, clip: ClipRecord, count: int, config: FramesConfig, size: int
) -> Iterator[tuple[np.ndarray, bool]]:
    """So many frames of a clip, cropped and resized, and whether the person's box was known."""
    path = inside(manifest.root, clip.path)
    length = probe(path).frames
    if count > length:
        raise ViddaError(
            f"frames.count: {config.count} takes {count} frames of clip {clip.id!r}, which has"
            f" {length}; lower it"
        )
    numbers = spread(count, length)
    boxes = config.crop.boxes(clip, manifest.root, numbers)
    for frame, box in zip(_frames(path, numbers), boxes, strict=True):
        top, left, side = config.crop.square(box, *frame.shape[:2])
        yield resized(frame[top : top + side, left : left + side], size), box is not None


def _frames(path: Path, numbers: np.ndarray) -> Iterator[np.ndarray]:
    """Yield a video's frames of these ascending numbers; where they are many, one at a time."""
    if len(numbers) <= AT_ONCE:
        yield from read(path, numbers)
        return
    wanted = set(numbers.tolist())
    for number, frame in enumerate(stream(path)):
        if number in wanted:
            yield frame


def resized(picture: np.ndarray, size: int) -> np.ndarray:
    """Return a square picture, (H, H, 3) uint8, in size x size pixels."""
    if picture.shape[0] == size:
        return picture
    way = cv2.INTER_AREA if picture.shape[0] > size else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(picture), (size, size), interpolation=way)
