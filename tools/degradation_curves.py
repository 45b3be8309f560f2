"""Evaluate a recognizer on degraded photographs, and draw its accuracy beside that of others.

    python tools/degradation_curves.py LEVELS OUT NAME RUN [KEY=VALUE ...]

LEVELS is what tools/degrade_photographs.py wrote, RUN a run of `vidda train` or `adapt`, and NAME
its name in the drawing. KEY=VALUE are keys of `vidda evaluate`; a recognizer of poses needs
poses.name=blazepose, and a cache saves time.

OUT/NAME/LEVEL/   what `vidda evaluate model=RUN manifest=LEVELS/LEVEL/manifest.csv` writes;
                  levels that are there are not evaluated again
OUT/curves.csv    accuracy and interval of each recognizer that has been evaluated, at each level
OUT/curves.svg, OUT/curves.png   a panel for each kind of degradation, a line for each recognizer
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator, ScalarFormatter

from vidda.cli import main as vidda
from vidda.data.manifest import csv_line, write_csv
from vidda.errors import ViddaError
from vidda.files import atomic

KINDS = {
    "side": "pixels of the shorter side",
    "blur": "deviation of the blur, in pixels",
    "occlusion": "occluded square / shorter side",
}
"""Kinds of degradation, and the names of their axes."""


@dataclass(frozen=True, slots=True)
class Point:
    """A recognizer's accuracy at one level, in per cent.

    recognizer: its name. kind, value: the level's, such as side and 80. clips: their number. low,
    high: the interval over subjects or takes, or else Wilson's. classes: their number.
    """

    recognizer: str
    kind: str
    value: float
    clips: int
    accuracy: float
    low: float
    high: float
    classes: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Write OUT and return 0; on a mistake print one line and return 2."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("levels", type=Path, help="folder of tools/degrade_photographs.py")
    parser.add_argument("out", type=Path, help="folder to write, of all recognizers")
    parser.add_argument("name", help="of the recognizer in the drawing")
    parser.add_argument("run", type=Path, help="run of vidda train or adapt")
    parser.add_argument("keys", nargs="*", help="keys of vidda evaluate: KEY=VALUE")
    options = parser.parse_args(arguments)
    try:
        evaluate(options.levels, options.out / options.name, options.run, options.keys)
        points = read_points(options.out)
        lines = [csv_line(astuple(point)) for point in points]
        write_csv(options.out / "curves.csv", csv_line([f.name for f in fields(Point)]), lines)
        draw(points, options.out / "curves")
    except ViddaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"written: {options.out}/curves.csv, .svg and .png")
    return 0


def evaluate(levels: Path, out: Path, run: Path, keys: Sequence[str]) -> None:
    """Evaluate a run at every level, into OUT/LEVEL; ViddaError without levels or at a failure."""
    manifests = [file for kind in KINDS for file in sorted(levels.glob(f"{kind}_*/manifest.csv"))]
    if not manifests:
        raise ViddaError(
            f"{levels}: no {'_*, '.join(KINDS)}_* with a manifest.csv; write them with"
            " tools/degrade_photographs.py"
        )
    for manifest in manifests:
        level = manifest.parent.name
        print(f"{out.name}: {level}", flush=True)
        job = [f"model={run}", f"manifest={manifest}", f"out={out / level}", "--resume"]
        if vidda(["evaluate", *job, *keys]) != 0:
            raise ViddaError(f"{level}: not evaluated, for the reason above; correct it")


def read_points(out: Path) -> list[Point]:
    """Return the accuracies below OUT by kind, recognizer and value."""
    points = []
    for kind in KINDS:
        found = [_read_point(file) for file in out.glob(f"*/{kind}_*/metrics.json")]
        points += sorted(found, key=lambda point: (point.recognizer, point.value))
    return points


def _read_point(file: Path) -> Point:
    """Return the accuracy in OUT/NAME/LEVEL/metrics.json."""
    level, name = file.parent.name, file.parent.parent.name
    kind, _, value = level.partition("_")
    found = json.loads(file.read_text())
    interval = found["bootstrap"] or found["wilson"]
    shares = (found["accuracy"], interval["low"], interval["high"])
    accuracy, low, high = (round(100 * share, 2) for share in shares)
    classes = len(found["classes"])
    return Point(name, kind, float(value), found["clips"], accuracy, low, high, classes)


def draw(points: Sequence[Point], path: Path) -> None:
    """Write PATH.svg and PATH.png: a panel for each kind, a line for each recognizer."""
    kinds = [kind for kind in KINDS if any(point.kind == kind for point in points)]
    names = sorted({point.recognizer for point in points})
    colors = {name: f"C{number}" for number, name in enumerate(names)}
    style = {"svg.fonttype": "none", "svg.hashsalt": "vidda", "font.size": 9}
    with matplotlib.rc_context(style):
        figure, panels = pyplot.subplots(
            1, len(kinds), figsize=(3.4 * len(kinds), 3.2), sharey=True, squeeze=False
        )
        for kind, axes in zip(kinds, panels[0], strict=True):
            _draw_panel(axes, kind, [point for point in points if point.kind == kind], colors)
        panels[0, 0].set(ylim=(0, 100), ylabel="accuracy, %")
        keys: dict[str, Artist] = {}
        for axes in panels[0]:
            handles, labels = axes.get_legend_handles_labels()
            keys |= dict(zip(labels, handles, strict=True))
        columns = min(4, len(keys))
        figure.legend(keys.values(), keys, loc="upper center", ncols=columns, frameon=False)
        figure.tight_layout(rect=(0, 0, 1, 0.92))
        for suffix, metadata in ((".svg", {"Date": None}), (".png", {})):
            with atomic(path.with_suffix(suffix)) as temporary:
                figure.savefig(temporary, dpi=150, metadata=metadata)
        pyplot.close(figure)


def _draw_panel(axes: Axes, kind: str, points: Sequence[Point], colors: Mapping[str, str]) -> None:
    """Draw lines with intervals, the least degraded level on the left, and chance."""
    lines: dict[str, list[Point]] = defaultdict(list)
    for point in points:
        lines[point.recognizer].append(point)
    for name, own in lines.items():
        values = [point.value for point in own]
        axes.plot(values, [p.accuracy for p in own], "o-", ms=3.5, color=colors[name], label=name)
        low, high = [p.low for p in own], [p.high for p in own]
        axes.fill_between(values, low, high, color=colors[name], alpha=0.15, lw=0)
    axes.axhline(100 / points[0].classes, color="gray", ls=":", lw=1, label="chance")
    axes.set_xlabel(KINDS[kind])
    axes.grid(alpha=0.3)
    if kind == "side":
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_locator(NullLocator())
        axes.invert_xaxis()
    axes.set_xticks(sorted({point.value for point in points}))


if __name__ == "__main__":
    sys.exit(main())
