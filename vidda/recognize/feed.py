"""What one step is fed: a batch of the source, of the target, or one of each, in lockstep."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from vidda.data.loader import Batch, ClipLoader
from vidda.recognize.method import SourceBatch, TargetBatch


class Pair(NamedTuple):
    """A batch of the source and one of the target; either may be empty."""

    source: SourceBatch
    target: TargetBatch

    @property
    def clips(self) -> int:
        """Return how many clips the source has in it, or the target where there is no source."""
        return len(self.source.video) or len(self.target.video)

    def parts(self, count: int, device: torch.device) -> "list[Pair]":
        """Return the pair in at most `count` parts, on the device."""
        source = [tensor.to(device, non_blocking=True) for tensor in self.source]
        target = [tensor.to(device, non_blocking=True) for tensor in self.target]
        # An incomplete batch may have fewer clips of one domain; no part is without either.
        sizes = (len(self.source.video), len(self.target.video))
        count = min(count, *(size for size in sizes if size))
        sources = zip(*(tensor.tensor_split(count) for tensor in source), strict=True)
        targets = zip(*(tensor.tensor_split(count) for tensor in target), strict=True)
        return [
            Pair(SourceBatch(*s), TargetBatch(*t)) for s, t in zip(sources, targets, strict=True)
        ]


class Feed:
    """Pairs of batches, epoch by epoch; at least one of the two loaders is there.

    Where both are there, their orders give equally many batches, so both stand where the number of
    the step says.
    """

    def __init__(self, source: ClipLoader | None, target: ClipLoader | None = None) -> None:
        self.source = source
        self.target = target

    def epoch(self, number: int, start: int) -> Iterator[Pair | None]:
        """Yield the pairs of one epoch, without the first `start` ones.

        None stands in the place of a pair that lacks a batch, as none of its clips can be read.
        """
        loaders = [loader for loader in (self.source, self.target) if loader is not None]
        for batches in zip(*(loader.places(number, start) for loader in loaders), strict=True):
            readable = [batch for batch in batches if batch is not None]
            yield self._pair(readable) if len(readable) == len(loaders) else None

    def _pair(self, batches: list[Batch]) -> Pair:
        first, last = batches[0], batches[-1]
        if self.target is None:
            return Pair(SourceBatch(*first), TargetBatch(first.video[:0], first.number[:0]))
        target = TargetBatch(last.video, last.number)
        if self.source is None:
            return Pair(SourceBatch(last.video[:0], last.label[:0], last.number[:0]), target)
        return Pair(SourceBatch(*first), target)

    def ids(self, pair: Pair) -> list[str]:
        """Which clips a pair is of."""
        found = []
        for loader, part in ((self.source, pair.source), (self.target, pair.target)):
            if loader is not None:
                found += [loader.dataset.manifest.clips[n].id for n in part.number.tolist()]
        return found


def cycled(clips: int, count: int, *, seed: int, epoch: int) -> np.ndarray:
    """`count` items of a small set for one epoch of a larger one, (count,) int64.

    The set is gone through round after round, each in a new order, and an epoch goes on where the
    one before stopped. A clip that comes for the r-th time in an epoch is item number + r x clips,
    which `ClipDataset` draws anew (its `repeats` must be at least `rounds(clips, count)`).
    """
    first = epoch * count
    begin, end = first // clips, -(-(first + count) // clips)
    orders = [np.random.default_rng([seed, 1, r]).permutation(clips) for r in range(begin, end)]
    numbers = np.concatenate(orders)[first - begin * clips :][:count]
    seen = np.zeros(clips, np.int64)
    items = np.empty(count, np.int64)
    for place, number in enumerate(numbers):
        items[place] = number + seen[number] * clips
        seen[number] += 1
    return items


def rounds(clips: int, count: int) -> int:
    """Return how often a clip can come in an epoch of `cycled` at most."""
    return -(-count // clips) + 1
