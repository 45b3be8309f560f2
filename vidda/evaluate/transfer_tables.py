"""The transfer table as text for readers (Markdown, terminal) and programs (CSV, JSON)."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from vidda.data.manifest import csv_line, write_csv
from vidda.errors import ViddaError
from vidda.evaluate.transfer import ALL, EpochCell, TransferCell
from vidda.evaluate.unlabeled_targets import SCORES, LabelFreeCell
from vidda.files import write_text

NO_VALUE = "-"

RowTexts = dict[str, dict[str, str]]
"""Texts of cells, by the head of their row, then by task."""


@dataclass(frozen=True, slots=True)
class TransferGrid:
    """A table of texts.

    title: of the table. heads: of the columns; the first is the head of the rows' names. rows: a
    cell for each head.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def transfer_grids(
    cells: Sequence[TransferCell], epochs: Sequence[EpochCell], tasks: Sequence[str]
) -> list[TransferGrid]:
    """Return tables of accuracy by task, by altitude, and of selected, last and oracle epochs.

    tasks: names, in the order of the columns. Tables without a row are left out.
    """
    whole: RowTexts = {}
    parts: RowTexts = {}
    three: RowTexts = {}
    for cell in cells:
        rows, head = (whole, cell.row) if cell.part == ALL else (parts, f"{cell.row}, {cell.part}")
        rows.setdefault(head, {})[cell.task] = _text(cell)
    for found in epochs:
        three.setdefault(found.row, {})[found.task] = _three(found)
    titled = {
        "Accuracy in %": whole,
        "Accuracy in % by altitude": parts,
        "Accuracy in % of the selected / last / oracle epoch": three,
    }
    return [_grid(title, rows, tasks) for title, rows in titled.items() if rows]


def label_free_grids(cells: Sequence[LabelFreeCell]) -> list[TransferGrid]:
    """Return a table for each task: a line for each row, a column for each score."""
    grids = []
    for task in dict.fromkeys(cell.task for cell in cells):
        own = [cell for cell in cells if cell.task == task]
        lines = [(one.row, *(f"{one.scores[name]:.3f}" for name in SCORES)) for one in own]
        title = f"Label-free scores on {task}, {own[0].clips} target clips without labels"
        grids.append(TransferGrid(title, ("trained on", *SCORES), tuple(lines)))
    return grids


def label_free_legend(cells: Sequence[LabelFreeCell]) -> list[str]:
    """Return sentences that explain the tables, none without cells."""
    if not cells:
        return []
    return [
        "The target has no labels, so there is no accuracy. Label-free scores (mean over seeds; the"
        " higher the better) compare rows of one table; they often rank models rightly and"
        " can be wrong. The predicted class of every clip is in predictions/ROW/TASK_SEED.csv."
    ]


def _grid(title: str, rows: RowTexts, tasks: Sequence[str]) -> TransferGrid:
    lines = [(head, *(texts.get(task, NO_VALUE) for task in tasks)) for head, texts in rows.items()]
    return TransferGrid(title, ("trained on", *tasks), tuple(lines))


def legend(
    cells: Sequence[TransferCell], epochs: Sequence[EpochCell], confidence: float
) -> list[str]:
    """Return sentences that explain the cells of the tables, none without cells.

    confidence: of the cells' intervals, 0 to 1.
    """
    if not cells:
        return []
    seeds = sorted({len(cell.runs) for cell in cells})
    means = f"Mean over {' to '.join(map(str, seeds))} seeds, ± standard deviation between them"
    lines = [
        f"{'1 seed' if seeds == [1] else means}, [{confidence:.0%} interval: subjects and seeds"
        " drawn with replacement, longer where they are few, and never shorter than for as many"
        " independent clips]."
    ]
    if any(cell.bootstrap is None for cell in cells):
        lines.append(
            "w: Wilson's interval, where the clips are of one subject; it says nothing of others."
        )
    if any(cell.takes for cell in cells):
        lines.append(
            "Where the test is one subject in several takes, takes are drawn instead of subjects;"
            " that says nothing of others."
        )
    sizes: RowTexts = {}
    for cell in cells:
        persons = listed_subjects(cell.subjects, cell.without_subject)
        takes = f", {cell.takes} takes" if cell.takes else ""
        size = f"{cell.part} {cell.clips} ({persons}{takes})"
        sizes.setdefault(cell.task, {})[cell.part] = size
    listed = "; ".join(f"{task} {', '.join(sizes[task].values())}" for task in sorted(sizes))
    lines.append(f"Test clips (subjects): {listed}.")
    if any(cell.without_subject for cell in cells):
        lines.append("Clips of unknown subjects are taken for independent.")
    if epochs:
        lines.append(
            "selected: the best epoch on the source's validation clips, or by the label-free score"
            " that the run's key select names; last: the last one; oracle: the one with the highest"
            " test accuracy, which needs the test labels and is no result. All three as predicted"
            " during training."
        )
    return lines


