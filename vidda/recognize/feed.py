"""The batches of a training step: of the source, of the target, or one of each."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from vidda.data.loader import ClipLoader
from vidda.recognize.method import SourceBatch, TargetBatch


class BatchPair(NamedTuple):
    """A batch of the source and one of the target; either may be empty, with B = 0."""

    source: SourceBatch
    target: TargetBatch

    @property
    def clips(self) -> int:
        """The number of source clips, or of target clips where there is no source."""
        return len(self.source.inputs) or len(self.target.inputs)

    def split(self, count: int, device: torch.device) -> "list[BatchPair]":
        """Return the pair in at most `count` pairs of about equal size, on the device."""
        source = [tensor.to(device, non_blocking=True) for tensor in self.source]
        target = [tensor.to(device, non_blocking=True) for tensor in self.target]
        # An incomplete batch may have fewer clips of one domain; no part is without either.
        sizes = (len(self.source.inputs), len(self.target.inputs))
        count = min(count, *(size for size in sizes if size))
        sources = zip(*(tensor.tensor_split(count) for tensor in source), strict=True)
        targets = zip(*(tensor.tensor_split(count) for tensor in target), strict=True)
        return [
            BatchPair(SourceBatch(*s), TargetBatch(*t))
            for s, t in zip(sources, targets, strict=True)
        ]


class Feed:
    """Pairs of batches, epoch by epoch, from one loader or from two in step.

    source, target: at least one of them. With two, their orders must give equally many batches.
    """

    def __init__(self, source: ClipLoader | None, target: ClipLoader | None = None) -> None:
        self.source = source
        self.target = target

    def epoch(self, number: int, start: int) -> Iterator[BatchPair | None]:
        """Yield the pairs of one epoch, without the first `start` ones.

        number: of the epoch, from 0. It yields None for a pair with a batch of which no clip can be
        read.
        """
        loaders = [loader for loader in (self.source, self.target) if loader is not None]
        for batches in zip(
            *(loader.batches_in_order(number, start) for loader in loaders), strict=True
        ):
            readable = [batch for batch in batches if batch is not None]
            yield self._pair(readable) if len(readable) == len(loaders) else None

    def _pair(self, batches: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]) -> BatchPair:
        inputs, labels, number = batches[0]
        if self.target is None:
            return BatchPair(
                SourceBatch(inputs, labels, number), TargetBatch(inputs[:0], number[:0])
            )
        target_inputs, _, target_number = batches[-1]
        target = TargetBatch(target_inputs, target_number)
        if self.source is None:
            return BatchPair(SourceBatch(inputs[:0], labels[:0], number[:0]), target)
        return BatchPair(SourceBatch(inputs, labels, number), target)

    def ids(self, pair: BatchPair) -> list[str]:
        """Return the ids of the clips of a pair."""
        found = []
        for loader, part in ((self.source, pair.source), (self.target, pair.target)):
            if loader is not None:
                found += [loader.dataset.manifest.clips[n].id for n in part.number.tolist()]
        return found


def cycle_items(clips: int, count: int, *, seed: int, epoch: int) -> np.ndarray:
    """Return `count` items of a small set for one epoch of a larger one, (count,) int64.

    The set is repeated, each time in a new order, and an epoch continues where the previous one
    ended. A clip that is drawn for the r-th time in an epoch is item number + r x clips, for which
    `ClipDataset` draws new frames (its `repeats` must be at least `max_repeats(clips, count)`).
    """
    first = epoch * count
    begin, end = first // clips, -(-(first + count) // clips)
    orders = [np.random.default_rng([seed, 1, r]).permutation(clips) for r in range(begin, end)]
    numbers = np.concatenate(orders)[first - begin * clips :][:count]
    repeat = np.zeros(clips, np.int64)
    items = np.empty(count, np.int64)
    for position, number in enumerate(numbers):
        items[position] = number + repeat[number] * clips
        repeat[number] += 1
    return items


def max_repeats(clips: int, count: int) -> int:
    """Return the largest number of times that a clip can be in an epoch of `cycle_items`.

    clips: size of the small set. count: items of the epoch.
    """
    return -(-count // clips) + 1
