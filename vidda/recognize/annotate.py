"""A copy of a video with the most likely classes of each frame drawn into it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from vidda.progress import track
from vidda.recognize.class_labels import ClassLabels
from vidda.recognize.timeline import Timeline
from vidda.video import probe, stream, write

READABLE_SIDE = 256
"""Pictures whose shorter side has fewer pixels are enlarged before text is drawn into them."""


def annotate(path: Path, out: Path, predictions: Timeline, classes: Sequence[str]) -> None:
    """Write a copy of a video without sound, with the three most likely classes of each frame.

    Small videos are enlarged, so that the text can be read.

    path, out: video files. predictions: probabilities of windows of this video. classes: K names. A
    frame in several windows shows the mean of their probabilities, a frame in none shows no text.
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
    labels: ClassLabels | None = None
    for frame, probabilities in zip(frames, means, strict=True):
        image = enlarge(frame)
        height, width = image.shape[:2]
        labels = labels or ClassLabels(height, width, classes)
        if not np.isnan(probabilities[0]):
            labels.draw(image, probabilities)
        yield image


def enlarge(frame: np.ndarray) -> np.ndarray:
    """Return a copy of a frame (H, W, 3) uint8, a whole number of times as large if it is small.

    Below `READABLE_SIDE` pixels no text that can be read leaves room for the picture.
    """
    height, width = frame.shape[:2]
    times = -(-READABLE_SIDE // min(height, width))
    if times == 1:
        return frame.copy()
    size = (width * times, height * times)
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC))
