"""Exposure, white balance and sensor noise, in CIELAB: L* of 0..100, a* and b* of about -100..100.

L* is close to a camera's coding of brightness and a*, b* carry its color, so that exposure,
contrast and white balance are shifts and scalings of the channels (Reinhard et al. 2001, doi
10.1109/38.946629), and codecs treat L* and color separately as well.
"""

import cv2
import numpy as np

FLAT_SHARE = 0.4
"""Share of the pixels, those with the lowest gradients, on which noise is measured."""
STRETCH_LIMITS = (0.5, 2.0)
"""Limits of the scaling of a channel."""
VIVID_QUANTILE = 0.99
"""The quantile of a clip's chroma that is its saturation."""
MIN_NOISE = 0.02
"""Standard deviation of L* below which a clip has no measurable grain."""
FINEST_GRAIN_PX = 0.25
"""Grain below which noise counts as white, in pixels."""
COARSEST_GRAIN_PX = 2.0
"""Largest grain, in pixels."""


def to_lab(frames: np.ndarray) -> np.ndarray:
    """Return RGB frames (T, H, W, 3) in 0..255, uint8 or float32, as CIELAB of the same shape,
    float32.
    """
    lab = np.empty(frames.shape, np.float32)  # filled in place: a clip of floats is large
    for one, frame in zip(lab, frames, strict=True):
        one[:] = cv2.cvtColor(_unit_range(frame), cv2.COLOR_RGB2Lab)
    return lab


def to_rgb(lab: np.ndarray) -> np.ndarray:
    """Return CIELAB frames as uint8 RGB, (T, H, W, 3); colors outside RGB are clipped.

    lab: (T, H, W, 3) float32, L* in 0..100.
    """
    return np.stack([_rgb(frame) for frame in lab])


def _rgb(frame: np.ndarray) -> np.ndarray:
    inside = frame.copy()
    inside[..., 0] = np.clip(inside[..., 0], 0.0, 100.0)
    rgb = cv2.cvtColor(inside, cv2.COLOR_Lab2RGB)
    return np.rint(255.0 * np.clip(rgb, 0.0, 1.0)).astype(np.uint8)


def _unit_range(frame: np.ndarray) -> np.ndarray:
    """Return a frame in 0..255 as float32 in 0..1."""
    return np.clip(frame.astype(np.float32) / 255.0, 0.0, 1.0)


