"""Results of a report arranged for the template of the page."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from vidda.evaluate.transfer import ALL, TransferCell
from vidda.evaluate.transfer_tables import TransferGrid, legend, transfer_grids
from vidda.report.closed_gap import TaskGap, closed_gaps
from vidda.report.found_runs import FoundRuns, FoundTest, FoundTransfer
from vidda.report.merged_seeds import MergedSeeds, merge_seeds, most_confused
from vidda.report.report_config import Gap
from vidda.report.run_records import RunRecord, TrainingRecord
from vidda.report.svg import ChartLine, histogram, line_chart
from vidda.report.target_label_use import RowTask, best_rows
from vidda.report.translations import FIGURES, Translation, quartiles, worst_first

MATRIX_CLASSES = 25
"""With more classes, the most frequent mistakes are shown instead of a matrix."""
MISTAKES = 20
POINTS = 60
"""The training loss, which is of single batches, is averaged to about this many points."""
COLOR_CLASSES = ("s0", "s1", "s2", "s3", "s4", "s5")

View = dict[str, Any]
"""Values for the page's template, by the names that it uses."""


def transfer_view(found: FoundTransfer, used_labels: Collection[RowTask]) -> View:
    """Return the transfer table, and the strips of intervals below it, as data for the page.

    used_labels: rows and tasks that used target labels, from `rows_with_target_labels`.
    """
    tasks = found.transfer.tasks
    whole = {(cell.row, cell.task): cell for cell in found.cells if cell.part == ALL}
    names = [row.name for row in found.transfer.rows]
    best = best_rows([*whole.values()], used_labels)
    cells = {row_task: _cell(cell, row_task in best) for row_task, cell in whole.items()}
    confidence = found.intervals.confidence
    return {
        "confidence": f"{confidence:.0%}",
        "legend": legend(found.cells, found.epochs, confidence),
        "rows": [{"name": n, "cells": [cells.get((n, task)) for task in tasks]} for n in names],
        "tasks": [
            {
                "name": task,
                "rows": [{"name": n, "cell": cells[n, task]} for n in names if (n, task) in cells],
            }
            for task in tasks
        ],
        "epochs": _epochs(found),
    }


def _epochs(found: FoundTransfer) -> TransferGrid | None:
    return next(iter(transfer_grids([], found.epochs, found.transfer.tasks)), None)


def _cell(cell: TransferCell, best: bool) -> View:
    interval = cell.bootstrap or cell.wilson
    return {
        "mean": cell.mean,
        "deviation": cell.deviation,
        "low": interval.low,
        "high": interval.high,
        "sign": "" if cell.bootstrap else "w",
        "best": best,
        "seeds": cell.runs,
    }


def gap_views(found: FoundTransfer, gap: Gap) -> list[View]:
    """Return the bars of each task, on a common scale that includes 0% and 100%.

    gap: names of the source's and the target's row.
    """
    return [_gap(task) for task in closed_gaps(found.cells, found.transfer.tasks, gap)]


def _gap(task: TaskGap) -> View:
    shares = [row.share for row in task.rows]
    low, high = min([0.0, *shares]), max([1.0, *shares])
    ends = ""
    if task.source is not None and task.target is not None:
        ends = f"from {100 * task.source:.1f} to {100 * task.target:.1f}"
    return {
        "name": task.task,
        "ends": ends,
        "reason": task.reason,
        # Bars beyond 0 to 100% need margins at the sides.
        "margin": -low / (high - low),
        "beyond": (high - 1.0) / (high - low),
        "rows": [
            {
                "name": row.row,
                "share": row.share,
                "gained": row.gained,
                "left": min(row.share, 0.0),
                "width": abs(row.share),
            }
            for row in sorted(task.rows, key=lambda row: -row.share)
        ],
    }


def result_views(found: FoundTransfer | None, tested: Sequence[FoundTest]) -> list[View]:
    """Return the strata and confusions of the rows of each task, and of each single test.

    found: the transfer table, if there is one. tested: the single tests.
    """
    views = [_result(task, merged) for task, merged in _by_task(found).items()] if found else []
    for one in tested:
        name = one.record.path.name
        views.append(_result(f"test {name}", {name: merge_seeds([one.summary], one.intervals)}))
    return views


def _by_task(found: FoundTransfer) -> dict[str, dict[str, MergedSeeds]]:
    """Return the results of each task by row, in the order of the table."""
    merged: dict[str, dict[str, MergedSeeds]] = {}
    for task in found.transfer.tasks:
        for row in (row for row in found.transfer.rows if task in row.runs):
            one = merge_seeds(found.summaries[row.name, task], found.intervals)
            merged.setdefault(task, {})[row.name] = one
    return merged


def _result(task: str, merged: Mapping[str, MergedSeeds]) -> View:
    first = next(iter(merged.values()))
    columns = {"altitude_m": "altitude, m"}
    return {
        "name": task,
        "merged": [_merged(name, one) for name, one in merged.items()],
        "strata": [
            {
                "column": columns.get(stratum.column, stratum.column),
                "value": stratum.value,
                "clips": stratum.clips,
                "cells": [one.strata[number] for one in merged.values()],
            }
            for number, stratum in enumerate(first.strata)
        ],
    }


