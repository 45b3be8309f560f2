"""Blur: of the lens, from the steepness of the sharpest edges, and of movement, from the
spectrum.
"""

from functools import lru_cache
from itertools import product

import cv2
import numpy as np
from scipy.special import erf

REBLUR_PX = 1.0
"""Standard deviation in pixels of the further blur that edges are compared with."""
STRONG_EDGE_SHARE = 0.01
"""Share of the pixels, those with the strongest gradients, that count as edges."""
MIN_SLOPE = 4.0
"""Lowest gradient of an edge after the further blur, in gray levels per pixel."""
SAMPLED_FRAMES = 4
"""Most frames of a clip on which edges are measured."""
WIDEST_PX = 8.0
"""Largest blur of the rendered edges, in pixels."""
SEARCH_STEPS = 8
"""Steps of the bisection."""
BAND = (0.08, 0.3)
"""Frequencies for estimating the shutter, in cycles per pixel."""
NOISE_LEVEL = 1.0
"""Assumed standard deviation of the noise, in gray levels."""
SIGNAL_TO_NOISE = 30.0
"""Power, as a multiple of the noise's, at which a frequency gets a quarter of the full weight."""
PRIOR_SHUTTER = 0.5
"""Usual share of the time that a shutter is open."""
PRIOR_WEIGHT = 20.0
"""Weight of the usual share, beside the clips' sums."""


def edge_blur(gray: np.ndarray) -> float | None:
    """Return the standard deviation in pixels of the Gaussian blur of the sharpest edges.

    gray: (T, H, W) float32, 0..255. The gradient at a strong edge is compared with that after a
    further blur (Zhuo and Sim 2011, doi 10.1016/j.patcog.2011.03.009, equation 7); the blur of a
    ratio is read off rendered step edges, because the size of a pixel matters here. Only the
    strongest hundredth of the pixels counts, and of it the median: weaker edges are soft in the
    scene itself, or texture. None without any edge.
    """
    ratios = np.concatenate([_gradient_ratios(frame) for frame in _sampled(gray)])
    if not len(ratios):
        return None
    blurs, ratio_of = _blur_curve()
    return float(np.interp(-np.median(ratios), -ratio_of, blurs))


def missing_blur(gray: np.ndarray, wanted: float) -> float:
    """Return the Gaussian blur in pixels that must be added for an `edge_blur` of `wanted` pixels.

    gray: (T, H, W) float32, 0..255. Returns 0 where the blur is enough already. Found by bisection.
    """
    gray = _sampled(gray)
    present = edge_blur(gray)
    if present is None or present >= wanted:
        return 0.0
    low, high = 0.0, 2.0 * wanted
    for _ in range(SEARCH_STEPS):
        middle = (low + high) / 2.0
        after = edge_blur(blur_frames(gray, middle))
        if after is None or after > wanted:
            high = middle
        else:
            low = middle
    return (low + high) / 2.0


def blur_frames(frames: np.ndarray, deviation: float) -> np.ndarray:
    """Return frames (T, H, W) or (T, H, W, C) float32 after a Gaussian blur.

    deviation: its standard deviation in pixels.
    """
    if deviation < 0.05:
        return frames
    return np.stack(
        [cv2.GaussianBlur(f, (0, 0), deviation, borderType=cv2.BORDER_REFLECT_101) for f in frames]
    )


