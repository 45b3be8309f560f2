"""A copy of a video with the most likely classes of each frame drawn into it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from vidda.progress import track
from vidda.recognize.timeline import Timeline
from vidda.video import probe, stream, write

TOP_CLASSES = 3
"""Number of classes that are drawn."""
LIGHT, DARK, BAR = (255, 255, 255), (0, 0, 0), (46, 160, 67)


def annotate(path: Path, out: Path, predictions: Timeline, classes: Sequence[str]) -> None:
    """Write a copy of a video without sound, with bars for the three most likely classes of each
    frame.

    path, out: video files. predictions: probabilities of windows of this video. classes: K names. A
    frame in several windows shows the mean of their probabilities, a frame in none shows no bars.
    """
    info = probe(path)
    means = frame_probabilities(predictions, info.frames)
    frames = track(stream(path), label=f"drawing {out.name}", total=info.frames, unit="frames")
    write(out, _annotated_frames(frames, means, classes), info.fps)


def frame_probabilities(predictions: Timeline, frames: int) -> np.ndarray:
    """Return the mean over the windows that contain each frame, (frames, K); nan for a frame in
    none.
    """
    change = np.zeros((frames + 1, predictions.probabilities.shape[1] + 1))
    added = np.pad(predictions.probabilities, ((0, 0), (0, 1)), constant_values=1.0)
    np.add.at(change, predictions.spans[:, 0], added)
    np.add.at(change, predictions.spans[:, 1], -added)
    total = change.cumsum(0)[:frames]
    count = np.rint(total[:, -1:])
    return np.divide(
        total[:, :-1], count, out=np.full((frames, len(change[0]) - 1), np.nan), where=count > 0
    )


def _annotated_frames(
    frames: Iterator[np.ndarray], means: np.ndarray, classes: Sequence[str]
) -> Iterator[np.ndarray]:
    for frame, probabilities in zip(frames, means, strict=True):
        image = np.ascontiguousarray(frame)
        if not np.isnan(probabilities[0]):
            draw_classes(image, probabilities, classes)
        yield image


def draw_classes(image: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> None:
    """Draw the most likely classes into the lower left of an image (H, W, 3) uint8 RGB, in place.

    probabilities: (K,). classes: K names.
    """
    height, width = image.shape[:2]
    line = max(10, min(height, width) // 16)
    scale, thickness = line / 32, max(1, line // 16)
    best = np.argsort(-probabilities, kind="stable")[:TOP_CLASSES]
    for row, label in enumerate(best):
        bottom = height - line * (len(best) - row) + line // 2
        box = (line // 2, bottom - line + 2, width // 2, line - 2)
        left, top, wide, high = box
        background = image[max(0, top) : top + high, left : left + wide]
        background //= 2  # darker, so that the text can be read on any background
        filled = round(wide * float(probabilities[label]))
        cv2.rectangle(image, (left, top), (left + filled, top + high - 1), BAR, cv2.FILLED)
        text = f"{classes[label]} {probabilities[label]:.0%}"
        origin = (left + line // 4, bottom - line // 4)
        for color, width_of_line in ((DARK, thickness + 1), (LIGHT, thickness)):
            font = cv2.FONT_HERSHEY_SIMPLEX
            cv2.putText(image, text, origin, font, scale, color, width_of_line, cv2.LINE_AA)
