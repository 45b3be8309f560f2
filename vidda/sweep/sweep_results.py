"""What comes out of a sweep: the transfer table of the chosen combinations, and a page of it.

OUT/results/         as `vidda evaluate` writes a transfer table, so that `vidda report` reads it
OUT/sweep.md         methods x tasks, gains over the baseline, what was chosen, and what the scores
                     are worth, for a README
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from vidda.config import dump
from vidda.data.saved_predictions import SavedPredictions, save_predictions
from vidda.evaluate.job import EvaluateConfig
from vidda.evaluate.transfer import EpochCell, Transfer, TransferCell, cells, epoch_cell, find_tests
from vidda.evaluate.transfer import TransferRow as TransferRow
from vidda.evaluate.transfer_tables import NONE, TransferGrid, grids, legend, write_tables
from vidda.files import write_text
from vidda.run import RunFolder
from vidda.sweep.gains import Gain, gain_grid, gains
from vidda.sweep.sweep_config import SweepConfig
from vidda.sweep.trial_results import answers, chosen
from vidda.sweep.trial_table import TrialRow


@dataclass(frozen=True, slots=True)
class Results:
    """The chosen rows by method and task, and what they reach."""

    config: SweepConfig
    rows: dict[tuple[str, str], list[TrialRow]]
    cells: list[TransferCell]
    epochs: list[EpochCell]
    gains: list[Gain]

    def grids(self) -> list[TransferGrid]:
        """Return the transfer tables, what the baseline is beaten by, and what was chosen."""
        tasks, baseline = self.config.tasks, self.config.baseline
        told = [gain_grid(self.gains, baseline, tasks)] if baseline and self.gains else []
        return [*grids(self.cells, self.epochs, tasks), *told, *_choices(self)]

    def legend(self) -> list[str]:
        """What the tables mean, a sentence each."""
        lines = legend(self.cells, self.epochs, self.config.intervals.confidence)
        if self.gains:
            lines.append(
                "Gains are of runs of one seed on the same clips: mean, ± deviation between seeds,"
                " and an interval as above."
            )
        if any(self.config.searched(name) for name in self.config.methods):
            lines.append(
                f"Combinations of keys were chosen by {self.config.select_point}, as a mean over"
                " seeds at the selected epochs: target labels were not looked at."
            )
        return lines


def collect(config: SweepConfig, rows: Sequence[TrialRow]) -> tuple[Results, Transfer] | None:
    """Return the results of the rows that are finished; None where there are none."""
    best: dict[tuple[str, str], list[TrialRow]] = {}
    for method in config.methods:
        for task in config.tasks:
            own = [row for row in rows if (row.method, row.task) == (method, task)]
            if found := chosen(own, config.select_point):
                best[method, task] = found
    if not best:
        return None
    transfer = _transfer(config, best)
    tests = find_tests(transfer)
    table: list[TransferCell] = []
    epochs: list[EpochCell] = []
    answered: dict[tuple[str, str], dict[int, SavedPredictions]] = {}
    for (method, task), members in best.items():
        name, test = tests[task]
        stream = config.methods[method].stream
        said = [answers(row, _selected(row), test, name, stream=stream) for row in members]
        answered[method, task] = {row.seed: one for row, one in zip(members, said, strict=True)}
        table += cells(method, task, said, config.intervals)
        runs = [row.run for row in members]
        three = None if stream else epoch_cell(method, task, runs, test, name)
        epochs += [three] if three else []
    above = gains(answered, config.baseline, config.intervals) if config.baseline else []
    return Results(config, best, table, epochs, above), transfer


def _selected(row: TrialRow) -> int:
    assert row.epochs
    return int(row.epochs.selected)


def _transfer(config: SweepConfig, best: dict[tuple[str, str], list[TrialRow]]) -> Transfer:
    runs: dict[str, dict[str, tuple[Path, ...]]] = {}
    for (method, task), members in best.items():
        runs.setdefault(method, {})[task] = tuple(row.run for row in members)
    rows = tuple(TransferRow(name=name, runs=tasks) for name, tasks in runs.items())
    return Transfer(data=config.prepared, tasks=config.tasks, rows=rows)


def written(results: Results, transfer: Transfer, place: Path) -> bool:
    """Return whether a finished folder holds these very results."""
    if not (place / "DONE").exists():
        return False
    try:
        before = dict(json.loads((place / "transfer.json").read_text(encoding="utf-8")))
        settings = (place / "config.yaml").read_text(encoding="utf-8")
    except (FileNotFoundError, ValueError, TypeError):
        return False  # gone or damaged: they are written again
    now = {
        "cells": [asdict(cell) for cell in results.cells],
        "epochs": [asdict(cell) for cell in results.epochs],
    }
    # Through JSON, which has no tuples.
    same = json.loads(json.dumps(now)) == {key: before.get(key) for key in now}
    return same and settings == dump(_settings(results, transfer, place))


def write(results: Results, transfer: Transfer, place: Path) -> None:
    """Write the results in place of others."""
    config = results.config
    tests = find_tests(transfer)
    shutil.rmtree(place, ignore_errors=True)
    fingerprints = {f"test of {task}": test.fingerprint() for task, (_, test) in tests.items()}
    settings = _settings(results, transfer, place)
    with RunFolder.open(place, settings, fingerprints, resume=False) as folder:
        for (method, task), members in results.rows.items():
            name, test = tests[task]
            stream = config.methods[method].stream
            for number, row in enumerate(members):
                found = answers(row, _selected(row), test, name, stream=stream)
                file = place / "predictions" / method / f"{task}_{number}.npz"
                save_predictions(file, found.predictions, found.classes, found.columns)
        write_tables(
            place, results.cells, results.epochs, config.tasks, config.intervals.confidence
        )
        folder.finish()


def _settings(results: Results, transfer: Transfer, place: Path) -> EvaluateConfig:
    return EvaluateConfig(out=place, transfer=transfer, intervals=results.config.intervals)


def write_markdown(results: Results, rows: Sequence[TrialRow], file: Path) -> None:
    """The tables as Markdown, for a README; trials that failed are named."""
    lines = []
    for grid in [*results.grids(), *_worth(rows)]:
        lines += [f"## {grid.title}", "", _line(grid.heads), _line(["---"] * len(grid.heads))]
        lines += [*map(_line, grid.rows), ""]
    lines += [f"- {line}" for line in results.legend()]
    lines += [f"- failed: {row.name}: {row.reason}" for row in rows if row.status == "failed"]
    write_text(file, "\n".join(lines) + "\n")


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _choices(results: Results) -> Iterator[TransferGrid]:
    """Which combination stands for each method and task, where there is more than one."""
    config = results.config
    names = [name for name in config.methods if config.searched(name)]
    rows = []
    for name in names:
        texts = []
        for task in config.tasks:
            members = results.rows.get((name, task))
            texts.append(_keys(members[0]) if members else NONE)
        rows.append((name, *texts))
    if rows:
        yield TransferGrid(
            f"Chosen by {config.select_point}", ("method", *config.tasks), tuple(rows)
        )


def _keys(row: TrialRow) -> str:
    return ", ".join(f"{key} {json.dumps(value)}" for key, value in row.keys.items())


def _worth(rows: Sequence[TrialRow]) -> Iterator[TransferGrid]:
    """What each score is worth for choosing epochs, over all trials that have it."""
    names = dict.fromkeys(name for row in rows for name in row.lost)
    lines = []
    for name in names:
        having = [row for row in rows if name in row.lost]
        known = [c for row in having if (c := row.correlations[name]) is not None]
        correlation = f"{np.mean(known):+.2f}" if known else NONE
        lost = 100 * np.mean([row.lost[name] for row in having])
        lines.append((name, f"{correlation}", f"{lost:.1f}", str(len(having))))
    if lines:
        heads = ("score", "rank correlation", "points lost to the oracle", "trials")
        yield TransferGrid("Scores without target labels, over the epochs", heads, tuple(lines))
