"""Small charts as inline SVG, without script or font; colors are of the page's style sheet."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

WIDTH, HEIGHT = 360, 210
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 22, 36
COLOR_CLASSES = ("s0", "s1", "s2", "s3", "s4", "s5")
DASH_CLASSES = ("", "d1", "d2")
"""Classes of the style sheet, for colors and for dashes."""


@dataclass(frozen=True, slots=True)
class ChartLine:
    """One line of a chart.

    points: (x, y) in the units of the axes. kind: a class of the style sheet that colors it. mark:
    index of a point to mark, or None.
    """

    points: Sequence[tuple[float, float]]
    kind: str
    mark: int | None = None


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return about `about` evenly spaced round numbers that cover low to high. low < high."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1.0, 2.0, 2.5, 5.0, 10.0) if power * m >= rough)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def line_chart(
    lines: Sequence[ChartLine],
    *,
    x: str,
    y: str,
    title: str,
    limits: tuple[float, float] | None = None,
) -> Markup:
    """Return a chart of lines over a common x axis, which starts at 0.

    x, y: names of the axes. title: text for screen readers. limits: of y; None fits the lines.
    """
    xs = [point[0] for line in lines for point in line.points]
    ys = [point[1] for line in lines for point in line.points]
    x_ticks = ticks(0.0, max(max(xs), 1e-9))
    y_ticks = ticks(*(limits or _widened(min(ys), max(ys))))
    to_pixels = _pixel_mapping(x_ticks, y_ticks)
    parts = [_frame(x_ticks, y_ticks, to_pixels, x, y)]
    for line in lines:
        dots = [to_pixels(*point) for point in line.points]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in dots)
        parts.append(Markup('<polyline class="line {}" points="{}"/>').format(line.kind, path))
        if line.mark is not None:
            a, b = dots[line.mark]
            parts.append(
                Markup('<circle class="mark {}" cx="{}" cy="{}" r="3.5"/>').format(
                    line.kind, f"{a:.1f}", f"{b:.1f}"
                )
            )
    return _svg(parts, title)


def histogram(groups: Sequence[np.ndarray], kinds: Sequence[str], *, x: str, title: str) -> Markup:
    """Return a chart of the distribution of each group's values, in % of the group, over 24 bins.

    groups: (N,) values each. kinds: a class of the style sheet for each. x: name of the axis.
    title: text for screen readers. The highest 1% of each group are put into the last bin, so that
    outliers do not squeeze the others together.
    """
    values = np.concatenate(groups)
    highest = max(float(np.quantile(group, 0.99)) for group in groups)
    low, high = _widened(float(values.min()), highest)
    x_ticks = ticks(low, high)
    edges = np.linspace(x_ticks[0], x_ticks[-1], 25)
    shares = [np.histogram(np.clip(g, edges[0], edges[-1]), edges)[0] / len(g) for g in groups]
    y_ticks = ticks(0.0, 100 * max(float(share.max()) for share in shares), 4)
    to_pixels = _pixel_mapping(x_ticks, y_ticks)
    parts = [_frame(x_ticks, y_ticks, to_pixels, x, "% of clips")]
    for share, kind in zip(shares, kinds, strict=True):
        corners = [to_pixels(edges[0], 0.0)]
        for value, left, right in zip(100 * share, edges[:-1], edges[1:], strict=True):
            corners += [to_pixels(left, value), to_pixels(right, value)]
        corners.append(to_pixels(edges[-1], 0.0))
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in corners)
        parts.append(Markup('<polygon class="area {}" points="{}"/>').format(kind, path))
    return _svg(parts, title)


def _widened(low: float, high: float) -> tuple[float, float]:
    """Return (low, high), moved apart by 1 where they are equal."""
    return (low, high) if high - low > 1e-9 else (low - 0.5, high + 0.5)


def _pixel_mapping(
    x_ticks: Sequence[float], y_ticks: Sequence[float]
) -> Callable[[float, float], tuple[float, float]]:
    """Return a function from (x, y) of a chart with these ticks to pixels."""
    wide, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def to_pixels(x: float, y: float) -> tuple[float, float]:
        share = (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])
        up = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return LEFT + share * wide, HEIGHT - BOTTOM - up * tall

    return to_pixels


def _frame(
    x_ticks: Sequence[float],
    y_ticks: Sequence[float],
    to_pixels: Callable[[float, float], tuple[float, float]],
    x: str,
    y: str,
) -> Markup:
    """Return the grid, and the numbers and names of the axes."""
    parts = []
    for value in y_ticks:
        _, b = to_pixels(x_ticks[0], value)
        parts.append(
            Markup(
                '<line class="grid" x1="{}" x2="{}" y1="{b}" y2="{b}"/>'
                '<text class="num" x="{}" y="{b}" dy="0.35em" text-anchor="end">{}</text>'
            ).format(LEFT, WIDTH - RIGHT, LEFT - 7, f"{value:g}", b=f"{b:.1f}")
        )
    for value in x_ticks:
        a, _ = to_pixels(value, y_ticks[0])
        parts.append(
            Markup('<text class="num" x="{}" y="{}" text-anchor="middle">{}</text>').format(
                f"{a:.1f}", HEIGHT - BOTTOM + 15, f"{value:g}"
            )
        )
    names = '<text x="{}" y="{}" text-anchor="end">{}</text><text x="0" y="10">{}</text>'
    parts.append(Markup(names).format(WIDTH - RIGHT, HEIGHT - 4, x, y))
    return Markup("").join(parts)


def _svg(parts: Sequence[Markup], title: str) -> Markup:
    start = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
        WIDTH, HEIGHT, title
    )
    return start + Markup("").join(parts) + Markup("</svg>")
