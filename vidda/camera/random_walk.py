"""Random walks with measured statistics, for the camera's path and its exposure over time.

A walk is described by its steps from frame to frame, (T - 1, C) for C channels: their mean (a pan,
a fade) and their standard deviation, which differ from clip to clip, and their autocorrelation,
which is estimated on all clips together.
"""

import numpy as np
from scipy.linalg import toeplitz

MAX_LAGS = 12
"""Most distances, in frames, of an autocorrelation."""


def mean_step(steps: np.ndarray) -> np.ndarray:
    """Return the mean (C,) of steps (N, C); zero where there are none."""
    return steps.mean(0) if len(steps) else np.zeros(steps.shape[1])


def step_deviation(steps: np.ndarray) -> np.ndarray:
    """Return the standard deviation (C,) of steps (N, C); zero where there are none."""
    return steps.std(0) if len(steps) else np.zeros(steps.shape[1])


def autocorrelation(walks: list[np.ndarray]) -> np.ndarray:
    """Return the autocorrelation (L, C) of the steps of several walks at distances 0, 1, ...

    walks: steps (N, C) of each. Each is taken about its own mean; longer and stronger ones count
    for more. Channels in which nothing moves get that of white noise.
    """
    channels = walks[0].shape[1]
    lags = max(1, min(MAX_LAGS, max(len(steps) for steps in walks)))
    products, counts = np.zeros((lags, channels)), np.zeros((lags, 1))
    for steps in walks:
        centered = steps - mean_step(steps)
        for lag in range(min(lags, len(steps))):
            products[lag] += (centered[lag:] * centered[: len(centered) - lag]).sum(0)
            counts[lag] += len(centered) - lag
    covariance = products / np.maximum(counts, 1.0)
    white = np.zeros_like(covariance)
    white[0] = 1.0
    still = covariance[0] < 1e-12
    return np.where(still, white, covariance / np.where(still, 1.0, covariance[0]))


def sample_walk(
    rng: np.random.Generator,
    frames: int,
    mean: np.ndarray,
    deviation: np.ndarray,
    correlation: np.ndarray,
) -> np.ndarray:
    """Return a random walk (T, C) of `frames` positions, centered at zero.

    mean, deviation: (C,) mean and standard deviation of its steps. correlation: (L, C) from
    `autocorrelation`. The steps have exactly this deviation, because its variation from clip to
    clip was measured too.
    """
    count = frames - 1
    noise = rng.standard_normal((count, len(mean)))
    steps = np.zeros_like(noise)
    for channel in range(len(mean)):
        row = np.zeros(count)
        known = min(count, len(correlation))
        row[:known] = correlation[:known, channel]
        # Cut off after L distances, the matrix need not be a covariance any more: nearest one.
        values, vectors = np.linalg.eigh(toeplitz(row))
        steps[:, channel] = vectors @ (np.sqrt(np.maximum(values, 0.0)) * noise[:, channel])
    steps -= steps.mean(0) if count else 0.0
    spread = steps.std(0) if count else np.ones(len(mean))
    steps = steps * (deviation / np.maximum(spread, 1e-12)) + mean
    path = np.concatenate([np.zeros((1, len(mean))), np.cumsum(steps, axis=0)])
    centered: np.ndarray = path - path.mean(0)
    return centered
