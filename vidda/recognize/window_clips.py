"""The frames of windows that slide over a long video, which is decoded in one pass."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from vidda.data.frame_sampling import FrameSamplingConfig, clip_rng
from vidda.data.transforms import ClipTransform, TransformConfig
from vidda.video import stream


def window_frames(spans: np.ndarray, sampling: FrameSamplingConfig) -> list[np.ndarray]:
    """Return the sampled frame numbers of each window, (K, T) int64.

    spans: (W, 2) int64, first frame of each window and the one after its last. sampling: picks the
    frames of a window.
    """
    return [
        first + sampling.pick(end - first, clip_rng(0, 0, f"{first}", "frames"))
        for first, end in spans.tolist()
    ]


def window_clips(
    path: Path, spans: np.ndarray, sampling: FrameSamplingConfig, transform: TransformConfig
) -> Iterator[torch.Tensor]:
    """Yield the clip of each window of a video, (V, C, T, H, W) for V views.

    path: of the video. spans: (W, 2) int64, first frame of each window and the one after its last.
    sampling: picks the frames of a window. transform: applied to them. The video is decoded once,
    and only frames that a window still needs are kept.
    """
    numbers = window_frames(spans, sampling)
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
