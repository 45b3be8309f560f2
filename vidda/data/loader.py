"""Batches of clips: in the same order and with the same frames whatever the number of workers."""

import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from vidda.data.dataset import Clip, ClipDataset
from vidda.video.errors import VideoError


class Batch(NamedTuple):
    """video: (B, C, T, H, W) float32, or (B, V, C, T, H, W). label, number: (B,) int64."""

    video: torch.Tensor
    label: torch.Tensor
    number: torch.Tensor


class BadClip(NamedTuple):
    """A clip that could not be read, on its way from a worker to the main process."""

    number: int
    error: str


class ClipLoader:
    """Batches of a dataset, epoch by epoch.

    batch_size: B; the last batch may be smaller, and any batch where clips are skipped. shuffle: a
    new order each epoch, from the dataset's seed. workers: processes that decode, 0 for this one.
    drop_last: leave out the clips after the last full batch. on_error: "error" raises VideoError at
    the first clip that cannot be read; "skip" leaves it out of its batch, says so once on standard
    error, and lists it in `skipped`.
    """

    def __init__(
        self,
        dataset: ClipDataset,
        batch_size: int,
        *,
        shuffle: bool,
        workers: int = 0,
        drop_last: bool = False,
        on_error: Literal["error", "skip"] = "error",
    ) -> None:
        self.dataset = dataset
        self.on_error = on_error
        # Clip id and what was wrong with it, over all epochs so far.
        self.skipped: dict[str, str] = {}
        self._loader = DataLoader(
            _Guarded(dataset),
            batch_size=batch_size,
            sampler=_Order(dataset, shuffle),
            num_workers=workers,
            drop_last=drop_last,
            collate_fn=_collate,
            worker_init_fn=_one_thread,
            persistent_workers=workers > 0,
            multiprocessing_context=worker_context() if workers else None,
        )

    def __len__(self) -> int:
        return len(self._loader)

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of one epoch; a batch of which no clip can be read is left out."""
        self.dataset.set_epoch(number)
        for batch, bad_clips in self._loader:
            for bad in bad_clips:
                self._meet(bad)
            if batch is not None:
                yield batch

    def _meet(self, bad: BadClip) -> None:
        if self.on_error == "error":
            raise VideoError(bad.error)
        clip_id = self.dataset.manifest.clips[bad.number].id
        if clip_id not in self.skipped:
            self.skipped[clip_id] = bad.error
            count = f"{len(self.skipped)} of {len(self.dataset)} clips so far"
            print(f"skipped clip {clip_id!r} ({count}): {bad.error}", file=sys.stderr, flush=True)


class _Guarded(Dataset[Clip | BadClip]):
    """Hands an unreadable clip on as a value: an error from a worker arrives as a traceback."""

    def __init__(self, dataset: ClipDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, number: int) -> Clip | BadClip:
        try:
            return self.dataset[number]
        except VideoError as error:
            return BadClip(number, str(error))


class _Order(Sampler[int]):
    """0..N-1, or a permutation that depends on the dataset's seed and epoch alone."""

    def __init__(self, dataset: ClipDataset, shuffle: bool) -> None:
        self.dataset = dataset
        self.shuffle = shuffle

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[int]:
        numbers = np.arange(len(self.dataset))
        if self.shuffle:
            rng = np.random.default_rng([self.dataset.seed, self.dataset.epoch])
            numbers = rng.permutation(numbers)
        return iter(numbers.tolist())


def _collate(items: Sequence[Clip | BadClip]) -> tuple[Batch | None, list[BadClip]]:
    good = [item for item in items if isinstance(item, Clip)]
    bad = [item for item in items if isinstance(item, BadClip)]
    if not good:
        return None, bad
    batch = Batch(
        torch.stack([clip.video for clip in good]),
        torch.tensor([clip.label for clip in good]),
        torch.tensor([clip.number for clip in good]),
    )
    return batch, bad


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(1)


def worker_context() -> multiprocessing.context.BaseContext:
    """Workers are forked from a clean server process, which imports torch once for all of them.

    A fork of this process could hang in what its libraries' threads held at that moment.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["vidda.data.loader"])
    return context
