"""In which order clips are trained on: a function of the seed and the epoch, nothing to save."""

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
    """Return the clips of one epoch, as many as the sources hold together: (N,) int64.

    labels: of each source's clips; clips are numbered through the sources in turn. weights: what
    share of the epoch each source gets, None for each clip once. balanced: every class of a source
    equally often. A clip comes again only after all others of its source (and class) have come.
    """
    rng = np.random.default_rng([seed, epoch])
    sizes = [len(source) for source in labels]
    total = sum(sizes)
    shares = sizes if weights is None else _shares(weights, total)
    starts = np.cumsum([0, *sizes[:-1]])
    drawn = [
        start + _draw(source, share, balanced, rng)
        for start, source, share in zip(starts, labels, shares, strict=True)
    ]
    return rng.permutation(np.concatenate(drawn))


def _shares(weights: Sequence[float], total: int) -> list[int]:
    """Whole numbers in proportion to the weights that sum up to `total`."""
    edges = np.rint(np.cumsum([0.0, *weights]) / sum(weights) * total).astype(int)
    return np.diff(edges).tolist()


def _draw(labels: np.ndarray, count: int, balanced: bool, rng: np.random.Generator) -> np.ndarray:
    """`count` clip numbers of one source."""
    if not balanced:
        return _cycled(np.arange(len(labels)), count, rng)
    classes = rng.permutation(np.unique(labels))
    shares = _shares([1.0] * len(classes), count)
    pools = [np.flatnonzero(labels == label) for label in classes]
    return np.concatenate([_cycled(p, n, rng) for p, n in zip(pools, shares, strict=True)])


def _cycled(pool: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` of a pool, each once before any comes again."""
    rounds = -(-count // len(pool))
    return np.concatenate([rng.permutation(pool) for _ in range(rounds)])[:count]
