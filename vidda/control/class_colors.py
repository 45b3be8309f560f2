"""The colors of classes in segmentation images: ADE20K's palette, as ControlNets read it."""

import csv
from collections.abc import Sequence
from functools import cache
from itertools import count
from pathlib import Path

import numpy as np

from vidda.files import resolve_builtin

Rgb = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

UNKNOWN = (0, 0, 0)
"""Rgb of a pixel without a class, which is none of the palette's."""


@cache
def ade20k_palette() -> dict[str, Rgb]:
    """Return the color of each of ADE20K's 150 classes (arXiv 1608.05442), by name, in order."""
    with resolve_builtin(Path("builtin:ade20k.csv")).open(encoding="utf-8", newline="") as file:
        return {
            row["name"]: (int(row["red"]), int(row["green"]), int(row["blue"]))
            for row in csv.DictReader(file)
        }


def class_colors(names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Return the colors of a model's classes, (N, 3) uint8 RGB, and the names unknown to ADE20K.

    names: of the classes; of several synonyms between commas the first counts, in letters of either
    case. Each other name gets a color of its own, which no class of ADE20K has.
    """
    palette = ade20k_palette()
    taken = {UNKNOWN, *palette.values()}
    free = (color for color in map(_spread_color, count()) if color not in taken)
    plain = [name.partition(",")[0].strip().casefold() for name in names]
    others = {name: next(free) for name in dict.fromkeys(plain) if name not in palette}
    colors = [palette.get(name) or others[name] for name in plain]
    foreign = [name for name, key in zip(names, plain, strict=True) if key in others]
    return np.array(colors, np.uint8).reshape(-1, 3), foreign


def _spread_color(number: int) -> Rgb:
    """Return a color for a number below 2**24; different numbers have different colors.

    As in PASCAL VOC's color map, the lowest bits of the number are the highest of the channels, so
    that neighbors differ much.
    """
    channels = [0, 0, 0]
    for bit in range(24):
        channels[bit % 3] |= (number >> bit & 1) << (7 - bit // 3)
    red, green, blue = channels
    return red, green, blue
