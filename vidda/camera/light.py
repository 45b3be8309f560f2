"""Exposure, white balance and sensor noise, in CIELAB: L* of 0..100, a* and b* of about -100..100.

L* is close to how a camera codes brightness and a*, b* carry its color, so that exposure, contrast
and white balance are shifts and stretches of the channels (Reinhard et al. 2001, doi
10.1109/38.946629), and codecs treat L* and color apart just as well.
"""

import cv2
import numpy as np

FLATTEST = 0.4
STRETCH = (0.5, 2.0)
STATIC_NOISE = 0.02
FINEST_GRAIN_PX = 0.25
COARSEST_GRAIN_PX = 2.0


def to_lab(frames: np.ndarray) -> np.ndarray:
    """(T, H, W, 3) float32 CIELAB of RGB frames in 0..255, uint8 or float32."""
    lab = np.empty(frames.shape, np.float32)  # no list beside it: a clip of floats is large
    for one, frame in zip(lab, frames, strict=True):
        one[:] = cv2.cvtColor(_unit(frame), cv2.COLOR_RGB2Lab)
    return lab


def to_rgb(lab: np.ndarray) -> np.ndarray:
    """(T, H, W, 3) uint8 RGB of CIELAB frames; what lies outside RGB is clipped."""
    return np.stack([_rgb(frame) for frame in lab])


def _rgb(frame: np.ndarray) -> np.ndarray:
    inside = frame.copy()
    inside[..., 0] = np.clip(inside[..., 0], 0.0, 100.0)
    rgb = cv2.cvtColor(inside, cv2.COLOR_Lab2RGB)
    return np.rint(255.0 * np.clip(rgb, 0.0, 1.0)).astype(np.uint8)


def _unit(frame: np.ndarray) -> np.ndarray:
    return np.clip(frame.astype(np.float32) / 255.0, 0.0, 1.0)


def matched(lab: np.ndarray, mean: np.ndarray, spread: np.ndarray, strength: float) -> np.ndarray:
    """Return a clip (T, H, W, 3) brought to a mean and spread (3,) of the channels, by `strength`
    0..1.

    A channel is stretched by STRETCH at most: what has no contrast gets none.
    """
    own_mean, own_spread = lab.mean((0, 1, 2)), lab.std((0, 1, 2))
    stretch = np.clip(spread / np.maximum(own_spread, 1e-3), *STRETCH) ** strength
    middle = own_mean + strength * (mean - own_mean)
    brought = np.empty(lab.shape, np.float32)
    for one, frame in zip(brought, lab, strict=True):
        one[:] = (frame - own_mean) * stretch + middle
    return brought


def light_steps(residuals: np.ndarray) -> np.ndarray:
    """How exposure and color change from frame to frame: (T - 1, 3) CIELAB.

    residuals: (T - 1, H, W, 3) each frame less the one before, aligned. The mean of what is not an
    outlier: a person who moves does not count, and a median would only give whole gray levels.
    """
    found = []
    for difference in residuals.reshape(len(residuals), -1, 3):
        middle = np.median(difference, axis=0)
        width = 3.0 * np.maximum(_deviation(difference), 0.4)
        kept = np.abs(difference - middle) <= width
        found.append((difference * kept).sum(0) / np.maximum(kept.sum(0), 1))
    return np.array(found).reshape(-1, 3)


def noise(
    lab: np.ndarray, residuals: np.ndarray, smoothing: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return standard deviation (3,) of the noise in CIELAB units, and its grain in pixels.

    lab: (P, H, W, 3) the first frames of P pairs; residuals: (P, H, W, 3) the second less the
    first, aligned; smoothing: (P,) share of white noise's variance that aligning left. Median
    absolute differences over time, at the flattest FLATTEST of the pixels: texture, edges and
    people do not count. grain: standard deviation of the Gaussian that gives white noise the
    correlation of neighbors found in L*; 0 for white noise.
    """
    found, alike = [], []
    for before, difference, left in zip(lab, residuals, smoothing, strict=True):
        soft = cv2.GaussianBlur(before[..., 0], (0, 0), 1.5)
        slope = np.hypot(cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1))
        flat = slope <= np.quantile(slope, FLATTEST)
        deviation = _deviation(difference[flat])
        found.append(deviation / np.sqrt(1.0 + left))
        alike.append(_neighbors(difference[..., 0], flat, float(deviation[0])))
    deviations = np.median(found, axis=0)
    if deviations[0] < STATIC_NOISE:
        return deviations, 0.0
    correlation = float(np.clip(np.median(alike), 1e-3, 0.95))
    # Gaussian-filtered white noise has neighbors' correlation exp(-1 / 4 grain^2).
    grain = 0.5 / np.sqrt(-np.log(correlation))
    return deviations, 0.0 if grain < FINEST_GRAIN_PX else float(min(grain, COARSEST_GRAIN_PX))


def with_noise(
    rng: np.random.Generator, lab: np.ndarray, deviation: np.ndarray, grain: float
) -> np.ndarray:
    """Return a clip (T, H, W, 3) with fresh Gaussian noise of a deviation (3,) and
    grain in pixels.
    """
    fresh = rng.standard_normal(lab.shape, np.float32)
    if grain > 0.0:
        for frame in fresh:
            frame[:] = cv2.GaussianBlur(frame, (0, 0), grain)
        fresh /= fresh.std((1, 2), keepdims=True)
    fresh *= deviation.astype(np.float32)
    fresh += lab
    return fresh


def _deviation(values: np.ndarray) -> np.ndarray:
    """Robust standard deviation (C,) of (N, C) values: 1.4826 x median absolute deviation."""
    spread: np.ndarray = 1.4826 * np.median(np.abs(values - np.median(values, axis=0)), axis=0)
    return spread


def _neighbors(difference: np.ndarray, flat: np.ndarray, deviation: float) -> float:
    """Correlation of a flat pixel's difference with its right and lower neighbors'."""
    about = difference - np.median(difference[flat])
    calm = flat & (np.abs(about) < 4.0 * deviation)
    across, down = calm[:, 1:] & calm[:, :-1], calm[1:] & calm[:-1]
    products = np.concatenate(
        [(about[:, 1:] * about[:, :-1])[across], (about[1:] * about[:-1])[down]]
    )
    power = float((about[calm] ** 2).sum()) / max(int(calm.sum()), 1)
    return float(products.mean()) / power if len(products) and power > 0.0 else 0.0
