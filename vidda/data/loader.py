"""Batches of clips, in the same order and with the same frames for any number of workers."""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from vidda.data.dataset import ClipDataset
from vidda.errors import ViddaError
from vidda.shared_memory import share, shortage_message
from vidda.types import Manifest
from vidda.video.video_error import VideoError
from vidda.workers import WorkerForkServerContext, start_worker

Order = Callable[[int], np.ndarray]
"""Maps an epoch's number to the clip numbers (N,) of that epoch, in order."""


def shuffled_order(dataset: ClipDataset) -> Order:
    """Return the order of every clip once, shuffled anew each epoch by the dataset's seed."""
    return lambda epoch: np.random.default_rng([dataset.seed, epoch]).permutation(len(dataset))


B_co = TypeVar("B_co", bound=tuple[torch.Tensor, torch.Tensor, torch.Tensor], covariant=True)
"""A batch: what the model takes, the labels (B,) and the clips' numbers (B,), of B clips."""


class BatchedDataset(Protocol[B_co]):
    """A dataset of a manifest's clips, whole or as something computed from them.

    Item n is of clip n, a value that can be pickled; see `ClipDataset`.
    """

    manifest: Manifest

    def __len__(self) -> int: ...

    def __getitem__(self, item: int) -> Any: ...

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which decides what is random, in this process and all workers."""

    @staticmethod
    def stack(items: Sequence[Any], /) -> B_co:
        """Return items as one batch."""
        ...


class BadClip(NamedTuple):
    """A clip that could not be read, as a worker sends it to the main process.

    number: its index in the manifest; -1 where the error is no clip's. error: the message.
    clip_fault: whether the fault is the clip's, so that a batch may be made without it.
    """

    number: int
    error: str
    clip_fault: bool = True


KILLED = "DataLoader worker (pid"
"""Start of torch's error about a worker that has died."""


class ClipLoader(Generic[B_co]):
    """A loader of a dataset's batches, epoch by epoch.

    batch_size: B; the last batch may be smaller, and any batch where clips are skipped.
    order: the clip numbers of each epoch, by default all in the manifest's order; see
    `shuffled_order`.
    workers: processes that decode; 0 decodes in this process.
    on_error: "error" raises VideoError at the first clip that cannot be read; "skip" leaves it out
    of its batch, reports it once on standard error, and lists it in `skipped`.
    """

    def __init__(
        self,
        dataset: BatchedDataset[B_co],
        batch_size: int,
        *,
        order: Order | None = None,
        workers: int = 0,
        on_error: Literal["error", "skip"] = "error",
    ) -> None:
        self.dataset = dataset
        self.on_error = on_error
        # Clip id and what was wrong with it, over all epochs so far.
        self.skipped: dict[str, str] = {}
        self._order = order or (lambda epoch: np.arange(len(dataset)))
        self._sampler = _Numbers(batch_size)
        self._loader = DataLoader(
            _Guarded(dataset),
            batch_sampler=self._sampler,
            num_workers=workers,
            collate_fn=partial(_collate, dataset.stack),
            worker_init_fn=_start,
            persistent_workers=workers > 0,
            multiprocessing_context=worker_context() if workers else None,
        )

    def epoch(self, number: int) -> Iterator[B_co]:
        """Return an iterator over the batches of one epoch, without those of unreadable clips only.

        number: of the epoch, from 0. Raises VideoError where on_error is "error".
        """
        return (batch for batch in self.batches_in_order(number) if batch is not None)

    def batches_in_order(self, number: int, start: int = 0) -> Iterator[B_co | None]:
        """Yield every batch of one epoch, None for a batch of which no clip can be read.

        number: of the epoch, from 0. start: how many batches to skip unread, as a resumed run does.
        """
        self.dataset.set_epoch(number)
        self._sampler.numbers = self._order(number)[start * self._sampler.batch_size :]
        for batch, bad_clips in self._batches():
            for bad in bad_clips:
                self._report(bad)
            yield batch

    def _batches(self) -> Iterator[tuple[B_co | None, list[BadClip]]]:
        try:
            yield from self._loader
        except RuntimeError as error:
            if "shared memory" in str(error):
                raise ViddaError(shortage_message(error)) from None
            if not str(error).startswith(KILLED):
                raise
            raise ViddaError(
                "a process that reads clips was killed, perhaps for lack of memory"
                f" ({str(error).splitlines()[0]}); the same command with --resume continues; take"
                " fewer workers if it happens again"
            ) from None

    def _report(self, bad: BadClip) -> None:
        if not bad.clip_fault:
            raise ViddaError(bad.error)
        if self.on_error == "error":
            raise VideoError(bad.error)
        clip_id = self.dataset.manifest.clips[bad.number].id
        if clip_id not in self.skipped:
            self.skipped[clip_id] = bad.error
            count = f"{len(self.skipped)} of {len(self.dataset)} clips so far"
            print(f"skipped clip {clip_id!r} ({count}): {bad.error}", file=sys.stderr, flush=True)


class _Guarded(Dataset[Any]):
    """A dataset that returns an unreadable clip as a value: a worker's error has a traceback."""

    def __init__(self, dataset: BatchedDataset[Any]) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, number: int) -> Any:
        try:
            return self.dataset[number]
        except ViddaError as error:
            return BadClip(number, str(error), clip_fault=isinstance(error, VideoError))


class _Numbers(Sampler[list[int]]):
    """A sampler of clip numbers in batches; `numbers` is set before each epoch."""

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self.numbers = np.empty(0, np.int64)

    def __len__(self) -> int:
        return -(-len(self.numbers) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        for at in range(0, len(self.numbers), self.batch_size):
            yield self.numbers[at : at + self.batch_size].tolist()


def _collate(
    stack: Callable[[Sequence[Any]], B_co], items: Sequence[Any]
) -> tuple[B_co | None, list[BadClip]]:
    good = [item for item in items if not isinstance(item, BadClip)]
    bad = [item for item in items if isinstance(item, BadClip)]
    if not good:
        return None, bad
    batch = stack(good)
    if get_worker_info() is not None:
        # Else torch does it in a thread, whose error is lost: the main process would wait for ever.
        try:
            for tensor in batch:
                share(tensor)
        except ViddaError as error:
            return None, [BadClip(-1, str(error), clip_fault=False)]
    return batch, bad


def _start(worker: int) -> None:
    start_worker()


def worker_context() -> WorkerForkServerContext:
    """Return the context that forks workers from a server process, which imports torch once.

    A fork of this process could hang on a lock that a thread of a library holds at that moment.
    """
    context = WorkerForkServerContext()
    context.set_forkserver_preload(["vidda.data.loader"])
    return context
