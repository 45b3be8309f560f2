"""The tables that `vidda evaluate` prints."""

from collections.abc import Sequence
from dataclasses import replace

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from vidda.evaluate.epochs import EpochAccuracies
from vidda.evaluate.intervals import Interval, McNemar
from vidda.evaluate.summary import Summary
from vidda.evaluate.transfer_tables import TransferGrid

WIDTH = 100
"""Widest table of transfer results, in columns, whatever the terminal's width."""
NAMES = 40
"""Most columns for the names of a table's rows where it has to be folded."""


def print_summary(console: Console, summary: Summary, confidence: float) -> None:
    """Print accuracy with its intervals, the other metrics, the strata and the confusions.

    confidence: of the intervals, 0 to 1.
    """
    clustered = (
        f"{_ends(summary.bootstrap)} bootstrap over {_resampled(summary)}"
        if summary.bootstrap
        else "no bootstrap: the clips are of one subject"
    )
    console.print(
        f"accuracy {_percent(summary.accuracy)} of {summary.clips} clips;"
        f" {confidence:.0%} intervals: {_ends(summary.wilson)} Wilson, {clustered}"
    )
    console.print(
        f"mean class accuracy {_percent(summary.mean_class_accuracy)},"
        f" macro F1 {summary.macro_f1:.3f},"
        f" expected calibration error {summary.calibration_error:.3f}"
    )
    table = _table("", "clips", "accuracy", "interval (Wilson)")
    previous = None
    for stratum in summary.strata:
        if previous not in (None, stratum.column):
            table.add_section()
        previous = stratum.column
        share = _percent(stratum.accuracy)
        name = f"{stratum.column} {stratum.value}"
        table.add_row(name, str(stratum.clips), share, _ends(stratum.wilson))
    console.print(table)
    confusion = _table("is \\ taken for", *summary.classes)
    for name, row in zip(summary.classes, summary.confusion, strict=True):
        confusion.add_row(name, *(str(count) if count else "." for count in row))
    console.print(confusion)


def _resampled(summary: Summary) -> str:
    """Describe what the bootstrap resamples: subjects, and clips without one, or takes."""
    known, without = summary.subjects, summary.without_subject
    if summary.takes:
        return f"{summary.takes} takes of one subject"
    if not known:
        return "clips of unknown subjects"
    subjects = f"{known} subject{'s' if known > 1 else ''}"
    return f"{subjects} and {without} clips of unknown ones" if without else subjects


def print_comparison(
    console: Console,
    names: Sequence[str],
    accuracies: Sequence[float],
    test: McNemar,
    difference: Interval | None,
) -> None:
    """Print the comparison of two models on the same clips.

    names, accuracies: of the first and the second model; accuracies 0 to 1. difference: second
    minus first, None where it is not known.
    """
    for name, accuracy in zip(names, accuracies, strict=True):
        console.print(f"{_percent(accuracy)}  {name}")
    gain = 100 * (accuracies[1] - accuracies[0])
    interval = f" {_ends(difference)} (bootstrap)" if difference else ""
    console.print(f"second minus first: {gain:+.1f} points{interval}")
    console.print(
        f"recognized by only one model: {test.only_first} by the first, {test.only_second} by the"
        f" second; McNemar's test: p = {test.mid_p:.4f} (mid-p), {test.exact_p:.4f} (exact),"
        " assuming independent clips"
    )


def print_epochs(console: Console, epochs: EpochAccuracies) -> None:
    """Print a table of the selected, last and oracle epochs and their accuracies."""
    table = _table("epoch", "number", "accuracy")
    table.add_column("")
    meaning = {
        "selected": "best on the source's validation clips",
        "last": "",
        "oracle": "best on these test labels, which selection must not use: no result",
    }
    for name, epoch in epochs.chosen.items():
        table.add_row(name, str(epoch), _percent(epochs.accuracies[epoch]), meaning[name])
    console.print(table)


def print_grids(console: Console, grids: Sequence[TransferGrid], legend: Sequence[str]) -> None:
    """Print transfer tables, then the sentences that explain them, within `WIDTH` columns.

    Where a table is wider, its intervals go to lines of their own, and tasks that still do not fit
    go below the others.
    """
    width = min(console.width, WIDTH)
    for grid in grids:
        whole = _grid_table(grid, grid.heads[1:])
        if console.measure(whole).maximum <= width:
            console.print(whole)
            continue
        folded = _folded(grid)
        cells = [*folded.heads[1:], *(cell for row in folded.rows for cell in row[1:])]
        widest = max(len(line) for cell in cells for line in cell.splitlines())
        columns = max(1, (width - NAMES) // (widest + 2))
        for start in range(1, len(grid.heads), columns):
            console.print(_grid_table(folded, grid.heads[start : start + columns]), width=width)
    for line in legend:
        console.print(line, width=width)


def _folded(grid: TransferGrid) -> TransferGrid:
    """Return a grid whose intervals have a line of their own."""
    rows = tuple(
        (name, *(cell.replace(" [", "\n[") for cell in cells)) for name, *cells in grid.rows
    )
    return replace(grid, rows=rows)


def _grid_table(grid: TransferGrid, tasks: Sequence[str]) -> Table:
    """Return the table of some of a grid's columns besides the first."""
    chosen = [0, *(grid.heads.index(task, 1) for task in tasks)]
    table = _table(*(grid.heads[number] for number in chosen))
    table.title = grid.title
    for row in grid.rows:
        table.add_row(*(row[number] for number in chosen))
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(first, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title_justify="left")
    for head in others:
        table.add_column(head, justify="right")
    return table


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _ends(interval: Interval) -> str:
    return f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
