"""The colors of the miniature's training images, none of which the `real` domain has.

Colors are reflectances in linear light. The real domain's colors are read from
`vidda.mini.appearance`, and tests check that they differ.
"""

import cv2
import numpy as np

from vidda.mini import appearance

FARTHEST_ALIKE = 14.0
"""Smallest Delta E (CIELAB) by which a ground's mean color differs from all real ones."""

REAL_TINT = (0.9, 1.1)
"""The factors by which the real domain tints its grounds, a channel; see `appearance.place`."""

REAL_VIVIDNESS = 2.6
"""The real domain's clothes are a gray times 0.5 to 1.3 a channel; see `appearance._pattern`."""

GROUNDS = {
    "snow": ((0.74, 0.8, 0.88), (0.6, 0.68, 0.8)),
    "clay": ((0.42, 0.11, 0.05), (0.32, 0.08, 0.04)),
    "brick": ((0.34, 0.07, 0.04), (0.24, 0.05, 0.03)),
    "court": ((0.05, 0.12, 0.42), (0.07, 0.18, 0.52)),
    "turf": ((0.02, 0.3, 0.06), (0.03, 0.38, 0.1)),
    "sand": ((0.68, 0.36, 0.1), (0.55, 0.28, 0.07)),
    "wood": ((0.36, 0.14, 0.03), (0.26, 0.09, 0.02)),
    "teal": ((0.04, 0.3, 0.3), (0.05, 0.42, 0.4)),
    "violet": ((0.34, 0.12, 0.36), (0.24, 0.08, 0.28)),
    "slate": ((0.022, 0.024, 0.035), (0.035, 0.038, 0.055)),
    "straw": ((0.66, 0.5, 0.06), (0.54, 0.38, 0.04)),
    "lime": ((0.34, 0.56, 0.05), (0.24, 0.44, 0.04)),
    "water": ((0.12, 0.44, 0.6), (0.2, 0.56, 0.7)),
    "marble": ((0.8, 0.77, 0.72), (0.68, 0.65, 0.6)),
    "rose": ((0.6, 0.26, 0.3), (0.5, 0.2, 0.24)),
}
"""Grounds by name, each with its two colors."""

HUES = {
    "red": (1.0, 0.08, 0.06),
    "orange": (1.0, 0.34, 0.04),
    "yellow": (1.0, 0.74, 0.05),
    "green": (0.08, 0.8, 0.16),
    "teal": (0.06, 0.75, 0.7),
    "blue": (0.06, 0.2, 1.0),
    "purple": (0.5, 0.08, 0.9),
    "pink": (1.0, 0.22, 0.55),
    "brown": (0.5, 0.17, 0.06),
}
"""Hues of clothes at full brightness; each is more vivid than any of the real domain's."""


def lab(color: np.ndarray) -> np.ndarray:
    """Return linear-light colors (..., 3) in CIELAB, (..., 3)."""
    linear = np.clip(np.asarray(color, np.float32), 0.0, 1.0)
    coded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    flat = coded.reshape(1, -1, 3).astype(np.float32)
    return cv2.cvtColor(flat, cv2.COLOR_RGB2Lab).reshape(linear.shape)


def distance_to_real(ground: np.ndarray) -> float:
    """Return the Delta E from a ground's mean color (3,) to the nearest of the real domain.

    The real ones are all tinted mixtures of the pairs in `appearance.REAL_GROUNDS`.
    """
    return float(np.linalg.norm(_REAL_GROUNDS - lab(ground), axis=1).min())


def vividness(color: np.ndarray) -> float:
    """Return a color's (3,) largest channel divided by its smallest; brightness cancels out."""
    return float(np.max(color) / np.min(color))


def _real_grounds() -> np.ndarray:
    share = np.linspace(0.0, 1.0, 9)[:, None]
    mixtures = [
        share * np.array(first) + (1.0 - share) * np.array(second)
        for first, second in appearance.REAL_GROUNDS
    ]
    levels = np.linspace(*REAL_TINT, 5)
    tints = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 1, 3)
    return lab((np.concatenate(mixtures)[None] * tints).reshape(-1, 3))


_REAL_GROUNDS = _real_grounds()