def listed_subjects(subjects: int, without: int) -> str:
    """Describe the number of subjects of some clips. without: clips of unknown subjects."""
    if not without:
        return str(subjects)
    return f"{subjects} and {without} clips of unknown subjects" if subjects else "unknown"


@dataclass(frozen=True, slots=True)
class StoredTables:
    """The content of transfer.json.

    confidence: of the cells' intervals, 0 to 1. label_free: results on targets without labels.
    """

    confidence: float
    cells: tuple[TransferCell, ...]
    epochs: tuple[EpochCell, ...]
    label_free: tuple[LabelFreeCell, ...]


def read_tables(folder: Path) -> StoredTables:
    """Read the transfer.json that `write_tables` wrote; ViddaError where it is damaged."""
    file = folder / "transfer.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ViddaError(f"{file}: cannot be read as JSON: {error}") from None
    try:
        return TypeAdapter(StoredTables).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise ViddaError(
            f"{file}: not written by this version of vidda evaluate:"
            f" {'.'.join(map(str, first['loc']))}: {first['msg']}; evaluate again"
        ) from None


def write_tables(
    folder: Path,
    cells: Sequence[TransferCell],
    epochs: Sequence[EpochCell],
    tasks: Sequence[str],
    confidence: float,
    unlabeled: Sequence[LabelFreeCell] = (),
) -> None:
    """Write transfer.csv, transfer.md and transfer.json into a folder.

    tasks: names, in the order of the columns. confidence: of the cells' intervals, 0 to 1.
    unlabeled: results on targets without labels.
    """
    content = {
        "confidence": confidence,
        "cells": [asdict(cell) for cell in cells],
        "epochs": [asdict(cell) for cell in epochs],
        "label_free": [asdict(cell) for cell in unlabeled],
    }
    write_text(folder / "transfer.json", json.dumps(content, indent=1) + "\n")
    write_csv(folder / "transfer.csv", csv_line(COLUMNS), map(_csv, cells))
    lines = []
    for grid in [*transfer_grids(cells, epochs, tasks), *label_free_grids(unlabeled)]:
        lines += [
            f"## {grid.title}",
            "",
            _markdown(grid.heads),
            _markdown(["---"] * len(grid.heads)),
        ]
        lines += [*map(_markdown, grid.rows), ""]
    told = [*legend(cells, epochs, confidence), *label_free_legend(unlabeled)]
    lines += [f"- {line}" for line in told]
    write_text(folder / "transfer.md", "\n".join(lines) + "\n")


COLUMNS = (
    "trained_on", "task", "part", "clips", "subjects", "seeds", "accuracy", "deviation",
    "wilson_low", "wilson_high", "bootstrap_low", "bootstrap_high", "accuracy_of_each_seed",
    "clips_without_subject",
)  # fmt: skip


def _csv(cell: TransferCell) -> str:
    bootstrap = cell.bootstrap
    ends = ("", "") if bootstrap is None else (f"{bootstrap.low:.6f}", f"{bootstrap.high:.6f}")
    return csv_line(
        [
            cell.row, cell.task, cell.part, cell.clips, cell.subjects, len(cell.runs),
            f"{cell.mean:.6f}", "" if cell.deviation is None else f"{cell.deviation:.6f}",
            f"{cell.wilson.low:.6f}", f"{cell.wilson.high:.6f}", *ends,
            " ".join(f"{accuracy:.6f}" for accuracy in cell.runs), cell.without_subject,
        ]
    )  # fmt: skip


def _text(cell: TransferCell) -> str:
    interval, mark = (cell.wilson, "w") if cell.bootstrap is None else (cell.bootstrap, "")
    spread = "" if cell.deviation is None else f" ± {100 * cell.deviation:.1f}"
    ends = f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
    return f"{100 * cell.mean:.1f}{spread} {ends}{mark}"


def _three(cell: EpochCell) -> str:
    return f"{100 * cell.selected:.1f} / {100 * cell.last:.1f} / {100 * cell.oracle:.1f}"


def _markdown(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"
