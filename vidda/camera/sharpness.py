"""Blur: of the lens, from how steep the steepest edges are, and of movement, from the spectrum."""

from functools import lru_cache
from itertools import product

import cv2
import numpy as np
from scipy.special import erf

REBLUR_PX = 1.0
STRONGEST = 0.01
WEAKEST_SLOPE = 4.0
FRAMES_LOOKED_AT = 4
WIDEST_PX = 8.0
SEARCH_STEPS = 8
BAND = (0.08, 0.3)
NOISE_LEVEL = 1.0
SIGNAL = 30.0
PRIOR_SHUTTER = 0.5
PRIOR_WEIGHT = 20.0


def edge_blur(gray: np.ndarray) -> float | None:
    """Return standard deviation in pixels of the Gaussian blur that the sharpest edges have, or
    None.

    gray: (T, H, W) float32, 0..255. The gradient at a strong edge is compared with that after a
    further blur (Zhuo and Sim 2011, doi 10.1016/j.patcog.2011.03.009, equation 7); what the ratio
    means is read off drawn step edges, because a pixel is no small thing here. Only the strongest
    hundredth of the pixels counts, and of it the median: weaker edges are soft in the scene itself,
    or texture. None without any edge.
    """
    picked = gray[np.unique(np.linspace(0, len(gray) - 1, FRAMES_LOOKED_AT).round().astype(int))]
    ratios = np.concatenate([_steepness(frame) for frame in picked])
    if not len(ratios):
        return None
    blurs, ratio_of = _curve()
    return float(np.interp(-np.median(ratios), -ratio_of, blurs))


def missing_blur(gray: np.ndarray, wanted: float) -> float:
    """Return the further Gaussian blur in pixels after which `edge_blur` is `wanted`; 0 if it is
    already.

    gray: (T, H, W) float32, 0..255. Found by bisection.
    """
    present = edge_blur(gray)
    if present is None or present >= wanted:
        return 0.0
    low, high = 0.0, 2.0 * wanted
    for _ in range(SEARCH_STEPS):
        middle = (low + high) / 2.0
        after = edge_blur(blurred(gray, middle))
        if after is None or after > wanted:
            high = middle
        else:
            low = middle
    return (low + high) / 2.0


def blurred(frames: np.ndarray, deviation: float) -> np.ndarray:
    """Return frames (T, H, W) or (T, H, W, C) float32 after a Gaussian blur of
    `deviation` pixels.
    """
    if deviation < 0.05:
        return frames
    return np.stack(
        [cv2.GaussianBlur(f, (0, 0), deviation, borderType=cv2.BORDER_REFLECT_101) for f in frames]
    )


def shutter_sums(gray: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """What one clip tells of the shutter: (2,) sums to add up over clips, for `shutter`.

    gray: (T, H, W) float32; steps: (T - 1, 3) the camera's, in pixels. A smear by s v attenuates
    the power at frequency w by exp(-(s w.v)^2 / 12) to first order. The same scene in frames of
    different speed v gives s^2 by linear regression of the log power on the exponent, whatever the
    scene's own spectrum is. Frequencies count by how far they stand out of the noise.
    """
    if len(gray) < 3:
        return np.zeros(2)
    speed = np.concatenate([steps[:1], (steps[1:] + steps[:-1]) / 2.0, steps[-1:]])
    height, width = gray.shape[1:]
    across, down = np.meshgrid(np.fft.rfftfreq(width), np.fft.fftfreq(height))
    radius = np.hypot(across, down)
    band = (radius > BAND[0]) & (radius < BAND[1])
    window = np.hanning(height)[:, None] * np.hanning(width)[None, :]
    spectrum = np.fft.rfft2((gray - gray.mean((1, 2), keepdims=True)) * window)[:, band]
    power = np.abs(spectrum) ** 2
    noise = (window**2).sum() * NOISE_LEVEL**2
    typical = power.mean(0)
    weight = (typical / (typical + SIGNAL * noise)) ** 2
    power = np.log(power + noise)
    turned = 2.0 * np.pi * (speed[:, :1] * across[band] + speed[:, 1:2] * down[band])
    exponent = -(turned**2) / 12.0
    for values in (power, exponent):
        values -= values.mean(0)
        # What is alike in all directions is focus or light, not movement.
        values -= (values @ weight / max(weight.sum(), 1e-9))[:, None]
    return np.array([(weight * exponent * power).sum(), (weight * exponent * exponent).sum()])


def shutter(sums: np.ndarray) -> float:
    """Share 0..1 of the time between frames that the shutter is open, from summed `shutter_sums`.

    Some dozens of clips tell it. Few, or such in which nothing moves, leave what is usual, a half.
    """
    explained, total = sums + PRIOR_WEIGHT * np.array([PRIOR_SHUTTER**2, 1.0])
    return float(np.sqrt(np.clip(explained / total, 0.0, 1.0)))


def _steepness(frame: np.ndarray) -> np.ndarray:
    """Ratio of the gradients before and after a further blur, at the strongest edges."""
    before, after = _slope(frame), _slope(cv2.GaussianBlur(frame, (0, 0), REBLUR_PX))
    margin = min(4, min(frame.shape) // 8)
    inside = np.s_[margin : frame.shape[0] - margin, margin : frame.shape[1] - margin]
    before, after = before[inside].ravel(), after[inside].ravel()
    strong = after >= max(np.quantile(after, 1.0 - STRONGEST), WEAKEST_SLOPE)
    ratio: np.ndarray = before[strong] / after[strong]
    return ratio


def _slope(frame: np.ndarray) -> np.ndarray:
    """Gray levels a pixel."""
    return np.hypot(cv2.Sobel(frame, cv2.CV_32F, 1, 0), cv2.Sobel(frame, cv2.CV_32F, 0, 1)) / 8.0


@lru_cache(maxsize=1)
def _curve() -> tuple[np.ndarray, np.ndarray]:
    """Blurs in pixels and the ratio that drawn step edges of that blur have, falling."""
    down, across = np.mgrid[:96, :96] - 47.5
    blurs = np.geomspace(0.15, WIDEST_PX, 24)
    ratios = []
    for deviation in blurs:
        at = []
        for angle, phase in product(np.linspace(0.0, np.pi / 4.0, 5), (0.0, 0.25, 0.5)):
            away = across * np.cos(angle) + down * np.sin(angle) + phase
            edge = 100.0 * (1.0 + erf(away / (np.sqrt(2.0) * deviation)))
            at.append(_steepness(edge.astype(np.float32)))
        ratios.append(np.median(np.concatenate(at)))
    return blurs, np.minimum.accumulate(np.array(ratios))
