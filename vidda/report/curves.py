"""Curves of training: those of all arms of a task in one chart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from vidda.report.found_runs import FoundRuns
from vidda.report.run_records import TrainingRecord
from vidda.svg import COLOR_CLASSES, DASH_CLASSES, ChartLine, line_chart

POINTS = 60
"""The training loss, which is of single batches, is averaged to about this many points."""
CURVES = (("loss", "train/loss"), ("validation loss", "epoch/val_loss"),
          ("validation accuracy, %", "epoch/val_accuracy"))  # fmt: skip
"""Names of the charts, and of what they show in metrics.jsonl."""

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class CurveGroup:
    """Charts of some runs. title: of all. keys: name and style class of each line."""

    title: str
    keys: tuple[tuple[str, str], ...]
    charts: tuple[Markup, ...]


def curve_groups(found: FoundRuns) -> list[CurveGroup]:
    """Return the charts of each task, with a line for each arm, and those of all other runs.

    Tasks with the same runs share their charts.
    """
    groups: dict[tuple[tuple[str, tuple[Any, ...]], ...], list[str]] = {}
    rows = found.transfer.everything.rows if found.transfer else ()
    for task in found.transfer.everything.tasks if found.transfer else ():
        runs = {row.name: tuple(p for p in row.runs.get(task, ()) if p in found.trainings)
                for row in rows}  # fmt: skip
        if known := tuple((name, paths) for name, paths in runs.items() if paths):
            groups.setdefault(known, []).append(task)
    named = {path for row in rows for paths in row.runs.values() for path in paths}
    charts = [
        _group(", ".join(tasks), {n: [found.trainings[p] for p in paths] for n, paths in arms})
        for arms, tasks in groups.items()
    ]
    rest = {path.name: [one] for path, one in found.trainings.items() if path not in named}
    charts += [_group("Other runs" if groups else "Runs", rest)] if rest else []
    return [group for group in charts if group.charts]


def _group(title: str, arms: Mapping[str, Sequence[TrainingRecord]]) -> CurveGroup:
    keys = {name: line_class(number) for number, name in enumerate(arms)}
    charts = []
    for name, key in CURVES:
        lines = [line for arm, runs in arms.items() for line in _lines(runs, key, keys[arm])]
        if lines:
            limits = (0, 100) if "%" in name else None
            text = f"{name.capitalize()} of {title}"
            charts.append(line_chart(lines, x="steps", y=name, title=text, limits=limits))
    return CurveGroup(title, tuple(keys.items()), tuple(charts))


def line_class(number: int) -> str:
    """Return the style classes of the line of an arm: a color, then a dash where colors repeat."""
    dash, color = divmod(number, len(COLOR_CLASSES))
    return f"{COLOR_CLASSES[color]} {DASH_CLASSES[dash % len(DASH_CLASSES)]}".strip()


def _lines(runs: Sequence[TrainingRecord], key: str, kind: str) -> list[ChartLine]:
    """Return the mean curve of some runs; a line for each where their steps differ."""
    curves = [points for run in runs if (points := _scaled(run.curve(key), key))]
    if len({tuple(step for step, _ in points) for points in curves}) == 1 and len(curves) > 1:
        curves = [[(s[0][0], float(np.mean([v for _, v in s]))) for s in zip(*curves, strict=True)]]
    marks = [_mark(run) if key == "epoch/val_accuracy" and len(runs) == 1 else None for run in runs]
    mark = marks[0] if marks else None
    return [ChartLine(averaged(points), kind, mark) for points in curves]


def _scaled(points: Points, key: str) -> list[tuple[float, float]]:
    scale = 100 if key == "epoch/val_accuracy" else 1
    return [(step, scale * value) for step, value in points]


def _mark(training: TrainingRecord) -> int | None:
    """Return the index of the selected epoch's point; None unless every epoch has a point."""
    points = len(training.curve("epoch/val_accuracy"))
    whole = training.last == points - 1 and points <= POINTS
    return training.selected if whole else None


def averaged(points: Points) -> list[tuple[float, float]]:
    """Return the means of about `POINTS` parts of a curve, or the curve itself if it is short."""
    parts = np.array_split(np.array(points), POINTS) if len(points) > POINTS else []
    return [(float(p[:, 0].mean()), float(p[:, 1].mean())) for p in parts] or [*points]
