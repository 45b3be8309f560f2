"""Attributes of a clip: size and place of the person, sharpness, light, motion, camera, length.

Everything is measured in one decode of a few pairs of neighboring frames, evenly spaced over the
clip, at one common size, so that clips of different sizes are compared as a recognizer sees them.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from vidda import video
from vidda.camera import shake
from vidda.camera.sharpness import edge_blur
from vidda.files import inside
from vidda.gap.gray_attributes import gray_attributes
from vidda.gap.person_attributes import look_attributes, place_attributes, read_person
from vidda.types import ClipRecord

MOTION_SIDE = 48
"""Shorter side in pixels of the images on which shake and motion are measured."""
BLUR_FRAMES = 2
"""Most frames of a clip on which blur is measured."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of a clip: its unit, and its definition for people."""

    unit: str
    definition: str


ATTRIBUTES: Mapping[str, Attribute] = {
    "box_area": Attribute("share", "area of the person's box divided by the frame's"),
    "box_aspect": Attribute("ratio", "width of the person's box divided by its height"),
    "box_x": Attribute("share", "center of the box from the left, divided by the frame's width"),
    "box_y": Attribute("share", "center of the box from above, divided by the frame's height"),
    "mask_share": Attribute("share", "part of the box that the person's mask covers"),
    "facing": Attribute(
        "ratio",
        "shoulders' width divided by the torso's length: above 0 from the front, below 0 from"
        " behind",
    ),
    "occlusion": Attribute("share", "joints of 17 that are hidden or outside the frame"),
    "person_visible": Attribute("share", "frames in which someone is visible"),
    "background_similarity": Attribute(
        "cosine", "mean color of the person's dilated boundary and of its neighbors outside"
    ),
    "box_brightness": Attribute("gray levels", "mean inside the box"),
    "box_contrast": Attribute("gray levels", "standard deviation inside the box"),
    "box_entropy": Attribute("bits", "entropy of the histogram of gray levels inside the box"),
    "box_sharpness": Attribute("log", "sharpness, as below, inside the box"),
    "brightness": Attribute("gray levels", "mean of the frame"),
    "contrast": Attribute("gray levels", "standard deviation of the frame"),
    "entropy": Attribute("bits", "entropy of the frame's histogram of 256 gray levels"),
    "sharpness": Attribute("log", "natural logarithm of 1 + the variance of the Laplacian"),
    "blur": Attribute("share", "Gaussian blur of the sharpest edges, of the shorter side"),
    "motion": Attribute(
        "gray levels/s", "mean absolute change from frame to frame, the camera's movement undone"
    ),
    "shake": Attribute(
        "share/s", "deviation of the image's movement from frame to frame, of the shorter side"
    ),
    "seconds": Attribute("s", "length of the clip"),
    "fps": Attribute("1/s", "mean frame rate of the clip"),
    "height": Attribute("pixels", "shorter side of the clip"),
}
"""All attributes that are measured. Those of people need a sidecar; numbers of a frame are averaged
over the frames, people's over those with someone."""


def measure_attributes(clip: ClipRecord, root: Path, pairs: int, size: int) -> dict[str, float]:
    """Return the attributes of one clip by name; NaN where one cannot be measured on it.

    root: of the manifest. pairs: most pairs of neighboring frames to decode. size: shorter side in
    pixels at which they are measured. Attributes of a person are there only where the clip has a
    sidecar with boxes, joints or masks; motion and shake are NaN for an image. Raises ViddaError
    where the clip or its sidecar cannot be read.
    """
    path = inside(root, clip.path)
    info = video.probe(path)
    numbers = pair_numbers(info.frames, pairs)
    frames = video.read(path, numbers, size)
    firsts = frames[::2] if len(frames) > 1 else frames
    truth = read_person(clip, root, info, numbers[::2] if len(numbers) > 1 else numbers)
    grays = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in firsts]
    rows = [gray_attributes(gray) for gray in grays]
    found = mean_of(rows) | {
        "blur": _blur(grays),
        "seconds": info.duration_s,
        "fps": info.fps,
        "height": float(min(info.height, info.width)),
    }
    found |= movement_attributes(frames, info.fps)
    if truth is None:
        return found
    looks = [
        look_attributes(
            frame, gray, truth.boxes[t], None if truth.masks is None else truth.masks[t]
        )
        for t, (frame, gray) in enumerate(zip(firsts, grays, strict=True))
    ]
    places = place_attributes(truth, info.width / info.height)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a mean of nothing, which is NaN
        found |= {name: float(np.nanmean(values)) for name, values in places.items()}
    return found | mean_of(looks)


def pair_numbers(frames: int, pairs: int) -> np.ndarray:
    """Return the frame numbers (2 P,) of P pairs of neighbors spread over a clip.

    frames: of the clip. pairs: most of them; a short clip has fewer, each frame in one pair. A clip
    of one frame gives (1,).
    """
    if frames < 2:
        return np.zeros(1, int)
    count = min(pairs, frames // 2)
    slot = frames / count
    starts = (np.arange(count) * slot + (slot - 2) / 2).astype(int)
    return np.stack([starts, starts + 1], axis=1).ravel()


def movement_attributes(frames: np.ndarray, fps: float) -> dict[str, float]:
    """Return motion and shake of pairs of frames, NaN for an image.

    frames: (2 P, H, W, 3) uint8 RGB, each two of them neighbors. fps: of the clip, in 1/s.
    """
    if len(frames) < 2 or not fps:
        return {"motion": float("nan"), "shake": float("nan")}
    height, width = frames.shape[1:3]
    scale = MOTION_SIDE / min(height, width)
    small = (round(width * scale), round(height * scale))
    grays = [
        cv2.cvtColor(cv2.resize(f, small, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        for f in frames
    ]
    steps, changes = [], []
    for first, second in zip(grays[::2], grays[1::2], strict=True):
        before, after = first.astype(np.float32), second.astype(np.float32)
        step = shake.align_frames(before, after)
        margin = 1 + MOTION_SIDE // 12  # mirrored content enters at the edge
        rest = shake.Movable(after).moved(step, back=True) - before
        changes.append(float(np.abs(rest[margin:-margin, margin:-margin]).mean()))
        steps.append(step[:2] / MOTION_SIDE)
    return {
        "motion": float(np.mean(changes)) * fps,
        "shake": float(np.linalg.norm(np.std(steps, axis=0))) * fps,
    }


def mean_of(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each name over the rows that have a finite value of it, NaN where none."""
    found = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row[name] for row in rows if name in row and np.isfinite(row[name])]
        found[name] = float(np.mean(values)) if values else float("nan")
    return found


def _blur(grays: Sequence[np.ndarray]) -> float:
    """Return the blur of the sharpest edges as a share of the shorter side, NaN without an edge."""
    chosen = np.unique(np.linspace(0, len(grays) - 1, BLUR_FRAMES).round().astype(int))
    blur = edge_blur(np.stack([grays[n] for n in chosen]).astype(np.float32))
    return float("nan") if blur is None else blur / min(grays[0].shape)
