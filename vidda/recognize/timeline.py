"""Predictions in a window that slides over a long video."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from scipy.special import softmax
from torch import nn

from vidda.device import Precision
from vidda.progress import track
from vidda.recognize.infer import infer_batch
from vidda.video import probe


@dataclass(frozen=True, slots=True)
class Timeline:
    """The predictions for each of W windows of a video.

    spans: (W, 2) int64, first frame of each window and the one after its last. fps: frames per
    second. probabilities: (W, K), of each class.
    """

    spans: np.ndarray
    fps: float
    probabilities: np.ndarray


def sliding_windows(frames: int, length: int, step: int) -> np.ndarray:
    """Return windows of `length` frames every `step` frames, (W, 2) int64: first frame, and the one
    after the last.

    frames: of the video. The last window ends with the video; a video shorter than `length` is one
    window.
    """
    length = min(length, frames)
    starts = list(range(0, frames - length + 1, step))
    if starts[-1] + length < frames:
        starts.append(frames - length)
    return np.array(starts)[:, None] + [0, length]


def predict_windows(
    model: nn.Module,
    path: Path,
    spans: np.ndarray,
    clips: Iterator[torch.Tensor],
    device: torch.device,
    precision: Precision,
    batch_size: int,
) -> Timeline:
    """Return a model's predictions for the windows of a video, and show the progress.

    path: of the video. spans: (W, 2) int64, first frame of each window and the one after its last.
    clips: views of each window, (V, ...), see `ClipInput.windows`. batch_size: windows in a forward
    pass.
    """
    model.eval()
    tracked = track(clips, label=path.name, total=len(spans), unit="windows")
    logits = [
        infer_batch(model, torch.stack(batch), device, precision).logits
        for batch in _batched(tracked, batch_size)
    ]
    return Timeline(spans, probe(path).fps, softmax(torch.cat(logits).numpy(), axis=1))


def _batched(clips: Iterable[torch.Tensor], size: int) -> Iterator[list[torch.Tensor]]:
    """Yield lists of `size` clips, the last one perhaps shorter, like Python 3.12's
    itertools.batched.
    """
    iterator = iter(clips)
    while batch := list(islice(iterator, size)):
        yield batch
