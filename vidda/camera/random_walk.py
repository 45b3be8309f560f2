"""Random walks that wander as measured ones do: the camera's path, and its exposure over time.

A walk is told by its steps from frame to frame, (T - 1, C) for C channels. Their mean is the trend
(a pan, a fade), what remains about it is the unsteadiness. How strong both are differs from clip to
clip; how one step follows from those before it, the memory, is taken from all clips together.
"""

import numpy as np
from scipy.linalg import toeplitz

LAGS = 12


def trend(steps: np.ndarray) -> np.ndarray:
    """Return the mean step (C,) of steps (N, C); zero where there is none."""
    return steps.mean(0) if len(steps) else np.zeros(steps.shape[1])


def unsteadiness(steps: np.ndarray) -> np.ndarray:
    """Root mean square (C,) of the steps (N, C) about their mean; zero where there is none."""
    return steps.std(0) if len(steps) else np.zeros(steps.shape[1])


def memory(walks: list[np.ndarray]) -> np.ndarray:
    """Autocorrelation (L, C) of the steps at distances 0, 1, ... of several walks together.

    walks: steps (N, C) of each. Each is taken about its own mean; longer and stronger ones count
    for more. White noise's, where nothing moves.
    """
    channels = walks[0].shape[1]
    lags = max(1, min(LAGS, max(len(steps) for steps in walks)))
    products, counts = np.zeros((lags, channels)), np.zeros((lags, 1))
    for steps in walks:
        about = steps - trend(steps)
        for lag in range(min(lags, len(steps))):
            products[lag] += (about[lag:] * about[: len(about) - lag]).sum(0)
            counts[lag] += len(about) - lag
    covariance = products / np.maximum(counts, 1.0)
    white = np.zeros_like(covariance)
    white[0] = 1.0
    still = covariance[0] < 1e-12
    return np.where(still, white, covariance / np.where(still, 1.0, covariance[0]))


def sample(
    rng: np.random.Generator,
    frames: int,
    trend: np.ndarray,
    unsteadiness: np.ndarray,
    memory: np.ndarray,
) -> np.ndarray:
    """Return a walk (T, C) of `frames` places about zero with the given trend, unsteadiness and
    memory.

    trend, unsteadiness: (C,) as measured, memory: (L, C). The steps' root mean square is exactly
    what was asked for, because how much it differs from clip to clip was measured too.
    """
    count = frames - 1
    fresh = rng.standard_normal((count, len(trend)))
    steps = np.zeros_like(fresh)
    for channel in range(len(trend)):
        correlation = np.zeros(count)
        known = min(count, len(memory))
        correlation[:known] = memory[:known, channel]
        # Cut off after L distances, the matrix need not be a covariance any more: nearest one.
        values, vectors = np.linalg.eigh(toeplitz(correlation))
        steps[:, channel] = vectors @ (np.sqrt(np.maximum(values, 0.0)) * fresh[:, channel])
    steps -= steps.mean(0) if count else 0.0
    spread = steps.std(0) if count else np.ones(len(trend))
    steps = steps * (unsteadiness / np.maximum(spread, 1e-12)) + trend
    path = np.concatenate([np.zeros((1, len(trend))), np.cumsum(steps, axis=0)])
    centered: np.ndarray = path - path.mean(0)
    return centered
