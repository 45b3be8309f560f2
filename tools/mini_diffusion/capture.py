"""Light and camera of the miniature's training images, outside the real domain's ranges.

There is no shake and no compression, and sensor noise and sun stay outside the ranges of
`vidda.mini.capture.draw_lens` and `vidda.mini.appearance.draw_sun`.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np

from vidda.mini.capture import Lens
from vidda.mini.raster import Sun

REAL_ELEVATION_DEG = (28.0, 75.0)
REAL_STRENGTH = (0.15, 0.9)
REAL_FOCUS = (0.3, 0.9)
"""Blur in pixels, in images of 112 pixels."""
REAL_GAIN = (0.57, 1.75)
"""Factor of a channel: exposure times white balance."""
REAL_HAZE = 0.15
REAL_READ = (0.004, 0.015)

PERFECT = Lens(
    path=np.zeros((0, 3)),
    smear=np.zeros((0, 2)),
    shutter_s=0.0,
    focus=0.0,
    detail=1.0,
    gain=np.ones(3),
    contrast=1.0,
    haze=0.0,
    shot=0.0,
    read=0.0,
    jpeg=0,
    crf=18,
)


@dataclass(frozen=True)
class Taken:
    """A lens, the caption's words for its effect, and whether the image quality is poor."""

    lens: Lens
    words: tuple[str, ...]
    poor: bool


def perfect(frames: int) -> Lens:
    """Return a lens without any effect, for so many frames."""
    return dataclasses.replace(PERFECT, path=np.zeros((frames, 3)), smear=np.zeros((frames, 2)))


def draw_lens(rng: np.random.Generator, frames: int, size: int) -> Taken:
    """Return a random lens: mostly without any effect, else with one strong effect (`KINDS`).

    frames: their number. size: pixels a side.
    """
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    changes: dict[str, object] = {}
    if kind == "blurred":
        changes["focus"] = rng.uniform(1.1, 2.0) * size / 112
    elif kind == "dark":
        changes["gain"] = np.full(3, 2.0 ** -rng.uniform(0.85, 1.6))
    elif kind == "bright":
        changes["gain"] = np.full(3, 2.0 ** rng.uniform(0.85, 1.2))
    elif kind == "foggy":
        changes["haze"] = rng.uniform(0.25, 0.5)
    elif kind == "grainy":
        changes["read"] = rng.uniform(0.02, 0.035)
    elif kind == "lowres":
        changes["detail"] = rng.uniform(0.25, 0.4)
    words = () if kind == "clean" else (kind,)
    poor = kind in ("blurred", "grainy", "lowres")
    return Taken(dataclasses.replace(perfect(frames), **changes), words, poor)  # type: ignore[arg-type]


KINDS = {
    "clean": 0.68,
    "blurred": 0.08,
    "dark": 0.06,
    "bright": 0.06,
    "foggy": 0.04,
    "grainy": 0.04,
    "lowres": 0.04,
}
"""Effects of the camera, with their probabilities."""


def draw_sun(rng: np.random.Generator) -> tuple[Sun, str]:
    """Return random light and its word: a sun lower or higher than the real one, or overcast."""
    kind = str(rng.choice(["evening", "noon", "overcast", "cold"]))
    if kind == "overcast":
        elevation, strength = rng.uniform(30.0, 80.0), rng.uniform(0.02, 0.13)
    elif kind == "noon":
        elevation, strength = rng.uniform(76.0, 88.0), rng.uniform(0.4, 0.95)
    else:
        elevation, strength = rng.uniform(17.0, 27.0), rng.uniform(0.3, 0.85)
    warm = {"evening": (1.2, 0.95, 0.7), "cold": (0.85, 1.0, 1.2)}.get(kind, (1.0, 1.0, 1.0))
    high, round_ = np.radians(elevation), rng.uniform(0.0, 2.0 * np.pi)
    flat = np.cos(high)
    return Sun(
        direction=np.array([flat * np.sin(round_), flat * np.cos(round_), np.sin(high)]),
        color=strength * np.array(warm),
        sky=(1.0 - 0.7 * strength) * np.array([0.96, 1.0, 1.06]),
        softness_m=float(rng.uniform(0.02, 0.12)),
        depth=float(rng.uniform(0.5, 1.0)),
    ), kind
