"""A video with the likeliest classes of each moment drawn into it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from vidda.progress import track
from vidda.recognize.timeline import Timeline
from vidda.video import probe, stream, write

SHOWN = 3
LIGHT, DARK, BAR = (255, 255, 255), (0, 0, 0), (46, 160, 67)


def annotate(path: Path, out: Path, found: Timeline, classes: Sequence[str]) -> None:
    """Write the video with bars for the three likeliest classes at each frame, without sound.

    A frame in several windows shows the mean of their probabilities, one in none shows nothing.
    """
    info = probe(path)
    means = frame_probabilities(found, info.frames)
    frames = track(stream(path), label=f"drawing {out.name}", total=info.frames, unit="frames")
    write(out, _drawn(frames, means, classes), info.fps)


def frame_probabilities(found: Timeline, frames: int) -> np.ndarray:
    """Return mean over the windows that hold each frame, (frames, K); nan where none does."""
    change = np.zeros((frames + 1, found.probabilities.shape[1] + 1))
    added = np.pad(found.probabilities, ((0, 0), (0, 1)), constant_values=1.0)
    np.add.at(change, found.spans[:, 0], added)
    np.add.at(change, found.spans[:, 1], -added)
    total = change.cumsum(0)[:frames]
    count = np.rint(total[:, -1:])
    return np.divide(
        total[:, :-1], count, out=np.full((frames, len(change[0]) - 1), np.nan), where=count > 0
    )


def _drawn(
    frames: Iterator[np.ndarray], means: np.ndarray, classes: Sequence[str]
) -> Iterator[np.ndarray]:
    for frame, probabilities in zip(frames, means, strict=True):
        picture = np.ascontiguousarray(frame)
        if not np.isnan(probabilities[0]):
            draw(picture, probabilities, classes)
        yield picture


def draw(picture: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> None:
    """Draw the likeliest classes into the lower left of a frame (H, W, 3) uint8, in place."""
    height, width = picture.shape[:2]
    line = max(10, min(height, width) // 16)
    scale, thickness = line / 32, max(1, line // 16)
    best = np.argsort(-probabilities, kind="stable")[:SHOWN]
    for row, label in enumerate(best):
        bottom = height - line * (len(best) - row) + line // 2
        box = (line // 2, bottom - line + 2, width // 2, line - 2)
        left, top, wide, high = box
        part = picture[max(0, top) : top + high, left : left + wide]
        part //= 2  # darker, so that the text can be read on any background
        filled = round(wide * float(probabilities[label]))
        cv2.rectangle(picture, (left, top), (left + filled, top + high - 1), BAR, cv2.FILLED)
        text = f"{classes[label]} {probabilities[label]:.0%}"
        place = (left + line // 4, bottom - line // 4)
        for color, width_of_line in ((DARK, thickness + 1), (LIGHT, thickness)):
            font = cv2.FONT_HERSHEY_SIMPLEX
            cv2.putText(picture, text, place, font, scale, color, width_of_line, cv2.LINE_AA)
