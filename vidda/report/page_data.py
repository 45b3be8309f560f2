"""Results of a report arranged for the template of the page."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from vidda.evaluate.transfer import ALL, TransferCell
from vidda.evaluate.transfer_tables import TransferGrid, legend, transfer_grids
from vidda.report.closed_gap import TaskGap, closed_gaps
from vidda.report.found_runs import FoundTest, FoundTransfer
from vidda.report.merged_seeds import MergedSeeds, merge_seeds, most_confused
from vidda.report.paired_differences import TaskDifferences
from vidda.report.report_config import Gap
from vidda.report.run_records import RunRecord
from vidda.report.target_label_use import RowTask, best_rows
from vidda.report.translations import FIGURES, Translation, quartiles, worst_first
from vidda.svg import COLOR_CLASSES, histogram

MATRIX_CLASSES = 25
"""With more classes, the most frequent mistakes are shown instead of a matrix."""
MISTAKES = 20

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
    rows = [
        {
            "name": name,
            "cells": [cells.get((name, task)) for task in tasks],
            "oracle": all((name, task) in used_labels for task in tasks if (name, task) in cells),
        }
        for name in names
        if any((name, task) in cells for task in tasks)
    ]
    return {
        "confidence": f"{confidence:.0%}",
        "legend": legend(found.cells, found.epochs, confidence),
        "rows": [row for row in rows if not row["oracle"]],
        "oracles": [row for row in rows if row["oracle"]],
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


def difference_view(tasks: Sequence[TaskDifferences], source: str) -> View | None:
    """Return gains over the source's row by task, and the differences of all pairs of each task.

    source: name of its row. None without any pair.
    """
    if not tasks:
        return None
    names = dict.fromkeys(name for task in tasks for name in task.rows)
    gains = [
        {"name": name, "cells": [task.by_pair.get((name, source)) for task in tasks]}
        for name in names
        if name != source
    ]
    return {
        "source": source,
        "tasks": [task.task for task in tasks],
        "gains": [row for row in gains if any(row["cells"])],
        "pairs": [
            {
                "task": task.task,
                "others": task.others,
                "rows": [
                    {"name": row, "cells": [task.by_pair.get((row, o)) for o in task.others]}
                    for row in task.rows
                ],
            }
            for task in tasks
            if len(task.others) > 1 and len(task.rows) > 2
        ],
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