def mean_and_spread(clip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation (C,) of the channels of a clip (T, H, W, C) float32."""
    mean, spread = cv2.meanStdDev(clip.reshape(-1, *clip.shape[2:]))
    return mean[:, 0], spread[:, 0]


def match_color(
    lab: np.ndarray, mean: np.ndarray, spread: np.ndarray, strength: float
) -> np.ndarray:
    """Return a CIELAB clip (T, H, W, 3) float32 moved toward a mean and spread of its channels.

    lab: (T, H, W, 3) float32. mean, spread: (3,) wanted mean and standard deviation, in CIELAB
    units. strength: share 0..1 of the change. A channel is scaled within STRETCH_LIMITS, so that a
    clip without contrast gets none.
    """
    own_mean, own_spread = mean_and_spread(lab)
    stretch = np.clip(spread / np.maximum(own_spread, 1e-3), *STRETCH_LIMITS) ** strength
    middle = own_mean + strength * (mean - own_mean)
    matched = lab * stretch.astype(np.float32)
    matched += (middle - own_mean * stretch).astype(np.float32)
    return matched


def chroma(lab: np.ndarray) -> np.ndarray:
    """Return the chroma (...) of CIELAB colors (..., 3): their distance from gray."""
    found: np.ndarray = np.hypot(lab[..., 1], lab[..., 2])
    return found


def limit_chroma(lab: np.ndarray, most: float, strength: float) -> np.ndarray:
    """Return a CIELAB clip (T, H, W, 3) float32 whose more vivid colors have a chroma of `most`.

    Their hue and L* stay. most: in CIELAB units. strength: share 0..1 of the change.
    """
    present = chroma(lab)
    limited = lab.copy()
    share = strength * (np.minimum(present, most) / np.maximum(present, 1e-3) - 1.0)
    limited[..., 1:] *= 1.0 + share[..., None]
    return limited


def light_steps(residuals: np.ndarray) -> np.ndarray:
    """Return the change of exposure and color from frame to frame, (T - 1, 3) in CIELAB units.

    residuals: (T - 1, H, W, 3) each frame minus the previous one, aligned. Outliers, such as a
    moving person, do not count in the mean; a median would only give whole gray levels.
    """
    changes = []
    for difference in residuals.reshape(len(residuals), -1, 3):
        middle = _medians(difference)
        away = np.abs(difference - middle)
        kept = away <= 3.0 * np.maximum(1.4826 * _medians(away), 0.4)
        changes.append((difference * kept).sum(0) / np.maximum(kept.sum(0), 1))
    return np.array(changes).reshape(-1, 3)


def estimate_noise(
    lab: np.ndarray, residuals: np.ndarray, smoothing: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return the standard deviation (3,) of the noise in CIELAB units, and its grain in pixels.

    lab: (P, H, W, 3) the first frames of P pairs; residuals: (P, H, W, 3) the second minus the
    first, aligned; smoothing: (P,) share of white noise's variance that aligning left. The noise is
    the median absolute difference over time at the flattest FLAT_SHARE of the pixels, without
    texture, edges and people. grain: standard deviation of the Gaussian filter that gives white
    noise the measured correlation of neighbors in L*; 0 for white noise.
    """
    deviations_by_pair, correlations = [], []
    for first, difference, remaining in zip(lab, residuals, smoothing, strict=True):
        smooth = cv2.GaussianBlur(first[..., 0], (0, 0), 1.5)
        slope = np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
        flat = slope <= np.quantile(slope, FLAT_SHARE)
        deviation = _robust_deviation(difference[flat])
        deviations_by_pair.append(deviation / np.sqrt(1.0 + remaining))
        correlations.append(_neighbor_correlation(difference[..., 0], flat, float(deviation[0])))
    deviations = np.median(deviations_by_pair, axis=0)
    if deviations[0] < MIN_NOISE:
        return deviations, 0.0
    correlation = float(np.clip(np.median(correlations), 1e-3, 0.95))
    # Gaussian-filtered white noise has neighbors' correlation exp(-1 / 4 grain^2).
    grain = 0.5 / np.sqrt(-np.log(correlation))
    return deviations, 0.0 if grain < FINEST_GRAIN_PX else float(min(grain, COARSEST_GRAIN_PX))


def add_noise(
    rng: np.random.Generator, lab: np.ndarray, deviation: np.ndarray, grain: float
) -> np.ndarray:
    """Return a CIELAB clip (T, H, W, 3) float32 with new Gaussian noise added.

    lab: (T, H, W, 3) float32. deviation: (3,) standard deviation of the noise, in CIELAB units.
    grain: its correlation length in pixels, 0: white.
    """
    noise = rng.standard_normal(lab.shape, np.float32)
    if grain > 0.0:
        for frame in noise:
            filtered = cv2.GaussianBlur(frame, (0, 0), grain)
            frame[:] = filtered / mean_and_spread(filtered[None])[1].astype(np.float32)
    noise *= deviation.astype(np.float32)
    noise += lab
    return noise


def _robust_deviation(values: np.ndarray) -> np.ndarray:
    """Return the standard deviation (C,) of values (N, C) as 1.4826 x median absolute deviation."""
    return 1.4826 * _medians(np.abs(values - _medians(values)))


def _medians(values: np.ndarray) -> np.ndarray:
    """Return the medians (C,) of the columns of an array (N, C)."""
    columns = np.ascontiguousarray(values.T)
    return np.array([median(column) for column in columns], values.dtype)


def median(values: np.ndarray) -> float:
    """Return the median of values (N,), of which there is at least one.

    NumPy's own takes several times as long: it also works along axes and looks for NaN.
    """
    high = len(values) // 2
    low = (len(values) - 1) // 2
    parted = np.partition(values, [low, high])
    return 0.5 * (float(parted[low]) + float(parted[high]))


def _neighbor_correlation(difference: np.ndarray, flat: np.ndarray, deviation: float) -> float:
    """Return the correlation of flat pixels' differences with their right and lower neighbors'."""
    centered = difference - np.median(difference[flat])
    calm = flat & (np.abs(centered) < 4.0 * deviation)
    horizontal, vertical = calm[:, 1:] & calm[:, :-1], calm[1:] & calm[:-1]
    products = np.concatenate(
        [(centered[:, 1:] * centered[:, :-1])[horizontal], (centered[1:] * centered[:-1])[vertical]]
    )
    power = float((centered[calm] ** 2).sum()) / max(int(calm.sum()), 1)
    return float(products.mean()) / power if len(products) and power > 0.0 else 0.0