def shutter_sums(gray: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return one clip's sums (2,) for estimating the shutter, to add up over clips for
    `shutter_share`.

    gray: (T, H, W) float32; steps: (T - 1, 3) the camera's, in pixels. A smear by s v attenuates
    the power at frequency w by exp(-(s w.v)^2 / 12) to first order. The same scene in frames of
    different speed v gives s^2 by linear regression of the log power on the exponent, whatever the
    scene's own spectrum is. Frequencies are weighted by their signal over the noise.
    """
    if len(gray) < 3:
        return np.zeros(2)
    speed = np.concatenate([steps[:1], (steps[1:] + steps[:-1]) / 2.0, steps[-1:]])
    height, width = gray.shape[1:]
    horizontal, vertical = np.meshgrid(np.fft.rfftfreq(width), np.fft.fftfreq(height))
    radius = np.hypot(horizontal, vertical)
    band = (radius > BAND[0]) & (radius < BAND[1])
    window = np.hanning(height)[:, None] * np.hanning(width)[None, :]
    spectrum = np.fft.rfft2((gray - gray.mean((1, 2), keepdims=True)) * window)[:, band]
    power = np.abs(spectrum) ** 2
    noise = (window**2).sum() * NOISE_LEVEL**2
    typical = power.mean(0)
    weight = (typical / (typical + SIGNAL_TO_NOISE * noise)) ** 2
    power = np.log(power + noise)
    phase = 2.0 * np.pi * (speed[:, :1] * horizontal[band] + speed[:, 1:2] * vertical[band])
    exponent = -(phase**2) / 12.0
    for values in (power, exponent):
        values -= values.mean(0)
        # A change that is the same in all directions is focus or light, not movement.
        values -= (values @ weight / max(weight.sum(), 1e-9))[:, None]
    return np.array([(weight * exponent * power).sum(), (weight * exponent * exponent).sum()])


def shutter_share(sums: np.ndarray) -> float:
    """Return the share 0..1 of the time between frames that the shutter is open.

    sums: (2,) the clips' `shutter_sums`, added up. Some dozens of clips determine it; with few
    clips, or clips in which nothing moves, it stays near the usual half.
    """
    explained, total = sums + PRIOR_WEIGHT * np.array([PRIOR_SHUTTER**2, 1.0])
    return float(np.sqrt(np.clip(explained / total, 0.0, 1.0)))


def _sampled(gray: np.ndarray) -> np.ndarray:
    """Return the frames of a clip (T, H, W) on which edges are measured; of those, all."""
    return gray[np.unique(np.linspace(0, len(gray) - 1, SAMPLED_FRAMES).round().astype(int))]


def _gradient_ratios(frame: np.ndarray) -> np.ndarray:
    """Return the ratios (N,) of the gradients before and after a further blur, at the strongest
    edges.
    """
    before, after = (
        _gradient_magnitude(frame),
        _gradient_magnitude(cv2.GaussianBlur(frame, (0, 0), REBLUR_PX)),
    )
    margin = min(4, min(frame.shape) // 8)
    inside = np.s_[margin : frame.shape[0] - margin, margin : frame.shape[1] - margin]
    before, after = before[inside].ravel(), after[inside].ravel()
    strong = after >= max(np.quantile(after, 1.0 - STRONG_EDGE_SHARE), MIN_SLOPE)
    ratio: np.ndarray = before[strong] / after[strong]
    return ratio


def _gradient_magnitude(frame: np.ndarray) -> np.ndarray:
    """Return the gradient's magnitude in gray levels per pixel."""
    return np.hypot(cv2.Sobel(frame, cv2.CV_32F, 1, 0), cv2.Sobel(frame, cv2.CV_32F, 0, 1)) / 8.0


@lru_cache(maxsize=1)
def _blur_curve() -> tuple[np.ndarray, np.ndarray]:
    """Return blurs in pixels, and the gradient ratio of rendered step edges with that blur,
    decreasing.
    """
    down, across = np.mgrid[:96, :96] - 47.5
    blurs = np.geomspace(0.15, WIDEST_PX, 24)
    ratios = []
    for deviation in blurs:
        ratios_at_blur = []
        for angle, phase in product(np.linspace(0.0, np.pi / 4.0, 5), (0.0, 0.25, 0.5)):
            distance = across * np.cos(angle) + down * np.sin(angle) + phase
            edge = 100.0 * (1.0 + erf(distance / (np.sqrt(2.0) * deviation)))
            ratios_at_blur.append(_gradient_ratios(edge.astype(np.float32)))
        ratios.append(np.median(np.concatenate(ratios_at_blur)))
    return blurs, np.minimum.accumulate(np.array(ratios))
