"""The order of training clips: a function of the seed and the epoch, so that nothing is saved."""

from collections.abc import Sequence

import numpy as np


def epoch_order(
    labels: Sequence[np.ndarray],
    weights: Sequence[float] | None,
    *,
    balanced: bool,
    seed: int,
    epoch: int,
) -> np.ndarray:
    """Return the clip numbers of one epoch, (N,) int64, with N the clips of all sources.

    labels: of each source's clips, (N_i,); clips are numbered through the sources in turn. weights:
    each source's share of the epoch, or None for each clip once. balanced: draw every class of a
    source equally often. A clip is repeated only after all others of its source (and class) were
    drawn.
    """
    rng = np.random.default_rng([seed, epoch])
    sizes = [len(source) for source in labels]
    total = sum(sizes)
    shares = sizes if weights is None else _split_proportionally(weights, total)
    starts = np.cumsum([0, *sizes[:-1]])
    drawn = [
        start + _draw(source, share, balanced, rng)
        for start, source, share in zip(starts, labels, shares, strict=True)
    ]
    return rng.permutation(np.concatenate(drawn))


def _split_proportionally(weights: Sequence[float], total: int) -> list[int]:
    """Return whole numbers in proportion to the weights that sum to `total`."""
    edges = np.rint(np.cumsum([0.0, *weights]) / sum(weights) * total).astype(int)
    return np.diff(edges).tolist()


def _draw(labels: np.ndarray, count: int, balanced: bool, rng: np.random.Generator) -> np.ndarray:
    """Return `count` clip numbers of one source."""
    if not balanced:
        return _cycle(np.arange(len(labels)), count, rng)
    classes = rng.permutation(np.unique(labels))
    shares = _split_proportionally([1.0] * len(classes), count)
    pools = [np.flatnonzero(labels == label) for label in classes]
    return np.concatenate([_cycle(p, n, rng) for p, n in zip(pools, shares, strict=True)])


def _cycle(pool: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return `count` elements of a pool in random order, each as often as any other, or
    once more.
    """
    rounds = -(-count // len(pool))
    return np.concatenate([rng.permutation(pool) for _ in range(rounds)])[:count]
