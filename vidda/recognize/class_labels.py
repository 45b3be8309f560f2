"""The most likely classes of a frame, drawn into its lower left corner."""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

TOP_CLASSES = 3
"""Most classes that are drawn; fewer where the picture has no room for them."""
WHITE, TRACK, BAR = (255, 255, 255), (96, 96, 96), (46, 160, 67)
SMALLEST_TEXT = 14
"""Height of text in pixels below which it is hard to read."""
TEXT_SHARE = 30
"""The shorter side of the picture is this many times as long as the text is high."""
BACKGROUND = 0.25
"""Brightness that is left of the picture behind the text, so that white stands out on anything."""


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


class ClassLabels:
    """Draws classes and probabilities into frames of one size.

    The box is as wide as the longest name needs, so that it stays in place from frame to frame;
    names that are wider than the picture are broken into several lines.

    height, width: of the frames, in pixels. classes: K names.
    """

    def __init__(self, height: int, width: int, classes: Sequence[str]) -> None:
        self.height, self.width = height, width
        size = max(SMALLEST_TEXT, min(height, width) // TEXT_SHARE)
        self.font = _font(size)
        self.line = size + size // 2
        self.pad = size // 2
        self.bar = max(3, size // 5)
        self.name_left = self.pad + self._length("100%  ")
        room = width - self.name_left - self.pad
        self.lines = [self._broken(name, room) for name in classes]
        longest = max(self._length(line) for lines in self.lines for line in lines)
        self.box_width = min(width, max(self.name_left + longest + self.pad, width // 2))

    def draw(self, frame: np.ndarray, probabilities: np.ndarray) -> None:
        """Draw the most likely classes, the first on top, into a frame (H, W, 3) uint8, in place.

        probabilities: (K,), 0 to 1.
        """
        chosen = self._chosen(probabilities)
        tall = min(self.height, self.pad + sum(self._row_height(label) for label in chosen))
        corner = frame[self.height - tall :, : self.box_width]
        image = Image.fromarray((corner * BACKGROUND).astype(np.uint8))
        pen, top = ImageDraw.Draw(image), self.pad // 2
        for label in chosen:
            self._draw_row(pen, top, label, float(probabilities[label]))
            top += self._row_height(label)
        corner[:] = np.asarray(image)

    def _chosen(self, probabilities: np.ndarray) -> list[int]:
        """Return the most likely classes, as many as the picture has room for, at least one."""
        best = np.argsort(-probabilities, kind="stable")[:TOP_CLASSES].tolist()
        heights = np.cumsum([self._row_height(label) for label in best]) + self.pad
        return best[: max(1, int((heights <= self.height).sum()))]

    def _row_height(self, label: int) -> int:
        return len(self.lines[label]) * self.line + self.bar + self.pad // 2

    def _draw_row(self, pen: ImageDraw.ImageDraw, top: int, label: int, share: float) -> None:
        """Draw the probability, the name beside it and a bar below both."""
        pen.text((self.pad, top), f"{share:.0%}", WHITE, self.font)
        for number, line in enumerate(self.lines[label]):
            pen.text((self.name_left, top + number * self.line), line, WHITE, self.font)
        left, bottom = self.pad, top + len(self.lines[label]) * self.line
        full = self.box_width - 2 * self.pad
        for color, wide in ((TRACK, full), (BAR, round(full * share))):
            if wide > 0:
                pen.rectangle((left, bottom, left + wide - 1, bottom + self.bar - 1), color)

    def _broken(self, name: str, room: int) -> list[str]:
        """Return the lines of a name that are no wider than `room`, broken after a space, `_` or
        `-` where possible.
        """
        lines, rest = [], name
        while rest and self._length(rest) > room:
            fits = next((n for n in range(len(rest), 1, -1) if self._length(rest[:n]) <= room), 1)
            ends = [n for n in range(1, fits + 1) if rest[n - 1] in " _-"]
            cut = ends[-1] if ends else fits
            lines.append(rest[:cut].rstrip())
            rest = rest[cut:]
        return [*lines, rest] if rest or not lines else lines

    def _length(self, text: str) -> int:
        return math.ceil(self.font.getlength(text))
