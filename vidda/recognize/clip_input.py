"""The input of a recognizer: how videos become its batches; of most recognizers it is frames."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch

from vidda.data.dataset import ClipDataset, DrawnClips
from vidda.data.frame_sampling import FrameSamplingConfig, clip_rng
from vidda.data.transforms import NORMALIZATIONS, ClipTransform, TransformConfig
from vidda.files import inside
from vidda.mini.clip import FACTORS, RenderedClip, render
from vidda.mini.layout import Sizes, plans
from vidda.recognize.window_clips import window_clips
from vidda.types import ClipRecord, Manifest
from vidda.video import resize

Use = Literal["source", "target", "test"]
"""Use of clips: labeled training clips, unlabeled training clips, or clips as in testing."""

OnError = Literal["error", "skip"]


class ClipInput(Protocol):
    """Makes a recognizer's inputs of videos; `RecognizerConfig.clip_input` returns it.

    name: of the input, in an exported file. pixels: whether the inputs are frames, so that
    augmentations of pixels apply, and testing waits for videos to be decoded.
    """

    name: str
    pixels: bool

    def shape(self, sampling: FrameSamplingConfig, transform: TransformConfig) -> tuple[int, ...]:
        """Return the shape of one view of a clip."""
        ...

    def dataset(
        self,
        manifest: Manifest,
        sampling: FrameSamplingConfig,
        transform: TransformConfig,
        *,
        use: Use = "test",
        seed: int = 0,
        cache: Path | None = None,
        repeats: int = 1,
        on_error: OnError = "error",
    ) -> DrawnClips:
        """Return a manifest's clips as inputs.

        sampling, transform: for this use. seed, repeats: see `DrawnClips`. cache: folder for what
        is computed once per clip. on_error: "error" raises ViddaError already here, where possible,
        for a clip that cannot be read; "skip" leaves it to indexing.
        """
        ...

    def windows(
        self,
        clip: ClipRecord,
        root: Path,
        spans: np.ndarray,
        sampling: FrameSamplingConfig,
        transform: TransformConfig,
    ) -> Iterator[torch.Tensor]:
        """Yield the views (V, ...) of each window of a video.

        clip, root: the video, and its manifest's root.
        spans: (W, 2) int64, first frame of each window and the one after its last.
        """
        ...

    def of_frames(
        self,
        frames: np.ndarray,
        name: str,
        sampling: FrameSamplingConfig,
        transform: TransformConfig,
    ) -> torch.Tensor:
        """Return the views (V, ...) of a clip of frames (T, H, W, 3) uint8 RGB. name: its id."""
        ...

    def example(self, sampling: FrameSamplingConfig, transform: TransformConfig) -> torch.Tensor:
        """Return the views (V, ...) of a rendered clip of MiniRoCoG."""
        ...

    def facts(self, transform: TransformConfig) -> dict[str, Any]:
        """Return what a program needs to know to prepare the inputs, as JSON values by name."""
        ...


class FrameInput:
    """Clips as sampled, transformed frames: a view is (C, T, H, W) float32."""

    name = "video"
    pixels = True

    def shape(self, sampling: FrameSamplingConfig, transform: TransformConfig) -> tuple[int, ...]:
        return 3, sampling.frames, transform.size, transform.size

    def dataset(
        self,
        manifest: Manifest,
        sampling: FrameSamplingConfig,
        transform: TransformConfig,
        *,
        use: Use = "test",
        seed: int = 0,
        cache: Path | None = None,
        repeats: int = 1,
        on_error: OnError = "error",
    ) -> ClipDataset:
        return ClipDataset(manifest, sampling, transform, seed=seed, cache=cache, repeats=repeats)

    def windows(
        self,
        clip: ClipRecord,
        root: Path,
        spans: np.ndarray,
        sampling: FrameSamplingConfig,
        transform: TransformConfig,
    ) -> Iterator[torch.Tensor]:
        return window_clips(inside(root, clip.path), spans, sampling, transform)

    def of_frames(
        self,
        frames: np.ndarray,
        name: str,
        sampling: FrameSamplingConfig,
        transform: TransformConfig,
    ) -> torch.Tensor:
        numbers = sampling.pick(len(frames), clip_rng(0, 0, name, "frames"))
        make, rng = ClipTransform(transform), clip_rng(0, 0, name, "transform")
        windows = [resize(frames[window], transform.read_size) for window in numbers]
        return torch.cat([make(window, rng) for window in windows])

    def example(self, sampling: FrameSamplingConfig, transform: TransformConfig) -> torch.Tensor:
        frames = rendered_example(max(64, transform.size)).frames
        return self.of_frames(frames, "rendered", sampling, transform)

    def facts(self, transform: TransformConfig) -> dict[str, Any]:
        mean, deviation = NORMALIZATIONS[transform.normalize]
        return {
            "layout": "batch, RGB channel, frame, row, column; (value / 255 - mean) / deviation",
            "mean": mean,
            "deviation": deviation,
            "transform": transform.model_dump(mode="json"),
        }


def rendered_example(size: int) -> RenderedClip:
    """Return a rendered clip of MiniRoCoG, 16 frames of `size` x `size` pixels."""
    scene = plans(0, Sizes(1, 1, 1, 1), FACTORS)[-1].scene
    return render(scene, 16, 8.0, size)
