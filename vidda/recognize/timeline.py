"""Predictions in a window that slides over a long video, which is decoded in one pass."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from scipy.special import softmax
from torch import nn

from vidda.data.frame_sampling import FrameSamplingConfig, clip_rng
from vidda.data.transforms import ClipTransform, TransformConfig
from vidda.device import Precision
from vidda.progress import track
from vidda.recognize.infer import infer_batch
from vidda.video import probe, stream


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


def window_clips(
    path: Path, spans: np.ndarray, sampling: FrameSamplingConfig, transform: TransformConfig
) -> Iterator[torch.Tensor]:
    """Yield the clip of each window of a video, (V, C, T, H, W) for V views.

    path: of the video. spans: (W, 2) int64, first frame of each window and the one after its last.
    sampling: picks the frames of a window. transform: applied to them. The video is decoded once,
    and only frames that a window still needs are kept.
    """
    numbers = [
        first + sampling.pick(end - first, clip_rng(0, 0, f"{first}", "frames"))
        for first, end in spans.tolist()
    ]
    last_use = {int(n): w for w, wanted in enumerate(numbers) for n in np.unique(wanted)}
    make = ClipTransform(transform)
    kept: dict[int, np.ndarray] = {}
    window = 0
    for number, frame in enumerate(stream(path, transform.read_size)):
        if number in last_use:
            kept[number] = frame
        while window < len(spans) and number >= numbers[window].max():
            rng = clip_rng(0, 0, f"{spans[window, 0]}", "transform")
            views = [make(np.stack([kept[n] for n in ns]), rng) for ns in numbers[window].tolist()]
            yield torch.cat(views)
            kept = {n: frame for n, frame in kept.items() if last_use[n] > window}
            window += 1
        if window == len(spans):
            break


def predict_windows(
    model: nn.Module,
    path: Path,
    spans: np.ndarray,
    sampling: FrameSamplingConfig,
    transform: TransformConfig,
    device: torch.device,
    precision: Precision,
    batch_size: int,
) -> Timeline:
    """Return a model's predictions for the windows of a video, and show the progress.

    path: of the video. spans: (W, 2) int64, first frame of each window and the one after its last.
    sampling: picks the frames of a window. transform: applied to them. batch_size: windows in a
    forward pass.
    """
    model.eval()
    clips = window_clips(path, spans, sampling, transform)
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
