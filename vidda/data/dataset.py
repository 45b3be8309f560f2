"""Torch Datasets of a manifest's clips."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from vidda.data.frame_cache import FrameCache
from vidda.data.frame_sampling import FrameSamplingConfig, clip_rng
from vidda.data.transforms import ClipTransform, TransformConfig
from vidda.files import inside
from vidda.shared_memory import share
from vidda.types import ClipRecord, Manifest
from vidda.video import probe, read

UNLABELED = -1


class Clip(NamedTuple):
    """One item of a dataset of clips.

    video: of a `ClipDataset` (C, T, H, W) float32, or (V, C, T, H, W) where V > 1 views are taken;
    other datasets have another shape of a view. label: 0..K-1, or
    -1 where it is unknown. number: index of the clip in the manifest, from 0.
    """

    video: torch.Tensor
    label: int
    number: int


class Batch(NamedTuple):
    """One batch of a dataset of clips.

    video: of a `ClipDataset` (B, C, T, H, W) float32, or (B, V, C, T, H, W) with V views. label:
    (B,) int64, -1 where unknown. number: (B,) int64 index of each clip in the manifest.
    """

    video: torch.Tensor
    label: torch.Tensor
    number: torch.Tensor


class DrawnClips(Dataset[Clip], ABC):
    """A dataset of a manifest's clips, the same for the same seed, epoch and clip id.

    seed: with the epoch and the clip's id it decides all that is random. repeats: item n + r N is
    clip n for the r-th time in an epoch, sampled anew (repeated augmentation, arXiv 1901.09335).

    A plain `torch.utils.data.DataLoader` makes batches of it: a `Clip` whose fields are tensors, as
    in `Batch`. Indexing raises VideoError where a clip cannot be read, which `ClipLoader` has a
    policy for, and IndexError beyond the last item.
    """

    def __init__(self, manifest: Manifest, *, seed: int, repeats: int) -> None:
        self.manifest = manifest
        self.seed = seed
        self.repeats = repeats
        # In shared memory: a worker that survives an epoch has to know the next one's number.
        self._epoch = share(torch.zeros((), dtype=torch.int64))

    @abstractmethod
    def views(self, number: int, draw: int) -> torch.Tensor:
        """Return the views of a clip, (V, ...).

        number: of the clip. draw: counts the times that it is sampled, over all epochs; with `seed`
        and the clip's id it decides all that is random, see `clip_rng`.
        """

    def __len__(self) -> int:
        return len(self.manifest)

    @property
    def epoch(self) -> int:
        """The current epoch, which `set_epoch` sets."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which decides frames and crops, in this process and all workers."""
        self._epoch.fill_(epoch)

    def __getitem__(self, item: int) -> Clip:
        if not 0 <= item < len(self) * self.repeats:
            raise IndexError(f"item {item} not in 0..{len(self) * self.repeats - 1}")
        repeat, number = divmod(item, len(self))
        views = self.views(number, self.epoch * self.repeats + repeat)
        label = self.manifest.clips[number].label
        known = UNLABELED if label is None else label
        return Clip(views[0] if len(views) == 1 else views, known, number)

    @staticmethod
    def stack(clips: Sequence[Clip]) -> Batch:
        """Return clips as one batch."""
        return Batch(
            torch.stack([clip.video for clip in clips]),
            torch.tensor([clip.label for clip in clips]),
            torch.tensor([clip.number for clip in clips]),
        )


class ClipDataset(DrawnClips):
    """The frames of a manifest's clips.

    manifest, seed, repeats: see `DrawnClips`. sampling: picks the frames of each clip. transform:
    applied to these.
    cache: a folder for decoded frames, or None. Of clips sampled at random it keeps every frame, at
    3 H W bytes each (12 MB for 250 frames of 128 x 128), of others only the sampled ones.
    checked: whether the files passed verification, see `vidda.video.read`.
    """

    def __init__(
        self,
        manifest: Manifest,
        sampling: FrameSamplingConfig,
        transform: TransformConfig,
        *,
        seed: int = 0,
        cache: Path | str | None = None,
        checked: bool = False,
        repeats: int = 1,
    ) -> None:
        super().__init__(manifest, seed=seed, repeats=repeats)
        self.sampling = sampling
        self.transform = ClipTransform(transform)
        self.cache = None if cache is None else FrameCache(cache)
        self.checked = checked

    def views(self, number: int, draw: int) -> torch.Tensor:
        clip = self.manifest.clips[number]
        windows = self._frames(clip, clip_rng(self.seed, draw, clip.id, "frames"))
        rng = clip_rng(self.seed, draw, clip.id, "transform")
        return torch.cat([self.transform(window, rng) for window in windows])

    def _frames(self, clip: ClipRecord, rng: np.random.Generator) -> np.ndarray:
        """Return the frames of each window, (K, T, H, W, 3) uint8."""
        path = inside(self.manifest.root, clip.path)
        size = self.transform.config.read_size

        def read_sampled() -> np.ndarray:
            numbers = self.sampling.pick(probe(path).frames, rng)
            frames = read(path, numbers.ravel(), size, checked=self.checked)
            return frames.reshape(*numbers.shape, *frames.shape[1:])

        if self.cache is None:
            return read_sampled()
        if self.sampling.random:
            every = self.cache.frames(path, size, "all", lambda: read(path, None, size))
            return every[self.sampling.pick(len(every), rng)]
        recipe = hashlib.sha256(self.sampling.model_dump_json().encode()).hexdigest()[:16]
        return self.cache.frames(path, size, recipe, read_sampled)