def _merged(name: str, one: MergedSeeds) -> View:
    view: View = {
        "name": name,
        "clips": one.clips,
        "accuracy": one.accuracy,
        "interval": None,
        "mean_class_accuracy": one.mean_class_accuracy,
        "macro_f1": one.macro_f1,
        "calibration_error": one.calibration_error,
        "classes": one.classes,
        "matrix": None,
    }
    if len(one.classes) > MATRIX_CLASSES:
        found = most_confused(one.confusion, MISTAKES)
        return view | {"mistakes": [(one.classes[i], one.classes[j], n) for i, j, n in found]}
    rows = []
    for label, counts in zip(one.classes, one.confusion.tolist(), strict=True):
        total = max(1, sum(counts))
        rows.append({"name": label, "cells": [{"count": n, "share": n / total} for n in counts]})
    return view | {"matrix": rows}


def tested_views(tested: Sequence[FoundTest]) -> list[View]:
    """Return the metrics of the single tests, a table row each."""
    return [
        {
            "name": one.record.path.name,
            "clips": one.summary.clips,
            "accuracy": one.summary.accuracy,
            "interval": one.summary.bootstrap or one.summary.wilson,
            "mean_class_accuracy": one.summary.mean_class_accuracy,
            "macro_f1": one.summary.macro_f1,
            "calibration_error": one.summary.calibration_error,
        }
        for one in tested
    ]


def curve_views(found: FoundRuns) -> list[View]:
    """Return charts of loss and accuracy, for the runs of each row and task and each other run."""
    groups: dict[tuple[Path, ...], dict[str, list[str]]] = {}
    for row in found.transfer.transfer.rows if found.transfer else ():
        for task, paths in row.runs.items():
            group = tuple(path for path in paths if path in found.trainings)
            if group:
                groups.setdefault(group, {}).setdefault(row.name, []).append(task)
    grouped = {path for group in groups for path in group}
    views = []
    for group, rows in groups.items():
        title = "; ".join(f"{name} ({', '.join(tasks)})" for name, tasks in rows.items())
        views.append(_curves(title, [found.trainings[path] for path in group]))
    rest = [path for path in found.trainings if path not in grouped]
    return views + [_curves(path.name, [found.trainings[path]]) for path in rest]


def _curves(title: str, group: Sequence[TrainingRecord]) -> View:
    losses = [ChartLine(_averaged(t.curve("train/loss")), "s0") for t in group]
    losses += [ChartLine(t.curve("epoch/val_loss"), "s1") for t in group]
    scores = [ChartLine(_percent(t.curve("epoch/val_accuracy")), "s1", _mark(t)) for t in group]
    charts: list[Markup] = []
    if losses := [line for line in losses if line.points]:
        charts.append(line_chart(losses, x="steps", y="loss", title=f"Loss of {title}"))
    if scores := [line for line in scores if line.points]:
        label = f"Validation accuracy of {title}"
        charts.append(
            line_chart(scores, x="steps", y="validation accuracy, %", title=label, limits=(0, 100))
        )
    count = f"{len(group)} seeds" if len(group) > 1 else "1 run"
    return {"title": title, "runs": count, "charts": charts}


def _mark(training: TrainingRecord) -> int | None:
    """Return the index of the selected epoch's point; None unless every epoch has a point."""
    points = len(training.curve("epoch/val_accuracy"))
    return training.selected if training.last == points - 1 else None


def _percent(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(step, 100 * share) for step, share in points]


def _averaged(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    parts = np.array_split(np.array(points), POINTS) if len(points) > POINTS else []
    return [(float(p[:, 0].mean()), float(p[:, 1].mean())) for p in parts] or [*points]


def quality_view(translations: Mapping[str, Translation], worst: int) -> View | None:
    """Return the distribution of each quality figure and the worst clips of each translation.

    translations: by name. worst: how many clips of each translation. None without translations.
    """
    if not translations:
        return None
    names = [name for name in FIGURES if any(len(t.values(name)) for t in translations.values())]
    kinds = {
        name: COLOR_CLASSES[number % len(COLOR_CLASSES)] for number, name in enumerate(translations)
    }
    rows = []
    for name, one in translations.items():
        rows.append(
            {
                "name": name,
                "kind": kinds[name],
                "total": len(one.clips),
                **{status: one.count(status) for status in ("kept", "rejected", "failed")},
                "quartiles": [quartiles(v) if len(v := one.values(n)) else None for n in names],
                "worst": worst_first(one)[:worst],
            }
        )
    return {"figures": [_figure(n, translations, kinds) for n in names], "translations": rows}


def _figure(name: str, translations: Mapping[str, Translation], kinds: Mapping[str, str]) -> View:
    figure = FIGURES[name]
    having = {key: values for key, t in translations.items() if len(values := t.values(name))}
    title = f"{figure.name} of {', '.join(having)}: {figure.meaning}"
    colors = [kinds[key] for key in having]
    return {
        "key": name,
        "name": figure.name,
        "meaning": figure.meaning,
        "better": "lower" if figure.sign > 0 else "higher",
        "chart": histogram([*having.values()], colors, x=figure.name, title=title),
    }


def version_rows(records: Sequence[RunRecord]) -> list[tuple[str, str]]:
    """Return names and versions of packages; where runs differ, with the number of runs of each."""
    sessions = [record.sessions[-1] for record in records if record.sessions]
    found: dict[str, Counter[str]] = {}
    for session in sessions:
        commit = {"commit": session.git or "unknown", "device": session.device}
        for name, version in (commit | dict(session.versions)).items():
            found.setdefault(name, Counter())[version] += 1
    return [
        (name, next(iter(counts)) if len(counts) == 1 else _listed(counts))
        for name, counts in found.items()
    ]


def _listed(counts: Counter[str]) -> str:
    return "; ".join(
        f"{version} ({count} run{'s' if count > 1 else ''})"
        for version, count in counts.most_common()
    )
