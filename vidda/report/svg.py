"""Small charts as inline SVG: no script, no font, colors from the page's style sheet."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

WIDTH, HEIGHT = 360, 210
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 22, 36


@dataclass(frozen=True, slots=True)
class ChartLine:
    """One line. kind: a class of the style sheet that colors it. mark: the index of a point."""

    points: Sequence[tuple[float, float]]
    kind: str
    mark: int | None = None


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers that cover low to high, about so many. low < high."""
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
    """Return lines over a common x. limits: of y, or None to fit; title: what a screen
    reader says.
    """
    xs = [point[0] for line in lines for point in line.points]
    ys = [point[1] for line in lines for point in line.points]
    across = ticks(0.0, max(max(xs), 1e-9))
    upward = ticks(*(limits or _wide(min(ys), max(ys))))
    place = _places(across, upward)
    parts = [_frame(across, upward, place, x, y)]
    for line in lines:
        dots = [place(*point) for point in line.points]
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
    """How the values of each group, (N,) each, lie: shares of the group in common bins.

    The highest hundredth of all values is put into the last bin, so that one clip does not squeeze
    the others together.
    """
    everything = np.concatenate(groups)
    low, high = _wide(float(everything.min()), float(np.quantile(everything, 0.99)))
    across = ticks(low, high)
    edges = np.linspace(across[0], across[-1], 25)
    shares = [np.histogram(np.clip(g, edges[0], edges[-1]), edges)[0] / len(g) for g in groups]
    upward = ticks(0.0, 100 * max(float(share.max()) for share in shares), 4)
    place = _places(across, upward)
    parts = [_frame(across, upward, place, x, "% of clips")]
    for share, kind in zip(shares, kinds, strict=True):
        corners = [place(edges[0], 0.0)]
        for value, left, right in zip(100 * share, edges[:-1], edges[1:], strict=True):
            corners += [place(left, value), place(right, value)]
        corners.append(place(edges[-1], 0.0))
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in corners)
        parts.append(Markup('<polygon class="area {}" points="{}"/>').format(kind, path))
    return _svg(parts, title)


def _wide(low: float, high: float) -> tuple[float, float]:
    """Return the same ends, moved apart where they are one."""
    return (low, high) if high - low > 1e-9 else (low - 0.5, high + 0.5)


def _places(
    across: Sequence[float], upward: Sequence[float]
) -> Callable[[float, float], tuple[float, float]]:
    """From values to pixels."""
    wide, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        share = (x - across[0]) / (across[-1] - across[0])
        up = (y - upward[0]) / (upward[-1] - upward[0])
        return LEFT + share * wide, HEIGHT - BOTTOM - up * tall

    return place


def _frame(
    across: Sequence[float],
    upward: Sequence[float],
    place: Callable[[float, float], tuple[float, float]],
    x: str,
    y: str,
) -> Markup:
    """Grid, numbers and names of the axes."""
    parts = []
    for value in upward:
        _, b = place(across[0], value)
        parts.append(
            Markup(
                '<line class="grid" x1="{}" x2="{}" y1="{b}" y2="{b}"/>'
                '<text class="num" x="{}" y="{b}" dy="0.35em" text-anchor="end">{}</text>'
            ).format(LEFT, WIDTH - RIGHT, LEFT - 7, f"{value:g}", b=f"{b:.1f}")
        )
    for value in across:
        a, _ = place(value, upward[0])
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
